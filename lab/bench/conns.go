package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// connPort is the first of connPorts ports that connections are made to: a client has 28,000 ports for each, and
	// each is taken for a minute after its connection.
	connPort  = 8000
	connPorts = 16
	// connWorkers is how many connections are made at once.
	connWorkers = 8
)

// answerConns answers one byte on each connection, until ctx ends.
func answerConns(ctx context.Context, at sockets, ready func()) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range connPorts {
		l, err := at.Listen("tcp", fmt.Sprintf(":%d", connPort+i))
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
		defer closeWith(ctx, l)()
		g.Go(func() error { return acceptConns(ctx, l) })
	}
	ready()
	return g.Wait()
}

func acceptConns(ctx context.Context, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	for {
		c, err := l.Accept()
		if err != nil {
			return errors.Join(closedIsFine(err), g.Wait())
		}
		g.Go(func() error {
			defer closeWith(ctx, c)()
			var b [1]byte
			if _, err := io.ReadFull(c, b[:]); err == nil {
				if _, err = c.Write(b[:]); err == nil {
					c.Read(b[:]) //nolint:errcheck // it ends with the client
				}
			}
			return nil // the client tells what went wrong
		})
	}
}

// connect opens, uses and closes connections for d, several at once, and returns how many in a second, in thousands.
func connect(ctx context.Context, from sockets, addr string, d time.Duration) (figures, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return figures{}, err
	}
	var made atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	begin := time.Now()
	for w := range connWorkers {
		g.Go(func() error {
			for i := w; time.Since(begin) < d; i++ {
				to := netip.AddrPortFrom(ip, uint16(connPort+i%connPorts))
				if err := one(ctx, from, to.String(), byte(i)); err != nil {
					return fmt.Errorf("connection %d: %w", made.Load(), err)
				}
				made.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return figures{}, err
	}
	return figures{Value: float64(made.Load()) / time.Since(begin).Seconds() / 1e3}, nil
}

// one makes one connection and has a byte come back over it.
func one(ctx context.Context, from sockets, to string, b byte) error {
	c, err := from.Dial(ctx, "tcp", to)
	if err != nil {
		return err
	}
	defer closeWith(ctx, c)()
	buf := [1]byte{b}
	if _, err := c.Write(buf[:]); err != nil {
		return err
	}
	buf[0] = ^b
	if _, err := io.ReadFull(c, buf[:]); err != nil {
		return err
	}
	if buf[0] != b {
		return fmt.Errorf("sent %#02x, got %#02x", b, buf[0])
	}
	return nil
}

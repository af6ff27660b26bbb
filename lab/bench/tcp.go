package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// streamPort is where streams are received.
const streamPort = "5201"

// stream sends for d from one place to a listener in another, over so many connections at once, and returns the rate
// at which their bytes were read, in Gbit/s. What is read is compared with what was sent.
func stream(ctx context.Context, from, to sockets, addr netip.Addr, flows int, d time.Duration) (float64, error) {
	l, err := to.Listen("tcp", ":"+streamPort)
	if err != nil {
		return 0, err
	}
	defer closeWith(ctx, l)()
	out, in := make([]net.Conn, flows), make([]net.Conn, flows)
	for i := range flows {
		if out[i], err = from.Dial(ctx, "tcp", net.JoinHostPort(addr.String(), streamPort)); err != nil {
			return 0, err
		}
		defer closeWith(ctx, out[i])()
		if in[i], err = l.Accept(); err != nil {
			return 0, errors.Join(ctx.Err(), err)
		}
		defer closeWith(ctx, in[i])()
	}
	return transfer(ctx, out, in, d)
}

// transfer sends over all connections at once.
func transfer(ctx context.Context, out, in []net.Conn, d time.Duration) (float64, error) {
	sums := make([]sum, len(in))
	g, ctx := errgroup.WithContext(ctx)
	for i := range in {
		g.Go(func() error { return sums[i].read(ctx, in[i]) })
		g.Go(func() error { return send(ctx, out[i], d) })
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return rate(sums), nil
}

// sum is what one connection received.
type sum struct {
	bytes      int64
	begin, end time.Time
}

// rate is that of all connections together, in Gbit/s.
func rate(sums []sum) float64 {
	all := sums[0]
	for _, s := range sums[1:] {
		all.bytes += s.bytes
		if s.begin.Before(all.begin) {
			all.begin = s.begin
		}
		if s.end.After(all.end) {
			all.end = s.end
		}
	}
	return float64(all.bytes) * 8 / all.end.Sub(all.begin).Seconds() / 1e9
}

// read reads to the end, beginning the clock at the first byte.
func (s *sum) read(ctx context.Context, c net.Conn) error {
	defer closeWith(ctx, c)()
	buf := make([]byte, chunk)
	for {
		n, err := c.Read(buf)
		if s.bytes == 0 {
			s.begin = time.Now()
		}
		if err := checkPattern(buf[:n], s.bytes); err != nil {
			return err
		}
		s.bytes += int64(n)
		if err != nil {
			s.end = time.Now()
			if errors.Is(err, io.EOF) && s.bytes > 0 {
				return nil
			}
			return fmt.Errorf("receive after %d bytes: %w", s.bytes, err)
		}
	}
}

// send writes for d and closes the connection.
func send(ctx context.Context, c net.Conn, d time.Duration) error {
	defer closeWith(ctx, c)()
	sent := int64(0)
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, err := c.Write(at(sent, chunk))
		sent += int64(n)
		if err != nil {
			return fmt.Errorf("send after %d bytes: %w", sent, errors.Join(ctx.Err(), err))
		}
	}
	return nil
}

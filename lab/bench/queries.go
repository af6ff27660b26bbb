package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	names       = 1000 // how many names there are
	querySocks  = 4    // how many sockets ask
	queryWindow = 50   // how many queries wait on each
	dnsHeader   = 12   // bytes of a message's header (RFC 1035 section 4.1.1)
)

// hostName is name i, and hostAddr its address.
func hostName(i int) string     { return fmt.Sprintf("host%03d", i) }
func hostAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}) }

// queryFor returns a query for the address of name i, whose ID is to be put in front.
func queryFor(i int) []byte {
	b := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0} // RD, one question
	b = append(b, byte(len(hostName(i))))
	b = append(b, hostName(i)...)
	return append(b, 0, 0, 1, 0, 1) // A, IN
}

// checkAnswer tells what is wrong with a reply to the query for name i: it must have one answer, the address, which
// comes last.
func checkAnswer(b []byte, i int) error {
	want := hostAddr(i).As4()
	if len(b) < dnsHeader+4 || b[2]&0x80 == 0 || b[3]&0xf != 0 || binary.BigEndian.Uint16(b[6:]) != 1 {
		return fmt.Errorf("the reply for %s is no answer: % x", hostName(i), b)
	}
	if !bytes.Equal(b[len(b)-4:], want[:]) {
		return fmt.Errorf("the reply for %s ends with % x; want %s", hostName(i), b[len(b)-4:], hostAddr(i))
	}
	return nil
}

// ask sends queries for d over several sockets, so many waiting on each, and returns the answers in a second, in
// thousands.
func ask(ctx context.Context, from sockets, addr string, d time.Duration) (figures, error) {
	all := make([][]byte, names)
	for i := range all {
		all[i] = queryFor(i)
	}
	counts, lost := make([]int, querySocks), make([]int, querySocks)
	g, ctx := errgroup.WithContext(ctx)
	begin := time.Now()
	for s := range querySocks {
		g.Go(func() error {
			c, err := from.Dial(ctx, "udp", addr)
			if err != nil {
				return err
			}
			defer closeWith(ctx, c)()
			a := asker{c: c, queries: all, buf: make([]byte, 2048)}
			err = a.run(begin.Add(d))
			counts[s], lost[s] = a.answers, a.lost
			return errors.Join(ctx.Err(), err)
		})
	}
	if err := g.Wait(); err != nil {
		return figures{}, err
	}
	took, n, gone := time.Since(begin), 0, 0
	for s := range counts {
		n, gone = n+counts[s], gone+lost[s]
	}
	return figures{Value: float64(n) / took.Seconds() / 1e3, Extra: map[string]float64{"lost": float64(gone)}}, nil
}

// asker asks over one socket.
type asker struct {
	c             net.Conn
	queries       [][]byte
	buf           []byte
	next          uint16
	waiting       int
	answers, lost int
}

func (a *asker) run(end time.Time) error {
	for time.Now().Before(end) {
		for a.waiting < queryWindow {
			if err := a.query(); err != nil {
				return err
			}
		}
		if err := a.c.SetReadDeadline(time.Now().Add(stall)); err != nil {
			return err
		}
		// A few answers for each look at the clock.
		for range queryWindow / 2 {
			err := a.answer()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				a.lost, a.waiting = a.lost+a.waiting, 0
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *asker) query() error {
	q := append(a.buf[:0], a.queries[int(a.next)%names]...)
	binary.BigEndian.PutUint16(q, a.next)
	a.next++
	a.waiting++
	_, err := a.c.Write(q)
	return err
}

func (a *asker) answer() error {
	n, err := a.c.Read(a.buf)
	if err != nil {
		return err
	}
	if n < dnsHeader {
		return fmt.Errorf("a reply of %d bytes", n)
	}
	a.waiting = max(a.waiting-1, 0)
	a.answers++
	return checkAnswer(a.buf[:n], int(binary.BigEndian.Uint16(a.buf))%names)
}

package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"
)

const (
	// datagramLen is the size of a small datagram: a sequence number, and bytes that depend on it.
	datagramLen = 18
	// window is how many datagrams are on their way at most; the receiver acknowledges every ackEvery.
	window   = 128
	ackEvery = 32
	// stall is how long the sender waits for an acknowledgement until it takes for lost what it waits for.
	stall = 100 * time.Millisecond
	// firstAnswer is how long the first acknowledgement may take on a machine that is busy.
	firstAnswer = 5 * time.Second
	// rttGap is the pause between the probes of an idle path.
	rttGap = 200 * time.Microsecond
)

// putDatagram writes datagram number seq.
func putDatagram(b []byte, seq uint64) {
	binary.BigEndian.PutUint64(b, seq)
	copy(b[8:datagramLen], at(int64(seq), datagramLen-8))
}

// goodDatagram tells whether b is what putDatagram wrote, and its number.
func goodDatagram(b []byte) (uint64, bool) {
	if len(b) != datagramLen {
		return 0, false
	}
	seq := binary.BigEndian.Uint64(b)
	return seq, seq < 1<<62 && bytes.Equal(b[8:], at(int64(seq), datagramLen-8))
}

// acknowledgement tells how many datagrams came, the number after the highest of them, and how many were not what was
// sent.
type acknowledgement struct {
	received, next uint64
	bad            uint16
}

func (a acknowledgement) put(b []byte) {
	binary.BigEndian.PutUint64(b, a.received)
	binary.BigEndian.PutUint64(b[8:], a.next)
	binary.BigEndian.PutUint16(b[16:], a.bad)
}

func parseAck(b []byte) (acknowledgement, error) {
	if len(b) != datagramLen {
		return acknowledgement{}, fmt.Errorf("an acknowledgement of %d bytes; %d were sent", len(b), datagramLen)
	}
	return acknowledgement{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint16(b[16:])}, nil
}

// take counts one datagram.
func (a *acknowledgement) take(b []byte) {
	seq, ok := goodDatagram(b)
	if !ok {
		if a.bad < 1<<16-1 {
			a.bad++
		}
		return
	}
	a.received++
	a.next = max(a.next, seq+1)
}

// acknowledge receives small datagrams until pc is closed.
func acknowledge(pc net.PacketConn) error {
	var (
		a       acknowledgement
		buf     = make([]byte, 2048)
		out     = make([]byte, datagramLen)
		pending int
	)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return closedIsFine(err)
		}
		a.take(buf[:n])
		if pending++; pending < ackEvery {
			continue
		}
		pending = 0
		a.put(out)
		if _, err := pc.WriteTo(out, from); err != nil {
			return closedIsFine(err)
		}
	}
}

// echo sends back every datagram until pc is closed.
func echo(pc net.PacketConn) error {
	buf := make([]byte, 2048)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err == nil {
			_, err = pc.WriteTo(buf[:n], from)
		}
		if err != nil {
			return closedIsFine(err)
		}
	}
}

func closedIsFine(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// small sends small datagrams for d to an acknowledging receiver, and returns how many arrived in a second, in thousands.
func small(ctx context.Context, from sockets, addr string, d time.Duration) (figures, error) {
	c, err := from.Dial(ctx, "udp", addr)
	if err != nil {
		return figures{}, err
	}
	defer closeWith(ctx, c)()
	var (
		sent, acked uint64
		last        acknowledgement
		out         = make([]byte, datagramLen)
		in          = make([]byte, 64)
	)
	begin := time.Now()
	for time.Since(begin) < d || last.received == 0 && time.Since(begin) < firstAnswer {
		for ; sent-acked < window; sent++ {
			putDatagram(out, sent)
			if _, err := c.Write(out); err != nil {
				return figures{}, fmt.Errorf("send datagram %d: %w", sent, errors.Join(ctx.Err(), err))
			}
		}
		a, err := nextAck(c, in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			acked = sent
		case err != nil:
			return figures{}, fmt.Errorf("wait for an acknowledgement: %w", errors.Join(ctx.Err(), err))
		default:
			last, acked = a, max(acked, a.next)
		}
	}
	took := time.Since(begin)
	if last.bad > 0 || last.received == 0 {
		return figures{}, fmt.Errorf("%d of %d datagrams arrived, %d of others were not what was sent", last.received, sent, last.bad)
	}
	return figures{Value: float64(last.received) / took.Seconds() / 1e3, Extra: map[string]float64{"lost of a million": lostOf(last)}}, nil
}

// lostOf returns how many of a million datagrams before the highest that came did not.
func lostOf(a acknowledgement) float64 {
	return float64(a.next-min(a.received, a.next)) / float64(a.next) * 1e6
}

func nextAck(c net.Conn, buf []byte) (acknowledgement, error) {
	if err := c.SetReadDeadline(time.Now().Add(stall)); err != nil {
		return acknowledgement{}, err
	}
	n, err := c.Read(buf)
	if err != nil {
		return acknowledgement{}, err
	}
	return parseAck(buf[:n])
}

// roundTrips probes an echo server for d, a pause after each, and returns the median time in microseconds.
func roundTrips(ctx context.Context, from sockets, addr string, d time.Duration) (figures, error) {
	c, err := from.Dial(ctx, "udp", addr)
	if err != nil {
		return figures{}, err
	}
	defer closeWith(ctx, c)()
	var (
		took []float64
		out  = make([]byte, datagramLen)
		in   = make([]byte, 64)
	)
	for begin := time.Now(); time.Since(begin) < d || len(took) == 0; {
		putDatagram(out, uint64(len(took)))
		sent := time.Now()
		if _, err := c.Write(out); err != nil {
			return figures{}, fmt.Errorf("send probe %d: %w", len(took), errors.Join(ctx.Err(), err))
		}
		n, err := c.Read(in)
		if err != nil {
			return figures{}, fmt.Errorf("receive probe %d: %w", len(took), errors.Join(ctx.Err(), err))
		}
		if seq, ok := goodDatagram(in[:n]); !ok || seq != uint64(len(took)) {
			return figures{}, fmt.Errorf("probe %d came back as something else", len(took))
		}
		took = append(took, float64(time.Since(sent).Nanoseconds())/1e3)
		if err := pause(ctx, rttGap); err != nil {
			return figures{}, err
		}
	}
	slices.Sort(took)
	return figures{Value: median(took), Extra: map[string]float64{"p99 us": took[len(took)*99/100]}}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	time.Sleep(d) // too short to be worth a timer's channel
	return ctx.Err()
}

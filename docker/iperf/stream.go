package iperf

import (
	"context"
	"encoding/binary"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Stream is one connection that carries data, one way.
type stream struct {
	id   int // as the protocol numbers them: 1, 3, 4, ...
	conn net.Conn

	mu   sync.Mutex
	all  counts // guarded by mu: since the stream began
	base counts // guarded by mu: what of it is omitted
	// UDP, of the receiver: when datagrams arrived and were sent, in seconds, apart; guarded by mu
	transit float64
	seen    bool
}

// counts is how much passed a stream. Packets, lost, late and jitter are those of UDP: packets is the highest number that
// was seen, or how many were sent.
type counts struct {
	bytes, packets, lost, late int64
	jitter                     float64 // seconds
}

func (c counts) minus(b counts) counts {
	return counts{c.bytes - b.bytes, c.packets - b.packets, c.lost - b.lost, c.late - b.late, c.jitter}
}

// streamID returns the id of the n-th stream, counted from 0: iperf3 skips the 2.
func streamID(n int) int {
	if n == 0 {
		return 1
	}
	return n + 2
}

// socketNumber is what is shown as the n-th stream's file descriptor.
func socketNumber(n int) int { return 5 + 2*n }

// read returns what passed, without what was omitted.
func (s *stream) read() counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.minus(s.base)
}

// omit forgets all that passed so far.
func (s *stream) omit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = s.all
}

func (s *stream) sent(bytes, packets int) {
	s.mu.Lock()
	s.all.bytes += int64(bytes)
	s.all.packets += int64(packets)
	s.mu.Unlock()
}

// send sends blocks until ctx ends, each when more says so. Rate is in bits a second; 0: as fast as it goes.
func (s *stream) send(ctx context.Context, p *params, more func(int) bool) {
	end := context.AfterFunc(ctx, func() { _ = s.conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer end()
	block := make([]byte, p.Len)
	for i := range block {
		block[i] = byte('0' + i%10)
	}
	start, sent := time.Now(), 0.0
	number := uint64(0)
	for ctx.Err() == nil && more(len(block)) {
		if p.Bandwidth > 0 {
			due := time.Duration(sent * 8 / p.Bandwidth * float64(time.Second))
			if !wait(ctx, due-time.Since(start)) {
				return
			}
		}
		if p.UDP {
			number++
			stamp(block, time.Now(), number, p.Wide != 0)
		}
		n, err := s.conn.Write(block)
		if n > 0 || err == nil {
			s.sent(n, 1)
			sent += float64(n)
		}
		if err != nil && !p.UDP { // a datagram that cannot be sent is lost
			return
		}
		if err != nil && !wait(ctx, time.Millisecond) {
			return
		}
	}
}

// wait sleeps; false: ctx ended before. What is due within a millisecond is due now.
func wait(ctx context.Context, d time.Duration) bool {
	if d < time.Millisecond {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// stamp puts time and number in front of a datagram.
func stamp(b []byte, at time.Time, number uint64, wide bool) {
	binary.BigEndian.PutUint32(b, uint32(at.Unix()))
	binary.BigEndian.PutUint32(b[4:], uint32(at.Nanosecond()/1000))
	if wide {
		binary.BigEndian.PutUint64(b[8:], number)
	} else {
		binary.BigEndian.PutUint32(b[8:], uint32(number))
	}
}

// drainTime is how long a receiver waits for the rest of a number of bytes, once the sender says that all were sent.
const drainTime = 50 * time.Millisecond

// receive reads until the other side ends, or ctx.
func (s *stream) receive(ctx context.Context, p *params) {
	end := context.AfterFunc(ctx, func() {
		until := time.Unix(1, 0)
		if p.TCP && p.Num > 0 {
			until = time.Now().Add(drainTime)
		}
		_ = s.conn.SetReadDeadline(until)
	})
	defer end()
	buf := make([]byte, max(p.Len, maxUDPBlock+1))
	for {
		n, err := s.conn.Read(buf)
		switch {
		case p.UDP && n > 0:
			s.datagram(buf[:n], time.Now(), p.Wide != 0)
		case n > 0:
			s.sent(n, 0)
		}
		if err != nil {
			return
		}
	}
}

// datagram counts one that arrived (RFC 1889, section 6.3.1, for the jitter).
func (s *stream) datagram(b []byte, at time.Time, wide bool) {
	if len(b) < 12 || wide && len(b) < minUDPBlock {
		return
	}
	sentAt := float64(binary.BigEndian.Uint32(b)) + float64(binary.BigEndian.Uint32(b[4:]))/1e6
	number := int64(binary.BigEndian.Uint32(b[8:]))
	if wide {
		number = int64(binary.BigEndian.Uint64(b[8:]) & math.MaxInt64)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.bytes += int64(len(b))
	if number > s.all.packets {
		s.all.lost += number - 1 - s.all.packets
		s.all.packets = number
	} else {
		s.all.late++
		s.all.lost = max(s.all.lost-1, 0)
	}
	transit := float64(at.Unix()) + float64(at.Nanosecond())/1e9 - sentAt
	if s.seen {
		s.all.jitter += (math.Abs(transit-s.transit) - s.all.jitter) / 16
	}
	s.transit, s.seen = transit, true
}

// result is what the other end is told of a stream.
func (s *stream) result(took float64) streamResult {
	c := s.read()
	s.mu.Lock()
	omitted := s.base
	s.mu.Unlock()
	return streamResult{ID: s.id, Bytes: c.bytes, Retransmits: -1, Jitter: c.jitter, Errors: c.lost, OmittedErrors: omitted.lost, Packets: c.packets,
		OmittedPackets: omitted.packets, End: took}
}

// ends returns the addresses of a connection.
func ends(c net.Conn) (local, remote netip.AddrPort) {
	local, _ = netip.ParseAddrPort(c.LocalAddr().String())
	remote, _ = netip.ParseAddrPort(c.RemoteAddr().String())
	return netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
}

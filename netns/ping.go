package netns

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Pinger sends ICMP echo requests of one identifier and matches what comes back.
type Pinger struct {
	raw *RawConn
	id  uint16
}

// PingOptions are the fields of an echo request that its sender may choose.
type PingOptions struct {
	Seq   uint16
	Size  int // bytes behind the ICMP header; 0: none, ping's own default is 56
	TTL   int // 0: 64
	DF    bool
	Trace *fabric.Trace
}

// PingReply is what came back for an echo request: a reply, or an ICMP error about it.
type PingReply struct {
	From netip.Addr
	Seq  uint16
	TTL  int
	Size int // of the ICMP message
	At   int64
	// Type and Code of the message; Type is wire.ICMPEchoReply for a reply. MTU is that of a fragmentation-needed error.
	Type, Code byte
	MTU        int
}

// NewPinger opens a pinger. Close it.
func (ns *Namespace) NewPinger() (*Pinger, error) {
	raw, err := ns.ListenRaw(wire.ProtoICMP)
	if err != nil {
		return nil, err
	}
	ns.mu.Lock()
	id := uint16(ns.luck.Uint32())
	ns.mu.Unlock()
	return &Pinger{raw: raw, id: max(id, 1)}, nil
}

// Follow has the requests followed that are sent from now on, if ctx is; see fabric.Follow.
func (p *Pinger) Follow(ctx context.Context) { p.raw.Follow(ctx) }

// Close closes the pinger.
func (p *Pinger) Close() error { return p.raw.Close() }

// ID returns the identifier of its requests.
func (p *Pinger) ID() uint16 { return p.id }

// Send sends one request.
func (p *Pinger) Send(dst netip.Addr, o PingOptions) error {
	b := make([]byte, wire.ICMPLen+max(o.Size, 0))
	wire.PutICMP(b, wire.ICMPEcho, 0, uint32(p.id)<<16|uint32(o.Seq))
	for i := wire.ICMPLen; i < len(b); i++ {
		b[i] = byte(i)
	}
	wire.ICMP(b).FillChecksum()
	return p.raw.Send(dst, b, RawOptions{TTL: o.TTL, DF: o.DF, Trace: o.Trace})
}

// Receive waits for the next answer to a request of this pinger, until ctx ends.
func (p *Pinger) Receive(ctx context.Context) (PingReply, error) {
	for {
		r, err := p.raw.Read(ctx)
		if err != nil {
			return PingReply{}, err
		}
		if reply, ok := p.match(r); ok {
			return reply, nil
		}
	}
}

func (p *Pinger) match(r RawPacket) (PingReply, bool) {
	m, err := wire.ParseICMP(r.Body)
	if err != nil {
		return PingReply{}, false
	}
	reply := PingReply{From: r.Src, TTL: r.TTL, Size: len(r.Body), At: r.At, Type: m.Type(), Code: m.Code()}
	switch {
	case m.Type() == wire.ICMPEchoReply && m.ID() == p.id:
		reply.Seq = m.Seq()
		return reply, true
	case m.IsError():
		h, err := wire.ParseIPv4(r.Body[wire.ICMPLen:])
		if err != nil || h.Proto() != wire.ProtoICMP || len(r.Body) < wire.ICMPLen+h.HeaderLen()+wire.ICMPLen {
			return PingReply{}, false
		}
		inner := r.Body[wire.ICMPLen+h.HeaderLen():]
		if inner[0] != wire.ICMPEcho || binary.BigEndian.Uint16(inner[4:]) != p.id {
			return PingReply{}, false
		}
		reply.Seq = binary.BigEndian.Uint16(inner[6:])
		if m.Type() == wire.ICMPUnreachable && m.Code() == wire.CodeFragNeeded {
			reply.MTU = m.MTU()
		}
		return reply, true
	}
	return PingReply{}, false
}

// Ping sends one echo request of 56 bytes and returns the round-trip time of its reply. An ICMP error, no route and the
// end of ctx are errors.
func (ns *Namespace) Ping(ctx context.Context, dst netip.Addr) (time.Duration, error) {
	p, err := ns.NewPinger()
	if err != nil {
		return 0, err
	}
	defer p.Close() //nolint:errcheck // it returns nil
	p.Follow(ctx)
	start := time.Now()
	if err := p.Send(dst, PingOptions{Seq: 1, Size: 56}); err != nil {
		return 0, fmt.Errorf("ping %s from %s: %w", dst, ns.cfg.Name, err)
	}
	r, err := p.Receive(ctx)
	if err != nil {
		return 0, fmt.Errorf("ping %s from %s: %w", dst, ns.cfg.Name, err)
	}
	if r.Type != wire.ICMPEchoReply {
		return 0, fmt.Errorf("ping %s from %s: %s from %s", dst, ns.cfg.Name, UnreachableText(r.Type, r.Code), r.From)
	}
	return time.Since(start), nil
}

// UnreachableText returns iputils' words for an ICMP error.
func UnreachableText(typ, code byte) string {
	if typ == wire.ICMPTimeExceeded {
		return "Time to live exceeded"
	}
	switch code {
	case wire.CodeNetUnreachable:
		return "Destination Net Unreachable"
	case wire.CodeHostUnreachable:
		return "Destination Host Unreachable"
	case 2:
		return "Destination Protocol Unreachable"
	case wire.CodePortUnreachable:
		return "Destination Port Unreachable"
	case wire.CodeFragNeeded:
		return "Frag needed and DF set"
	case wire.CodeAdminProhibited, 9, 10:
		return "Packet filtered"
	}
	return fmt.Sprintf("Dest Unreachable, Bad Code: %d", code)
}

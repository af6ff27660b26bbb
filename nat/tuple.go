package nat

import (
	"encoding/binary"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

var be = binary.BigEndian

// tuple names one direction of a connection. For ICMP sport is the identifier, dport type<<8 | code; protocols
// that have no ports have 0 in both. It is 16 bytes without padding, which makes it a quick map key.
type tuple struct {
	src, dst     uint32
	sport, dport uint16
	proto        uint32
}

// icmpInverse is the type that answers an ICMP query, plus 1; 0: the type asks or answers nothing.
var icmpInverse = [256]byte{0: 8 + 1, 8: 0 + 1, 13: 14 + 1, 14: 13 + 1, 15: 16 + 1, 16: 15 + 1, 17: 18 + 1, 18: 17 + 1}

// inverse returns the tuple of the packets that answer those of t.
func (t tuple) inverse() tuple {
	r := tuple{src: t.dst, dst: t.src, sport: t.dport, dport: t.sport, proto: t.proto}
	if t.proto == wire.ProtoICMP {
		r.sport = t.sport
		r.dport = uint16(icmpInverse[t.dport>>8]-1)<<8 | t.dport&0xff
	}
	return r
}

func (t tuple) hasPorts() bool { return t.proto == wire.ProtoTCP || t.proto == wire.ProtoUDP }

func (t tuple) source() netip.AddrPort { return netip.AddrPortFrom(addr4(t.src), t.sport) }

func (t tuple) destination() netip.AddrPort {
	if t.hasPorts() {
		return netip.AddrPortFrom(addr4(t.dst), t.dport)
	}
	return netip.AddrPortFrom(addr4(t.dst), 0)
}

func addr4(v uint32) netip.Addr {
	var b [4]byte
	be.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

// from4 returns the four bytes of an IPv4 address; 0 for any other.
func from4(a netip.Addr) uint32 {
	if a = a.Unmap(); !a.Is4() {
		return 0
	}
	b := a.As4()
	return be.Uint32(b[:])
}

// kind says how a packet can be tracked.
type kind uint8

const (
	kindNone    kind = iota // not at all: a fragment, or no IPv4
	kindFlow                // by its tuple
	kindError               // it is an ICMP error: by the packet that it is about
	kindInvalid             // it belongs to nothing
)

// segment is what the state machines read of a packet.
type segment struct {
	flags flagIndex
	end   uint32 // sequence number after the last byte
	ack   uint32
}

// classify reads the tuple of a frame.
func classify(f *fabric.Frame) (tuple, segment, kind) {
	h := f.IPv4()
	if h == nil || h.IsFragment() {
		return tuple{}, segment{}, kindNone
	}
	t := tuple{src: be.Uint32(h[12:]), dst: be.Uint32(h[16:]), proto: uint32(h.Proto())}
	l4 := f.L4()
	if len(l4) < 8 {
		return t, segment{}, kindFlow
	}
	switch t.proto {
	case wire.ProtoTCP:
		t.sport, t.dport = be.Uint16(l4), be.Uint16(l4[2:])
		tcp := wire.TCP(l4)
		s := segment{flags: indexFlags(tcp.Flags()), ack: tcp.Ack()}
		s.end = tcp.Seq() + uint32(h.TotalLen()-h.HeaderLen()-tcp.HeaderLen())
		if tcp.Flags()&wire.SYN != 0 {
			s.end++
		}
		if tcp.Flags()&wire.FIN != 0 {
			s.end++
		}
		return t, s, kindFlow
	case wire.ProtoUDP:
		t.sport, t.dport = be.Uint16(l4), be.Uint16(l4[2:])
	case wire.ProtoICMP:
		return classifyICMP(t, l4)
	}
	return t, segment{}, kindFlow
}

func classifyICMP(t tuple, m wire.ICMP) (tuple, segment, kind) {
	if m.IsError() {
		return t, segment{}, kindError
	}
	if icmpInverse[m.Type()] == 0 {
		return t, segment{}, kindInvalid
	}
	t.sport, t.dport = m.ID(), uint16(m.Type())<<8|uint16(m.Code())
	return t, segment{}, kindFlow
}

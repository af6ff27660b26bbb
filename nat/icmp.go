package nat

import (
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// innerTuple reads the tuple of the packet that an ICMP error is about, and where its transport header begins in m.
// The error holds 8 bytes of that at least, and often no more.
func innerTuple(m wire.ICMP) (t tuple, l4 int, ok bool) {
	h, err := wire.ParseIPv4(m[wire.ICMPLen:])
	if err != nil || h.FragOffset() > 0 {
		return tuple{}, 0, false
	}
	l4 = wire.ICMPLen + h.HeaderLen()
	b := m[l4:]
	t = tuple{src: be.Uint32(h[12:]), dst: be.Uint32(h[16:]), proto: uint32(h.Proto())}
	switch {
	case t.proto != wire.ProtoICMP && !t.hasPorts():
		return t, l4, true
	case len(b) < 8:
		return tuple{}, 0, false
	case t.hasPorts():
		t.sport, t.dport = be.Uint16(b), be.Uint16(b[2:])
		return t, l4, true
	}
	t, _, kind := classifyICMP(t, wire.ICMP(b))
	return t, l4, kind == kindFlow
}

// trackError finds the connection that an ICMP error is about. The error goes against the packet in it, so it is part of the
// direction that the inverse of that packet's tuple names.
func (n *Netfilter) trackError(p *Packet, outer tuple, at int64) {
	p.state = StateInvalid
	t, _, ok := innerTuple(p.Frame.ICMP())
	if !ok || t.src != outer.dst {
		return // an error goes to who sent the packet; one that does not is forged
	}
	n.mu.Lock()
	c, reply := n.ct.find(t.inverse(), at)
	n.mu.Unlock()
	if c != nil {
		p.conn, p.reply, p.related, p.state = c, reply, true, StateRelated
	}
}

// translateError translates one end of an ICMP error, and the other end of the packet in it, which goes the other
// way: that one becomes what its sender sent, so that the sender knows it again.
func translateError(f *fabric.Frame, m manip, to, inner tuple) {
	icmp := f.ICMP()
	if icmp == nil {
		return
	}
	if _, l4, ok := innerTuple(icmp); ok {
		q := quoted{icmp: icmp, l4: l4}
		if m == natSrc {
			q.rewrite(16, 2, inner.dst, inner.dport, inner)
		} else {
			q.rewrite(12, 0, inner.src, inner.sport, inner)
		}
	}
	if m == natSrc {
		f.SetSrc(netip.AddrPortFrom(addr4(to.src), 0))
	} else {
		f.SetDst(netip.AddrPortFrom(addr4(to.dst), 0))
	}
}

// quoted is the head of a packet inside an ICMP message. All that is written to it is mended in the message's checksum.
type quoted struct {
	icmp []byte
	l4   int
}

// put writes a word at offset at of the message and mends the message's checksum.
func (q quoted) put(at int, v uint16) {
	old := be.Uint16(q.icmp[at:])
	if old == v {
		return
	}
	be.PutUint16(q.icmp[at:], v)
	be.PutUint16(q.icmp[2:], wire.Adjust16(be.Uint16(q.icmp[2:]), old, v))
}

// change writes a word and mends the checksum at each of sums, then the message's.
func (q quoted) change(at int, v uint16, sums ...int) {
	old := be.Uint16(q.icmp[at:])
	q.put(at, v)
	for _, s := range sums {
		if s > 0 {
			q.put(s, wire.Adjust16(be.Uint16(q.icmp[s:]), old, v))
		}
	}
}

// rewrite sets one address of the quoted header and, for a protocol that has them, the port or identifier.
func (q quoted) rewrite(addrOff, portOff int, addr uint32, port uint16, t tuple) {
	const ip = wire.ICMPLen
	sum := q.transportSum(t.proto)
	pseudo := sum
	if t.proto == wire.ProtoICMP {
		pseudo = 0 // its checksum covers no addresses
	}
	q.change(ip+addrOff, uint16(addr>>16), ip+10, pseudo)
	q.change(ip+addrOff+2, uint16(addr), ip+10, pseudo)
	switch {
	case t.hasPorts():
		q.change(q.l4+portOff, port, sum)
	case t.proto == wire.ProtoICMP:
		q.change(q.l4+4, t.sport, sum)
	}
}

// transportSum returns where the checksum of the quoted transport header lies; 0 if it has none or was cut off before.
func (q quoted) transportSum(proto uint32) int {
	at := 0
	switch proto {
	case wire.ProtoTCP:
		at = q.l4 + 16
	case wire.ProtoUDP:
		at = q.l4 + 6
	case wire.ProtoICMP:
		at = q.l4 + 2
	}
	if at == 0 || at+2 > len(q.icmp) || proto == wire.ProtoUDP && be.Uint16(q.icmp[at:]) == 0 {
		return 0
	}
	return at
}

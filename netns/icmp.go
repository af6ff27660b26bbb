package netns

import (
	"encoding/binary"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// maxQuote is how much of a packet an ICMP error carries: an error is at most 576 bytes (RFC 1812 section 4.3.2.3),
// and has to fit the linear part of a frame.
const maxQuote = fabric.LinearMax - wire.IPv4Len - wire.ICMPLen

// inputICMP handles an ICMP message for the namespace. Raw sockets have had their copy.
func (ns *Namespace) inputICMP(p *pass) {
	m := p.Frame.ICMP()
	if m == nil {
		ns.drop(p, fabric.DropMalformed)
		return
	}
	switch {
	case m.Type() == wire.ICMPEcho:
		ns.answerEcho(p)
	case m.IsError() && ns.stack.attached():
		p.out.deliver(p.Frame) // the netstack tells the socket that it is about
	default:
		p.Frame.Free()
	}
}

// answerEcho turns an echo request into its reply (RFC 792) and sends it.
func (ns *Namespace) answerEcho(p *pass) {
	h := p.Frame.IPv4()
	src, dst := h.Src(), h.Dst()
	if p.c.local[dst] == nil && !dst.IsLoopback() {
		p.Frame.Free() // to a broadcast address: icmp_echo_ignore_broadcasts
		return
	}
	body := p.Frame.AppendTo(nil)[h.HeaderLen():]
	df, tos := h.DF(), h.TOS()
	trace := p.Frame.Trace
	hops := p.Frame.Hops
	p.Frame.Free()
	body[0] = wire.ICMPEchoReply
	wire.ICMP(body).FillChecksum()
	f := ns.packetOf(ipFields{src: dst, dst: src, proto: wire.ProtoICMP, df: df, tos: tos}, body)
	f.Hops = hops
	ns.sendAnswer(f, trace, p.out)
}

// packetOf returns a packet with that body, which may be larger than a linear part.
func (ns *Namespace) packetOf(h ipFields, body []byte) *fabric.Frame {
	if f, room := ns.newPacket(h, len(body)); f != nil {
		copy(room, body)
		return f
	}
	head := min(len(body), 64)
	f, room := ns.newPacket(h, head)
	copy(room, body)
	f.SetPayload(bufferOf(body[head:]))
	ns.putIP(f.Linear(), h, wire.IPv4Len+len(body))
	return f
}

// sendError tells the sender of p what became of it (RFC 1122 section 3.2.2): never about an ICMP error, a later
// fragment or a packet that went to many. The packet stays the caller's. The error comes from the address of the
// interface that the packet came in by (L12).
func (ns *Namespace) sendError(p *pass, typ, code byte, rest uint32) {
	f := p.Frame
	if !errorAllowed(f) {
		return
	}
	h := f.IPv4()
	if _, bcast := p.c.bcast[h.Dst()]; bcast || h.Dst() == limitedBroadcast || h.Dst().IsMulticast() {
		return
	}
	src := netip.Addr{}
	if p.in != nil {
		src = p.in.sourceTowards(h.Src())
	}
	if !src.IsValid() {
		if r, ok := p.c.fib.Lookup(h.Src()); ok {
			src = ns.sourceFor(r, h.Src())
		} else if ns.isLocal(p.c, h.Src()) {
			src = h.Src()
		}
	}
	if src.IsValid() {
		ns.answer(p, ns.errorAbout(f, src, h.Src(), typ, code, rest))
	}
}

func errorAllowed(f *fabric.Frame) bool {
	h := f.IPv4()
	if h == nil || h.FragOffset() > 0 || h.Src().IsUnspecified() || h.Src().IsMulticast() {
		return false
	}
	m := f.ICMP()
	return m == nil || !m.IsError()
}

// errorAbout builds the ICMP error about f.
func (ns *Namespace) errorAbout(f *fabric.Frame, src, dst netip.Addr, typ, code byte, rest uint32) *fabric.Frame {
	quote := f.AppendSegment(nil, 0)[len(f.Linear())-len(f.L3()):] // as it was on the wire
	quote = quote[:min(len(quote), maxQuote)]
	e, room := ns.newPacket(ipFields{src: src, dst: dst, proto: wire.ProtoICMP, tos: 0xc0}, wire.ICMPLen+len(quote))
	wire.PutICMP(room, typ, code, rest)
	copy(room[wire.ICMPLen:], quote)
	wire.ICMP(room).FillChecksum()
	return e
}

// unreachable tells the sender of p, which may be a socket of the namespace's own, that it goes no further.
func (ns *Namespace) unreachable(p *pass, code byte, rest uint32) {
	src := p.Frame.IPv4().Src()
	if !ns.isLocal(p.c, src) {
		ns.sendError(p, wire.ICMPUnreachable, code, rest)
		return
	}
	if errorAllowed(p.Frame) {
		ns.answer(p, ns.errorAbout(p.Frame, src, src, wire.ICMPUnreachable, code, rest))
	}
}

// sendReset answers a TCP segment with a reset (RFC 9293 section 3.5.2).
func (ns *Namespace) sendReset(p *pass) {
	t := p.Frame.TCP()
	if t.Flags()&wire.RST != 0 {
		return
	}
	h := p.Frame.IPv4()
	f, b := ns.newPacket(ipFields{src: h.Dst(), dst: h.Src(), proto: wire.ProtoTCP}, wire.TCPLen)
	binary.BigEndian.PutUint16(b, t.DstPort())
	binary.BigEndian.PutUint16(b[2:], t.SrcPort())
	b[12] = wire.TCPLen / 4 << 4
	r := wire.TCP(b)
	if t.Flags()&wire.ACK != 0 {
		r.SetSeq(t.Ack())
		r.SetFlags(wire.RST)
	} else {
		n := uint32(h.TotalLen() - h.HeaderLen() - t.HeaderLen())
		if t.Flags()&(wire.SYN|wire.FIN) != 0 {
			n++
		}
		r.SetAck(t.Seq() + n)
		r.SetFlags(wire.RST | wire.ACK)
	}
	f.Checksum = fabric.ChecksumPartial
	ns.answer(p, f)
}

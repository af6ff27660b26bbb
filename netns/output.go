package netns

import (
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lb"
	"github.com/netsim-lab/netsim/nat"
)

// output sends a packet of the namespace's own. Its IP header, parsed, begins the linear part.
func (ns *Namespace) output(f *fabric.Frame, out *emitter) {
	p := out.begin()
	p.Frame, p.c, p.at, p.out = f, ns.conf.Load(), out.now(), out
	ns.outputPass(p)
	out.end(p)
}

func (ns *Namespace) outputPass(p *pass) {
	if p.c.closed {
		ns.drop(p, fabric.DropClosed)
		return
	}
	r, ok := ns.routeOut(p)
	if !ok {
		ns.unroutable(p)
		return
	}
	dst := p.Frame.IPv4().Dst()
	p.Out = r.Dev.name
	if !ns.early(nat.Output, p) {
		return
	}
	if b := ns.balancer.Load(); b != nil && b.Enabled() {
		if b.Reply(p.Frame, p.at) {
			p.IPVS = true
		} else if !ns.balance(p) {
			return
		}
	}
	if p.Frame.IPv4().Dst() != dst {
		if r, ok = ns.routeOut(p); !ok {
			ns.unroutable(p)
			return
		}
		p.Out = r.Dev.name
	}
	if ns.late(nat.Output, p) {
		ns.leave(p, r)
	}
}

// routeOut finds the way of a packet of the namespace's own; to the namespace itself it is that of lo.
func (ns *Namespace) routeOut(p *pass) (*Route, bool) {
	dst := p.Frame.IPv4().Dst()
	if ns.isLocal(p.c, dst) {
		return ns.lo, true
	}
	if dst == limitedBroadcast || dst.IsMulticast() {
		if src := p.c.local[p.Frame.IPv4().Src()]; src != nil && src.kind != KindLoopback {
			return &Route{Dst: netip.PrefixFrom(dst, 32), Dev: src}, true
		}
	}
	r, ok := p.c.fib.Lookup(dst)
	if ok {
		r = ns.wayOf(r, p.Frame)
	}
	return r, ok
}

// leave sends a routed packet out, or back in by lo.
func (ns *Namespace) leave(p *pass, r *Route) {
	if r.Dev.kind != KindLoopback {
		ns.postroute(p, r)
		return
	}
	p.Out = r.Dev.name
	if !ns.hook(nat.Postrouting, p) {
		return
	}
	if !r.Dev.Up() {
		r.Dev.Drop(p.Frame, fabric.DropLinkDown, r.Dev.place)
		return
	}
	if p.Frame.Hops++; p.Frame.Hops >= fabric.MaxHops {
		ns.drop(p, fabric.DropHopLimit)
		return
	}
	r.Dev.loop(p.Frame)
	p.in, p.In, p.Out = r.Dev, r.Dev.name, ""
	ns.inputIP(p, false)
}

// loop counts a packet that leaves by lo and comes back in, and shows it to the captures, which want an Ethernet
// header. They see it once, as tcpdump does.
func (i *Interface) loop(f *fabric.Frame) {
	one := [1]*fabric.Frame{f}
	i.Tx(one[:])
	i.Rx(one[:])
	if b := f.Prepend(wire.EthernetLen); b != nil {
		wire.PutEthernet(b, wire.MAC{}, wire.MAC{}, f.EtherType)
		i.taps.See(fabric.In, one[:])
		f.TrimFront(wire.EthernetLen)
	}
}

// balance asks IPVS about a packet, which then may have another destination. False: the packet went no further.
func (ns *Namespace) balance(p *pass) bool {
	to, verdict := ns.balancer.Load().Request(p.Frame, p.Mark, p.at)
	switch verdict {
	case lb.NotMine:
		return true
	case lb.Handled:
		p.IPVS = true
		if nf := ns.filter.Load(); nf != nil {
			nf.AlterReplySource(&p.Packet, to, p.at)
		}
		return true
	case lb.NoDestination:
		ns.unreachable(p, wire.CodePortUnreachable, 0)
		ns.drop(p, fabric.DropNoBackend)
	case lb.Full:
		ns.drop(p, fabric.DropConntrackFull)
	default:
		ns.drop(p, fabric.DropNoBackend)
	}
	return false
}

// direct asks IPVS about a packet that has come in for the namespace. True: it went on to a real server, or nowhere.
func (ns *Namespace) direct(p *pass) bool {
	dst := p.Frame.IPv4().Dst()
	if !ns.balance(p) {
		return true
	}
	h := p.Frame.IPv4()
	if h.Dst() == dst || ns.isLocal(p.c, h.Dst()) {
		return false // not balanced, or to a real server that is here
	}
	if h.TTL() <= 1 {
		ns.sendError(p, wire.ICMPTimeExceeded, 0, 0)
		ns.drop(p, fabric.DropTTL)
		return true
	}
	r, ok := ns.routeOut(p)
	if !ok {
		ns.unroutable(p)
		return true
	}
	h.DecTTL()
	p.In, p.Out = "", r.Dev.name
	if ns.hook(nat.Output, p) {
		ns.leave(p, r)
	}
	return true
}

// unroutable ends a packet that has no way, and tells its sender.
func (ns *Namespace) unroutable(p *pass) {
	ns.unreachable(p, wire.CodeNetUnreachable, 0)
	ns.drop(p, fabric.DropNoRoute)
}

// neighFailed ends a packet whose next hop does not answer: its sender learns of it (L9) once the drop can be looked up.
func (ns *Namespace) neighFailed(i *Interface, f *fabric.Frame) {
	out := ns.newEmitter()
	defer out.release()
	if f.IPv4() != nil {
		p := out.begin()
		p.Frame, p.c, p.at, p.out = f, ns.conf.Load(), out.now(), out
		ns.unreachable(p, wire.CodeHostUnreachable, 0)
		out.end(p)
	}
	i.Drop(f, fabric.DropNeighFailed, i.place)
}

// reject answers a packet that a rule refused.
func (ns *Namespace) reject(p *pass, v nat.Verdict) {
	if v.Reject == nat.RejectTCPReset && p.Frame.TCP() != nil {
		ns.sendReset(p)
	} else {
		ns.sendError(p, wire.ICMPUnreachable, v.Reject.Code(), 0)
	}
	ns.drop(p, fabric.DropReject)
}

// ipFields are the fields of an IPv4 header that a maker of packets chooses.
type ipFields struct {
	src, dst netip.Addr
	proto    byte
	ttl      byte
	tos      byte
	df       bool
	segs     uint16 // how many wire frames, each with an identification of its own; 0: one
}

// newPacket returns a frame that holds an IPv4 header for what body will be, and body bytes of room behind it; nil if
// there is no room for them in the linear part.
func (ns *Namespace) newPacket(h ipFields, body int) (*fabric.Frame, []byte) {
	f := fabric.New()
	b := f.Extend(wire.IPv4Len + body)
	if b == nil {
		f.Free()
		return nil, nil
	}
	ns.putIP(b, h, wire.IPv4Len+body)
	return f, b[wire.IPv4Len:]
}

func (ns *Namespace) putIP(b []byte, h ipFields, total int) {
	fields := wire.IPv4Fields{TotalLen: total, TTL: h.ttl, TOS: h.tos, Proto: h.proto, Src: h.src, Dst: h.dst, ID: ns.nextID(h.proto, max(h.segs, 1))}
	if fields.TTL == 0 {
		fields.TTL = 64 // L11
	}
	if h.df {
		fields.Flags = wire.DontFragment
	}
	wire.PutIPv4(b, fields)
}

// nextID returns the first of n identifications in a row; a train takes as many as it has wire frames. Each protocol has
// others at any time, as in Linux (ip_idents_reserve in net/ipv4/route.c): tshark, which knows fragments by identification
// XOR protocol, would put those of a ping and of UDP together.
func (ns *Namespace) nextID(proto uint8, n uint16) uint16 {
	return uint16(ns.ipID.Add(uint32(n))) - n + uint16(proto)*0x9e37
}

// sendAnswer parses and sends a packet that the namespace made because of another, whose trace is given; nil: it has none.
func (ns *Namespace) sendAnswer(f *fabric.Frame, to *fabric.Trace, out *emitter) {
	if reason := f.Parse3(wire.TypeIPv4, 0); reason != 0 {
		ns.Drop(f, reason, ns.cfg.Name)
		return
	}
	to.Answer(f, ns.cfg.Name)
	ns.output(f, out)
}

// answer sends e, which the namespace made because of p: it belongs to the connection of p.
func (ns *Namespace) answer(p *pass, e *fabric.Frame) {
	if reason := e.Parse3(wire.TypeIPv4, 0); reason != 0 {
		ns.Drop(e, reason, ns.cfg.Name)
		return
	}
	p.Frame.Trace.Answer(e, ns.cfg.Name)
	q := p.out.begin()
	q.Frame, q.c, q.at, q.out = e, p.c, p.at, p.out
	p.Attach(&q.Packet)
	ns.outputPass(q)
	p.out.end(q)
}

package netns

import (
	"net/netip"
	"strconv"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/nat"
)

// pass is one packet's way through a namespace: the packet, the tables it is held against, and where it leaves by.
type pass struct {
	nat.Packet
	c   *config
	in  *Interface // nil: a packet of the namespace's own
	at  int64
	out *emitter
}

// input takes a batch that arrived on i, Ethernet headers first.
func (ns *Namespace) input(i *Interface, batch []*fabric.Frame) {
	c := ns.conf.Load()
	if c.closed {
		for _, f := range batch {
			i.Drop(f, fabric.DropClosed, i.place)
		}
		return
	}
	out := ns.newEmitter()
	at := out.now()
	for _, f := range batch {
		ns.inputFrame(i, f, c, at, out)
	}
	out.release()
}

func (ns *Namespace) inputFrame(i *Interface, f *fabric.Frame, c *config, at int64, out *emitter) {
	if f.L3() == nil {
		if reason := f.ParseEthernet(); reason != 0 {
			i.Drop(f, reason, i.place)
			return
		}
	}
	if h := f.IPv4(); h != nil && !h.Valid() { // who parsed it, a tunnel say, need not have looked
		i.Drop(f, fabric.DropChecksum, i.place)
		return
	}
	e := f.Eth()
	if dst := e.Dst(); dst != i.mac && !dst.IsMulticast() {
		i.Drop(f, fabric.DropNotForUs, i.place)
		return
	}
	if e.Tagged() {
		i.Drop(f, fabric.DropVLAN, i.place)
		return
	}
	switch {
	case f.EtherType == wire.TypeARP && !i.noARP:
		ns.inputARP(i, f)
	case f.IPv4() != nil:
		broadcast := e.Dst().IsMulticast()
		f.TrimFront(wire.EthernetLen)
		p := out.begin()
		p.Frame, p.In, p.c, p.in, p.at, p.out = f, i.name, c, i, at, out
		ns.inputIP(p, broadcast)
		out.end(p)
	case isLinkLocal(e.Dst()):
		f.Free()
	default:
		i.Drop(f, fabric.DropUnknownProto, i.place)
	}
}

// isLinkLocal tells whether frames to an address are between a switch and its neighbours, as BPDUs are (IEEE 802.1Q 8.6.3).
// An interface of Linux has not joined these groups and never sees them: nothing is wrong, so nothing is counted.
func isLinkLocal(dst wire.MAC) bool {
	return [5]byte(dst[:5]) == [5]byte{0x01, 0x80, 0xc2} && dst[5] < 16
}

// inputIP takes a packet whose IP header begins the linear part; broadcast tells that it came to more than one.
func (ns *Namespace) inputIP(p *pass, broadcast bool) {
	h := p.Frame.IPv4()
	if ns.martian(p, h.Src(), h.Dst()) {
		ns.drop(p, fabric.DropMartian)
		return
	}
	if h.IsFragment() && (ns.filter.Load() != nil || ns.deliverable(p.c, h.Dst())) {
		if p.Frame = ns.reasm.add(p.Frame, p.at, &ns.Counters, p.in.place); p.Frame == nil {
			return
		}
	}
	if !ns.hook(nat.Prerouting, p) {
		return
	}
	if port := p.in.l3s.Load(); port != nil && port.takeL3S(p) {
		return
	}
	dst := p.Frame.IPv4().Dst()
	switch {
	case dst.IsLoopback() && !p.in.routesLocalnet():
		ns.drop(p, fabric.DropMartian)
	case ns.deliverable(p.c, dst):
		ns.inputLocal(p)
	case broadcast:
		ns.drop(p, fabric.DropNotForUs)
	default:
		ns.forwardIP(p)
	}
}

// martian tells whether a packet cannot have come in by the interface that it came in by (RFC 1812 section 5.3.7): it
// claims to be from one of the namespace's own addresses, or has an address of 127.0.0.0/8.
func (ns *Namespace) martian(p *pass, src, dst netip.Addr) bool {
	if src.IsMulticast() || src == limitedBroadcast {
		return true
	}
	if p.in.kind == KindLoopback {
		return false
	}
	return src.IsLoopback() || dst.IsLoopback() && !p.in.routesLocalnet() || p.c.known.may(src) && p.c.local[src] != nil
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// deliverable tells whether a packet to dst is for the namespace itself.
func (ns *Namespace) deliverable(c *config, dst netip.Addr) bool {
	if c.known.may(dst) && (c.local[dst] != nil || c.bcast[dst] != nil) {
		return true
	}
	return dst.IsLoopback() || dst == limitedBroadcast || dst.IsMulticast()
}

// hook runs one netfilter hook. False: the packet went no further.
func (ns *Namespace) hook(h nat.Hook, p *pass) bool {
	nf := ns.filter.Load()
	return nf == nil || !nf.Enabled() || ns.obey(p, nf.Run(h, &p.Packet, p.at))
}

// early runs what a hook does before the balancer, late what it does after.
func (ns *Namespace) early(h nat.Hook, p *pass) bool {
	nf := ns.filter.Load()
	return nf == nil || !nf.Enabled() || ns.obey(p, nf.Early(h, &p.Packet, p.at))
}

func (ns *Namespace) late(h nat.Hook, p *pass) bool {
	nf := ns.filter.Load()
	return nf == nil || !nf.Enabled() || ns.obey(p, nf.Late(h, &p.Packet, p.at))
}

// obey does what a hook decided. False: the packet went no further.
func (ns *Namespace) obey(p *pass, v nat.Verdict) bool {
	switch v.Action {
	case nat.Accept:
		return true
	case nat.RejectIt:
		ns.reject(p, v)
	default:
		ns.drop(p, v.Reason)
	}
	return false
}

// drop ends a packet and counts it where it came in.
func (ns *Namespace) drop(p *pass, reason fabric.DropReason) {
	if p.in != nil {
		p.in.Drop(p.Frame, reason, p.in.place)
		return
	}
	ns.Drop(p.Frame, reason, ns.cfg.Name)
}

// forwardIP sends a packet on that is for another.
func (ns *Namespace) forwardIP(p *pass) {
	if !ns.forward.Load() {
		ns.drop(p, fabric.DropNoForwarding)
		return
	}
	h := p.Frame.IPv4()
	if h.TTL() <= 1 {
		ns.sendError(p, wire.ICMPTimeExceeded, 0, 0)
		ns.drop(p, fabric.DropTTL)
		return
	}
	r, ok := p.c.fib.Lookup(h.Dst())
	if !ok {
		ns.sendError(p, wire.ICMPUnreachable, wire.CodeNetUnreachable, 0)
		ns.drop(p, fabric.DropNoRoute)
		return
	}
	r = ns.wayOf(r, p.Frame)
	if p.Frame.PacketLen() > r.mtu() && h.DF() { // L14
		if !ns.refuseLarge(p, r) {
			return
		}
		h = p.Frame.IPv4()
	}
	h.DecTTL()
	p.Out = r.Dev.name
	if !ns.hook(nat.Forward, p) {
		return
	}
	if b := ns.balancer.Load(); b != nil && b.Reply(p.Frame, p.at) {
		p.IPVS = true
	}
	ns.postroute(p, r)
}

// refuseLarge ends a packet that must not be cut and is too large for its route. True: it was a train, of which the last
// wire frame is short enough, and now is the packet.
func (ns *Namespace) refuseLarge(p *pass, r *Route) bool {
	mtu := r.mtu()
	large, rest := p.Frame.CutToFit(mtu)
	p.Frame = large
	ns.traceMTU(p, r)
	ns.sendError(p, wire.ICMPUnreachable, wire.CodeFragNeeded, uint32(mtu))
	ns.drop(p, fabric.DropMTU)
	p.Frame = rest
	return rest != nil
}

func (ns *Namespace) traceMTU(p *pass, r *Route) {
	if t := p.Frame.Trace; t != nil {
		t.Add(fabric.Event{Kind: fabric.EventMTU, Place: r.Dev.place, Before: strconv.Itoa(p.Frame.PacketLen()), After: strconv.Itoa(r.mtu()),
			Reason: fabric.DropMTU})
	}
}

// mtu returns the largest packet that the route takes.
func (r *Route) mtu() int {
	if r.MTU > 0 {
		return r.MTU
	}
	return r.Dev.MTU()
}

// postroute sends a packet out by its route.
func (ns *Namespace) postroute(p *pass, r *Route) {
	p.Out = r.Dev.name
	if !ns.hook(nat.Postrouting, p) {
		return
	}
	f := p.Frame
	if f.IPv4().Src().IsLoopback() {
		ns.drop(p, fabric.DropMartian) // nobody could answer it
		return
	}
	if f.Trace != nil {
		f.Trace.Add(fabric.Event{Kind: fabric.EventRoute, Place: ns.cfg.Name, Before: f.IPv4().Dst().String(), After: r.String()})
	}
	dst := f.IPv4().Dst()
	if f.PacketLen() > r.mtu() {
		ns.tooLarge(p, r, dst)
		return
	}
	ns.neighbourOut(f, r, dst, p.out)
}

// tooLarge cuts a packet that is larger than its route takes, or tells the sender who forbade it.
func (ns *Namespace) tooLarge(p *pass, r *Route, dst netip.Addr) {
	if p.Frame.IPv4().DF() {
		large, rest := p.Frame.CutToFit(r.mtu())
		p.Frame = large
		ns.traceMTU(p, r)
		ns.unreachable(p, wire.CodeFragNeeded, uint32(r.mtu()))
		r.Dev.Drop(large, fabric.DropMTU, r.Dev.place)
		if rest != nil {
			ns.neighbourOut(rest, r, dst, p.out)
		}
		return
	}
	for _, part := range p.Frame.Split(nil) {
		if part.PacketLen() <= r.mtu() { // the last one
			ns.neighbourOut(part, r, dst, p.out)
			continue
		}
		ns.fragment(part, r, dst, p.out)
	}
}

// neighbourOut hands a packet to its next hop.
func (ns *Namespace) neighbourOut(f *fabric.Frame, r *Route, dst netip.Addr, out *emitter) {
	switch {
	case r.Via.IsValid():
		r.Dev.resolve(f, r.Via, out)
	case dst == limitedBroadcast || r.Dev.isBroadcast(dst):
		r.Dev.emit(f, wire.Broadcast, out)
	case dst.IsMulticast():
		a := dst.As4()
		r.Dev.emit(f, wire.MAC{0x01, 0x00, 0x5e, a[1] & 0x7f, a[2], a[3]}, out)
	default:
		r.Dev.resolve(f, dst, out)
	}
}

func (i *Interface) isBroadcast(dst netip.Addr) bool {
	c := i.ns.conf.Load()
	return c.known.may(dst) && c.bcast[dst] == i
}

// inputLocal hands a packet to the namespace itself, unless the balancer sends it on.
func (ns *Namespace) inputLocal(p *pass) {
	if !ns.early(nat.Input, p) {
		return
	}
	if b := ns.balancer.Load(); b != nil && b.Enabled() && !p.IPVS { // by lo a packet comes in that was balanced as it left
		if b.Reply(p.Frame, p.at) {
			p.IPVS = true
		} else if ns.direct(p) {
			return
		}
	}
	if !ns.late(nat.Input, p) {
		return
	}
	f := p.Frame
	if f.Trace != nil {
		ns.traceDelivery(f)
	}
	if f.Checksum == fabric.ChecksumComplete && !f.ChecksumValid() {
		ns.drop(p, fabric.DropChecksum)
		return
	}
	ns.copyToRaw(p.c, f)
	switch f.IPv4().Proto() {
	case wire.ProtoICMP:
		ns.inputICMP(p)
	case wire.ProtoTCP:
		p.out.deliver(f)
	case wire.ProtoUDP:
		if t := p.c.tunnels[f.Dst().Port()]; t != nil {
			t.receive(f)
			return
		}
		p.out.deliver(f)
	case wire.ProtoESP:
		if p.c.carrier != nil {
			p.c.carrier.receive(f)
			return
		}
		fallthrough
	default:
		ns.sendError(p, wire.ICMPUnreachable, codeProtoUnreachable, 0)
		ns.drop(p, fabric.DropUnknownProto)
	}
}

// codeProtoUnreachable is the code for a protocol that the host does not speak (RFC 792).
const codeProtoUnreachable = 2

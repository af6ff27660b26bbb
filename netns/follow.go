package netns

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// recorders are who follows flows that have an end in the namespace; nil: nobody. The list is replaced as a whole.
type recorders struct {
	atomic.Pointer[[]*fabric.Recorder]
}

// owner makes the packets of a socket known to WritePackets as those of a command that is followed.
type owner struct{ *fabric.Origin }

// KUID implements tcpip.PacketOwner. Nobody asks.
func (owner) KUID() uint32 { return 0 }

// KGID implements tcpip.PacketOwner. Nobody asks.
func (owner) KGID() uint32 { return 0 }

// own has a socket followed if ctx is.
func own(ctx context.Context, ep tcpip.Endpoint) {
	if o := fabric.OriginOf(ctx); o != nil {
		ep.SetOwner(owner{o})
	}
}

// Follow has the packets followed that are sent from now on, if ctx is; see fabric.Follow.
func (r *RawConn) Follow(ctx context.Context) { r.origin = fabric.OriginOf(ctx) }

// follow marks a packet that a socket sends if it belongs to a flow that is followed, or begins one.
func (ns *Namespace) follow(f *fabric.Frame, by tcpip.PacketOwner) {
	if o, ok := by.(owner); ok && o.Recorder().On() { // a socket may outlive who followed it
		ns.open(f, o.Origin)
		return
	}
	all := ns.recorders.Load()
	if all == nil {
		return
	}
	e := endsOf(f)
	for _, r := range *all {
		if r.Mark(f, ns, ns.cfg.Name, e) {
			return
		}
	}
}

// open marks a packet of a socket that is followed.
func (ns *Namespace) open(f *fabric.Frame, o *fabric.Origin) {
	e := endsOf(f)
	if o.Open(ns, ns.cfg.Name, e) != nil {
		o.Recorder().Mark(f, ns, ns.cfg.Name, e)
		ns.admit(o.Recorder())
	}
}

// endsOf returns the flow that a packet belongs to as its sender sees it; for an ICMP error that of the packet that it is
// about.
func endsOf(f *fabric.Frame) fabric.Ends {
	if m := f.ICMP(); m != nil && m.IsError() {
		if h, err := wire.ParseIPv4(m[wire.ICMPLen:]); err == nil && len(h) >= h.HeaderLen()+4 {
			l4 := h[h.HeaderLen():]
			return fabric.Ends{Proto: h.Proto(), Local: netip.AddrPortFrom(h.Dst(), binary.BigEndian.Uint16(l4[2:])),
				Remote: netip.AddrPortFrom(h.Src(), binary.BigEndian.Uint16(l4))}
		}
	}
	return fabric.Ends{Proto: f.Proto, Local: f.Src(), Remote: f.Dst()}
}

// admit has packets looked at for a Recorder, until that stops.
func (ns *Namespace) admit(r *fabric.Recorder) {
	if all := ns.recorders.Load(); all != nil && slices.Contains(*all, r) {
		return
	}
	ns.mu.Lock()
	var list []*fabric.Recorder
	if all := ns.recorders.Load(); all != nil {
		list = slices.Clone(*all)
	}
	fresh := !slices.Contains(list, r)
	if fresh {
		list = append(list, r)
		ns.recorders.Store(&list)
	}
	ns.mu.Unlock()
	if fresh {
		r.AtEnd(func() { ns.dismiss(r) })
	}
}

func (ns *Namespace) dismiss(r *fabric.Recorder) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	all := ns.recorders.Load()
	if all == nil {
		return
	}
	list := slices.DeleteFunc(slices.Clone(*all), func(o *fabric.Recorder) bool { return o == r })
	if len(list) == 0 {
		ns.recorders.Store(nil)
		return
	}
	ns.recorders.Store(&list)
}

// traceDelivery tells a marked packet's trace where it ends, and has the answers to it followed.
func (ns *Namespace) traceDelivery(f *fabric.Frame) {
	e := fabric.Event{Kind: fabric.EventDeliver, Place: ns.cfg.Name, After: f.Dst().String()}
	sockets := f.Proto == wire.ProtoTCP || f.Proto == wire.ProtoUDP
	if !sockets {
		e.After = f.Dst().Addr().String()
	}
	f.Trace.Add(e)
	if !sockets || f.Tunnelled() {
		return
	}
	if r := f.Trace.Delivered(ns, fabric.Ends{Proto: f.Proto, Local: f.Dst(), Remote: f.Src()}); r != nil {
		ns.admit(r)
	}
}

// nextHop returns who a packet that leaves is for on its link, as far as a trace can know.
func (i *Interface) nextHop(f *fabric.Frame) string {
	dst := f.IPv4()
	if dst == nil {
		return ""
	}
	if r, ok := i.ns.conf.Load().fib.Lookup(dst.Dst()); ok && r.Dev == i && r.Via.IsValid() {
		return r.Via.String()
	}
	return dst.Dst().String()
}

// Because returns a context whose sockets are followed because of what comes in on the connection, if that is followed: a
// proxy's connection to a server, say, because of its client's. ctx is returned as it is if not.
func (c *conn) Because(ctx context.Context) context.Context { return c.because(ctx, c, c.RemoteAddr) }

// BecauseOf is Because for a datagram from an address.
func (c *packetConn) BecauseOf(ctx context.Context, from net.Addr) context.Context {
	return c.because(ctx, c, func() net.Addr { return from })
}

// Follow has the packets followed that are sent from now on, if ctx is: for a connection that was opened before.
func (c *conn) Follow(ctx context.Context) { c.socket.follow(ctx, c.LocalAddr, c.RemoteAddr) }

// Follow has the packets followed that are sent from now on, if ctx is and the socket is connected.
func (c *packetConn) Follow(ctx context.Context) {
	if c.to != nil {
		c.socket.follow(ctx, c.LocalAddr, c.RemoteAddr)
	}
}

func (s *socket) because(ctx context.Context, c interface{ LocalAddr() net.Addr }, from func() net.Addr) context.Context {
	all := s.ns.recorders.Load()
	if all == nil {
		return ctx
	}
	e, ok := endsBetween(c.LocalAddr(), from())
	if !ok {
		return ctx
	}
	for _, r := range *all {
		if fl := r.FlowAt(s.ns, e); fl != nil {
			return fl.Because(ctx)
		}
	}
	return ctx
}

func (s *socket) follow(ctx context.Context, local, remote func() net.Addr) {
	o := fabric.OriginOf(ctx)
	if o == nil {
		return
	}
	if e, ok := endsBetween(local(), remote()); ok && o.Open(s.ns, s.ns.cfg.Name, e) != nil {
		s.ns.admit(o.Recorder())
	}
}

// endsBetween returns the flow between two addresses of sockets.
func endsBetween(local, remote net.Addr) (e fabric.Ends, ok bool) {
	if local == nil || remote == nil {
		return e, false
	}
	e.Proto = wire.ProtoTCP
	if local.Network() == "udp" {
		e.Proto = wire.ProtoUDP
	}
	var err1, err2 error
	e.Local, err1 = netip.ParseAddrPort(local.String())
	e.Remote, err2 = netip.ParseAddrPort(remote.String())
	return e, err1 == nil && err2 == nil
}

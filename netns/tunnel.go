package netns

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
)

// Tunnel is a UDP port of the namespace that carries encapsulated frames past its sockets, as the kernel's VXLAN socket
// does: what is sent gets its outer UDP and IP header here and goes the way of all packets of the namespace; what
// arrives loses them. Trains stay whole. It is the vxlan.Transport of the simulated underlay.
type Tunnel struct {
	ns   *Namespace
	port uint16
	rx   atomic.Pointer[func(from netip.AddrPort, batch []*fabric.Frame)]
}

// ListenTunnel takes a UDP port for encapsulated frames.
func (ns *Namespace) ListenTunnel(port uint16) (*Tunnel, error) {
	if port == 0 || ns.udpBound(port) {
		return nil, fmt.Errorf("listen on udp port %d in %s: %w", port, ns.cfg.Name, os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	t := &Tunnel{ns: ns, port: port}
	err := ns.change(func(c *config) error {
		if c.tunnels[port] != nil {
			return fmt.Errorf("listen on udp port %d in %s: %w", port, ns.cfg.Name, os.NewSyscallError("bind", syscall.EADDRINUSE))
		}
		c.tunnels[port] = t
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Close gives the port back.
func (t *Tunnel) Close() error {
	return t.ns.change(func(c *config) error {
		if c.tunnels[t.port] == t {
			delete(c.tunnels, t.port)
		}
		return nil
	})
}

// LocalPort returns the UDP port.
func (t *Tunnel) LocalPort() uint16 { return t.port }

// SetReceiver says who gets what arrives; frames begin with the tunnel's own header.
func (t *Tunnel) SetReceiver(r func(from netip.AddrPort, batch []*fabric.Frame)) {
	if r == nil {
		t.rx.Store(nil)
		return
	}
	t.rx.Store(&r)
}

// Send carries frames, which begin with the tunnel's own header, to a remote. The outer source port is the hash of the
// inner flow (L23), DF is clear, the UDP checksum 0.
func (t *Tunnel) Send(to netip.AddrPort, batch []*fabric.Frame) {
	src, ok := t.ns.SourceFor(to.Addr())
	out := t.ns.newEmitter()
	for _, f := range batch {
		if !ok {
			t.ns.Drop(f, fabric.DropNoRoute, t.ns.cfg.Name)
			continue
		}
		t.send(f, src, to, out)
	}
	out.release()
}

// send carries one frame. A train that becomes too long for an IP header becomes two.
func (t *Tunnel) send(f *fabric.Frame, src netip.Addr, to netip.AddrPort, out *emitter) {
	ns := t.ns
	const outer = wire.IPv4Len + wire.UDPLen
	if n := int(f.Segs); f.Len()+outer > 65535 && n > 1 {
		t.send(f.SubTrain(0, n/2), src, to, out)
		t.send(f.SubTrain(n/2, n-n/2), src, to, out)
		f.Free()
		return
	}
	hash := f.FlowHash()
	b := f.Prepend(outer)
	if b == nil || f.Len() > 65535 {
		ns.Drop(f, fabric.DropMalformed, ns.cfg.Name)
		return
	}
	ns.putIP(b, ipFields{src: src, dst: to.Addr(), proto: wire.ProtoUDP, segs: f.Segs}, f.Len())
	wire.PutUDP(b[wire.IPv4Len:], vxlan.SourcePort(hash), to.Port(), f.Len()-wire.IPv4Len)
	f.SetOuter(wire.TypeIPv4, wire.ProtoUDP, 0, wire.IPv4Len)
	f.Hash = 0
	ns.output(f, out)
}

// receive takes a packet that arrived on the port.
func (t *Tunnel) receive(f *fabric.Frame) {
	r := t.rx.Load()
	h := f.IPv4()
	from := f.Src()
	if r == nil || !f.TrimFront(h.HeaderLen()+wire.UDPLen) {
		t.ns.Drop(f, fabric.DropNoReceiver, t.ns.cfg.Name)
		return
	}
	one := [1]*fabric.Frame{f}
	(*r)(from, one[:])
}

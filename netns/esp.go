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

// ESPCarrier is the namespace's IP protocol 50: what is sent gets its IP header here and goes the way of all packets of the
// namespace, past the hooks OUTPUT and POSTROUTING; what arrives for the namespace is handed over if INPUT lets it pass. Trains
// stay whole. It is the vxlan.Carrier of the simulated underlay.
type ESPCarrier struct {
	ns  *Namespace
	rx  atomic.Pointer[func(batch []*fabric.Frame)]
	esp atomic.Pointer[vxlan.ESP]
}

// ListenESP takes the namespace's IP protocol 50.
func (ns *Namespace) ListenESP() (*ESPCarrier, error) {
	t := &ESPCarrier{ns: ns}
	err := ns.change(func(c *config) error {
		if c.carrier != nil {
			return fmt.Errorf("listen on ip protocol %d in %s: %w", wire.ProtoESP, ns.cfg.Name, os.NewSyscallError("bind", syscall.EADDRINUSE))
		}
		c.carrier = t
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Close gives the protocol back.
func (t *ESPCarrier) Close() error {
	return t.ns.change(func(c *config) error {
		if c.carrier == t {
			c.carrier = nil
		}
		return nil
	})
}

// Show makes e what Namespace.ESP returns: whose packets these are.
func (t *ESPCarrier) Show(e *vxlan.ESP) { t.esp.Store(e) }

// ESP returns the namespace's IPsec; nil if it has none.
func (ns *Namespace) ESP() *vxlan.ESP {
	if t := ns.conf.Load().carrier; t != nil {
		return t.esp.Load()
	}
	return nil
}

// SetReceiver implements vxlan.Carrier.
func (t *ESPCarrier) SetReceiver(r func(batch []*fabric.Frame)) {
	if r == nil {
		t.rx.Store(nil)
		return
	}
	t.rx.Store(&r)
}

// Send implements vxlan.Carrier.
func (t *ESPCarrier) Send(to netip.Addr, batch []*fabric.Frame) {
	ns := t.ns
	src, ok := ns.SourceFor(to)
	out := ns.newEmitter()
	for _, f := range batch {
		b := f.Prepend(wire.IPv4Len)
		switch {
		case !ok:
			ns.Drop(f, fabric.DropNoRoute, ns.cfg.Name)
		case b == nil || f.Len() > 65535:
			ns.Drop(f, fabric.DropMalformed, ns.cfg.Name)
		default:
			ns.putIP(b, ipFields{src: src, dst: to, proto: wire.ProtoESP, segs: f.Segs}, f.Len())
			f.SetOuter(wire.TypeIPv4, wire.ProtoESP, 0, wire.IPv4Len)
			f.Hash = 0
			ns.output(f, out)
		}
	}
	out.release()
}

// receive takes a packet that arrived for the namespace.
func (t *ESPCarrier) receive(f *fabric.Frame) {
	r := t.rx.Load()
	if r == nil {
		t.ns.Drop(f, fabric.DropNoReceiver, t.ns.cfg.Name)
		return
	}
	one := [1]*fabric.Frame{f}
	(*r)(one[:])
}

package vxlan

import (
	"net/netip"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
)

// Transport carries VXLAN datagrams between hosts. The frames that it takes and hands over begin with the VXLAN header,
// which the outer UDP header stands before on the wire; they may be trains. Several goroutines may use it at once.
type Transport interface {
	// Send takes over the frames, not the slice, and never blocks: what cannot be sent is dropped and counted. Each frame's Hash is
	// that of its inner flow, for a transport that chooses the outer source port.
	Send(to netip.AddrPort, batch []*fabric.Frame)
	// SetReceiver says who gets what arrives; nil: it is dropped and counted. The receiver takes over the frames, not the
	// slice, and never blocks. from is the sender's address, its port that of the outer UDP header.
	SetReceiver(receive func(from netip.AddrPort, batch []*fabric.Frame))
	// LocalPort returns the UDP port that the transport receives on.
	LocalPort() uint16
}

// receiver holds what a transport hands its frames to.
type receiver struct {
	fn atomic.Pointer[func(netip.AddrPort, []*fabric.Frame)]
}

// SetReceiver implements Transport.
func (r *receiver) SetReceiver(receive func(from netip.AddrPort, batch []*fabric.Frame)) {
	if receive == nil {
		r.fn.Store(nil)
		return
	}
	r.fn.Store(&receive)
}

// deliver hands the batch over; without a receiver it is dropped, and counted in c.
func (r *receiver) deliver(from netip.AddrPort, batch []*fabric.Frame, c *fabric.Counters, place string) {
	if fn := r.fn.Load(); fn != nil {
		(*fn)(from, batch)
		return
	}
	for _, f := range batch {
		c.Drop(f, fabric.DropNoReceiver, place)
	}
}

// PipeEnd is one end of a Pipe.
type PipeEnd struct {
	receiver
	fabric.Counters
	addr netip.AddrPort
	name string
	ends map[netip.AddrPort]*PipeEnd
}

// NewPipe returns a transport in memory for each of the addresses. What one end sends to the address of another is
// received there at once, on the sender's goroutine. A pipe has no queue and needs no goroutine.
func NewPipe(addrs ...netip.AddrPort) []*PipeEnd {
	ends := make(map[netip.AddrPort]*PipeEnd, len(addrs))
	out := make([]*PipeEnd, 0, len(addrs))
	for _, a := range addrs {
		e := &PipeEnd{addr: a, name: a.String(), ends: ends}
		ends[a] = e
		out = append(out, e)
	}
	return out
}

// Send implements Transport. What is for no end of the pipe is dropped.
func (p *PipeEnd) Send(to netip.AddrPort, batch []*fabric.Frame) {
	peer := p.ends[to]
	if peer == nil {
		for _, f := range batch {
			p.Drop(f, fabric.DropNoRoute, p.name)
		}
		return
	}
	p.Tx(batch)
	peer.Rx(batch)
	peer.deliver(p.addr, batch, &peer.Counters, peer.name)
}

// LocalPort implements Transport.
func (p *PipeEnd) LocalPort() uint16 { return p.addr.Port() }

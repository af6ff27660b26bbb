package netns

import (
	"sync"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

const (
	// emitLen is how many frames leave together at most, a batch of a fabric.Queue.
	emitLen = 64
	// passDepth is how many packets of one run are on their way at once without an allocation: a packet, the answer to
	// it, and the error about that.
	passDepth = 4
)

// emitter gathers what one run of packets through a namespace sends: frames that leave by one interface one after the
// other, and packets for the local sockets, so that a batch stays a batch. It belongs to one goroutine.
type emitter struct {
	ns     *Namespace
	dev    *Interface // of buf
	n      int
	buf    [emitLen]*fabric.Frame
	nLocal int
	local  [emitLen]*fabric.Frame
	at     int64 // when the run began; 0: nobody asked yet
	depth  int
	passes [passDepth]pass
}

var emitters = sync.Pool{New: func() any { return new(emitter) }}

// newEmitter returns an emitter for one run; release ends it.
func (ns *Namespace) newEmitter() *emitter {
	o := emitters.Get().(*emitter)
	o.ns = ns
	return o
}

// release sends what was gathered and gives the emitter back.
func (o *emitter) release() {
	o.flush()
	o.flushLocal()
	o.ns, o.at = nil, 0
	emitters.Put(o)
}

// now is the time of the run: the clock is read once, however many packets it has.
func (o *emitter) now() int64 {
	if o.at == 0 {
		o.at = unixNano()
	}
	return o.at
}

func (o *emitter) add(dev *Interface, f *fabric.Frame) {
	if o.dev != dev || o.n == len(o.buf) {
		o.flush()
		o.dev = dev
	}
	o.buf[o.n] = f
	o.n++
}

func (o *emitter) flush() {
	if o.n == 0 {
		return
	}
	batch, dev := o.buf[:o.n], o.dev
	dev.transmit(batch)
	clear(batch)
	o.n, o.dev = 0, nil
}

// deliver gathers a packet for the local sockets.
func (o *emitter) deliver(f *fabric.Frame) {
	if o.nLocal == len(o.local) {
		o.flushLocal()
	}
	o.local[o.nLocal] = f
	o.nLocal++
}

func (o *emitter) flushLocal() {
	if o.nLocal == 0 {
		return
	}
	batch := o.local[:o.nLocal]
	for _, f := range o.ns.queue.Push(batch) {
		reason := fabric.DropQueueFull
		if o.ns.queue.Closed() {
			reason = fabric.DropClosed
		}
		o.ns.Drop(f, reason, o.ns.cfg.Name)
	}
	clear(batch)
	o.nLocal = 0
}

// begin returns a zero pass for one packet of the run; end gives back the one that was begun last.
func (o *emitter) begin() *pass {
	o.depth++
	if o.depth > len(o.passes) {
		return new(pass)
	}
	return &o.passes[o.depth-1]
}

func (o *emitter) end(p *pass) {
	*p = pass{}
	o.depth--
}

// emit puts an Ethernet header in front of f, whose network header begins its linear part, and gathers it.
func (i *Interface) emit(f *fabric.Frame, dst wire.MAC, out *emitter) {
	b := f.Prepend(wire.EthernetLen)
	if b == nil {
		i.Drop(f, fabric.DropMalformed, i.place)
		return
	}
	wire.PutEthernet(b, dst, i.mac, f.EtherType)
	if f.Trace != nil {
		f.Trace.Add(fabric.Event{Kind: fabric.EventNeigh, Place: i.place, Before: i.nextHop(f), After: dst.String()})
	}
	out.add(i, f)
}

package vxlan

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

// opener is what one goroutine needs to open sealed packets and make trains of what was in them.
type opener struct {
	e       *ESP
	sas     *associations
	from    netip.AddrPort // of what waits in cutter
	scratch esp.Scratch
	cutter  cutter
	whole   []byte // a frame whose packets do not lie in one piece
	room    []byte // what was opened, until the cutter has made frames of it
	used    int    // of room
	said    bool   // the frame's trace knows
}

var openers = sync.Pool{New: func() any { return new(opener) }}

// receive takes what the carrier received.
func (e *ESP) receive(batch []*fabric.Frame) {
	e.Rx(batch)
	o := openers.Get().(*opener)
	o.e, o.sas = e, e.sas.Load()
	for _, f := range batch {
		o.open(f)
		f.Free()
	}
	clear(o.cutter.batch)
	o.cutter.batch = o.cutter.batch[:0]
	o.e, o.sas = nil, nil
	openers.Put(o)
}

// open opens the packets of a frame and hands over what was in them. It leaves the frame itself to the caller.
func (o *opener) open(f *fabric.Frame) {
	ip := f.IPv4()
	if ip == nil {
		o.e.Drop(f.Clone(), fabric.DropMalformed, o.e.name)
		return
	}
	o.from = netip.AddrPortFrom(ip.Src(), 0)
	b, size := o.contiguous(f, ip.HeaderLen()), int(f.MSS)
	segs := int(f.Segs)
	if segs <= 1 || size == 0 {
		segs, size = 1, len(b)
	}
	if n := len(b) + segs*esp.OpenRoom(0); cap(o.room) < n {
		o.room = make([]byte, max(n, 4096))
	}
	o.used, o.said = 0, false
	for i := range segs {
		p := b[min(i*size, len(b)):min((i+1)*size, len(b))]
		if reason := o.one(f, p); reason != 0 {
			o.e.Drop(f.SubTrain(i, 1), reason, o.e.name)
		}
	}
	o.deliver(f)
}

// contiguous returns the packets of f, behind an IP header of that length. They stay those of f.
func (o *opener) contiguous(f *fabric.Frame, header int) []byte {
	inLinear := f.L3()[header:]
	views := f.Payload().AsViewList()
	switch first := views.Front(); {
	case first == nil:
		return inLinear
	case len(inLinear) == 0 && first.Next() == nil:
		return first.AsSlice()
	}
	o.whole = f.AppendTo(o.whole[:0])
	return o.whole[len(o.whole)-len(inLinear)-int(f.Payload().Size()):]
}

// one opens packet p, which is of f, and gives the cutter what was in it; the reason tells why it must not.
func (o *opener) one(f *fabric.Frame, p []byte) fabric.DropReason {
	spi, seq, ok := esp.Number(p)
	if !ok {
		return fabric.DropTruncated
	}
	a := o.sas.in[spi]
	if a == nil || a.sa.Src != o.from.Addr() {
		return fabric.DropESPUnknownSPI
	}
	if !a.isNew(seq) {
		a.replayed.Add(1)
		return fabric.DropESPReplay
	}
	room := o.room[o.used:]
	o.used += esp.OpenRoom(len(p))
	data, next, err := a.sa.Open(room, p, &o.scratch)
	switch {
	case errors.Is(err, esp.ErrICV):
		a.broken.Add(1)
		return fabric.DropESPBadICV
	case err == esp.ErrTruncated:
		return fabric.DropTruncated
	case err != nil:
		return fabric.DropMalformed
	case !a.mark(seq): // another goroutine opened the same meanwhile
		a.replayed.Add(1)
		return fabric.DropESPReplay
	}
	a.packets.Add(1)
	a.bytes.Add(uint64(len(data)))
	if f.Trace != nil && !o.said {
		o.said = true
		f.Trace.Add(fabric.Event{Kind: fabric.EventESP, Place: o.e.name, Before: espText(spi), After: "vxlan", By: seqText(seq)})
	}
	return o.datagram(f, data, next)
}

// datagram gives the cutter the UDP datagram that was sealed.
func (o *opener) datagram(f *fabric.Frame, data []byte, next byte) fabric.DropReason {
	if next != wire.ProtoUDP {
		return fabric.DropUnknownProto
	}
	u, err := wire.ParseUDP(data)
	switch {
	case err != nil:
		return reason(err)
	case u.Len() > len(data):
		return fabric.DropTruncated
	case u.DstPort() != Port:
		return fabric.DropNoSocket
	}
	if from := netip.AddrPortFrom(o.from.Addr(), u.SrcPort()); from != o.from {
		o.deliver(f)
		o.from = from
	}
	o.cutter.add(data[wire.UDPLen:u.Len()])
	return 0
}

// deliver hands over what was opened so far.
func (o *opener) deliver(f *fabric.Frame) {
	o.cutter.flush()
	batch := o.cutter.batch
	if len(batch) == 0 {
		return
	}
	for _, g := range batch {
		g.Hops, g.At, g.Trace = f.Hops, f.At, f.Trace
	}
	o.e.deliver(o.from, batch, &o.e.Counters, o.e.name)
	clear(batch)
	o.cutter.batch = batch[:0]
}

// isNew tells whether no packet of that number has come.
func (a *association) isNew(seq uint32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.window.Check(seq)
}

// mark notes that a packet of that number has come; false if there was one.
func (a *association) mark(seq uint32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.window.Mark(seq)
}

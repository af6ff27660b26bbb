package fabric

import "sync/atomic"

// Port is where frames leave a device and where those that arrive are handed to it.
type Port interface {
	// Send takes over the frames, not the slice, and never blocks: a frame for which there is no room is dropped and counted.
	// It may be called from several goroutines at once.
	Send(batch []*Frame)
	// SetReceiver says who gets what arrives; nil: it is dropped and counted. It may be changed at any time.
	SetReceiver(r Receiver)
}

// Receiver takes what arrives at a Port.
type Receiver interface {
	// Receive takes over the frames, not the slice, and never blocks.
	Receive(batch []*Frame)
}

// ReceiverFunc makes a function a Receiver.
type ReceiverFunc func(batch []*Frame)

// Receive calls f.
func (f ReceiverFunc) Receive(batch []*Frame) { f(batch) }

// socket holds the receiver of a port.
type socket struct{ r atomic.Pointer[Receiver] }

// SetReceiver implements Port.
func (s *socket) SetReceiver(r Receiver) {
	if r == nil {
		s.r.Store(nil)
		return
	}
	s.r.Store(&r)
}

// deliver hands a batch to the receiver. Frames that have passed too many devices end here.
func (s *socket) deliver(batch []*Frame, c *Counters, place string) {
	r := s.r.Load()
	if r == nil {
		for _, f := range batch {
			c.Drop(f, DropNoReceiver, place)
		}
		return
	}
	if batch = passHop(batch, c, place); len(batch) > 0 {
		(*r).Receive(batch)
	}
}

// passHop counts one device for each frame and drops those that have passed too many. It keeps the slice of the
// caller as it is unless a frame must go.
func passHop(batch []*Frame, c *Counters, place string) []*Frame {
	for i, f := range batch {
		if f.hop() {
			continue
		}
		kept := append([]*Frame(nil), batch[:i]...)
		c.Drop(f, DropHopLimit, place)
		for _, g := range batch[i+1:] {
			if g.hop() {
				kept = append(kept, g)
			} else {
				c.Drop(g, DropHopLimit, place)
			}
		}
		return kept
	}
	return batch
}

// hop counts a device; false if the frame has passed its last.
func (f *Frame) hop() bool {
	if f.Hops >= MaxHops-1 {
		return false
	}
	f.Hops++
	return true
}

// VethEnd is one end of a virtual Ethernet pair. What one end sends, the other end's receiver gets at once, on the
// sender's goroutine. It holds no queue and needs no goroutine.
type VethEnd struct {
	socket
	Counters
	name string
	down atomic.Bool
	peer *VethEnd
}

// NewVeth returns the two ends of a pair. The names stand in traces.
func NewVeth(a, b string) (*VethEnd, *VethEnd) {
	x, y := &VethEnd{name: a}, &VethEnd{name: b}
	x.peer, y.peer = y, x
	return x, y
}

// Send implements Port.
func (v *VethEnd) Send(batch []*Frame) {
	if v.down.Load() || v.peer.down.Load() {
		for _, f := range batch {
			v.Drop(f, DropLinkDown, v.name)
		}
		return
	}
	frames, bytes := measure(batch)
	v.tx(frames, bytes)
	v.peer.rx(frames, bytes)
	v.peer.deliver(batch, &v.peer.Counters, v.peer.name)
}

// Name returns the end's name.
func (v *VethEnd) Name() string { return v.name }

// SetUp takes the end up or down; while one end is down, neither carries anything.
func (v *VethEnd) SetUp(up bool) { v.down.Store(!up) }

// Carrier tells whether both ends are up.
func (v *VethEnd) Carrier() bool { return !v.down.Load() && !v.peer.down.Load() }

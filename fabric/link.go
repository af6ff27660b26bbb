package fabric

import (
	"context"
	"hash/fnv"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Link is a cable: two ends, a queue for each direction, and a goroutine that delivers each while Run runs.
type Link struct {
	a, b *LinkEnd
}

// LinkEnd is one end of a Link.
type LinkEnd struct {
	socket
	Counters
	name string
	in   *Queue // what the other end sent
	peer *LinkEnd

	mu         sync.Mutex                 // held while down and impairment change
	down       atomic.Bool                // what this end sends is dropped
	impairment atomic.Pointer[Impairment] // of what this end sends, but for Down; nil: none
	gate       atomic.Pointer[Gate]       // decides on what arrives; nil: all passes
	watch      atomic.Pointer[func()]     // told when the carrier may have changed; nil: nobody
	seed       uint64                     // of what is random about that
	flight     *flight                    // of what arrives here; of the goroutine that receives, nil until it is needed
}

// NewLink returns a cable between two named ends. It starts nothing: until Run, what is sent waits in the queues.
func NewLink(a, b string) *Link {
	x := &LinkEnd{name: a, in: NewQueue()}
	y := &LinkEnd{name: b, in: NewQueue()}
	x.peer, y.peer = y, x
	l := &Link{a: x, b: y}
	l.Seed(0)
	return l
}

// Seed sets what the random part of impairments comes from, for each direction another. Only before Run.
func (l *Link) Seed(seed uint64) {
	l.a.seed, l.b.seed = seed^hashName(l.a.name), seed^hashName(l.b.name)
}

func hashName(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return h.Sum64()
}

// A returns the first end.
func (l *Link) A() *LinkEnd { return l.a }

// B returns the second end.
func (l *Link) B() *LinkEnd { return l.b }

// SetUp plugs the cable in or pulls it out. What is sent over a cable that is out is dropped.
func (l *Link) SetUp(up bool) {
	for _, e := range []*LinkEnd{l.a, l.b} {
		e.mu.Lock()
		e.down.Store(!up)
		e.mu.Unlock()
	}
	l.a.tellCarrier()
}

// WatchCarrier has f called whenever the carrier may have changed, on the goroutine of whoever plugs the cable in or
// pulls it out; f must not block. nil: nobody is told.
func (e *LinkEnd) WatchCarrier(f func()) {
	if f == nil {
		e.watch.Store(nil)
		return
	}
	e.watch.Store(&f)
}

// tellCarrier tells those who watch either end.
func (e *LinkEnd) tellCarrier() {
	for _, end := range []*LinkEnd{e, e.peer} {
		if f := end.watch.Load(); f != nil {
			(*f)()
		}
	}
}

// Run delivers frames until ctx ends. Frames that wait then are dropped, and the link is closed for good.
func (l *Link) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { l.a.receive(ctx); return nil })
	l.b.receive(ctx)
	err := g.Wait()
	l.a.drain()
	l.b.drain()
	return err
}

// Name returns the end's name.
func (e *LinkEnd) Name() string { return e.name }

// Carrier tells whether the cable is in: whether anything passes in one direction at least.
func (e *LinkEnd) Carrier() bool { return !e.down.Load() || !e.peer.down.Load() }

// Send implements Port.
func (e *LinkEnd) Send(batch []*Frame) {
	if e.down.Load() {
		for _, f := range batch {
			e.Drop(f, DropLinkDown, e.name)
		}
		return
	}
	// What was sent is known when the queue has taken it, but then it is the other end's: so measure it all before.
	frames, bytes := measure(batch)
	refused := e.peer.in.Push(batch)
	if len(refused) == 0 {
		e.tx(frames, bytes)
		return
	}
	n, b := measure(refused)
	e.tx(frames-n, bytes-b)
	reason := DropQueueFull
	if e.peer.in.Closed() {
		reason = DropClosed
	}
	for _, f := range refused {
		e.Drop(f, reason, e.name)
	}
}

// drain drops what waits for the end.
func (e *LinkEnd) drain() {
	e.in.DrainTo(func(f *Frame) { e.Drop(f, DropClosed, e.name) })
}

func (e *LinkEnd) receive(ctx context.Context) {
	for {
		b, ok := e.in.Next(ctx)
		if !ok {
			return
		}
		if e.peer.impairment.Load() != nil {
			if !e.receiveImpaired(ctx, b) {
				return
			}
			continue
		}
		e.arrived(b.Frames())
		e.in.Done(b)
	}
}

// arrived hands a batch over that has come to the end of the cable.
func (e *LinkEnd) arrived(batch []*Frame) {
	at := now()
	for _, f := range batch {
		f.At = at
		if f.Trace != nil {
			f.Trace.Add(Event{Kind: EventLink, Place: e.name, Before: e.peer.name, After: e.name, At: at})
		}
	}
	if g := e.gate.Load(); g != nil {
		if batch = e.sift(*g, batch); len(batch) == 0 {
			return
		}
	}
	e.Rx(batch)
	e.deliver(batch, &e.Counters, e.name)
}

package fabric

import (
	"context"
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
	down *atomic.Bool // the cable's
	in   *Queue       // what the other end sent
	peer *LinkEnd
}

// NewLink returns a cable between two named ends. It starts nothing: until Run, what is sent waits in the queues.
func NewLink(a, b string) *Link {
	down := new(atomic.Bool)
	x := &LinkEnd{name: a, down: down, in: NewQueue()}
	y := &LinkEnd{name: b, down: down, in: NewQueue()}
	x.peer, y.peer = y, x
	return &Link{a: x, b: y}
}

// A returns the first end.
func (l *Link) A() *LinkEnd { return l.a }

// B returns the second end.
func (l *Link) B() *LinkEnd { return l.b }

// SetUp plugs the cable in or pulls it out. What is sent over a cable that is out is dropped.
func (l *Link) SetUp(up bool) { l.a.down.Store(!up) }

// Run delivers frames until ctx ends. Frames that wait then are dropped, and the link is closed for good.
func (l *Link) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { l.a.receive(ctx); return nil })
	g.Go(func() error { l.b.receive(ctx); return nil })
	err := g.Wait()
	l.a.drain()
	l.b.drain()
	return err
}

// Name returns the end's name.
func (e *LinkEnd) Name() string { return e.name }

// Carrier tells whether the cable is in.
func (e *LinkEnd) Carrier() bool { return !e.down.Load() }

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
		batch := b.Frames()
		at := now()
		for _, f := range batch {
			f.At = at
			if f.Trace != nil {
				f.Trace.Add(Event{Kind: EventLink, Place: e.name, At: at})
			}
		}
		e.Rx(batch)
		e.deliver(batch, &e.Counters, e.name)
		e.in.Done(b)
	}
}

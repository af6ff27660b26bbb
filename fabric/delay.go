package fabric

import (
	"context"
	"math/rand/v2"
	"time"
)

// delays holds the frames that are under way on one direction of a link, by when they arrive: a heap. It reads no clock.
type delays struct {
	heap  []delayed
	next  uint64 // the order of those that arrive at once
	bytes int
}

// delayed is a frame under way.
type delayed struct {
	passage
	order uint64
}

// What may be under way on one direction at once: the memory is bounded, and at any rate.
const (
	delayedFrames = 1 << 16
	delayedBytes  = 64 << 20
)

func (d *delays) before(i, j int) bool {
	a, b := &d.heap[i], &d.heap[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

// push adds a frame; false if there is no room.
func (d *delays) push(p passage) bool {
	if len(d.heap) >= delayedFrames || d.bytes+p.f.Len() > delayedBytes {
		return false
	}
	d.bytes += p.f.Len()
	d.heap = append(d.heap, delayed{p, d.next})
	d.next++
	for i := len(d.heap) - 1; i > 0 && d.before(i, (i-1)/2); i = (i - 1) / 2 {
		d.heap[i], d.heap[(i-1)/2] = d.heap[(i-1)/2], d.heap[i]
	}
	return true
}

// pop takes the first frame.
func (d *delays) pop() *Frame {
	f := d.heap[0].f
	d.bytes -= f.Len()
	last := len(d.heap) - 1
	d.heap[0] = d.heap[last]
	d.heap[last] = delayed{}
	d.heap = d.heap[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if d.before(c, least) {
				least = c
			}
		}
		if least == i {
			return f
		}
		d.heap[i], d.heap[least] = d.heap[least], d.heap[i]
		i = least
	}
}

// take appends to batch what has arrived by then, up to its capacity.
func (d *delays) take(batch []*Frame, by int64) []*Frame {
	for len(batch) < cap(batch) && len(d.heap) > 0 && d.heap[0].at <= by {
		batch = append(batch, d.pop())
	}
	return batch
}

// flight is what is under way on an impaired direction of a link, between the queue and the receiver. It belongs to the
// goroutine that receives, and remains when the link is perfect again: what is random goes on where it was.
type flight struct {
	impairer
	delays
	began time.Time
	out   []passage
}

func newFlight(from *LinkEnd) *flight {
	return &flight{
		impairer: impairer{rng: rand.New(rand.NewPCG(from.seed, 0)), drops: &from.Counters, place: from.name},
		began:    time.Now(),
	}
}

// clock is a time that does not jump.
func (w *flight) clock() int64 { return int64(time.Since(w.began)) }

// accept takes a batch that was sent.
func (w *flight) accept(i *Impairment, batch []*Frame) {
	at := w.clock()
	w.out = w.out[:0]
	for _, f := range batch {
		w.out = w.pass(i, f, at, w.out)
	}
	for _, p := range w.out {
		if !w.push(p) {
			w.drops.Drop(p.f, DropQueueFull, w.place)
		}
	}
	clear(w.out)
}

// drop drops all that is under way.
func (w *flight) drop() {
	for len(w.heap) > 0 {
		w.drops.Drop(w.pop(), DropClosed, w.place)
	}
}

// receiveImpaired receives what the other end sends while the link does something to it, b being the first. It returns
// true once the link is perfect and nothing is under way any more, and false when ctx has ended.
func (e *LinkEnd) receiveImpaired(ctx context.Context, b *Batch) bool {
	if e.flight == nil {
		e.flight = newFlight(e.peer)
	}
	w := e.flight
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ok := true; ok; b, ok = e.in.nextOr(ctx, timer.C) {
		i := e.peer.impairment.Load()
		if b != nil {
			if i == nil {
				i = &Impairment{}
			}
			w.accept(i, b.Frames())
			e.in.Done(b)
		}
		w.arrive(e)
		if len(w.heap) == 0 && e.peer.impairment.Load() == nil {
			return true
		}
		timer.Stop() // with nothing under way only a frame wakes it
		if len(w.heap) > 0 {
			timer.Reset(time.Duration(w.heap[0].at - w.clock()))
		}
	}
	w.drop()
	return false
}

// arrive hands over all whose time has come.
func (w *flight) arrive(e *LinkEnd) {
	var room [batchLen]*Frame
	for by := w.clock(); ; {
		batch := w.take(room[:0], by)
		if len(batch) == 0 {
			return
		}
		e.arrived(batch)
	}
}

// nextOr is Next, and returns no batch and true when wake fires.
func (q *Queue) nextOr(ctx context.Context, wake <-chan time.Time) (*Batch, bool) {
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		select {
		case b, ok := <-q.read:
			if ok {
				q.frames.Add(-int64(b.n))
				q.bytes.Add(-b.size)
				return b, true
			}
		case <-wake:
			return nil, true
		case <-ctx.Done():
			return nil, false
		}
		if !q.advance() {
			return nil, false
		}
	}
}

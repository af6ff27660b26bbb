package fabric

import (
	"context"
	"sync"
	"sync/atomic"
)

const (
	// QueueFrames is how many frames (trains) a queue holds. 512 drops under a single TCP stream.
	QueueFrames = 4096
	// QueueBytes is how many bytes a queue holds. Those of TCP are the sender's unacknowledged data, which it has to keep
	// anyway: half as much drops, and runs into time-outs, with a hundred flows.
	QueueBytes = 64 << 20
	// firstQueue is the capacity, in batches, of a queue that has not grown.
	firstQueue = 8
	// batchLen is how many frames a queue carries as one element.
	batchLen = 64
)

// Batch is a group of frames that travel together; queues and links recycle them.
type Batch struct {
	n    int
	size int64 // bytes, as Push counted them
	f    [batchLen]*Frame
}

// Frames returns the batch's frames; the slice is valid until the batch goes back to its queue.
func (b *Batch) Frames() []*Frame { return b.f[:b.n] }

var batches = sync.Pool{New: func() any { return new(Batch) }}

// Queue is a bounded first-in-first-out of frames over a Go channel that carries batches. It starts small and grows
// as it is used, for a lab has many queues and most are idle. Push may be called from several goroutines; Next from one.
type Queue struct {
	mu     sync.Mutex
	ch     chan *Batch   // guarded by mu; the one that Push fills
	later  []chan *Batch // guarded by mu; what the reader goes on to after read, oldest first; the last one is ch
	closed bool          // guarded by mu

	read          chan *Batch // the reader's; ch, or an older one that still holds batches
	frames, bytes atomic.Int64
}

// NewQueue returns an empty queue. It starts nothing.
func NewQueue() *Queue {
	q := &Queue{ch: make(chan *Batch, firstQueue)}
	q.read = q.ch
	return q
}

// Push appends the frames and takes them over, those it has no room for excepted: it returns those, a tail of batch.
// It never blocks.
func (q *Queue) Push(batch []*Frame) (refused []*Frame) {
	for len(batch) > 0 {
		n := min(len(batch), batchLen)
		took := q.push(batch[:n])
		batch = batch[took:]
		if took < n {
			return batch
		}
	}
	return nil
}

// push takes as many frames as there is room for, at most batchLen, and returns their number.
func (q *Queue) push(batch []*Frame) int {
	b := batches.Get().(*Batch)
	q.mu.Lock()
	n, size := q.fit(batch)
	ok := n > 0 && !q.closed
	if ok {
		b.n, b.size = copy(b.f[:], batch[:n]), size
		// Counted before the reader can see it, so that the counts never fall below zero.
		q.frames.Add(int64(n))
		q.bytes.Add(size)
		q.sendLocked(b)
	}
	q.mu.Unlock()
	if !ok {
		batches.Put(b)
		return 0
	}
	return n
}

// fit returns how many frames of batch there is room for, and their bytes.
func (q *Queue) fit(batch []*Frame) (n int, size int64) {
	frames, bytes := q.frames.Load(), q.bytes.Load()
	for _, f := range batch {
		l := int64(f.Len())
		if frames+int64(n) >= QueueFrames || bytes+size+l > QueueBytes {
			break
		}
		n, size = n+1, size+l
	}
	return n, size
}

// sendLocked puts b into the channel; a full one is closed and followed by a larger one, to which the reader moves
// on once it has emptied the old one. There never are more batches than QueueFrames, for each holds a frame that
// is counted, so that the largest channel is never full.
func (q *Queue) sendLocked(b *Batch) {
	select {
	case q.ch <- b:
		return
	default:
	}
	old := q.ch
	q.ch = make(chan *Batch, min(cap(old)*8, QueueFrames))
	q.ch <- b
	q.later = append(q.later, q.ch)
	close(old)
}

// Next returns the next batch; it waits for one until ctx ends or the queue is closed and empty, and then returns
// false. The reader hands the batch back with Done.
func (q *Queue) Next(ctx context.Context) (*Batch, bool) {
	for {
		if ctx.Err() != nil { // a busy queue must not keep its reader
			return nil, false
		}
		select {
		case b, ok := <-q.read:
			if ok {
				q.frames.Add(-int64(b.n))
				q.bytes.Add(-b.size)
				return b, true
			}
		case <-ctx.Done():
			return nil, false
		}
		if !q.advance() {
			return nil, false
		}
	}
}

// advance moves the reader from a channel that is closed and empty to the one that follows; false if none does.
func (q *Queue) advance() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.later) == 0 {
		return false
	}
	q.read = q.later[0]
	q.later = q.later[1:]
	return true
}

// Done hands a batch back whose frames went elsewhere.
func (q *Queue) Done(b *Batch) {
	clear(b.f[:b.n])
	b.n, b.size = 0, 0
	batches.Put(b)
}

// Len returns how many frames wait.
func (q *Queue) Len() int { return int(q.frames.Load()) }

// Close refuses further frames and lets Next end once what waits is read.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.ch)
	}
}

// Closed tells whether the queue refuses frames for good.
func (q *Queue) Closed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// Drain closes the queue and frees what waits. Only after the reader has ended.
func (q *Queue) Drain() { q.DrainTo((*Frame).Free) }

// DrainTo closes the queue and hands what waits to drop, which frees it. Only after the reader has ended.
func (q *Queue) DrainTo(drop func(f *Frame)) {
	q.Close()
	for {
		b, ok := q.Next(context.Background())
		if !ok {
			return
		}
		for _, f := range b.Frames() {
			drop(f)
		}
		q.Done(b)
	}
}

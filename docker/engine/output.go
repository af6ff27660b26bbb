package engine

import (
	"context"
	"io"
	"sync"
)

// output is where the output of a container goes, run after run: to its log, and to those who are attached.
type output struct {
	log *logRing

	order sync.Mutex // held while a piece goes out, so that all see the pieces in one order

	mu       sync.Mutex
	attached []*feed // guarded by mu; replaced, never changed
}

// writer returns where one of the streams goes.
func (o *output) writer(stderr bool) io.Writer { return outputWriter{o, stderr} }

type outputWriter struct {
	out    *output
	stderr bool
}

// Write implements io.Writer. It never fails; it waits for those who are attached and slow, but not for long.
func (w outputWriter) Write(b []byte) (int, error) {
	w.out.order.Lock()
	defer w.out.order.Unlock()
	w.out.log.write(w.stderr, b)
	w.out.mu.Lock()
	attached := w.out.attached
	w.out.mu.Unlock()
	for _, f := range attached {
		f.push(w.stderr, b)
	}
	return len(b), nil
}

// attach adds a feed, with what the log has before it if past is set.
func (o *output) attach(f *feed, past bool) {
	o.order.Lock()
	defer o.order.Unlock()
	if past {
		for _, e := range o.log.all() {
			f.add(e.Stderr, e.Text)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attached = append(o.attached[:len(o.attached):len(o.attached)], f)
}

func (o *output) detach(f *feed) {
	f.close()
	o.mu.Lock()
	defer o.mu.Unlock()
	var rest []*feed
	for _, other := range o.attached {
		if other != f {
			rest = append(rest, other)
		}
	}
	o.attached = rest
}

// finish ends all feeds, after what they have, and flushes the log.
func (o *output) finish() {
	o.order.Lock()
	defer o.order.Unlock()
	o.log.flush()
	o.mu.Lock()
	attached := o.attached
	o.attached = nil
	o.mu.Unlock()
	for _, f := range attached {
		f.finish()
	}
}

// piece is a part of an output.
type piece struct {
	stderr bool
	text   []byte
}

// pieceSmall is how long a piece is at least, in bytes, before the next one begins: many small ones would cost more than
// their bytes.
const pieceSmall = 4096

// feed is the output on its way to somebody who is attached.
type feed struct {
	wake  chan struct{} // there may be something to take
	space chan struct{} // there may be room
	gone  chan struct{} // closed by close

	mu     sync.Mutex
	queue  []piece // guarded by mu
	size   int     // guarded by mu; bytes in queue
	ended  bool    // guarded by mu; nothing more comes
	closed bool    // guarded by mu; nobody takes any more
}

func newFeed() *feed {
	return &feed{wake: make(chan struct{}, 1), space: make(chan struct{}, 1), gone: make(chan struct{})}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add queues a piece, however much there is.
func (f *feed) add(stderr bool, text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.ended {
		return
	}
	f.size += len(text)
	if n := len(f.queue); n > 0 && f.queue[n-1].stderr == stderr && len(f.queue[n-1].text) < pieceSmall {
		f.queue[n-1].text = append(f.queue[n-1].text, text...)
	} else {
		f.queue = append(f.queue, piece{stderr, append([]byte(nil), text...)})
	}
	signal(f.wake)
}

// push queues a piece where there is room, or waits for it. A feed that nobody takes from for stallLimit is cut, so
// that it holds up no program for ever.
func (f *feed) push(stderr bool, text []byte) {
	if f.room() {
		f.add(stderr, text)
		return
	}
	stall := newStall()
	defer stall.Stop()
	for !f.room() {
		select {
		case <-f.space:
			stall.Reset(stallLimit)
		case <-f.gone:
			return
		case <-stall.C:
			f.close()
			return
		}
	}
	f.add(stderr, text)
}

func (f *feed) room() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size < feedLimit || f.closed || f.ended
}

// finish is the end of the output: what is queued is still taken.
func (f *feed) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	signal(f.wake)
}

// close cuts the feed.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed, f.queue = true, nil
		close(f.gone)
	}
}

// take returns what is queued; io.EOF at the end of the output, errCut if the feed was cut.
func (f *feed) take(ctx context.Context) ([]piece, error) {
	for {
		f.mu.Lock()
		queue, ended, closed := f.queue, f.ended, f.closed
		f.queue, f.size = nil, 0
		f.mu.Unlock()
		switch {
		case closed:
			return nil, errCut
		case len(queue) > 0:
			signal(f.space)
			return queue, nil
		case ended:
			return nil, io.EOF
		}
		select {
		case <-f.wake:
		case <-f.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

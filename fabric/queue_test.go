package fabric_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

// read takes n frames off q and returns their identifications.
func read(t *testing.T, q *fabric.Queue, n int) (ids []int) {
	t.Helper()
	for len(ids) < n {
		b, ok := q.Next(context.Background())
		if !ok {
			t.Fatalf("Next = false after %d frames; want %d", len(ids), n)
		}
		for _, f := range b.Frames() {
			ids = append(ids, int(f.IPv4().ID()))
			f.Free()
		}
		q.Done(b)
	}
	return ids
}

// A queue that grew several times before it was read loses nothing and keeps the order.
func TestQueueGrows(t *testing.T) {
	for _, batch := range []int{1, 3, 64, 100} {
		q := fabric.NewQueue()
		all := packets(4000)
		for from := 0; from < len(all); from += batch {
			if r := q.Push(all[from:min(from+batch, len(all))]); len(r) > 0 {
				t.Fatalf("batches of %d: %d refused at %d", batch, len(r), from)
			}
		}
		if q.Len() != 4000 {
			t.Errorf("batches of %d: Len = %d; want 4000", batch, q.Len())
		}
		for i, id := range read(t, q, 4000) {
			if id != i {
				t.Fatalf("batches of %d: frame %d is where %d should be", batch, id, i)
			}
		}
		if q.Len() != 0 {
			t.Errorf("batches of %d: Len = %d after all was read", batch, q.Len())
		}
	}
}

func TestQueueGrowsWhileRead(t *testing.T) {
	q := fabric.NewQueue()
	next, got := 0, 0
	for round := range 30 {
		for range round * 10 {
			f := fabrictest.Packet{ID: uint16(next)}.UDP()
			next++
			q.Push([]*fabric.Frame{f})
		}
		for _, id := range read(t, q, round*9) {
			if id != got {
				t.Fatalf("frame %d is where %d should be", id, got)
			}
			got++
		}
	}
	q.Drain()
}

func TestQueueBounds(t *testing.T) {
	q := fabric.NewQueue()
	all := packets(fabric.QueueFrames + 100)
	refused := q.Push(all)
	if len(refused) != 100 || refused[0] != all[fabric.QueueFrames] || q.Len() != fabric.QueueFrames {
		t.Errorf("%d refused, Len = %d; want the last 100, %d", len(refused), q.Len(), fabric.QueueFrames)
	}
	fabric.FreeAll(refused)
	b, _ := q.Next(context.Background())
	n := len(b.Frames())
	fabric.FreeAll(b.Frames())
	q.Done(b)
	refused = q.Push(packets(n + 1)) // exactly as many as were read
	if len(refused) != 1 {
		t.Errorf("%d refused; want 1", len(refused))
	}
	fabric.FreeAll(refused)
	q.Drain()

	q = fabric.NewQueue()
	train := fabrictest.Packet{Size: 65000, MSS: 1448}.TCP()
	var trains []*fabric.Frame
	number := fabric.QueueBytes/train.Len() + 100
	for range number {
		trains = append(trains, train.Clone())
	}
	if refused, want := q.Push(trains), 100; len(refused) != want {
		t.Errorf("%d trains refused; want %d", len(refused), want)
	} else {
		fabric.FreeAll(refused)
	}
	train.Free()
	q.Drain()
	if q.Len() != 0 {
		t.Errorf("Len = %d after Drain; want 0", q.Len())
	}
}

func TestQueueClose(t *testing.T) {
	q := fabric.NewQueue()
	q.Push(packets(3))
	q.Close()
	q.Close()
	refused := q.Push(packets(1))
	if len(refused) != 1 || !q.Closed() {
		t.Errorf("%d refused, Closed = %v; want 1, true", len(refused), q.Closed())
	}
	fabric.FreeAll(refused)
	read(t, q, 3) // what waited can still be read
	if _, ok := q.Next(context.Background()); ok {
		t.Error("Next of a closed and empty queue gave a batch")
	}
}

func TestQueueNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fabric.NewQueue()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, ok := q.Next(ctx); ok {
				t.Error("Next of an empty queue gave a batch")
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		wg.Go(func() {
			if _, ok := q.Next(t.Context()); ok {
				t.Error("Next of an empty queue gave a batch")
			}
		})
		synctest.Wait()
		q.Close()
		wg.Wait()
	})
}

// Several producers and one reader: nothing is lost and each producer's order is kept.
func TestQueueConcurrent(t *testing.T) {
	const producers, each = 4, 5000
	q := fabric.NewQueue()
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := 0; i < each; i += 8 {
				batch := make([]*fabric.Frame, 8)
				for k := range batch {
					batch[k] = fabrictest.Packet{ID: uint16(i + k), TOS: byte(p)}.UDP()
				}
				for len(batch) > 0 { // a full queue is tried again
					batch = q.Push(batch)
				}
			}
		})
	}
	var next [producers]int
	for range producers * each {
		b, ok := q.Next(t.Context())
		if !ok {
			t.Fatal("Next = false")
		}
		for _, f := range b.Frames() {
			h := f.IPv4()
			if int(h.ID()) != next[h.TOS()] {
				t.Fatalf("frame %d of producer %d is where %d should be", h.ID(), h.TOS(), next[h.TOS()])
			}
			next[h.TOS()]++
			f.Free()
		}
		q.Done(b)
		if next == [producers]int{each, each, each, each} {
			break
		}
	}
	wg.Wait()
	if q.Len() != 0 {
		t.Errorf("Len = %d; want 0", q.Len())
	}
}

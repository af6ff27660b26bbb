package fabric_test

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

// manyFrames is as many wire frames as the statistics are of.
const manyFrames = 100_000

// statistics leaves out of short rounds what only counts how often something comes about.
func statistics(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a hundred thousand frames take long, and show no more in a short round")
	}
}

// arrival is a wire frame that arrived.
type arrival struct {
	seq   int // the number of its first byte
	after time.Duration
	data  []byte // the whole frame, if it was asked for
}

// rig is a link in a bubble of synctest, and what arrives at its end B.
type rig struct {
	*fabric.Link
	start time.Time
	keep  bool // the bytes, too
	stop  func()
	trips int // frames, as they came
	got   []arrival
}

// newRig makes a link whose direction from A to B is impaired; it must be called in a bubble.
func newRig(t *testing.T, i fabric.Impairment) *rig {
	r := &rig{Link: fabric.NewLink("a", "b"), start: time.Now()}
	r.Seed(7)
	if _, err := r.A().Impair(func(to *fabric.Impairment) { *to = i }); err != nil {
		t.Fatal(err)
	}
	r.B().SetReceiver(fabric.ReceiverFunc(r.receive))
	r.stop = run(t, r.Link)
	return r
}

func (r *rig) receive(batch []*fabric.Frame) {
	for _, f := range batch {
		r.trips++
		for n := range int(f.Segs) {
			a := arrival{after: time.Since(r.start), seq: -1}
			if tcp := f.TCP(); tcp != nil {
				a.seq = int(tcp.Seq()) + n*int(f.MSS)
			}
			if r.keep {
				a.data = f.AppendSegment(nil, n)
			}
			r.got = append(r.got, a)
		}
		f.Free()
	}
}

// settle lets virtual time pass until everything must have arrived.
func (r *rig) settle() {
	time.Sleep(time.Hour)
	synctest.Wait()
}

// segment is how many bytes of data the wire frames of the tests have.
const segment = 100

// send sends wire frames at once, in trains of so many. Their first byte has number from * segment.
func (r *rig) send(from, frames, train int) {
	var batch []*fabric.Frame
	for i := 0; i < frames; i += train {
		n := min(train, frames-i)
		p := fabrictest.Packet{Seq: uint32((from + i) * segment), Size: n * segment, Partial: true}
		if n > 1 {
			p.MSS = segment
		}
		batch = append(batch, p.TCP())
	}
	r.A().Send(batch)
}

// near tells whether got is within a share of want.
func near(got, want, within float64) bool { return math.Abs(got-want) <= within*want }

func TestImpairShares(t *testing.T) {
	statistics(t)
	for _, c := range []struct {
		name string
		set  fabric.Impairment
		want float64 // frames that arrive
	}{
		{"1 % loss", fabric.Impairment{Loss: 0.01}, 0.99},
		{"10 % loss", fabric.Impairment{Loss: 0.1}, 0.9},
		{"30 % loss", fabric.Impairment{Loss: 0.3}, 0.7},
		{"all is lost", fabric.Impairment{Loss: 1}, 0},
		{"duplicates", fabric.Impairment{Duplicate: 0.1}, 1.1},
		{"bursts", fabric.Impairment{Burst: fabric.Burst{P: 0.01, R: 0.1}}, 1 - 1.0/11},
		{"bursts that spare some", fabric.Impairment{Burst: fabric.Burst{P: 0.02, R: 0.2, Bad: 0.5, Good: 0.01}}, 1 - (0.5/11 + 0.01*10/11)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.set)
				for i := 0; i < manyFrames; i += 4000 {
					r.send(i, 4000, 40)
					time.Sleep(time.Millisecond)
				}
				r.settle()
				lost := r.A().Dropped(fabric.DropLoss)
				if c.set.Duplicate == 0 && int(lost)+len(r.got) != manyFrames {
					t.Errorf("%d lost and %d arrived; want %d together", lost, len(r.got), manyFrames)
				}
				hit := math.Abs(1-c.want) * manyFrames
				within := max(0.02*hit, 3*math.Sqrt(hit)) // the second is what luck allows where few are hit
				if got, want := float64(len(r.got)), c.want*manyFrames; math.Abs(got-want) > within {
					t.Errorf("%.0f frames arrived; want %.0f, %.0f more or less", got, want, within)
				}
			})
		})
	}
}

// The losses of a burst follow each other: 1/R on average.
func TestImpairBurstLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{Burst: fabric.Burst{P: 0.01, R: 0.1}})
		for i := 0; i < manyFrames; i += 4000 {
			r.send(i, 4000, 40)
			time.Sleep(time.Millisecond)
		}
		r.settle()
		bursts := 0
		for i := 1; i < len(r.got); i++ {
			if r.got[i].seq != r.got[i-1].seq+segment {
				bursts++
			}
		}
		if length := float64(manyFrames-len(r.got)) / float64(bursts); !near(length, 10, 0.05) {
			t.Errorf("a burst is %.2f frames on average; want 10", length)
		}
	})
}

func TestImpairDelay(t *testing.T) {
	statistics(t)
	const delay, jitter = 20 * time.Millisecond, 5 * time.Millisecond
	const pause = 15 * time.Millisecond // no frame can catch up with the one before
	for _, c := range []struct {
		name        string
		set         fabric.Impairment
		least, most time.Duration
	}{
		{"delay alone", fabric.Impairment{Delay: delay}, delay, delay},
		{"jitter", fabric.Impairment{Delay: delay, Jitter: jitter}, delay - jitter, delay + jitter},
		{"jitter that may reorder", fabric.Impairment{Delay: delay, Jitter: jitter, Overtake: true}, delay - jitter, delay + jitter},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.set)
				for i := range manyFrames {
					r.send(i, 1, 1)
					time.Sleep(pause)
				}
				r.settle()
				var sum time.Duration
				for i, a := range r.got {
					took := a.after - time.Duration(i)*pause
					if took < c.least || took > c.most || a.seq != i*segment {
						t.Fatalf("frame %d at %d took %v; want %v to %v", i, a.seq, took, c.least, c.most)
					}
					sum += took
				}
				if mean := sum / manyFrames; len(r.got) != manyFrames || !near(mean.Seconds(), delay.Seconds(), 0.02) {
					t.Errorf("%d frames took %v on average; want %d and %v", len(r.got), mean, manyFrames, delay)
				}
			})
		})
	}
}

// order tells whether frames arrived in their order.
func order(got []arrival) bool {
	return slices.IsSortedFunc(got, func(a, b arrival) int { return a.seq - b.seq })
}

func TestImpairOrder(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name    string
		set     fabric.Impairment
		ordered bool
	}{
		{"delay", fabric.Impairment{Delay: 10 * ms}, true},
		{"jitter", fabric.Impairment{Delay: 10 * ms, Jitter: 10 * ms}, true},
		{"jitter above the delay", fabric.Impairment{Delay: 1 * ms, Jitter: 10 * ms}, true},
		{"jitter and a rate", fabric.Impairment{Delay: 10 * ms, Jitter: 5 * ms, Rate: 1e9, QueueFrames: 5000}, true},
		{"jitter that may reorder", fabric.Impairment{Delay: 10 * ms, Jitter: 10 * ms, Overtake: true}, false},
		{"reordering of a delayed link", fabric.Impairment{Delay: 10 * ms, Reorder: 0.2}, false},
		{"reordering of a link without delay", fabric.Impairment{Reorder: 0.2}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.set)
				for i := range 100 {
					r.send(i*40, 40, 40)
					time.Sleep(10 * time.Microsecond)
				}
				r.settle()
				if len(r.got) != 4000 || order(r.got) != c.ordered {
					t.Errorf("%d frames, in order: %v; want 4000, %v", len(r.got), order(r.got), c.ordered)
				}
			})
		})
	}
}

func TestImpairReorderShare(t *testing.T) {
	statistics(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{Delay: 50 * time.Millisecond, Reorder: 0.25})
		for i := range manyFrames {
			r.send(i, 1, 1)
			time.Sleep(time.Millisecond)
		}
		r.settle()
		early := 0
		for _, a := range r.got {
			if a.after-time.Duration(a.seq/segment)*time.Millisecond == 0 {
				early++
			}
		}
		if len(r.got) != manyFrames || !near(float64(early), manyFrames/4, 0.02) {
			t.Errorf("%d of %d frames were not delayed; want a quarter of %d", early, len(r.got), manyFrames)
		}
	})
}

// What becomes of a wire frame does not depend on the train that it is in.
func TestImpairTrainsMakeNoDifference(t *testing.T) {
	statistics(t)
	for _, c := range []struct {
		name string
		set  fabric.Impairment
		when bool // the times are the same, too
	}{
		{"loss", fabric.Impairment{Loss: 0.05}, true},
		{"bursts", fabric.Impairment{Burst: fabric.Burst{P: 0.01, R: 0.3}}, true},
		{"jitter", fabric.Impairment{Delay: time.Millisecond, Jitter: time.Millisecond, Overtake: true, Loss: 0.01}, true},
		{"a rate", fabric.Impairment{Rate: 1e8, QueueFrames: 300}, false},
		{"all of it", fabric.Impairment{
			Rate: 1e9, QueueFrames: 900, QueueBytes: 100_000, Loss: 0.02, Burst: fabric.Burst{P: 0.01, R: 0.5},
			Corrupt: 0.01, Duplicate: 0.02, Reorder: 0.03, Delay: 5 * time.Millisecond, Jitter: time.Millisecond, MTU: 1500,
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []string
			for _, train := range []int{1, 2, 7, 40, 64} {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, c.set)
					for i := range 10 {
						r.send(i*1000, 1000, train)
						time.Sleep(7 * time.Millisecond)
					}
					r.settle()
					var got []string
					for _, a := range r.got {
						if c.when {
							got = append(got, fmt.Sprintf("%d after %v", a.seq, a.after))
						} else {
							got = append(got, fmt.Sprint(a.seq))
						}
					}
					slices.Sort(got) // those that arrive at once may be in another batch
					if want == nil {
						want = got
					}
					if !slices.Equal(got, want) {
						t.Errorf("trains of %d: %d frames arrive, other ones than of trains of 1: %d", train, len(got), len(want))
					}
				})
			}
		})
	}
}

// What else is set does not change which frames are lost.
func TestImpairLossIsItsOwn(t *testing.T) {
	seqs := func(i fabric.Impairment) (all []int) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, i)
			r.send(0, 4000, 40)
			r.settle()
			for _, a := range r.got {
				all = append(all, a.seq)
			}
		})
		slices.Sort(all)
		return slices.Compact(all)
	}
	plain := seqs(fabric.Impairment{Loss: 0.1})
	if other := seqs(fabric.Impairment{Loss: 0.1, Jitter: time.Millisecond, Duplicate: 0.2, Reorder: 0.1}); !slices.Equal(plain, other) {
		t.Errorf("%d frames arrive with loss alone, others (%d) with more set", len(plain), len(other))
	}
}

// A corrupted wire frame differs in one bit; the payload it shared with others does not.
func TestImpairCorruptTurnsOneBit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{Corrupt: 1, Duplicate: 1})
		r.keep = true
		f := fabrictest.Packet{Size: 4 * 1448, MSS: 1448, Partial: true}.TCP()
		clone := f.Clone()
		want := fabrictest.Wire(f)
		r.A().Send([]*fabric.Frame{f})
		r.settle()
		if len(r.got) != 8 {
			t.Fatalf("%d frames arrived; want 4 twice", len(r.got))
		}
		for i, a := range r.got {
			turned := 0
			for k := range min(len(a.data), len(want[i/2])) {
				turned += bits.OnesCount8(a.data[k] ^ want[i/2][k])
			}
			if turned > 1 || len(a.data) == len(want[i/2]) && turned != 1 {
				t.Errorf("frame %d differs in %d bits; want 1", i, turned)
			}
		}
		for i, b := range fabrictest.Wire(clone) {
			if !bytes.Equal(b, want[i]) {
				t.Errorf("wire frame %d of another train that shares the payload was changed", i)
			}
		}
		clone.Free()
	})
}

func TestImpairMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{MTU: 1000})
		r.A().Send([]*fabric.Frame{
			fabrictest.Packet{Size: 972}.UDP(), fabrictest.Packet{Size: 973}.UDP(),
			fabrictest.Packet{Size: 5000, MSS: 960}.TCP(), fabrictest.Packet{Size: 5000, MSS: 961}.TCP(),
			fabrictest.Packet{Size: 972, VLAN: 5}.UDP(),
		})
		r.settle()
		if n := r.A().Dropped(fabric.DropMTU); r.trips != 4 || n != 6 { // the last one of the second train fits
			t.Errorf("%d arrived, %d dropped; want 4 frames and trains, and 6 wire frames", r.trips, n)
		}
	})
}

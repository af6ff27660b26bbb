package esp_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/netsim-lab/netsim/vxlan/esp"
)

func TestWindow(t *testing.T) {
	const size = esp.WindowSize
	for _, c := range []struct {
		name string
		seen []uint32
		seq  uint32
		want bool
	}{
		{"the first", nil, 1, true},
		{"0 is never sent", nil, 0, false},
		{"again", []uint32{1}, 1, false},
		{"a gap may fill", []uint32{1, 5}, 3, true},
		{"a filled gap is filled", []uint32{1, 5, 3}, 3, false},
		{"just within", []uint32{size}, 1, true},
		{"just outside", []uint32{size + 1}, 1, false},
		{"just within, after a jump", []uint32{1, 100_000}, 100_000 - size + 1, true},
		{"seen before a jump, and within", []uint32{100_000, 100_000 + size - 1}, 100_000, false},
		{"what the ring had before is forgotten", []uint32{5, 5 + 2*size}, 5 + 2*size - 1, true},
		{"a jump by several rings", []uint32{7, 7 + 20*size}, 7 + 19*size + 1, true},
		{"the last number", []uint32{math.MaxUint32 - 1}, math.MaxUint32, true},
		{"nothing follows the last", []uint32{math.MaxUint32}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w esp.Window
			for _, seq := range c.seen {
				if !w.Mark(seq) {
					t.Fatalf("%d was refused", seq)
				}
			}
			if w.Check(c.seq) != c.want || w.Mark(c.seq) != c.want || w.Check(c.seq) {
				t.Errorf("%d after %d: want %v", c.seq, c.seen, c.want)
			}
		})
	}
}

// Whatever the order, each number is taken once, and refused only if it is behind by the window or more.
func TestWindowReordered(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		var w esp.Window
		seen, top := map[uint32]bool{}, uint32(0)
		base, spread := r.Uint32N(1<<30), 1+r.Uint32N(3*esp.WindowSize)
		for range 20_000 {
			base += r.Uint32N(3)
			seq := 1 + base + r.Uint32N(spread)
			if r.IntN(2000) == 0 {
				base += r.Uint32N(5 * esp.WindowSize)
			}
			want := !seen[seq] && (seq > top || top-seq < esp.WindowSize)
			if got := w.Mark(seq); got != want {
				t.Fatalf("%d with %d on top = %v; want %v", seq, top, got, want)
			}
			seen[seq] = seen[seq] || want
			top = max(top, seq)
			if w.Top() != top {
				t.Fatalf("Top = %d; want %d", w.Top(), top)
			}
		}
	}
}

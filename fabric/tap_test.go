package fabric_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
)

func TestTaps(t *testing.T) {
	var taps fabric.Taps
	var seen []string
	note := func(name string) fabric.Tap {
		return fabric.TapFunc(func(dir fabric.Direction, f *fabric.Frame) { seen = append(seen, name+" "+dir.String()) })
	}
	batch := packets(2)
	defer fabric.FreeAll(batch)
	see := func(want ...string) {
		t.Helper()
		seen = nil
		taps.See(fabric.In, batch[:1])
		taps.See(fabric.Out, batch)
		if !slices.Equal(seen, want) {
			t.Errorf("seen %v; want %v", seen, want)
		}
	}
	see()
	removeA := taps.Add(note("a"))
	see("a in", "a out", "a out")
	removeB := taps.Add(note("b"))
	see("a in", "b in", "a out", "a out", "b out", "b out")
	removeA()
	removeA() // a second call does nothing
	see("b in", "b out", "b out")
	removeB()
	see()
}

// Taps come and go while frames pass.
func TestTapsChangeUnderWay(t *testing.T) {
	var taps fabric.Taps
	var wg sync.WaitGroup
	batch := packets(1)
	for range 2 {
		wg.Go(func() {
			for range 1000 {
				taps.Add(fabric.TapFunc(func(fabric.Direction, *fabric.Frame) {}))()
			}
		})
		wg.Go(func() {
			for range 1000 {
				taps.See(fabric.Out, batch)
			}
		})
	}
	wg.Wait()
	fabric.FreeAll(batch)
}

func TestNoTapsCostNothing(t *testing.T) {
	var taps fabric.Taps
	batch := packets(1)
	defer fabric.FreeAll(batch)
	if n := testing.AllocsPerRun(100, func() { taps.See(fabric.In, batch) }); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}

package l2switch

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestFDBRules(t *testing.T) {
	a, b := &Port{name: "a"}, &Port{name: "b"}
	const s = time.Second
	tests := []struct {
		name   string
		do     func(d *FDB)
		vlan   uint16
		at     time.Duration
		want   *Port
		ageing time.Duration
	}{
		{name: "unknown", do: func(*FDB) {}},
		{name: "L2 learned", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0) }, want: a},
		{name: "L2 another VLAN", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0) }, vlan: 7},
		{name: "L1 known just before 300 s", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0) }, at: 300*s - 1, want: a},
		{name: "L1 aged after 300 s", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0) }, at: 300 * s},
		{name: "L1 seen again", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0); d.Refresh(mac(1), 0, a, 200*s) }, at: 499 * s, want: a},
		{name: "L1 kept for good", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0) }, ageing: -1, at: 1e6 * s, want: a},
		{name: "L1 ageing changed", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0); d.SetAgeing(0) }},
		{name: "L5 moved", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0); d.Learn(mac(1), 0, b, 1) }, want: b},
		{name: "L5 port deleted", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0); d.DeletePort(a) }},
		{name: "L5 other port deleted", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0); d.DeletePort(b) }, want: a},
		{name: "static does not age", do: func(d *FDB) { d.AddStatic(mac(1), 0, a, 0) }, at: 1e6 * s, want: a},
		{name: "static does not move", do: func(d *FDB) { d.AddStatic(mac(1), 0, a, 0); d.Learn(mac(1), 0, b, 1) }, want: a},
		{name: "static replaces learned", do: func(d *FDB) { d.Learn(mac(1), 0, b, 0); d.AddStatic(mac(1), 0, a, 1) }, want: a},
		{name: "static removed", do: func(d *FDB) { d.AddStatic(mac(1), 0, a, 0); d.Remove(mac(1), 0) }},
		{name: "L5 local does not move", do: func(d *FDB) { d.AddLocal(mac(1), 0, a, 0); d.Learn(mac(1), 0, b, 1) }, want: a},
		{name: "L5 first local stands", do: func(d *FDB) { d.AddLocal(mac(1), 0, a, 0); d.AddLocal(mac(1), 0, b, 1) }, want: a},
		{name: "L5 local is not removed", do: func(d *FDB) { d.AddLocal(mac(1), 0, a, 0); d.Remove(mac(1), 0) }, want: a},
		{name: "removed and learned anew", do: func(d *FDB) { d.Learn(mac(1), 0, a, 0); d.Remove(mac(1), 0); d.Learn(mac(1), 0, b, 1) }, want: b},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := NewFDB(tt.ageing, 0)
			tt.do(d)
			if got, ok := d.Lookup(mac(1), tt.vlan, tt.at); got != tt.want || ok != (tt.want != nil) {
				t.Errorf("Lookup = %v, %v; want %v", got, ok, tt.want)
			}
		})
	}
}

// A table that many entries pass is never larger than those that are alive at a time need.
func TestFDBStaysSmall(t *testing.T) {
	d, p := NewFDB(10*time.Second, 0), new(Port)
	for i := range 100_000 {
		d.Learn(mac(i), 0, p, time.Duration(i)*time.Second)
	}
	if n := len(d.table.Load().slots); n > 64 {
		t.Errorf("%d slots for 10 live entries", n)
	}
	d.Age(1e6 * time.Second)
	if d.learned != 0 {
		t.Errorf("learned = %d after all have aged; want 0", d.learned)
	}
}

func TestFDBIsBounded(t *testing.T) {
	d, p := NewFDB(0, 100), new(Port)
	for i := range 200 {
		d.Learn(mac(i), 0, p, 0)
	}
	if d.learned != 100 {
		t.Errorf("learned = %d; want 100", d.learned)
	}
	if _, changed := d.Learn(mac(500), 0, p, 301*time.Second); !changed {
		t.Error("no room although all entries have expired")
	}
}

// The table says what a map says, whatever is done to it.
func TestFDBEqualsMap(t *testing.T) {
	d, model := NewFDB(-1, 0), make(map[uint64]*Port)
	ports := []*Port{{name: "a"}, {name: "b"}, {name: "c"}}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		m, vlan, p := mac(rng.IntN(500)), uint16(rng.IntN(3)), ports[rng.IntN(3)]
		switch op := rng.IntN(100); {
		case op < 60:
			d.Learn(m, vlan, p, 0)
			model[key(m, vlan)] = p
		case op < 99:
			d.Remove(m, vlan)
			delete(model, key(m, vlan))
		default:
			d.DeletePort(p)
			for k, q := range model {
				if p == q {
					delete(model, k)
				}
			}
		}
		if got, _ := d.Lookup(m, vlan, 0); got != model[key(m, vlan)] {
			t.Fatalf("Lookup = %v; want %v", got, model[key(m, vlan)])
		}
	}
	if d.learned != len(model) {
		t.Errorf("learned = %d; want %d", d.learned, len(model))
	}
}

// An entry that does not change is found at any moment, while the table grows, shrinks and moves.
func TestFDBLookupDuringChanges(t *testing.T) {
	d, stable, other := NewFDB(-1, 0), &Port{name: "stable"}, &Port{name: "other"}
	for i := range 50 {
		d.Learn(mac(i), 0, stable, 0)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			if p, _ := d.Lookup(mac(i%50), 0, 0); p != stable || !d.Refresh(mac(i%50), 0, stable, 0) {
				t.Errorf("Lookup of entry %d = %v; want stable", i%50, p)
				return
			}
		}
	})
	for round := range 10 {
		for i := 50; i < 5000; i++ {
			d.Learn(mac(i), 0, other, 0)
			if i%3 == round%3 && i > 50 {
				d.Remove(mac(i-1), 0)
			}
		}
		d.DeletePort(other)
	}
	stop.Store(true)
	wg.Wait()
}

func BenchmarkLookup(b *testing.B) {
	d, p := NewFDB(0, 0), new(Port)
	for i := range 1000 {
		d.Learn(mac(i), 0, p, 0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := d.Lookup(mac(i%1000), 0, 1); !ok {
			b.Fatal("not found")
		}
	}
}

// BenchmarkLearn learns that many new addresses, as the start of a lab does: what one costs does not grow with them.
func BenchmarkLearn(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			p := new(Port)
			for b.Loop() {
				d := NewFDB(0, 0)
				for i := range n {
					d.Learn(mac(i), 0, p, 0)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/mac")
		})
	}
}

func BenchmarkRefresh(b *testing.B) {
	b.ReportAllocs()
	d, p := NewFDB(0, 0), new(Port)
	d.Learn(mac(1), 0, p, 0)
	for b.Loop() {
		if !d.Refresh(mac(1), 0, p, 1) {
			b.Fatal("not known")
		}
	}
}

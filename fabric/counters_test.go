package fabric_test

import (
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

func TestCountersCountWireFrames(t *testing.T) {
	var c fabric.Counters
	train := fabrictest.Packet{Size: 2500, MSS: 1000}.TCP()
	batch := []*fabric.Frame{train, fabrictest.Packet{Size: 8}.UDP()}
	c.Rx(batch)
	c.Tx(batch[1:])
	c.Drop(train, fabric.DropMTU, "here")
	c.CountDrop(fabric.DropLoss, 2)
	want := fabric.Stats{RxFrames: 4, RxBytes: 2500 + 3*54 + 50, TxFrames: 1, TxBytes: 50, Drops: map[string]uint64{"mtu": 3, "loss": 2}}
	if got := c.Read(); !reflect.DeepEqual(got, want) || got.Dropped() != 5 {
		t.Errorf("Read = %+v; want %+v", got, want)
	}
	if c.Dropped(fabric.DropMTU) != 3 || c.Dropped(fabric.DropRate) != 0 || new(fabric.Counters).Dropped(fabric.DropMTU) != 0 {
		t.Errorf("Dropped(mtu, rate) = %d, %d; want 3, 0", c.Dropped(fabric.DropMTU), c.Dropped(fabric.DropRate))
	}
	batch[1].Free()
}

func TestCountersFromManySides(t *testing.T) {
	var c fabric.Counters
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				c.CountDrop(fabric.DropFilter, 1)
				c.Read()
			}
		})
	}
	wg.Wait()
	if n := c.Dropped(fabric.DropFilter); n != 4000 {
		t.Errorf("Dropped = %d; want 4000", n)
	}
}

func TestDropReasonNames(t *testing.T) {
	names := fabric.DropReasons()
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != len(names) || slices.Contains(names, "") {
		t.Errorf("a reason has no name of its own: %q", names)
	}
	for i, name := range names {
		if got := fabric.DropReason(i + 1).String(); got != name {
			t.Errorf("reason %d is %q; want %q", i+1, got, name)
		}
	}
	if fabric.DropReason(0).String() != "none" || fabric.DropReason(255).String() != "none" {
		t.Error("what is no reason has a name")
	}
	names[0] = "changed"
	if fabric.DropReasons()[0] == "changed" {
		t.Error("DropReasons hands out its own memory")
	}
}

func TestTraceIsBounded(t *testing.T) {
	var tr fabric.Trace
	for range fabric.MaxEvents + 3 {
		tr.Add(fabric.Event{Kind: fabric.EventFlood, At: 1})
	}
	if e, lost := tr.Events(); len(e) != fabric.MaxEvents || lost != 3 || e[0].Kind.String() != "flood" {
		t.Errorf("%d events, %d lost; want %d, 3", len(e), lost, fabric.MaxEvents)
	}
	if fabric.EventKind(200).String() != "unknown" {
		t.Error("an event that is none has a name")
	}
}

// Frames that one goroutine makes and another frees are used again, and are never in two hands.
func TestFreeListAcrossGoroutines(t *testing.T) {
	ch := make(chan []*fabric.Frame, 4)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			batch := make([]*fabric.Frame, 100)
			for k := range batch {
				batch[k] = fabric.FromBytes([]byte{byte(i), byte(k)})
			}
			ch <- batch
		}
		close(ch)
	})
	i := 0
	for batch := range ch {
		for k, f := range batch {
			if b := f.Linear(); b[0] != byte(i) || b[1] != byte(k) {
				t.Fatalf("frame %d of batch %d holds % x", k, i, b)
			}
			f.Free()
		}
		i++
	}
	wg.Wait()
}

func TestChecksumValid(t *testing.T) {
	for name, f := range rewrites() {
		if !f.ChecksumValid() {
			t.Errorf("%s: a right checksum is taken for wrong", name)
		}
		if l4 := f.L4(); f.Segs == 1 && f.Checksum == fabric.ChecksumComplete && name != "udp no sum" {
			l4[4] ^= 1
			if f.ChecksumValid() {
				t.Errorf("%s: a wrong checksum is taken for right", name)
			}
		}
		f.Free()
	}
	f := fabrictest.Packet{Size: 1001, TCPOptions: []byte{1, 1, 1, 1}}.TCP()
	b := f.AppendTo(nil)
	f.Free()
	for _, at := range []int{191, 192, 193, len(b) - 1} { // both sides of where the shared part begins
		bad := slices.Clone(b)
		bad[at] ^= 0x40
		g := fabric.FromBytes(bad)
		g.ParseEthernet()
		if g.ChecksumValid() {
			t.Errorf("a change of byte %d is not seen", at)
		}
		g.Free()
	}
}

func TestFillChecksumOddLinearPart(t *testing.T) {
	for lin := range 8 {
		data := fabrictest.Pattern(0, 1000)
		f := fabrictest.Packet{Data: data, Partial: true}.UDP()
		copy(f.Clone().Linear(), data) // a copy's headers are its own
		p := f.TakePayload()
		p.TrimFront(int64(lin))
		copy(f.Extend(lin), data)
		f.SetPayload(p)
		f.FillChecksum()
		if err := fabrictest.CheckPattern(f, 0); err != nil || f.Checksum != fabric.ChecksumComplete {
			t.Errorf("%d bytes of data in the linear part: %v", lin, err)
		}
		f.Free()
	}
}

// Frames taken and freed many at a time are clean, are never in two hands, and mix with those taken one by one.
func TestBatchesOfFrames(t *testing.T) {
	held := make(map[*fabric.Frame]bool)
	for _, n := range []int{0, 1, 63, 64, 65, 200} {
		batch := make([]*fabric.Frame, n)
		fabric.NewBatch(batch)
		for _, f := range append(batch, fabric.New()) {
			if f.Len() != 0 || f.Segs != 1 || f.Trace != nil || f.L3() != nil || held[f] {
				t.Fatalf("NewBatch of %d gave a used frame", n)
			}
			held[f] = true
			f.Fill(make([]byte, 1500))
			f.Trace = new(fabric.Trace)
		}
	}
	var all []*fabric.Frame
	for f := range held {
		all = append(all, f)
	}
	fabric.FreeAll(all)
	seen := make(map[*fabric.Frame]bool)
	for range 2 * len(all) {
		f := fabric.New()
		if seen[f] {
			t.Fatal("FreeAll laid a frame on the free list twice")
		}
		seen[f] = true
	}
}

package fabrictest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// patience bounds every wait of the suite.
const patience = 10 * time.Second

// TestPorts is the contract that every fabric.Port keeps. newPair returns two ports of which each gets what the other
// sends, with room for 1200 frames that wait; it releases them with t.Cleanup.
func TestPorts(t *testing.T, newPair func(t *testing.T) (a, b fabric.Port)) {
	testPorts(t, newPair, true)
}

// TestWirePorts is TestPorts for ports that carry each wire frame alone.
func TestWirePorts(t *testing.T, newPair func(t *testing.T) (a, b fabric.Port)) {
	testPorts(t, newPair, false)
}

func testPorts(t *testing.T, newPair func(t *testing.T) (a, b fabric.Port), whole bool) {
	trains := testTrains
	if !whole {
		trains = testCutTrains
	}
	for _, c := range []struct {
		name string
		test func(t *testing.T, a, b fabric.Port)
	}{
		{"arrives in order and unchanged", testOrder},
		{"both directions at once", testBothWays},
		{"the batch stays the sender's", testOwnership},
		{"a batch longer than 64", testLongBatch},
		{"an empty batch", testEmptyBatch},
		{"trains arrive", trains},
		{"the receiver may send", testReflect},
		{"the receiver may change", testNewReceiver},
		{"without receiver it is counted", testNoReceiver},
		{"several senders", testSenders},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := newPair(t)
			c.test(t, a, b)
		})
	}
}

// numbered returns frame number n of a series: every size and kind, told apart by its identification.
func numbered(n int) *fabric.Frame {
	p := Packet{ID: uint16(n), Seq: uint32(n) * 1000, Size: n * 37 % 1400}
	switch n % 4 {
	case 0:
		return p.UDP()
	case 1:
		return p.TCP()
	case 2:
		return p.Echo(7, uint16(n))
	}
	p.VLAN = 10
	return p.TCP()
}

func series(from, n int) []*fabric.Frame {
	out := make([]*fabric.Frame, n)
	for i := range out {
		out[i] = numbered(from + i)
	}
	return out
}

// expect waits for n frames of the series at c, and checks every byte.
func expect(t *testing.T, c *Collector, from, n int) {
	t.Helper()
	got, err := c.Wait(n, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer fabric.FreeAll(got)
	if len(got) != n {
		t.Fatalf("%d frames arrived; want %d", len(got), n)
	}
	for i, f := range got {
		want := numbered(from + i)
		if w := Wire(want)[0]; !bytes.Equal(Wire(f)[0], w) {
			t.Fatalf("frame %d of %d is\n% x; want\n% x", i, n, Wire(f)[0], w)
		}
		want.Free()
	}
}

func testOrder(t *testing.T, a, b fabric.Port) {
	var c Collector
	b.SetReceiver(&c)
	n := 0
	for size := 1; n < 1000; size = size*3%97 + 1 {
		a.Send(series(n, size))
		n += size
	}
	expect(t, &c, 0, n)
}

func testBothWays(t *testing.T, a, b fabric.Port) {
	var atA, atB Collector
	a.SetReceiver(&atA)
	b.SetReceiver(&atB)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 10 {
			a.Send(series(i*10, 10))
		}
	})
	wg.Go(func() {
		for i := range 10 {
			b.Send(series(500+i*10, 10))
		}
	})
	wg.Wait()
	expect(t, &atB, 0, 100)
	expect(t, &atA, 500, 100)
}

func testOwnership(t *testing.T, a, b fabric.Port) {
	var c Collector
	b.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		for _, f := range batch { // what is received may be written to, and the slice's elements changed
			g := f.Clone()
			clear(f.Linear())
			f.Free()
			c.Receive([]*fabric.Frame{g})
		}
	}))
	batch := make([]*fabric.Frame, 8)
	for i := range 20 {
		copy(batch, series(i*8, 8))
		a.Send(batch)
		clear(batch)
	}
	expect(t, &c, 0, 160)
}

func testLongBatch(t *testing.T, a, b fabric.Port) {
	var c Collector
	b.SetReceiver(&c)
	a.Send(series(0, 1000))
	a.Send(series(1000, 65))
	expect(t, &c, 0, 1065)
}

func testEmptyBatch(t *testing.T, a, b fabric.Port) {
	var c Collector
	b.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		if len(batch) == 0 {
			t.Error("an empty batch was received")
		}
		c.Receive(batch)
	}))
	a.Send(nil)
	a.Send([]*fabric.Frame{})
	a.Send(series(0, 1))
	expect(t, &c, 0, 1)
}

func testTrains(t *testing.T, a, b fabric.Port) {
	var c Collector
	b.SetReceiver(&c)
	train := func(i int) *fabric.Frame {
		return Packet{Flags: wire.ACK | wire.PSH, Seq: uint32(i) << 16, Size: 60000 - i, MSS: 1448, Partial: true}.TCP()
	}
	const n = 20
	for i := range n {
		a.Send([]*fabric.Frame{train(i)})
	}
	got, err := c.Wait(n, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer fabric.FreeAll(got)
	for i, f := range got {
		want := train(i)
		if f.Segs != want.Segs || f.MSS != want.MSS || f.Len() != want.Len() || f.WireLen() != want.WireLen() {
			t.Errorf("train %d: %d wire frames of %d, %d bytes; want %d of %d, %d bytes", i, f.Segs, f.MSS, f.WireLen(),
				want.Segs, want.MSS, want.WireLen())
		}
		if err := CheckPattern(f, 0); err != nil {
			t.Errorf("train %d: %v", i, err)
		}
		want.Free()
	}
}

// testCutTrains checks that every wire frame of a train arrives as if it had been sent alone.
func testCutTrains(t *testing.T, a, b fabric.Port) {
	var c Collector
	b.SetReceiver(&c)
	train := Packet{Flags: wire.ACK | wire.PSH, Seq: 7 << 16, Size: 60000, MSS: 1448, Partial: true}.TCP()
	want := Wire(train)
	a.Send([]*fabric.Frame{train})
	got, err := c.Wait(len(want), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer fabric.FreeAll(got)
	for i, f := range got {
		if g := Wire(f)[0]; f.Segs != 1 || !bytes.Equal(g, want[i]) {
			t.Errorf("wire frame %d is a train of %d:\n% x; want\n% x", i, f.Segs, g, want[i])
		}
	}
}

func testReflect(t *testing.T, a, b fabric.Port) {
	var c Collector
	a.SetReceiver(&c)
	b.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) { b.Send(batch) }))
	a.Send(series(0, 100))
	expect(t, &c, 0, 100)
}

func testNewReceiver(t *testing.T, a, b fabric.Port) {
	var first, second Collector
	b.SetReceiver(&first)
	a.Send(series(0, 10))
	expect(t, &first, 0, 10)
	b.SetReceiver(&second)
	a.Send(series(10, 10))
	expect(t, &second, 10, 10)
	if n := first.Len(); n != 0 {
		t.Errorf("the former receiver still got %d frames", n)
	}
}

func testNoReceiver(t *testing.T, a, b fabric.Port) {
	s, ok := b.(interface {
		Dropped(reason fabric.DropReason) uint64
	})
	if !ok {
		t.Skip("this port has no counters to read")
	}
	a.Send(series(0, 5))
	for deadline := time.Now().Add(patience); s.Dropped(fabric.DropNoReceiver) < 5 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // a condition with a deadline: nothing tells that a frame was dropped
	}
	if n := s.Dropped(fabric.DropNoReceiver); n != 5 {
		t.Errorf("%d frames counted as dropped for want of a receiver; want 5", n)
	}
	var c Collector
	b.SetReceiver(&c)
	b.SetReceiver(nil)
	b.SetReceiver(&c)
	a.Send(series(0, 5))
	expect(t, &c, 0, 5)
}

func testSenders(t *testing.T, a, b fabric.Port) {
	const senders, each = 4, 250
	var c Collector
	b.SetReceiver(&c)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := 0; i < each; i += 5 {
				batch := make([]*fabric.Frame, 5)
				for k := range batch {
					batch[k] = Packet{ID: uint16(i + k), TOS: byte(s)}.UDP()
				}
				a.Send(batch)
			}
		})
	}
	wg.Wait()
	got, err := c.Wait(senders*each, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer fabric.FreeAll(got)
	if err := inOrder(got, senders, each); err != nil {
		t.Error(err)
	}
}

// inOrder checks that the frames of each sender follow each other.
func inOrder(got []*fabric.Frame, senders, each int) error {
	next := make([]int, senders)
	for _, f := range got {
		f.ParseEthernet()
		h := f.IPv4()
		if h == nil || int(h.TOS()) >= senders {
			return fmt.Errorf("a frame that nobody sent: % x", f.Linear())
		}
		s := h.TOS()
		if int(h.ID()) != next[s] {
			return fmt.Errorf("frame %d of sender %d arrived where %d should", h.ID(), s, next[s])
		}
		next[s]++
	}
	for s, n := range next {
		if n != each {
			return fmt.Errorf("%d frames of sender %d arrived; want %d", n, s, each)
		}
	}
	return nil
}

package fabric_test

import (
	"context"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

// run runs a link until the test ends, or until stop is called.
func run(t testing.TB, l *fabric.Link) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return stop
}

func TestLinkPorts(t *testing.T) {
	fabrictest.TestPorts(t, func(t *testing.T) (a, b fabric.Port) {
		l := fabric.NewLink("a", "b")
		run(t, l)
		return l.A(), l.B()
	})
}

func TestVethPorts(t *testing.T) {
	fabrictest.TestPorts(t, func(*testing.T) (a, b fabric.Port) {
		x, y := fabric.NewVeth("a", "b")
		return x, y
	})
}

func packets(n int) []*fabric.Frame {
	out := make([]*fabric.Frame, n)
	for i := range out {
		out[i] = fabrictest.Packet{ID: uint16(i)}.UDP()
	}
	return out
}

func TestLinkDown(t *testing.T) {
	l := fabric.NewLink("a", "b")
	var c fabrictest.Collector
	l.B().SetReceiver(&c)
	l.SetUp(false)
	if l.A().Carrier() || l.B().Carrier() {
		t.Error("a link that is down has a carrier")
	}
	l.A().Send(packets(3))
	run(t, l)
	l.SetUp(true)
	l.A().Send(packets(2))
	got, err := c.Wait(2, 5*time.Second)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d frames arrived, %v; want 2", len(got), err)
	}
	fabric.FreeAll(got)
	s := l.A().Read()
	if s.Drops["link-down"] != 3 || s.TxFrames != 2 || s.TxBytes != 2*42 || s.Dropped() != 3 {
		t.Errorf("Read = %+v; want 3 link-down, 2 frames and 84 bytes sent", s)
	}
	if s := l.B().Read(); s.RxFrames != 2 || s.RxBytes != 84 {
		t.Errorf("Read at the other end = %+v; want 2 frames and 84 bytes", s)
	}
}

func TestLinkFullQueueIsCounted(t *testing.T) {
	l := fabric.NewLink("a", "b")
	for range 100 {
		l.A().Send(packets(50))
	}
	s := l.A().Read()
	if s.TxFrames != fabric.QueueFrames || s.Drops["queue-full"] != 5000-fabric.QueueFrames {
		t.Errorf("Read = %+v; want %d sent, %d queue-full", s, fabric.QueueFrames, 5000-fabric.QueueFrames)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Errorf("Run = %v; want nil", err)
	}
	if n := l.B().Dropped(fabric.DropClosed); n != fabric.QueueFrames {
		t.Errorf("%d frames that waited were counted as dropped; want %d", n, fabric.QueueFrames)
	}
	l.A().Send(packets(1))
	if n := l.A().Dropped(fabric.DropClosed); n != 1 {
		t.Errorf("%d frames dropped at a closed link; want 1", n)
	}
}

// A sender that never pauses must not keep a link from ending.
func TestLinkEndsUnderLoad(t *testing.T) {
	l := fabric.NewLink("a", "b")
	l.B().SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		fabric.FreeAll(batch)
		l.A().Send(packets(4)) // there always is more
	}))
	stop := run(t, l)
	l.A().Send(packets(4))
	stop()
}

func TestVethDown(t *testing.T) {
	a, b := fabric.NewVeth("a", "b")
	var c fabrictest.Collector
	b.SetReceiver(&c)
	b.SetUp(false)
	a.Send(packets(2))
	if a.Carrier() || b.Carrier() || c.Len() != 0 || a.Dropped(fabric.DropLinkDown) != 2 {
		t.Errorf("carrier %v, %d arrived, %+v; want no carrier and 2 link-down", a.Carrier(), c.Len(), a.Read())
	}
	b.SetUp(true)
	a.Send(packets(2))
	if !a.Carrier() || c.Len() != 2 {
		t.Errorf("carrier %v, %d arrived; want a carrier and 2", a.Carrier(), c.Len())
	}
	c.Free()
}

// A loop of two pairs, whose ends send on what they get, ends as one drop.
func TestHopLimitEndsLoop(t *testing.T) {
	a, b := fabric.NewVeth("a", "b")
	hops := 0
	b.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) { hops++; b.Send(batch) }))
	a.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) { hops++; a.Send(batch) }))
	a.Send(packets(1))
	if n := a.Dropped(fabric.DropHopLimit) + b.Dropped(fabric.DropHopLimit); n != 1 || hops != fabric.MaxHops-1 {
		t.Errorf("%d drops after %d devices; want 1 after %d", n, hops, fabric.MaxHops-1)
	}
}

func TestHopLimitSparesOthers(t *testing.T) {
	a, b := fabric.NewVeth("a", "b")
	var c fabrictest.Collector
	b.SetReceiver(&c)
	batch := packets(6)
	batch[1].Hops, batch[2].Hops, batch[5].Hops = fabric.MaxHops, fabric.MaxHops-1, 255
	trace := new(fabric.Trace)
	batch[1].Trace = trace
	a.Send(batch)
	got := c.Take()
	var ids []uint16
	for _, f := range got {
		ids = append(ids, f.IPv4().ID())
	}
	if len(ids) != 3 || ids[0] != 0 || ids[1] != 3 || ids[2] != 4 {
		t.Errorf("frames %v arrived; want 0, 3 and 4", ids)
	}
	fabric.FreeAll(got)
	if n := b.Dropped(fabric.DropHopLimit); n != 3 {
		t.Errorf("%d dropped; want 3", n)
	}
	if e, _ := trace.Events(); len(e) != 1 || e[0].Reason != fabric.DropHopLimit || e[0].Place != "b" || e[0].At == 0 {
		t.Errorf("trace %+v; want one drop at b", e)
	}
}

func TestLinkStampsAndTraces(t *testing.T) {
	l := fabric.NewLink("a", "b")
	var c fabrictest.Collector
	l.B().SetReceiver(&c)
	f := packets(1)[0]
	f.Trace = new(fabric.Trace)
	l.A().Send([]*fabric.Frame{f})
	run(t, l)
	got, err := c.Wait(1, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if e, _ := got[0].Trace.Events(); got[0].At == 0 || len(e) != 1 || e[0].Place != "b" || e[0].At != got[0].At {
		t.Errorf("At %d, events %+v; want one link event at b of that time", got[0].At, e)
	}
	fabric.FreeAll(got)
}

package fabric_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

func TestImpairChangesAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{Delay: 10 * time.Millisecond})
		got, err := r.A().Impair(func(i *fabric.Impairment) { i.Loss = 1 })
		if want := (fabric.Impairment{Delay: 10 * time.Millisecond, Loss: 1}); err != nil || got != want || r.A().Impairment() != want {
			t.Errorf("Impair = %+v, %v; want %+v", got, err, want)
		}
		r.SetUp(false)
		if got := r.A().Impairment(); !got.Down || got.Delay == 0 {
			t.Errorf("after SetUp(false) it is %+v; want it down and the delay as it was", got)
		}
		r.SetUp(true)
		before := r.A().Impairment()
		_, err = r.A().Impair(func(i *fabric.Impairment) { i.Loss = 2 })
		if err == nil || !strings.Contains(err.Error(), "impair a: loss must be a share from 0 to 1, not 2") || r.A().Impairment() != before {
			t.Errorf("Impair out of range = %v, %+v; want an error and nothing changed", err, r.A().Impairment())
		}
	})
}

// Down is of one direction; the carrier is lost with both.
func TestImpairDownOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{Down: true})
		var c fabrictest.Collector
		r.A().SetReceiver(&c)
		r.send(0, 3, 1)
		r.B().Send(packets(2))
		r.settle()
		if len(r.got) != 0 || c.Len() != 2 || r.A().Dropped(fabric.DropLinkDown) != 3 || !r.A().Carrier() || !r.B().Carrier() {
			t.Errorf("%d and %d arrived, %+v; want 0 and 2, and a carrier", len(r.got), c.Len(), r.A().Read())
		}
		c.Free()
		r.SetUp(false)
		if r.A().Carrier() || r.B().Carrier() {
			t.Error("a cable that is out has a carrier")
		}
		r.SetUp(true)
		r.send(0, 3, 1)
		r.settle()
		if len(r.got) != 3 {
			t.Errorf("%d arrived once it was up; want 3", len(r.got))
		}
	})
}

// What is on its way when the link becomes perfect still arrives, before what is sent later.
func TestImpairEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{Delay: time.Second})
		r.send(0, 10, 1)
		time.Sleep(100 * time.Millisecond)
		if _, err := r.A().Impair(func(i *fabric.Impairment) { *i = fabric.Impairment{} }); err != nil {
			t.Fatal(err)
		}
		r.send(10, 10, 1)
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		if len(r.got) != 20 || !order(r.got) || r.got[19].after != time.Second {
			t.Fatalf("%d frames, the last after %v; want 20 in order after 1s", len(r.got), r.got[len(r.got)-1].after)
		}
		at := time.Since(r.start)
		r.send(20, 10, 1)
		synctest.Wait()
		if len(r.got) != 30 || r.got[29].after != at {
			t.Errorf("%d frames, the last after %v; want 30 at once", len(r.got), r.got[len(r.got)-1].after)
		}
	})
}

// What is under way is bounded, and counted when the link ends.
func TestImpairHoldsSoMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{Delay: time.Minute})
		for i := range 70 {
			r.send(i*1000, 1000, 1)
			synctest.Wait()
		}
		full := r.A().Dropped(fabric.DropQueueFull)
		if full == 0 || full > 5000 {
			t.Errorf("%d of 70000 frames found no room; want those beyond 65536", full)
		}
		if len(r.got) != 0 {
			t.Errorf("%d arrived before their time", len(r.got))
		}
		r.stop()
		if n := r.A().Dropped(fabric.DropClosed); n != 70_000-full {
			t.Errorf("%d counted as dropped at the end; want %d", n, 70_000-full)
		}
	})
}

func TestImpairTracesDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fabric.Impairment{Loss: 1})
		f := packets(1)[0]
		trace := new(fabric.Trace)
		f.Trace = trace
		r.A().Send([]*fabric.Frame{f})
		r.settle()
		if e, _ := trace.Events(); len(e) != 1 || e[0].Reason != fabric.DropLoss || e[0].Place != "a" {
			t.Errorf("trace %+v; want one loss at a", e)
		}
	})
}

// Impair is called while frames pass.
func TestImpairAtOnce(t *testing.T) {
	l := fabric.NewLink("a", "b")
	var c fabrictest.Collector
	l.B().SetReceiver(&c)
	run(t, l)
	for n := range 200 {
		if _, err := l.A().Impair(func(i *fabric.Impairment) {
			i.Delay, i.Jitter = time.Duration(n%3)*50*time.Microsecond, time.Duration(n%2)*10*time.Microsecond
		}); err != nil {
			t.Fatal(err)
		}
		l.A().Send(packets(5))
	}
	got, err := c.Wait(1000, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	fabric.FreeAll(got)
}

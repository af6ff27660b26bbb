package fabric_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// wireLen is the length of the test's wire frames.
const wireLen = wire.EthernetLen + wire.IPv4Len + wire.TCPLen + segment

func TestImpairRateIsExact(t *testing.T) {
	for _, rate := range []uint64{1_000_000, 3_333_333, 1e9, 7e9} {
		for _, train := range []int{1, 40} {
			t.Run(fmt.Sprintf("%d in trains of %d", rate, train), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, fabric.Impairment{Rate: rate, QueueFrames: manyFrames})
					const frames = 4000
					r.send(0, frames, train)
					r.settle()
					want := time.Duration(uint64(frames*wireLen*8) * 1e9 / rate)
					if len(r.got) != frames || !order(r.got) || r.got[frames-1].after != want {
						t.Fatalf("%d frames, the last after %v; want %d after %v", len(r.got), r.got[len(r.got)-1].after, frames, want)
					}
					for i, a := range r.got { // none is earlier than its bits allow, and none much later
						due := time.Duration(uint64((i+1)*wireLen*8) * 1e9 / rate)
						if a.after < due || a.after > due+time.Millisecond {
							t.Fatalf("frame %d arrived after %v; want %v, or up to 1 ms more", i, a.after, due)
						}
					}
				})
			})
		}
	}
}

func TestImpairQueue(t *testing.T) {
	for _, c := range []struct {
		name string
		set  fabric.Impairment
		want int // frames of 2000 sent at once that arrive
	}{
		{"unless said", fabric.Impairment{Rate: 1e6}, 1000},
		{"frames", fabric.Impairment{Rate: 1e6, QueueFrames: 7}, 7},
		{"bytes", fabric.Impairment{Rate: 1e6, QueueBytes: 10*wireLen + 1}, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.set)
				r.send(0, 2000, 40)
				r.settle()
				if n := r.A().Dropped(fabric.DropRate); len(r.got) != c.want || int(n) != 2000-c.want {
					t.Errorf("%d arrived, %d dropped; want %d, %d", len(r.got), n, c.want, 2000-c.want)
				}
				r.send(2000, 5, 5) // the queue is empty again
				r.settle()
				if len(r.got) != c.want+5 {
					t.Errorf("%d arrived after the queue was empty; want 5", len(r.got)-c.want)
				}
			})
		})
	}
}

// Trains stay trains where nothing happens to them.
func TestImpairKeepsTrains(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   fabric.Impairment
		trips int // frames of 100 trains of 40
	}{
		{"delay", fabric.Impairment{Delay: time.Millisecond}, 100},
		{"a fast link", fabric.Impairment{Rate: 1e9, QueueFrames: 1e6}, 100},
		{"1 ms of a slow link is 8 wire frames", fabric.Impairment{Rate: 8 * wireLen * 8 * 1000, QueueFrames: 1e6}, 500},
		{"a very slow link", fabric.Impairment{Rate: 1e5, QueueFrames: 1e6}, 4000},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.set)
				r.keep = true
				r.send(0, 4000, 40)
				r.settle()
				if r.trips != c.trips || len(r.got) != 4000 {
					t.Errorf("%d wire frames arrived in %d trains; want 4000 in %d", len(r.got), r.trips, c.trips)
				}
				for _, a := range r.got {
					if err := fabrictest.CheckWire(a.data); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

func TestImpairmentCheck(t *testing.T) {
	for _, c := range []struct {
		i    fabric.Impairment
		want string // of the error; empty: there is none
	}{
		{fabric.Impairment{}, ""},
		{fabric.Impairment{Loss: 1, MTU: 68, Delay: time.Hour, Rate: 1, Burst: fabric.Burst{P: 1, R: 1}}, ""},
		{fabric.Impairment{Loss: math.NaN()}, "loss must be a share"},
		{fabric.Impairment{Burst: fabric.Burst{P: 0.1}}, "burst r must be above 0"},
		{fabric.Impairment{Reorder: -0.1}, "reorder must be"},
		{fabric.Impairment{Delay: -1}, "delay must be"},
		{fabric.Impairment{Jitter: 2 * time.Hour}, "jitter must be"},
		{fabric.Impairment{MTU: 67}, "mtu must be"},
		{fabric.Impairment{Rate: 2e15}, "rate must be"},
		{fabric.Impairment{QueueBytes: -1}, "queue must"},
	} {
		err := c.i.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check of %+v = %v; want %q", c.i, err, c.want)
		}
	}
}

func TestImpairmentHurtsTrains(t *testing.T) {
	for _, c := range []struct {
		i    fabric.Impairment
		want bool
	}{
		{fabric.Impairment{}, false},
		{fabric.Impairment{Delay: time.Second, Jitter: time.Second, MTU: 1000, Down: true, Rate: 1e10}, false},
		{fabric.Impairment{Loss: 0.001}, true},
		{fabric.Impairment{Burst: fabric.Burst{P: 0.001, R: 1}}, true},
		{fabric.Impairment{Corrupt: 0.001}, true},
		{fabric.Impairment{Duplicate: 0.001}, true},
		{fabric.Impairment{Reorder: 0.001}, true},
		{fabric.Impairment{Rate: 1e9}, true},
	} {
		if got := c.i.HurtsTrains(); got != c.want {
			t.Errorf("HurtsTrains of %+v = %v; want %v", c.i, got, c.want)
		}
	}
}

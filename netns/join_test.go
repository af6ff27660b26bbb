package netns

import (
	"sync/atomic"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
)

// cutter is a port that sends trains as lone wire frames: all of them, or every second one.
type cutter struct {
	fabric.Port
	some   bool
	n      atomic.Int64
	frames atomic.Int64 // wire frames sent
}

// Send implements fabric.Port.
func (c *cutter) Send(batch []*fabric.Frame) {
	var out []*fabric.Frame
	for _, f := range batch {
		c.frames.Add(int64(f.Segs))
		if c.some && c.n.Add(1)%2 == 0 {
			out = append(out, f)
			continue
		}
		out = f.Split(out)
	}
	c.Port.Send(out)
}

// TCP that arrives in lone wire frames, or in these and trains by turns, reaches the netstack in fewer, larger packets; and all
// bytes are what was sent.
func TestLoneSegmentsAreJoined(t *testing.T) {
	for name, some := range map[string]bool{"all alone": false, "and trains": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			a, b := l.add(Config{Name: "a"}), l.add(Config{Name: "b", Seed: 1})
			pa, pb := fabric.NewVeth("a", "b")
			out := &cutter{Port: pa, some: some}
			must(a.AddInterface(InterfaceConfig{Name: "eth0", Port: out, Addr: prefix("10.0.0.1/24")}))
			must(b.AddInterface(InterfaceConfig{Name: "eth0", Port: pb, Addr: prefix("10.0.0.2/24")}))
			l.echo(b, ":80")
			if _, _, err := l.talk(a, "10.0.0.2:80", 4<<20); err != nil {
				t.Fatal(err)
			}
			s := must(b.netstack())
			got := int64(s.Stats().TCP.ValidSegmentsReceived.Value())
			if sent := out.frames.Load(); sent < 2900 || got > sent/4 {
				t.Errorf("the netstack got %d packets of %d wire frames; want a quarter at most", got, sent)
			}
		})
	}
}

package l2switch_test

import (
	"math/rand/v2"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch"
)

// A train through the switch, learned, flooded, tags put on and taken off, is on every wire what its frames are one by
// one.
func TestTrainEqualsItsFrames(t *testing.T) {
	ports := map[string]l2switch.PortConfig{
		"in": {Trunk: []uint16{10, 20}, Native: 30}, "access10": {VLAN: 10}, "access20": {VLAN: 20}, "native": {VLAN: 30},
		"trunk": {Trunk: []uint16{10, 20, 30}}, "mixed": {Trunk: []uint16{10, 30}, Native: 20},
	}
	known, unknown := wire.MAC{2, 9, 0, 0, 0, 1}, wire.MAC{2, 9, 0, 0, 0, 2}
	for _, filtering := range []bool{false, true} {
		fabrictest.TestTrains(t, 1500, func(t *testing.T, lone bool) fabrictest.Path {
			sw := l2switch.New(l2switch.Config{VLANFiltering: filtering})
			path := fabrictest.Path{Outs: map[string]*fabrictest.Collector{}, Ends: map[string]*fabric.Counters{}}
			plugs := map[string]*fabrictest.Plug{}
			for _, name := range []string{"in", "access10", "access20", "native", "trunk", "mixed"} {
				cfg := ports[name]
				if !filtering {
					cfg = l2switch.PortConfig{}
				}
				p := &fabrictest.Plug{}
				port, err := sw.AddPort(name, p, cfg)
				if err != nil {
					t.Fatal(err)
				}
				plugs[name], path.Outs[name], path.Ends[name] = p, &p.Collector, &port.Counters
			}
			for _, vlan := range []uint16{0, 10, 20} {
				plugs["trunk"].Arrive([]*fabric.Frame{fabrictest.Packet{SrcMAC: known, DstMAC: wire.Broadcast, VLAN: vlan}.UDP()})
			}
			for _, p := range plugs {
				p.Free()
			}
			path.Ways = []fabrictest.Way{{Name: "in", In: plugs["in"].Arrive, Fit: func(r *rand.Rand, c *fabrictest.Train) {
				c.DstMAC = []wire.MAC{known, unknown, wire.Broadcast}[r.IntN(3)]
				c.VLAN = []uint16{0, 10, 20}[r.IntN(3)]
			}}}
			return path
		})
	}
}

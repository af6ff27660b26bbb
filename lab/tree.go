package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/l2switch/stp"
	"github.com/netsim-lab/netsim/lab/topology"
)

// treeConfig is how a switch speaks the spanning tree protocol; nil: it does not. Of switches with the same priority the
// first in the topology has the lowest address.
func treeConfig(s *topology.Switch, index int, seed uint64) *stp.Config {
	if s.STP == nil {
		return nil
	}
	mac := wire.MAC{0x02, byte(index >> 8), byte(index)}
	for i := range 2 {
		mac[3+i] = byte(derive(seed, s.Name) >> (8 * i))
	}
	return &stp.Config{ID: stp.NewBridgeID(uint16(s.STP.Priority), mac), Legacy: s.STP.Legacy}
}

// treePort is what the port of a switch towards a peer is in the tree: an edge unless that is a switch, and with the cost
// that the topology says or the cable's rate makes.
func treePort(spec *topology.Spec, sw, peer string, end *fabric.LinkEnd) stp.PortConfig {
	cfg := stp.PortConfig{Edge: true, Cost: stp.CostOf(end.Impairment().Rate)}
	for _, s := range spec.Fabric.Switches {
		cfg.Edge = cfg.Edge && s.Name != peer
		if s.Name != sw || s.STP == nil {
			continue
		}
		for _, c := range s.STP.Costs {
			if c.Peer.Name == peer {
				cfg.Cost = uint32(c.Cost)
			}
		}
	}
	return cfg
}

// portName is what the port of a switch is called: as its peer, and with a number from the second cable to that on.
func portName(sw *l2switch.Switch, peer string) string {
	name := peer
	for n := 2; sw.Port(name) != nil; n++ {
		name = fmt.Sprintf("%s~%d", peer, n)
	}
	return name
}

const (
	// treePatience is how long a lab waits for its spanning trees before it goes on without. Rapid ones take some
	// milliseconds, those of 1998 half a minute.
	treePatience = 40 * time.Second
	treePoll     = 2 * time.Millisecond
)

// growTrees waits until the spanning trees are settled.
func (l *Lab) growTrees(ctx context.Context) {
	end := time.Now().Add(treePatience)
	for calm := 0; calm < 3 && time.Now().Before(end); calm++ {
		for name, sw := range l.phys.switches {
			if !sw.Settled() {
				l.log.Debug("spanning tree not settled", "switch", name)
				calm = -1
				break
			}
		}
		if !l.phys.speaksSTP() || !pause(ctx, treePoll) {
			return
		}
	}
}

func (p *physical) speaksSTP() bool {
	for _, sw := range p.switches {
		if _, ok := sw.Tree(); ok {
			return true
		}
	}
	return false
}

// stormLook is how often it is looked for storms.
const stormLook = 250 * time.Millisecond

// reportStorms says once for each switch that frames circle there, until ctx ends.
func (l *Lab) reportStorms(ctx context.Context) error {
	said := map[string]bool{}
	for more := true; more; {
		more = pause(ctx, stormLook)
		for name, sw := range l.phys.switches {
			if n := sw.Loops(); n > 0 && !said[name] {
				said[name] = true
				l.log.Warn("broadcast storm: frames went round in a loop of switches until they were dropped (hop-limit)",
					"switch", name, "frames", n, "loop", strings.Join(l.phys.looped(), ", "),
					"hint", `enable stp on these switches ("stp: true"), or cable them without a loop`)
			}
		}
	}
	return nil
}

// looped returns the switches that lie on a loop of cables, by name: those left when all with one cable to another switch are taken away.
func (p *physical) looped() []string {
	degree := func(gone map[string]bool, name string) int {
		n := 0
		for _, c := range p.cables {
			if (c.a == name || c.b == name) && p.switches[c.a] != nil && p.switches[c.b] != nil && !gone[c.a] && !gone[c.b] {
				n++
			}
		}
		return n
	}
	gone := map[string]bool{}
	for again := true; again; {
		again = false
		for name := range p.switches {
			if !gone[name] && degree(gone, name) < 2 {
				gone[name], again = true, true
			}
		}
	}
	var left []string
	for name := range p.switches {
		if !gone[name] {
			left = append(left, name)
		}
	}
	slices.Sort(left)
	return left
}

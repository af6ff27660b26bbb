package l2switch

import (
	"math/bits"

	"github.com/netsim-lab/netsim/fabric"
)

const (
	// doublingHops is how many devices a flooded frame ages by for each doubling of it. The hop limit alone would let a
	// loop with redundant links, as two switches with three cables between them have, make 2^128 frames of one; with this
	// one switch makes some 2^14 of a frame that it got from another. Without a loop a broadcast still passes 15 switches in
	// a row that have hosts, seven whose frames go to 8 ports each (IEEE 802.1D recommends no more than
	// seven bridges in a row), or four tiers of 64 ports.
	doublingHops = 8
	// lastHop is the age of a frame that one more device may take: a flood is delivered, but not flooded again.
	lastHop = fabric.MaxHops - 2
)

// age makes frames that are about to be flooded older by what that multiplies them by, so that a broadcast storm dies
// out: the hop limit drops and counts what is left of it. The first switch on a frame's way is free.
func (p *pass) age(r route, run []*fabric.Frame, ports []*Port) {
	cost := -1 // not known yet
	for _, f := range run {
		if f.Hops <= 1 {
			continue
		}
		if f.Hops >= lastHop {
			p.sw.worn.Add(1)
			continue
		}
		if cost < 0 {
			if cost = p.floodCost(r, ports); cost == 0 {
				return
			}
		}
		f.Hops = uint8(min(int(f.Hops)+cost, lastHop))
	}
}

// Loops returns how many frames were flooded so often that they can only have been in a loop of switches.
func (s *Switch) Loops() uint64 { return s.worn.Load() }

// floodCost is how much older a frame gets that is flooded by that route: nothing if it goes to one port.
func (p *pass) floodCost(r route, ports []*Port) int {
	copies := 0
	for _, out := range ports {
		if p.floods(r, out) {
			copies++
		}
	}
	return doublingHops * bits.Len(uint(max(copies, 1)-1))
}

package l2switch

import "github.com/netsim-lab/netsim/fabric"

// age makes frames that are about to be flooded older by what that multiplies them by, so that a broadcast storm dies
// out: the hop limit drops and counts what is left of it. The first switch on a frame's way is free.
func (p *pass) age(r route, run []*fabric.Frame, ports []*Port) {
	cost := -1 // not known yet
	for _, f := range run {
		if f.Hops <= 1 {
			continue
		}
		if f.Worn() {
			p.sw.worn.Add(1)
			continue
		}
		if cost < 0 {
			if cost = p.floodCost(r, ports); cost == 0 {
				return
			}
		}
		f.Age(cost)
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
	return fabric.FloodCost(copies)
}

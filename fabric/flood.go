package fabric

import "math/bits"

const (
	// doublingHops is how many devices a flooded frame ages by for each doubling of it. The hop limit alone would let a
	// loop with redundant links, as two switches with three cables between them have, make 2^128 frames of one; with this
	// one switch makes some 2^14 of a frame that it got from another. Without a loop a broadcast still passes 15 switches in
	// a row that have hosts, seven whose frames go to 8 ports each (IEEE 802.1D recommends no more than
	// seven bridges in a row), or four tiers of 64 ports.
	doublingHops = 8
	// lastHop is the age of a frame that one more device may take: a flood is delivered, but not flooded again.
	lastHop = MaxHops - 2
)

// FloodCost returns how much older a frame gets that becomes that many.
func FloodCost(copies int) int { return doublingHops * bits.Len(uint(max(copies, 1)-1)) }

// Worn tells whether the frame was flooded so often that it must not be flooded again.
func (f *Frame) Worn() bool { return f.Hops >= lastHop }

// Age makes a frame that is about to be flooded older by a FloodCost, so that broadcast storms die out: the hop limit
// drops and counts what is left of them. The first device on a frame's way is free.
func (f *Frame) Age(cost int) {
	if f.Hops > 1 {
		f.Hops = uint8(min(int(f.Hops)+cost, lastHop))
	}
}

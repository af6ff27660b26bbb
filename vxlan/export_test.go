package vxlan

import (
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
)

// Cut makes frames of b as one read from a socket would.
func Cut(b []byte, size int) []*fabric.Frame { return new(cutter).cut(b, size) }

// NewCut returns a cut that reuses its memory.
func NewCut() func(b []byte, size int) []*fabric.Frame { return new(cutter).cut }

// Offloads tells whether the kernel cuts and joins datagrams for u.
func Offloads(u *UDP) bool { return u.join && u.group }

// Messages returns the number of datagrams in each message that an outbox makes of the frames.
func Messages(join bool, to func(i int) string, batch []*fabric.Frame) (segs []int, refused int) {
	o := newOutbox(join)
	for i, f := range batch {
		for s := range int(f.Segs) {
			if !o.add(netip.MustParseAddrPort(to(i)), f.Cut(), s) {
				refused++
			}
		}
	}
	for _, m := range o.msgs {
		segs = append(segs, m.segs())
	}
	return segs, refused
}

package fabric

import "github.com/netsim-lab/netsim/fabric/wire"

// Fits tells whether the longest wire frame is within an MTU. A VLAN tag does not count, as in IEEE 802.1Q.
func (f *Frame) Fits(mtu int) bool {
	n := f.PacketLen()
	if f.l3 == 0 { // nobody looked into it: then it is counted from its Ethernet header
		n -= wire.EthernetLen
	}
	return n <= mtu
}

// CutToFit parts a frame that does not fit an MTU: large is what does not fit, rest the last wire frame of a train if
// that is short enough to, and else nil. Both take the frame's place.
func (f *Frame) CutToFit(mtu int) (large, rest *Frame) {
	n := int(f.Segs)
	at := f.transport()
	if n <= 1 || f.MSS == 0 || at.off == 0 {
		return f, nil
	}
	rest = f.segment(at, n-1, 1)
	if !rest.Fits(mtu) {
		rest.Free()
		return f, nil
	}
	large = f.segment(at, 0, n-1)
	f.Free()
	return large, rest
}

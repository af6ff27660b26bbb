package fabric

import (
	"math/bits"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// ChecksumValid computes the transport checksum of a frame that is one whole packet, and tells whether it is what the
// header says: for TCP, UDP (0 stands for none over IPv4) and ICMP over IPv4. Of other frames, and of those whose
// checksum is partial, it says true.
func (f *Frame) ChecksumValid() bool {
	h := f.IPv4()
	if h == nil || f.l4 == 0 || f.Segs > 1 || h.IsFragment() {
		return true
	}
	var sum uint64
	switch f.Proto {
	case wire.ProtoTCP, wire.ProtoUDP:
		partial := f.Checksum == ChecksumPartial && f.inner == 0
		if partial || f.Proto == wire.ProtoUDP && f.UDP().Checksum() == 0 {
			return true
		}
		sum = wire.PseudoSum(h.Src(), h.Dst(), f.Proto, h.TotalLen()-h.HeaderLen())
	case wire.ProtoICMP:
	default:
		return true
	}
	return wire.Fold(f.sumData(f.buf[f.l4:f.end], sum)) == 0xffff
}

// sumData adds l4, the end of the linear part, and the shared part to sum.
func (f *Frame) sumData(l4 []byte, sum uint64) uint64 {
	shared := f.payload.Checksum(0)
	if len(l4)%2 == 1 {
		shared = bits.ReverseBytes16(shared)
	}
	return uint64(wire.Fold(wire.Sum(l4, sum))) + uint64(shared)
}

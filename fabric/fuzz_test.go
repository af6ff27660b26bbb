package fabric_test

import (
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

// FuzzFrame takes any bytes through all that reads or writes headers: nothing may panic, and what had right checksums
// has them after a rewrite.
func FuzzFrame(f *testing.F) {
	for _, p := range rewrites() {
		f.Add(p.AppendTo(nil), uint16(p.Segs), p.MSS, uint16(0), uint16(0), p.Tunnelled())
		p.Free()
	}
	f.Add(tunnel(fabrictest.Packet{Size: 3000, MSS: 1000}.TCP()).AppendTo(nil), uint16(3), uint16(1000), uint16(40), uint16(0xf0), true)
	f.Fuzz(func(t *testing.T, b []byte, segs, mss, at, to uint16, tunnelled bool) {
		frame := fabric.FromBytes(b)
		reason := frame.ParseEthernet()
		if reason == 0 && segs <= 1 && !tunnelled {
			checkRewrite(t, frame)
		}
		frame.Segs, frame.MSS = segs%(fabric.MaxSegs+1), mss
		frame.Checksum = fabric.Checksum(to & 1)
		if tunnelled && len(frame.Linear()) >= vxlanOverhead {
			frame.Encapsulated(vxlanOverhead)
		}
		if i := int(at); i < len(frame.Linear()) {
			frame.Linear()[i] = byte(to) // a header that was changed after it was parsed
		}
		exercise(frame, int(to))
		fabric.FreeAll(frame.Split(nil))
	})
}

func checkRewrite(t *testing.T, f *fabric.Frame) {
	c := f.Clone()
	defer c.Free()
	if fabrictest.CheckWire(c.AppendTo(nil)) != nil {
		return
	}
	c.SetSrc(netip.MustParseAddrPort("192.0.2.7:4242"))
	c.SetDst(netip.MustParseAddrPort("198.51.100.9:77"))
	if err := fabrictest.CheckWire(c.AppendTo(nil)); err != nil {
		t.Errorf("after a rewrite: %v", err)
	}
}

// exercise calls everything; n tells where to cut.
func exercise(f *fabric.Frame, n int) {
	f.FlowHash()
	f.WireLen()
	f.PacketLen()
	f.Src()
	f.Dst()
	var buf []byte
	for i := range int(f.Segs) + 1 {
		buf = f.AppendSegment(buf[:0], i)
	}
	f.SubTrain(n%4, n%7).Free()
	c := f.Clone()
	c.FillChecksum()
	c.CapLen(n)
	c.Src()
	c.SetDst(fabrictest.Src)
	c.AppendSegment(buf[:0], 0)
	c.TrimFront(n % 64)
	c.AppendSegment(buf[:0], 0)
	c.SetSrc(fabrictest.Dst)
	c.FlowHash()
	c.Decapsulate()
	c.Parse3(f.EtherType, n)
	c.Free()
}

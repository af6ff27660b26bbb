package fabric_test

import (
	"bytes"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Of a train that is too large for an MTU goes on what would have, had each wire frame come alone.
func TestCutToFit(t *testing.T) {
	for _, c := range []struct {
		name        string
		p           fabrictest.Packet
		mtu         int
		large, rest uint16
	}{
		{"a short last one", fabrictest.Packet{Size: 3100, MSS: 1000}, 1000, 3, 1},
		{"one and a short one", fabrictest.Packet{Size: 1001, MSS: 1000}, 1000, 1, 1},
		{"a last one that just fits", fabrictest.Packet{Size: 1960, MSS: 1000}, 1000, 1, 1},
		{"a last one that just does not", fabrictest.Packet{Size: 1961, MSS: 1000}, 1000, 2, 0},
		{"all of one size", fabrictest.Packet{Size: 3000, MSS: 1000}, 1000, 3, 0},
		{"no train", fabrictest.Packet{Size: 1200}, 1000, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.Flags = wire.ACK | wire.PSH | wire.FIN
			f := c.p.TCP()
			if f.Fits(c.mtu) {
				t.Fatal("it fits")
			}
			want := fabrictest.Wire(f)
			large, rest := f.CutToFit(c.mtu)
			got := fabrictest.Wire(large)
			if large.Segs != c.large || (rest != nil) != (c.rest > 0) {
				t.Fatalf("large has %d wire frames, rest %v; want %d, %d", large.Segs, rest, c.large, c.rest)
			}
			if rest != nil {
				got = append(got, fabrictest.Wire(rest)...)
				if !rest.Fits(c.mtu) {
					t.Error("the rest does not fit")
				}
				rest.Free()
			}
			large.Free()
			for i := range want {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("wire frame %d is\n% x; want\n% x", i, got[i], want[i])
				}
			}
		})
	}
}

// Before anybody looked into a frame, it is measured from its Ethernet header.
func TestFitsUnparsed(t *testing.T) {
	f := fabric.FromBytes(make([]byte, wire.EthernetLen+1000))
	defer f.Free()
	if !f.Fits(1000) || f.Fits(999) {
		t.Errorf("Fits(1000), Fits(999) = %v, %v; want true, false", f.Fits(1000), f.Fits(999))
	}
}

package l2switch

import (
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// FuzzReceive: whatever arrives comes out somewhere or is counted as dropped; never does it panic.
func FuzzReceive(f *testing.F) {
	f.Add(eth(wire.Broadcast, mac(1)), uint16(10), uint16(0), true)
	f.Add(tagged(mac(2), mac(1), 0xa00a), uint16(10), uint16(20), true)
	f.Add(tagged(mac(2), mac(1), 20)[:17], uint16(10), uint16(20), true)
	f.Add([]byte{1, 2, 3}, uint16(0), uint16(0), false)
	f.Fuzz(func(t *testing.T, frame []byte, vlan, native uint16, filtering bool) {
		b := newBench(t, Config{VLANFiltering: filtering})
		cfgs := []PortConfig{{}, {Hairpin: true}, {Self: true}}
		if filtering {
			cfgs = []PortConfig{{Trunk: []uint16{vlan}, Native: native}, {VLAN: vlan}, {VLAN: native}}
		}
		var ports []*Port
		for i, cfg := range cfgs {
			if p, err := b.sw.AddPort(string(rune('a'+i)), new(sink), cfg); err == nil {
				ports = append(ports, p)
			}
		}
		for _, in := range ports {
			before := sent(ports)
			in.Receive([]*fabric.Frame{fabric.FromBytes(frame)})
			if sent(ports) == before && in.Read().Dropped() != 1 {
				t.Errorf("%x into %s vanished", frame, in.Name())
			}
		}
	})
}

func sent(ports []*Port) (n uint64) {
	for _, p := range ports {
		n += p.Read().TxFrames
	}
	return n
}

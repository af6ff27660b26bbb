package vxlan_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// onWire hands every wire frame over alone and as nothing but bytes, as a socket does.
type onWire struct{ vxlan.Transport }

func (w onWire) Send(to netip.AddrPort, batch []*fabric.Frame) {
	w.Transport.Send(to, fabrictest.Bytes(batch))
}

// A train in the tunnel, and out of it, is what its frames are one by one.
func TestTrainEqualsItsFrames(t *testing.T) {
	flood := docker
	flood.Flood = []netip.Addr{vtep3}
	fabrictest.TestTrains(t, 1500, func(t *testing.T, lone bool) fabrictest.Path {
		ends := vxlan.NewPipe(netip.AddrPortFrom(vtep2, vxlan.Port), netip.AddrPortFrom(vtep3, vxlan.Port))
		path := fabrictest.Path{Outs: map[string]*fabrictest.Collector{}, Ends: map[string]*fabric.Counters{}}
		var devs [2]*vxlan.Device
		for i, end := range ends {
			var tr vxlan.Transport = end
			if lone {
				tr = onWire{end}
			}
			v := vxlan.New(vxlan.Config{Local: []netip.Addr{vtep2, vtep3}[i], Transport: tr})
			var err error
			if devs[i], err = v.Add(flood); err != nil {
				t.Fatal(err)
			}
			name, got := []string{"a", "b"}[i], &fabrictest.Collector{}
			devs[i].SetReceiver(got)
			path.Outs[name], path.Ends[name] = got, &devs[i].Counters
		}
		devs[0].Update(toDst)
		path.Ways = []fabrictest.Way{
			{Name: "known", In: devs[0].Send, Fit: func(r *rand.Rand, c *fabrictest.Train) {
				c.DstMAC, c.VLAN = vxlantest.DstMAC, uint16(r.IntN(2)*r.IntN(4095))
			}},
			{Name: "flooded", In: devs[0].Send},
		}
		return path
	})
}

// What a device takes apart leaves after what was sent before it.
func TestTakenApartKeepsOrder(t *testing.T) {
	h := newHosts(t, docker, docker)
	p := fabrictest.Packet{DstMAC: vxlantest.DstMAC, SrcMAC: vxlantest.SrcMAC, Size: 100, ID: 1}
	first := p.TCP()
	p.Size, p.MSS, p.ID = 1500+100, 1500, 2 // the second wire frame fits
	large := p.TCP()
	p.Size, p.MSS, p.ID = 100, 0, 9
	h[0].dev.Update(toDst)
	h[0].dev.Send([]*fabric.Frame{first, large, p.TCP()})
	var ids []uint16
	for _, b := range h[1].got {
		ids = append(ids, wire.IPv4(b[wire.EthernetLen:]).ID())
	}
	if len(ids) != 3 || ids[0] != 1 || ids[1] != 3 || ids[2] != 9 {
		t.Errorf("frames %v arrived; want 1, 3, 9", ids)
	}
}

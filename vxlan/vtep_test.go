package vxlan_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

func TestVTEPReceive(t *testing.T) {
	inner := unicast().AppendSegment(nil, 0)
	packet := func(head ...byte) []byte { return append(head, inner...) }
	for _, tt := range []struct {
		name      string
		b         []byte
		delivered uint64
		atVTEP    fabric.DropReason
		atDevice  fabric.DropReason
	}{
		{name: "L22 own network", b: packet(8, 0, 0, 0, 0, 1, 1, 0), delivered: 1},
		{name: "reserved bits set", b: packet(0x8f, 1, 1, 1, 0, 1, 1, 77), delivered: 1},
		{name: "foreign VNI", b: packet(8, 0, 0, 0, 0, 1, 2, 0), atVTEP: fabric.DropForeignVNI},
		{name: "I flag missing", b: packet(0, 0, 0, 0, 0, 1, 1, 0), atVTEP: fabric.DropMalformed},
		{name: "no whole header", b: []byte{8, 0, 0, 0, 0}, atVTEP: fabric.DropTruncated},
		{name: "nothing inside", b: []byte{8, 0, 0, 0, 0, 1, 1, 0}, atDevice: fabric.DropTruncated},
		{name: "bad packet inside", b: packet(8, 0, 0, 0, 0, 1, 1, 0)[:40], atDevice: fabric.DropTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHosts(t, docker, docker)
			good := func() *fabric.Frame { return vxlantest.Wrap(unicast(), 257) }
			ends := vxlan.NewPipe(netip.AddrPortFrom(vtep2, 1), netip.AddrPortFrom(vtep3, 2))
			v := vxlan.New(vxlan.Config{Transport: ends[1]})
			d, err := v.Add(docker)
			if err != nil {
				t.Fatal(err)
			}
			d.SetReceiver(h[0])
			// Between two good frames, which must get through whatever becomes of it.
			ends[0].Send(netip.AddrPortFrom(vtep3, 2), []*fabric.Frame{good(), fabric.FromBytes(tt.b), good()})
			if n := d.Read().RxFrames; n != 2+tt.delivered || uint64(len(h[0].got)) != n {
				t.Errorf("delivered %d, counted %d; want %d", len(h[0].got), n, 2+tt.delivered)
			}
			if tt.atVTEP != 0 && v.Dropped(tt.atVTEP) != 1 || tt.atDevice != 0 && d.Dropped(tt.atDevice) != 1 ||
				v.Read().Dropped()+d.Read().Dropped() != 1-tt.delivered {
				t.Errorf("drops %v, %v; want %v or %v", v.Read().Drops, d.Read().Drops, tt.atVTEP, tt.atDevice)
			}
		})
	}
}

func TestVTEPDevices(t *testing.T) {
	v := vxlan.New(vxlan.Config{})
	for _, vni := range []uint32{258, 257} {
		if _, err := v.Add(vxlan.DeviceConfig{VNI: vni}); err != nil {
			t.Fatal(err)
		}
	}
	for vni, want := range map[uint32]string{257: "VNI 257 is in use by vxlan257", 1 << 24: "does not fit in 24 bits"} {
		if _, err := v.Add(vxlan.DeviceConfig{VNI: vni, Name: "x"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Add = %v; want %q", err, want)
		}
	}
	list := v.Devices()
	if len(list) != 2 || list[0].VNI() != 257 || list[1].Name() != "vxlan258" || list[0] != v.Device(257) || list[0].MTU() != 1450 {
		t.Errorf("Devices = %v", list)
	}
	list[0].Update(toDst)
	list[0].Send([]*fabric.Frame{unicast()})
	if n := list[0].Dropped(fabric.DropTransport); n != 1 {
		t.Errorf("without a transport dropped %v", list[0].Read().Drops)
	}
	if !v.Remove(257) || v.Remove(257) || v.Device(257) != nil {
		t.Error("Remove did not remove, or did so twice")
	}
	list[0].Send([]*fabric.Frame{unicast()})
	if n := list[0].Dropped(fabric.DropClosed); n != 1 {
		t.Errorf("a removed device dropped %v", list[0].Read().Drops)
	}
}

package vxlan_test

import (
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// devicePair returns the devices of one network on two hosts whose transports are given.
func devicePair(t *testing.T, ends [2]vxlantest.Endpoint) (a, b *vxlan.Device) {
	t.Helper()
	var devs [2]*vxlan.Device
	for i, e := range ends {
		peer := ends[1-i].Addr
		v := vxlan.New(vxlan.Config{Transport: e, Port: peer.Port()})
		dev, err := v.Add(vxlan.DeviceConfig{VNI: 257, MTU: 1500, Flood: []netip.Addr{peer.Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		devs[i] = dev
	}
	return devs[0], devs[1]
}

// A device is a fabric.Port: what one sends comes out of the device of the same network on the other host.
func TestDevicePorts(t *testing.T) {
	t.Run("pipe", func(t *testing.T) {
		fabrictest.TestPorts(t, func(t *testing.T) (a, b fabric.Port) {
			x, y := netip.AddrPortFrom(vtep2, vxlan.Port), netip.AddrPortFrom(vtep3, vxlan.Port)
			ends := vxlan.NewPipe(x, y)
			return devicePair(t, [2]vxlantest.Endpoint{{Transport: ends[0], Addr: x}, {Transport: ends[1], Addr: y}})
		})
	})
}

package vxlan_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// Two hosts, one network: the first knows where the other's container is, and answers ARP for it.
func Example() {
	a, b := netip.MustParseAddrPort("192.168.0.2:4789"), netip.MustParseAddrPort("192.168.0.3:4789")
	ends := vxlan.NewPipe(a, b)
	hostA := vxlan.New(vxlan.Config{Local: a.Addr(), Transport: ends[0]})
	hostB := vxlan.New(vxlan.Config{Local: b.Addr(), Transport: ends[1]})
	devA, _ := hostA.Add(vxlan.DeviceConfig{VNI: 257, Name: "vxlan0", Proxy: true})
	devB, _ := hostB.Add(vxlan.DeviceConfig{VNI: 257, Name: "vxlan0", Proxy: true})

	mac := wire.MAC{0x02, 0x42, 0x0a, 0x01, 0x00, 0x03}
	devA.Update(func(t *vxlan.Table) {
		t.AddRemote("dog-db.1", mac, b.Addr())
		t.AddNeighbour("dog-db.1", netip.MustParseAddr("10.1.0.3"), mac)
	})
	show := func(host string) fabric.Receiver {
		return fabric.ReceiverFunc(func(batch []*fabric.Frame) {
			for _, f := range batch {
				fmt.Printf("%s: %d wire frames from %v\n", host, f.Segs, f.Eth().Src())
				f.Free()
			}
		})
	}
	devA.SetReceiver(show("host-a"))
	devB.SetReceiver(show("host-b"))

	devA.Send([]*fabric.Frame{vxlantest.ARPRequest("10.1.0.2", "10.1.0.3")})
	devA.Send([]*fabric.Frame{vxlantest.Train(vxlantest.TrainConfig{Segs: 40, MSS: 1398})})
	for _, r := range devA.Table().Remotes(time.Now()) {
		fmt.Println(r)
	}
	// Output:
	// host-a: 1 wire frames from 02:42:0a:01:00:03
	// host-b: 40 wire frames from 02:42:0a:01:00:02
	// 02:42:0a:01:00:03 dst 192.168.0.3 self permanent
}

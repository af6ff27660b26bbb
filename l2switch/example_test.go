package l2switch_test

import (
	"fmt"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch"
)

// Three hosts on a switch: the first frame is flooded, the answer goes to one port.
func Example() {
	sw := l2switch.New(l2switch.Config{Name: "tor"})
	hosts := make(map[string]*fabric.VethEnd)
	for _, name := range []string{"h1", "h2", "h3"} {
		host, port := fabric.NewVeth(name, "tor-"+name)
		host.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
			fmt.Printf("%s receives %d frame from %s\n", name, len(batch), batch[0].Eth().Src())
			fabric.FreeAll(batch)
		}))
		if _, err := sw.AddPort(name, port, l2switch.PortConfig{}); err != nil {
			fmt.Println(err)
			return
		}
		hosts[name] = host
	}
	mac1, mac2 := wire.MAC{2, 0, 0, 0, 0, 1}, wire.MAC{2, 0, 0, 0, 0, 2}
	send := func(from string, dst, src wire.MAC) {
		f := fabric.New()
		wire.PutEthernet(f.Extend(60), dst, src, wire.TypeARP)
		hosts[from].Send([]*fabric.Frame{f})
	}
	send("h1", wire.Broadcast, mac1)
	send("h2", mac1, mac2)
	for _, e := range sw.Entries() {
		fmt.Println(e.MAC, "is on", e.Port)
	}
	// Output:
	// h2 receives 1 frame from 02:00:00:00:00:01
	// h3 receives 1 frame from 02:00:00:00:00:01
	// h1 receives 1 frame from 02:00:00:00:00:02
	// 02:00:00:00:00:01 is on h1
	// 02:00:00:00:00:02 is on h2
}

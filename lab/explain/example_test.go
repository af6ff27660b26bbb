package explain_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lab/explain"
	"github.com/netsim-lab/netsim/netns"
)

// Why does nobody answer? A client asks for what is behind a router that has no route there.
func Example() {
	client, router := netns.New(netns.Config{Name: "client"}), netns.New(netns.Config{Name: "router", Forward: true})
	defer client.Close()
	defer router.Close()
	netns.NewVethPair(client, netns.InterfaceConfig{Name: "eth0", MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: netip.MustParsePrefix("10.0.0.2/24")},
		router, netns.InterfaceConfig{Name: "eth0", MAC: wire.MAC{2, 0, 0, 0, 0, 1}, Addr: netip.MustParsePrefix("10.0.0.1/24")})
	client.AddDefaultRoute(netip.MustParseAddr("10.0.0.1"))

	recorder := fabric.NewRecorder()
	defer recorder.Stop()
	ctx := fabric.Follow(context.Background(), recorder)
	p, err := client.NewPinger()
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Follow(ctx)
	p.Send(netip.MustParseAddr("192.0.2.7"), netns.PingOptions{Seq: 1})
	p.Receive(ctx)

	packets, left := recorder.Packets()
	explain.Tell(explain.Config{Node: "client", Command: "ping"}, packets, left).Text(os.Stdout, explain.TextOptions{})
	// Output:
	// ICMP 10.0.0.2 -> 192.0.2.7, from client
	//
	//   client sends echo request 1
	//     client       route        192.0.2.7 goes via 10.0.0.1 out eth0
	//                  arp          who has 10.0.0.1?; router answers: 02:00:00:00:00:01
	//     router/eth0  drop         no-route: no route leads there (10.0.0.2 > 192.0.2.7)
	//                               what would help: see ip route; add a route or a default gateway
	//
	//   router sends ICMP error: Destination Net Unreachable
	//     router  route        10.0.0.2 goes out eth0, at 02:00:00:00:00:02
	//     client  deliver      arrived for 10.0.0.2
}

package lb_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lb"
)

// Two tasks behind a firewall mark, as Docker sets a service up: connections go to each in turn.
func ExampleTable() {
	t := lb.NewTable(lb.Config{})
	web := lb.Mark(256)
	steps := []error{
		t.AddService(web, lb.RoundRobin),
		t.AddDestination(web, netip.MustParseAddrPort("10.0.0.6:0"), 1),
		t.AddDestination(web, netip.MustParseAddrPort("10.0.0.7:0"), 1),
	}
	for _, err := range steps {
		if err != nil {
			fmt.Println(err)
		}
	}
	at := time.Unix(1_700_000_000, 0).UnixNano()
	client, vip := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddrPort("10.0.0.5:80")
	for port := range uint16(4) {
		to, verdict := t.Pick(lb.Flow{
			Proto: wire.ProtoTCP, Flags: wire.SYN, Mark: 256,
			Src: netip.AddrPortFrom(client, 40000+port), Dst: vip,
		}, at)
		fmt.Println(to, verdict)
	}
	// Output:
	// 10.0.0.7:80 handled
	// 10.0.0.6:80 handled
	// 10.0.0.7:80 handled
	// 10.0.0.6:80 handled
}

// A balancer is managed with the words of ipvsadm.
func ExampleBalancer_Command() {
	b := lb.New(lb.Config{})
	for _, args := range [][]string{
		{"-A", "-t", "10.0.0.5:80", "-s", "rr"},
		{"-a", "-t", "10.0.0.5:80", "-r", "10.0.0.6:8080", "-m"},
		{"-ln"},
	} {
		out, err := b.Command(args)
		if err != nil {
			fmt.Println(err)
		}
		fmt.Print(out)
	}
	// Output:
	// IP Virtual Server version 1.2.1 (size=4096)
	// Prot LocalAddress:Port Scheduler Flags
	//   -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
	// TCP  10.0.0.5:80 rr
	//   -> 10.0.0.6:8080                Masq    1      0          0
}

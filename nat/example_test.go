package nat_test

import (
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/nat"
)

// A published port: packets to port 8080 of the host go to port 80 of a container.
func Example() {
	n := nat.New(nat.Config{})
	if err := n.Append("nat", "PREROUTING", "-p udp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"); err != nil {
		fmt.Println(err)
		return
	}
	b := make([]byte, 42)
	wire.PutEthernet(b, wire.MAC{2, 0, 0, 0, 0, 1}, wire.MAC{2, 0, 0, 0, 0, 2}, wire.TypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{TotalLen: 28, TTL: 64, Proto: wire.ProtoUDP,
		Src: netip.MustParseAddr("192.168.56.1"), Dst: netip.MustParseAddr("192.168.56.11")})
	wire.PutUDP(b[34:], 5000, 8080, 8)
	f := fabric.FromBytes(b)
	f.ParseEthernet()

	const now = 1_500_000_000e9 // nanoseconds of Unix time
	p := nat.Packet{Frame: f, In: "eth0"}
	for _, hook := range []nat.Hook{nat.Prerouting, nat.Forward, nat.Postrouting} {
		if v := n.Run(hook, &p, now); v.Action != nat.Accept {
			fmt.Println("dropped by", v.Where())
		}
	}
	fmt.Println(f.Src(), "to", f.Dst(), p.State())
	fmt.Print(n.FormatConntrack(now))
	// Output:
	// 192.168.56.1:5000 to 172.17.0.2:80 NEW
	// udp      17 30 src=192.168.56.1 dst=192.168.56.11 sport=5000 dport=8080 [UNREPLIED] src=172.17.0.2 dst=192.168.56.1 sport=80 dport=5000 mark=0 use=1
	// conntrack v1.4.3 (conntrack-tools): 1 flow entries have been shown.
}

package dns_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/netsim-lab/netsim/dns"
)

// A resolver for a container on one network, asked over loopback by a stub resolver.
func Example() {
	var registry dns.Registry
	zone := registry.Open("f3a1", "shopnet")
	for i, task := range []string{"web.1.abc", "web.2.def"} {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(3 + i)})
		zone.Add(task, "web", netip.MustParseAddr("10.0.0.2")) // the service's virtual address
		zone.Add(task, task, addr)
		zone.AddReverse(task, addr, task)
	}
	networks := []dns.NetworkZone{{Zone: zone, Scope: dns.ScopeSwarm}}
	resolver := dns.New(dns.Config{Networks: func() []dns.NetworkZone { return networks }})

	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- resolver.Serve(ctx, pc, nil) }()

	client := dns.NewClient(dns.ClientConfig{
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, pc.LocalAddr().String())
		},
		Resolv: func() dns.ResolvConf { return dns.ResolvConf{}.ForEmbedded() },
	})
	fmt.Println(client.LookupHost(ctx, "web"))
	fmt.Println(client.LookupHost(ctx, "web.2.abc.shopnet"))
	fmt.Println(client.LookupAddr(ctx, netip.MustParseAddr("10.0.0.4")))

	zone.RemoveOwner("web.1.abc")
	zone.RemoveOwner("web.2.def")
	fmt.Println(client.LookupHost(ctx, "web"))
	cancel()
	fmt.Println(<-done)
	// Output:
	// [10.0.0.2] <nil>
	// [] lookup web.2.abc.shopnet on 127.0.0.11:53: server misbehaves: SERVFAIL
	// web.2.def.shopnet <nil>
	// [] lookup web on 127.0.0.11:53: server misbehaves: SERVFAIL
	// <nil>
}

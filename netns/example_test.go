package netns_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/netns"
)

// Two containers on a bridge of their host.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	host := netns.New(netns.Config{Name: "host", Forward: true})
	web := netns.New(netns.Config{Name: "web"})
	client := netns.New(netns.Config{Name: "client"})
	ended := make(chan error)
	for _, ns := range []*netns.Namespace{host, web, client} {
		go func() { ended <- ns.Run(ctx) }()
	}
	defer func() {
		stop()
		for range 3 {
			<-ended
		}
	}()
	docker0, _ := host.AddBridge(netns.InterfaceConfig{Name: "docker0", Addr: netip.MustParsePrefix("172.17.0.1/16")})
	for addr, c := range map[string]*netns.Namespace{"172.17.0.2/16": web, "172.17.0.3/16": client} {
		port, _, _ := netns.NewVethPair(host, netns.InterfaceConfig{Name: "veth" + c.Name()},
			c, netns.InterfaceConfig{Name: "eth0", Addr: netip.MustParsePrefix(addr)})
		port.SetMaster(docker0)
		c.AddDefaultRoute(netip.MustParseAddr("172.17.0.1"))
	}

	listener, _ := web.Listen("tcp", ":80")
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "hello from ", conn.LocalAddr())
		conn.Close()
	}()
	conn, err := client.Dial(ctx, "tcp", "172.17.0.2:80")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := io.ReadAll(conn)
	conn.Close()
	fmt.Println(string(text))
	for _, route := range client.Routes() {
		fmt.Println(route)
	}
	// Output:
	// hello from 172.17.0.2:80
	// default via 172.17.0.1 dev eth0
	// 172.17.0.0/16 dev eth0  proto kernel  scope link  src 172.17.0.3
}

// ping needs no sockets, so the namespace that answers need not run.
func ExampleNamespace_Ping() {
	a, b := netns.New(netns.Config{Name: "a"}), netns.New(netns.Config{Name: "b"})
	defer a.Close()
	defer b.Close()
	netns.NewVethPair(a, netns.InterfaceConfig{Name: "eth0", Addr: netip.MustParsePrefix("10.0.0.1/24")},
		b, netns.InterfaceConfig{Name: "eth0", Addr: netip.MustParsePrefix("10.0.0.2/24")})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := a.Ping(ctx, netip.MustParseAddr("10.0.0.2"))
	fmt.Println(err)
	_, err = a.Ping(ctx, netip.MustParseAddr("192.0.2.1"))
	fmt.Println(err)
	// Output:
	// <nil>
	// ping 192.0.2.1 from a: sendto: network is unreachable
}

// A pinger chooses the fields of its requests: with a small TTL it is a traceroute.
func ExamplePinger() {
	client, router := netns.New(netns.Config{Name: "client"}), netns.New(netns.Config{Name: "router", Forward: true})
	defer client.Close()
	defer router.Close()
	netns.NewVethPair(client, netns.InterfaceConfig{Name: "eth0", Addr: netip.MustParsePrefix("10.0.0.2/24")},
		router, netns.InterfaceConfig{Name: "eth0", Addr: netip.MustParsePrefix("10.0.0.1/24")})
	client.AddDefaultRoute(netip.MustParseAddr("10.0.0.1"))
	p, err := client.NewPinger()
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Send(netip.MustParseAddr("192.0.2.7"), netns.PingOptions{Seq: 1, TTL: 1})
	r, err := p.Receive(context.Background())
	fmt.Println(r.From, netns.UnreachableText(r.Type, r.Code), err)
	// Output: 10.0.0.1 Time to live exceeded <nil>
}

package ptp_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/cnm/ptp"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two containers with a cable each to their host: the host is between them.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	var group sync.WaitGroup
	spawn := func(run func(context.Context) error) { group.Go(func() { _ = run(ctx) }) }
	defer group.Wait()
	defer cancel()

	host := netns.New(netns.Config{Name: "host-a"})
	spawn(host.Run)
	c, err := cnm.New(cnm.Config{Name: "host-a", Host: host, Spawn: spawn})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.AddNetworkDriver("ptp", ptp.New(c)))
	_, err = c.CreateNetwork(cnm.NetworkConfig{Name: "links", Driver: "ptp", Subnet: netip.MustParsePrefix("10.9.0.0/24")})
	fmt.Println(err)
	for i, name := range []string{"c1", "c2"} {
		ns := netns.New(netns.Config{Name: name})
		spawn(ns.Run)
		s, err := c.NewSandbox(cnm.SandboxConfig{ID: fmt.Sprintf("%064x", i+1), Name: name, NS: ns})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(name, s.Join(ctx, []cnm.EndpointConfig{{Network: "links"}}), s.Endpoints()[0].IP())
	}
	c1, _ := c.Sandbox(fmt.Sprintf("%064x", 1))
	_, err = c1.NS().Ping(ctx, netip.MustParseAddr("10.9.0.3"))
	fmt.Println("c1 reaches c2:", err == nil)
	for _, r := range c1.NS().Routes() {
		fmt.Println(strings.Fields(r.String())[:3])
	}
	fmt.Println(c.Close())
	// Output:
	// <nil>
	// <nil>
	// c1 <nil> 10.9.0.2
	// c2 <nil> 10.9.0.3
	// c1 reaches c2: true
	// [default via 10.9.0.1]
	// [10.9.0.1 dev eth0]
	// <nil>
}

// An internal network has no way out, and nothing stays of networks that are gone.
func TestInternalAndGone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	t.Cleanup(func() { cancel(); group.Wait() })
	spawn := func(run func(context.Context) error) { group.Go(func() { _ = run(ctx) }) }
	host := netns.New(netns.Config{Name: "host-a"})
	spawn(host.Run)
	c, err := cnm.New(cnm.Config{Name: "host-a", Host: host, Spawn: spawn})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddNetworkDriver("ptp", ptp.New(c)); err != nil {
		t.Fatal(err)
	}
	if err := c.AddNetworkDriver("ptp", ptp.New(c)); err == nil {
		t.Error("a second driver of that name is taken")
	}
	dump := func() string {
		rules, _ := host.Netfilter().Command([]string{"-S"})
		return fmt.Sprint(rules, host.Routes(), len(host.Interfaces()))
	}
	before := dump()
	for _, internal := range []bool{true, false} {
		if _, err := c.CreateNetwork(cnm.NetworkConfig{Name: "n", Driver: "ptp", Internal: internal}); err != nil {
			t.Fatal(err)
		}
		ns := netns.New(netns.Config{Name: "c1"})
		spawn(ns.Run)
		s, err := c.NewSandbox(cnm.SandboxConfig{ID: strings.Repeat("a", 64), Name: "c1", NS: ns})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Join(ctx, []cnm.EndpointConfig{{Network: "n"}}); err != nil {
			t.Fatal(err)
		}
		if gw := s.Endpoints()[0].Gateway(); gw.IsValid() == internal {
			t.Errorf("internal %t: the container has the gateway %v", internal, gw)
		}
		if err := s.Delete(); err != nil {
			t.Error(err)
		}
		if err := c.RemoveNetwork("n"); err != nil {
			t.Error(err)
		}
		if after := dump(); after != before {
			t.Errorf("internal %t: the host has\n%s\nbefore\n%s", internal, after, before)
		}
	}
}

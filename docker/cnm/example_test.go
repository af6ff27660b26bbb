package cnm_test

import (
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/netns"
)

// Two containers on a network of the user's: one finds the other by its name.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	spawn := func(run func(context.Context) error) { g.Go(func() error { return run(ctx) }) }

	host := netns.New(netns.Config{Name: "host-a"})
	spawn(host.Run)
	c, err := cnm.New(cnm.Config{Name: "host-a", Host: host, Spawn: spawn})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := c.CreateNetwork(cnm.NetworkConfig{Name: "my_bridge", Subnet: netip.MustParsePrefix("10.0.0.0/24")}); err != nil {
		fmt.Println(err)
	}
	var c1 *cnm.Sandbox
	for i, name := range []string{"c2", "c1"} {
		ns := netns.New(netns.Config{Name: "host-a/" + name})
		spawn(ns.Run)
		if c1, err = c.NewSandbox(cnm.SandboxConfig{ID: fmt.Sprintf("%064d", i), Name: name, NS: ns}); err != nil {
			fmt.Println(err)
		}
		if err := c1.Join(ctx, []cnm.EndpointConfig{{Network: "my_bridge"}}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Print(c1.ResolvConf())
	addrs, err := c1.LookupHost(ctx, "c2")
	fmt.Println(addrs, err)
	if err := c.Close(); err != nil {
		fmt.Println(err)
	}
	cancel()
	if err := g.Wait(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// nameserver 127.0.0.11
	// options ndots:0
	// [10.0.0.2] <nil>
}

package consensus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/netns"
)

// A swarm of one manager agrees with itself.
func Example() {
	luck := rand.New(rand.NewPCG(1, 2))
	authority, _ := ca.New(ca.Config{Cluster: "cluster1"}, time.Now(), luck)
	key, request, _ := ca.NewRequest(luck)
	chain, _ := authority.Issue(request, "node1", ca.Manager, time.Now(), luck)
	id, err := ca.NewIdentity(key, chain, authority.Root())
	if err != nil {
		fmt.Println(err)
		return
	}
	host := netns.New(netns.Config{Name: "manager1"})
	host.AddDummy(netns.InterfaceConfig{Name: "eth0", Addr: netip.MustParsePrefix("192.168.1.2/24")})
	manager, err := consensus.New(consensus.Config{
		Addr: "192.168.1.2:2377", Network: host, Identity: func() *ca.Identity { return id },
		Storage: consensus.NewStorage(luck), Machine: &notes{},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- host.Run(ctx) }()
	go func() { ended <- manager.Run(ctx) }()
	result, err := manager.Propose(ctx, []byte("service create web"))
	fmt.Printf("%s %v\n", result, err)
	status, _ := manager.Status(ctx)
	fmt.Println(status.Self.Node, status.State)
	stop()
	fmt.Println(<-ended, <-ended)
	// Output:
	// 1 <nil>
	// node1 Leader
	// <nil> <nil>
}

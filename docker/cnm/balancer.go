package cnm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/netns"
)

// Since 18.06 a host has for each overlay a sandbox that balances for all its containers on that network (E7, S9): it holds the
// virtual addresses, and what it leads on comes from its own address. Before, each container balanced for itself.

// balancer is that sandbox.
type balancer struct {
	sandbox *Sandbox
	running *task
}

// balanced tells whether one sandbox of the host balances for all on the network.
func (n *Network) balanced() bool {
	return n.cfg.Balancer.IsValid() || n.cfg.Ingress && n.c.cfg.Modern
}

// addBalancer makes the balancer of a network, which is its first endpoint. The network is to be removed if it fails.
func (c *Controller) addBalancer(n *Network) error {
	id := "lb-" + n.name
	ns := netns.New(netns.Config{Name: c.cfg.Name + "/" + id, Forward: true, Seed: c.cfg.Seed, Log: c.cfg.Log, ExpireNoDest: true}) // L21
	sb, err := c.NewSandbox(SandboxConfig{ID: id, Name: n.name + "-endpoint", NS: ns, balances: true})
	if err != nil {
		return errors.Join(err, ns.Close())
	}
	b := &balancer{sandbox: sb, running: c.start(ns.Name(), ns.Run)}
	n.setBalancer(b)
	if err := sb.Join(context.Background(), []EndpointConfig{{Network: n.id, IP: n.cfg.Balancer}}); err != nil {
		return fmt.Errorf("load balancer of network %s: %w", n.name, err)
	}
	return nil
}

// end takes the balancer off its network. It may be called twice, and on nil.
func (b *balancer) end() error {
	if b == nil {
		return nil
	}
	err := b.sandbox.Delete()
	b.running.stop()
	return err
}

func (n *Network) setBalancer(b *balancer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.balancer = b
}

// Balances tells whether the endpoint is that of the host's balancer of the network, and of no container (S9).
func (ep *Endpoint) Balances() bool { return ep.sandbox.cfg.balances }

// Balancer returns the address of the host's balancer on the network; invalid: containers balance for themselves.
func (n *Network) Balancer() netip.Addr { return n.cfg.Balancer }

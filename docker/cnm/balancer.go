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
func (n *Network) Balancer() netip.Addr {
	n.mu.Lock()
	b := n.balancer
	n.mu.Unlock()
	if b == nil {
		return netip.Addr{}
	}
	if ep, ok := b.sandbox.Endpoint(n.id); ok {
		return ep.IP()
	}
	return netip.Addr{}
}

// MoveBalancer gives the host's balancer on the network another address, if it has one and that is not it: the swarm takes a place back
// as soon as it knows of no task of the host there, and may give it to somebody else, while the host still has the network. What
// goes through the balancer at that moment is cut off.
func (n *Network) MoveBalancer(to netip.Addr) error {
	n.mu.Lock()
	b := n.balancer
	n.mu.Unlock()
	if b == nil || !to.IsValid() {
		return nil
	}
	if err := b.sandbox.move(n, to); err != nil {
		return fmt.Errorf("load balancer of network %s moves to %s: %w", n.name, to, err)
	}
	return nil
}

// move takes the sandbox off a network, and puts it there again at another address.
func (s *Sandbox) move(n *Network, to netip.Addr) error {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	if ep, ok := s.Endpoint(n.id); ok {
		if ep.IP() == to {
			return nil
		}
		if err := s.leaveAll([]*Endpoint{ep}); err != nil {
			return err
		}
	}
	plan, err := s.plan([]EndpointConfig{{Network: n.id, IP: to}})
	if err != nil {
		return err
	}
	if err := s.joinAll(context.Background(), plan); err != nil {
		return err
	}
	if ep, ok := s.Endpoint(n.id); ok {
		for _, a := range ep.Interface().Addrs() { // the virtual ones too: they have another hardware address now
			ep.Interface().AnnounceARP(a.Addr())
		}
	}
	return nil
}

package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// vniOption is where a swarm writes an overlay's VXLAN identifiers, one for each subnet (O1).
const vniOption = "com.docker.network.driver.overlay.vxlanid_list"

// predefinedLabel marks a network of the swarm that stands for one that each node has of its own: bridge, host.
const predefinedLabel = "com.docker.swarm.predefined"

// networks counts who needs a network of the swarm on this host.
type networks struct {
	x *Executor

	mu    sync.Mutex // held while a network is made or removed
	users map[string]int
	parts map[string]func() // what ends the node's part in the gossip about a network

	changes sync.Mutex
	changed chan struct{} // guarded by changes; closed and replaced when the ingress was joined
}

// notify tells those who wait for the ingress.
func (n *networks) notify() {
	n.changes.Lock()
	defer n.changes.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *networks) wait() <-chan struct{} {
	n.changes.Lock()
	defer n.changes.Unlock()
	return n.changed
}

// enter counts a user in; the first makes the network.
func (n *networks) enter(ctx context.Context, net *swarmapi.Network) error {
	if net.Spec.Ingress {
		return n.awaitIngress(ctx, net)
	}
	cfg, err := networkConfig(net)
	if err != nil {
		return err
	}
	if n.x.cfg.Engine.Controller().Modern() {
		if cfg.Balancer, err = n.awaitPlace(ctx, net); err != nil {
			return err
		}
	}
	if err := n.x.enter(ctx); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.users[net.ID] == 0 {
		if at := n.x.place(net.ID); at.IsValid() && cfg.Balancer.IsValid() {
			cfg.Balancer = at // it may have changed since
		}
		if _, err := n.x.cfg.Engine.Controller().CreateNetwork(cfg); err != nil {
			return err
		}
		n.parts[net.ID] = n.x.dir.Join(net.ID, nobody{}) // so that what is there is known when the first container starts
	}
	n.users[net.ID]++
	return nil
}

// awaitIngress waits until the host takes part in the routing mesh: that it is to is told apart from its tasks.
func (n *networks) awaitIngress(ctx context.Context, net *swarmapi.Network) error {
	return n.await(ctx, func() bool { return n.x.ingress == net.ID })
}

// awaitPlace waits until the host has an address for its balancer on a network (S9).
func (n *networks) awaitPlace(ctx context.Context, net *swarmapi.Network) (at netip.Addr, err error) {
	err = n.await(ctx, func() bool {
		at = n.x.places[net.ID]
		return at.IsValid()
	})
	return at, err
}

// move has the balancers of this host where its places are. It tries all.
func (n *networks) move() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, net := range n.x.cfg.Engine.Controller().Networks() {
		if !net.Ingress() {
			errs = append(errs, net.MoveBalancer(n.x.place(net.ID())))
		}
	}
	return errors.Join(errs...)
}

// await waits until the node object says what is asked for. The question is asked with the executor's mu held.
func (n *networks) await(ctx context.Context, there func() bool) error {
	for {
		changed := n.wait()
		n.x.mu.Lock()
		ok := there()
		n.x.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("node is missing network attachments, ip addresses may be exhausted: %w", ctx.Err())
		}
	}
}

// exit counts a user out; the last takes the network away, unless somebody uses it still who is not counted.
func (n *networks) exit(net *swarmapi.Network) error {
	if net.Spec.Ingress {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.users[net.ID]--
	if n.users[net.ID] > 0 {
		return nil
	}
	n.forget(net.ID)
	err := n.x.cfg.Engine.Controller().RemoveNetwork(net.ID)
	if errors.Is(err, cnm.ErrNotFound) {
		return nil
	}
	return err
}

// forget ends the node's part in a network. The caller holds mu.
func (n *networks) forget(id string) {
	delete(n.users, id)
	if leave := n.parts[id]; leave != nil {
		leave()
		delete(n.parts, id)
	}
}

// clear forgets all users.
func (n *networks) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.users {
		n.forget(id)
	}
}

// nobody is a watcher that does not care.
type nobody struct{}

// Put implements cnm.Watcher.
func (nobody) Put(cnm.Record) {}

// Delete implements cnm.Watcher.
func (nobody) Delete(cnm.Record) {}

func predefined(n *swarmapi.Network) bool {
	return n.Spec.Annotations.Labels[predefinedLabel] == "true"
}

// networkConfig returns what the network controller makes of a network of the swarm.
func networkConfig(n *swarmapi.Network) (cnm.NetworkConfig, error) {
	cfg := cnm.NetworkConfig{
		Name: n.Spec.Annotations.Name, Driver: cnm.DriverOverlay, Internal: n.Spec.Internal, Attachable: n.Spec.Attachable,
		Ingress: n.Spec.Ingress, Labels: maps.Clone(n.Spec.Annotations.Labels), ID: n.ID,
	}
	fail := func(format string, args ...any) (cnm.NetworkConfig, error) {
		return cfg, fmt.Errorf("network %s: "+format, append([]any{cfg.Name}, args...)...)
	}
	if n.DriverState == nil || n.IPAM == nil || len(n.IPAM.Configs) == 0 {
		return fail("the swarm has given it no addresses yet")
	}
	if n.DriverState.Name != cnm.DriverOverlay {
		return fail("its driver is %s: nodes of a swarm share overlays only", n.DriverState.Name)
	}
	cfg.Options = maps.Clone(n.DriverState.Options)
	first, _, _ := strings.Cut(cfg.Options[vniOption], ",")
	vni, err := strconv.ParseUint(first, 10, 24)
	if err != nil {
		return fail("VXLAN id: %w", err)
	}
	cfg.VNI = uint32(vni)
	ipam := n.IPAM.Configs[0]
	if cfg.Subnet, err = netip.ParsePrefix(ipam.Subnet); err != nil {
		return fail("subnet: %w", err)
	}
	if cfg.Gateway, err = optional(ipam.Gateway, addrOf); err != nil {
		return fail("gateway: %w", err)
	}
	if cfg.IPRange, err = optional(ipam.Range, netip.ParsePrefix); err != nil {
		return fail("range: %w", err)
	}
	return cfg, nil
}

// addrOf reads an address, which may have the length of a prefix behind it.
func addrOf(text string) (netip.Addr, error) {
	text, _, _ = strings.Cut(text, "/")
	return netip.ParseAddr(text)
}

// optional parses a text; an empty one is the zero value.
func optional[T any](text string, parse func(string) (T, error)) (v T, err error) {
	if text == "" {
		return v, nil
	}
	return parse(text)
}

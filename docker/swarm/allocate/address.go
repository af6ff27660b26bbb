package allocate

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/allocator/networkallocator"

	"github.com/netsim-lab/netsim/docker/ipam"
)

var errNoAddress = errors.New("could not find an available IP")

// request takes an address: that of text, which may have a prefix's length, or if that is empty a free one. It returns it
// with the length of the subnet's prefix.
func (nw *network) request(text string) (string, error) {
	var want netip.Addr
	if text != "" {
		p, err := netip.ParsePrefix(text)
		want = p.Addr()
		if err != nil {
			if want, err = netip.ParseAddr(text); err != nil {
				return "", fmt.Errorf("could not parse address string %s: %w", text, err)
			}
		}
	}
	for _, p := range nw.pools {
		got, err := p.Request(want)
		switch {
		case errors.Is(err, ipam.ErrNoAddress), errors.Is(err, ipam.ErrOutOfRange):
			continue // another subnet may have it
		case err != nil:
			return "", fmt.Errorf("could not allocate IP from IPAM: %w", err)
		}
		name := netip.PrefixFrom(got, p.Subnet().Bits()).String()
		nw.taken[name] = p
		return name, nil
	}
	return "", errNoAddress
}

// release gives an address back. One that is not known is left alone.
func (nw *network) release(name string) {
	p, ok := nw.taken[name]
	if !ok {
		return
	}
	delete(nw.taken, name)
	p.Release(netip.MustParsePrefix(name).Addr()) // request made it
}

// attach gives an attachment its addresses.
func (a *Allocator) attach(t *api.NetworkAttachment) error {
	nw := a.networks[t.Network.ID]
	if nw == nil {
		return fmt.Errorf("could not find network allocator state for network %s", t.Network.ID)
	}
	if nw.local {
		return nil
	}
	wanted := ""
	if len(t.Addresses) > 0 {
		wanted = t.Addresses[0]
	}
	got, err := nw.request(wanted)
	if err == nil {
		t.Addresses = []string{got}
	}
	return err
}

// detach takes the addresses away from attachments.
func (a *Allocator) detach(all []*api.NetworkAttachment) error {
	for _, t := range all {
		nw := a.networks[t.Network.ID]
		if nw == nil {
			return fmt.Errorf("could not find network allocator state for network %s", t.Network.ID)
		}
		if nw.local {
			continue
		}
		for _, addr := range t.Addresses {
			nw.release(addr)
		}
		t.Addresses = nil
	}
	return nil
}

// has tells whether an attachment has what it needs.
func (a *Allocator) has(t *api.NetworkAttachment) bool {
	nw := a.networks[t.Network.ID]
	if nw == nil {
		return false
	}
	return nw.local || len(t.Addresses) > 0 && nw.taken[t.Addresses[0]] != nil
}

// IsTaskAllocated implements networkallocator.NetworkAllocator.
func (a *Allocator) IsTaskAllocated(t *api.Task) bool {
	if !a.tasks[t.ID] || len(t.Networks) == 0 {
		return false
	}
	for _, n := range t.Networks {
		if !a.has(n) {
			return false
		}
	}
	return true
}

// AllocateTask implements networkallocator.NetworkAllocator: it gives the task an address on each of its networks, or none
// on any.
func (a *Allocator) AllocateTask(t *api.Task) error {
	a.reserve(t)
	for i, n := range t.Networks {
		a.claim(t, n)
		if err := a.attach(n); err != nil {
			// What was known before is known again when the task is allocated the next time.
			return errors.Join(fmt.Errorf("failed to allocate network IP for task %s network %s: %w", t.ID, n.Network.ID, err), a.detach(t.Networks[:i]))
		}
	}
	a.tasks[t.ID] = true
	return nil
}

// DeallocateTask implements networkallocator.NetworkAllocator.
func (a *Allocator) DeallocateTask(t *api.Task) error {
	delete(a.tasks, t.ID)
	return a.detach(t.Networks)
}

// IsAttachmentAllocated implements networkallocator.NetworkAllocator.
func (a *Allocator) IsAttachmentAllocated(node *api.Node, t *api.NetworkAttachment) bool {
	if node == nil || t == nil || t.Network == nil || !a.nodes[attachment{node.ID, t.Network.ID}] {
		return false
	}
	return !a.places(t.Network) || a.has(t)
}

// places tells whether nodes have addresses on a network: on ingress, and on a modern swarm on all, where each node that has tasks
// on one balances by a sandbox of its own, and not in the containers' namespaces, as it was until 18.06 (S9).
func (a *Allocator) places(n *api.Network) bool {
	return a.modern || networkallocator.IsIngressNetwork(n)
}

// AllocateAttachment implements networkallocator.NetworkAllocator: it gives a node its address on a network.
func (a *Allocator) AllocateAttachment(node *api.Node, t *api.NetworkAttachment) error {
	if a.places(t.Network) {
		if err := a.attach(t); err != nil {
			return err
		}
	}
	a.nodes[attachment{node.ID, t.Network.ID}] = true
	return nil
}

// DeallocateAttachment implements networkallocator.NetworkAllocator.
func (a *Allocator) DeallocateAttachment(node *api.Node, t *api.NetworkAttachment) error {
	delete(a.nodes, attachment{node.ID, t.Network.ID})
	return a.detach([]*api.NetworkAttachment{t})
}

package swarm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/ipam"
)

// Network is a network of the cluster.
type Network struct {
	ID      string
	Spec    NetworkSpec
	Subnet  netip.Prefix
	Gateway netip.Addr
	VNI     uint32
	Ingress bool
	Created time.Time
}

// Config returns what the network controller of a node makes of the network.
func (n Network) Config() cnm.NetworkConfig {
	return cnm.NetworkConfig{
		Name: n.Spec.Name, Driver: cnm.DriverOverlay, Subnet: n.Subnet, Gateway: n.Gateway, IPRange: n.Spec.IPRange, Internal: n.Spec.Internal,
		Attachable: n.Spec.Attachable, Ingress: n.Ingress, Options: maps.Clone(n.Spec.Options), Labels: maps.Clone(n.Spec.Labels), ID: n.ID, VNI: n.VNI,
	}
}

type network struct {
	Network
	pool *ipam.Pool
}

func (n *network) names() (id, name string) { return n.ID, n.Spec.Name }

// CreateNetwork makes an overlay network. Nodes learn of it with the first task or container that joins it there (O4).
func (c *Cluster) CreateNetwork(spec NetworkSpec) (Network, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.addNetwork(spec, false)
	if err != nil {
		return Network{}, err
	}
	return n.Network, nil
}

func (c *Cluster) addNetwork(spec NetworkSpec, ingress bool) (*network, error) {
	if spec.Name == "" {
		return nil, fmt.Errorf("create network: it has no name")
	}
	for _, n := range c.networks {
		if n.Spec.Name == spec.Name {
			return nil, fmt.Errorf("network with name %s already exists", spec.Name) // I32
		}
	}
	pool, err := c.pools.RequestPool(spec.Subnet, nil)
	if err != nil {
		return nil, fmt.Errorf("create network %s: %w", spec.Name, err)
	}
	n := &network{pool: pool}
	n.Network = Network{ID: newID(c.luck), Spec: spec, Subnet: pool.Subnet(), VNI: c.freeVNI(), Ingress: ingress, Created: c.cfg.Now()}
	if n.Gateway, err = preparePool(pool, spec, c.cfg.Modern); err != nil {
		c.pools.ReleasePool(pool) //nolint:errcheck // it was requested above
		return nil, fmt.Errorf("create network %s: %w", spec.Name, err)
	}
	c.networks[n.ID] = n
	c.notify()
	return n, nil
}

// preparePool takes the gateway's address out of a new pool, the lowest of the subnet unless the user named one (I9).
func preparePool(pool *ipam.Pool, spec NetworkSpec, serial bool) (netip.Addr, error) {
	gateway, err := pool.Request(spec.Gateway)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("gateway: %w", err)
	}
	if spec.IPRange.IsValid() {
		if err := pool.SetRange(spec.IPRange); err != nil {
			return netip.Addr{}, err
		}
	}
	pool.SetSerial(serial) // I11
	return gateway, nil
}

// freeVNI returns the lowest VNI that is free, or on a modern cluster the next one (O1).
func (c *Cluster) freeVNI() uint32 {
	used := make(map[uint32]bool, len(c.networks))
	for _, n := range c.networks {
		used[n.VNI] = true
	}
	v := c.nextVNI
	for used[v] {
		v++
	}
	if c.cfg.Modern {
		c.nextVNI = v + 1
	}
	return v
}

// RemoveNetwork removes a network that no service and no container uses (B35).
func (c *Cluster) RemoveNetwork(ref string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.network(ref)
	if err != nil {
		return err
	}
	for _, s := range c.services {
		if _, ok := s.vips[n.ID]; ok || s.on(n.ID) {
			return fmt.Errorf("network %s is in use by service %s", n.ID, s.ID)
		}
	}
	for _, t := range c.tasks {
		if !t.ended() && slices.ContainsFunc(t.Attachments, func(a Attachment) bool { return a.Network.ID == n.ID }) {
			return fmt.Errorf("network %s is in use by task %s", n.ID, t.ID)
		}
	}
	for _, node := range c.nodes {
		if node.members[n.ID] > 0 {
			return fmt.Errorf("network %s is in use by a container on %s", n.ID, node.Name)
		}
	}
	delete(c.networks, n.ID)
	c.notify()
	return c.pools.ReleasePool(n.pool)
}

// network finds a network by name or id. The caller holds mu.
func (c *Cluster) network(ref string) (*network, error) {
	n, ok := find(c.sortedNetworks(), ref)
	if !ok {
		return nil, fmt.Errorf("network %s not found", ref) // B36
	}
	return n, nil
}

func (c *Cluster) sortedNetworks() []*network {
	return slices.SortedFunc(maps.Values(c.networks), func(a, b *network) int { return cmp.Compare(a.Spec.Name, b.Spec.Name) })
}

func (c *Cluster) ingress() *network {
	for _, n := range c.networks {
		if n.Ingress {
			return n
		}
	}
	return nil
}

// Network returns the network of that name or id.
func (c *Cluster) Network(ref string) (Network, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.network(ref)
	if err != nil {
		return Network{}, false
	}
	return n.Network, true
}

// Networks returns the networks by name.
func (c *Cluster) Networks() []Network {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Network
	for _, n := range c.sortedNetworks() {
		all = append(all, n.Network)
	}
	return all
}

// Attach gives a container on a node that is no task an address on an attachable network: ip or, if that is the zero
// Addr, a free one. The node knows the network when it returns. Detach gives the address back.
func (c *Cluster) Attach(ctx context.Context, nodeRef, networkRef string, ip netip.Addr) (Attachment, error) {
	c.mu.Lock()
	node, err := c.node(nodeRef)
	if err != nil {
		c.mu.Unlock()
		return Attachment{}, err
	}
	n, err := c.network(networkRef)
	if err != nil {
		c.mu.Unlock()
		return Attachment{}, err
	}
	if !n.Spec.Attachable {
		c.mu.Unlock()
		return Attachment{}, fmt.Errorf("network %s not manually attachable", n.Spec.Name) // O13
	}
	a, err := n.attach(ip)
	c.mu.Unlock()
	if err != nil {
		return Attachment{}, err
	}
	if err := c.enter(ctx, node, n, netip.Prefix{}); err != nil {
		c.release(a)
		return Attachment{}, err
	}
	return a, nil
}

// Detach gives back what Attach gave, after the container has left the network.
func (c *Cluster) Detach(ctx context.Context, nodeRef string, a Attachment) error {
	c.mu.Lock()
	node, err := c.node(nodeRef)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	c.release(a)
	return c.exit(ctx, node, a.Network.ID)
}

func (c *Cluster) release(a Attachment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releaseAddr(a)
}

// releaseAddr is release for who holds mu.
func (c *Cluster) releaseAddr(a Attachment) {
	if n := c.networks[a.Network.ID]; n != nil {
		n.pool.Release(a.IP.Addr())
	}
}

// attach takes an address of the network.
func (n *network) attach(ip netip.Addr) (Attachment, error) {
	addr, err := n.pool.Request(ip)
	if err != nil {
		return Attachment{}, fmt.Errorf("address on network %s: %w", n.Spec.Name, err)
	}
	return Attachment{Network: n.Network, IP: netip.PrefixFrom(addr, n.Subnet.Bits())}, nil
}

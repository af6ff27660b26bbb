package cnm

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// NetworkConfig says what a new network is. Its zero value, with a name, is a bridge network with the next free subnet.
type NetworkConfig struct {
	Name     string
	Driver   string       // empty: bridge
	Subnet   netip.Prefix // zero: the next predefined one
	Gateway  netip.Addr   // zero: the subnet's first address
	IPRange  netip.Prefix // zero: the whole subnet
	Internal bool         // no way out
	// Attachable lets containers that are no tasks join an overlay; Ingress makes it the routing mesh's.
	Attachable, Ingress bool
	Options, Labels     map[string]string
	// AuxAddresses are addresses of the subnet, by a name, that no container gets (I12).
	AuxAddresses map[string]netip.Addr
	MorePools    []PoolConfig      // further subnets, which bridge networks do not have
	IPAMDriver   string            // empty: default; see AddIPAMDriver
	IPAMOptions  map[string]string // for the address driver
	ID           string            // given by the swarm; empty: a new one
	VNI          uint32            // overlay: given by the swarm
	// Balancer is the address of this host's balancer on an overlay, given by the swarm (S9); zero: each container balances for itself.
	Balancer netip.Addr
}

// Network is a network of a host. Its accessors are safe to call at once.
type Network struct {
	c       *Controller
	cfg     NetworkConfig
	id      string
	name    string
	driver  driver
	created time.Time

	subnet  netip.Prefix
	gateway netip.Addr
	pools   []*pool // set when it is made; empty: the swarm gives addresses, or there are none

	mu        sync.Mutex
	endpoints map[string]*Endpoint // by id, guarded by mu
	members   map[*Sandbox]bool    // that have an endpoint or are about to, guarded by mu
	removed   bool                 // guarded by mu
	sandbox   *netns.Namespace     // guarded by mu; of an overlay
	private   any                  // guarded by mu; the driver's
	balancer  *balancer            // guarded by mu; nil: there is none
}

// ID returns the network's id.
func (n *Network) ID() string { return n.id }

// Name returns the network's name.
func (n *Network) Name() string { return n.name }

// Driver returns the name of the network's driver.
func (n *Network) Driver() string { return n.cfg.Driver }

// Scope returns "swarm" for an overlay, else "local".
func (n *Network) Scope() string {
	if n.cfg.Driver == DriverOverlay {
		return "swarm"
	}
	return "local"
}

// Subnet returns the network's addresses; the zero Prefix for host and none.
func (n *Network) Subnet() netip.Prefix { return n.subnet }

// Gateway returns the network's own address in its subnet.
func (n *Network) Gateway() netip.Addr { return n.gateway }

// IPRange returns the part of the subnet that addresses are chosen from; zero: all of it.
func (n *Network) IPRange() netip.Prefix { return n.cfg.IPRange }

// Internal tells whether the network has no way out.
func (n *Network) Internal() bool { return n.cfg.Internal }

// Attachable tells whether containers that are no tasks may join an overlay.
func (n *Network) Attachable() bool { return n.cfg.Attachable }

// Ingress tells whether the network is the routing mesh's.
func (n *Network) Ingress() bool { return n.cfg.Ingress }

// VNI returns the VXLAN network identifier of an overlay.
func (n *Network) VNI() uint32 { return n.cfg.VNI }

// Created returns when the network was made.
func (n *Network) Created() time.Time { return n.created }

// Options returns a copy of the network's options.
func (n *Network) Options() map[string]string { return copyMap(n.cfg.Options) }

// Labels returns a copy of the network's labels.
func (n *Network) Labels() map[string]string { return copyMap(n.cfg.Labels) }

func copyMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}

// AuxAddresses returns the reserved addresses by name.
func (n *Network) AuxAddresses() map[string]netip.Addr { return maps.Clone(n.cfg.AuxAddresses) }

// IPAMOptions returns a copy of the options of the network's addresses; nil: none were given.
func (n *Network) IPAMOptions() map[string]string { return maps.Clone(n.cfg.IPAMOptions) }

// UserSubnet tells whether the user chose the subnet, and so may choose addresses (I14).
func (n *Network) UserSubnet() bool { return n.cfg.Subnet.IsValid() }

// Predefined tells whether the network is one that every host has.
func (n *Network) Predefined() bool { return isPredefined(n.name) }

// UserDefined tells whether names are resolved on the network: not on the predefined ones and docker_gwbridge.
func (n *Network) UserDefined() bool { return !n.Predefined() && n.name != NetworkGateway }

// MTU returns the largest packet of the network's interfaces.
func (n *Network) MTU() int {
	if u, ok := n.state().(*parentUse); ok {
		if i, ok := n.c.cfg.Host.Interface(u.parent); ok {
			return i.MTU()
		}
	}
	v, err := strconv.Atoi(n.cfg.Options[optMTU])
	switch given := err == nil && v > 0; {
	case n.Encrypted() && given:
		return (v - vxlan.Overhead - espOverhead) &^ 3
	case n.Encrypted():
		return vxlan.EncryptedMTU
	case given:
		return v
	case n.cfg.Driver == DriverOverlay:
		return vxlan.DefaultMTU // I39
	}
	return netns.DefaultMTU
}

// espOverhead is what libnetwork takes off the MTU that a user gave for an encrypted overlay's underlay, beside VXLAN's, before
// it rounds down to a multiple of 4 (X9).
const espOverhead = 26

// Encrypted tells whether the network is an overlay whose frames travel sealed from host to host: whether it has that option,
// whatever its value (X1).
func (n *Network) Encrypted() bool {
	_, ok := n.cfg.Options[optEncrypted]
	return ok && n.cfg.Driver == DriverOverlay
}

// Endpoints returns the network's endpoints on this host by container id.
func (n *Network) Endpoints() []*Endpoint {
	n.mu.Lock()
	all := make([]*Endpoint, 0, len(n.endpoints))
	for _, ep := range n.endpoints {
		all = append(all, ep)
	}
	n.mu.Unlock()
	slices.SortFunc(all, func(a, b *Endpoint) int {
		return cmp.Or(cmp.Compare(a.sandbox.cfg.ID, b.sandbox.cfg.ID), cmp.Compare(a.id, b.id))
	})
	return all
}

// Sandbox returns the namespace of an overlay on this host, with its br0 and vxlan0; nil for other networks.
func (n *Network) Sandbox() *netns.Namespace {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sandbox
}

func (n *Network) setSandbox(ns *netns.Namespace) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sandbox = ns
}

// state returns what the driver keeps with the network.
func (n *Network) state() any {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.private
}

func (n *Network) setState(v any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.private = v
}

// begin announces an endpoint for the sandbox. A network that is being removed, or has one for it, takes none.
func (n *Network) begin(s *Sandbox) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.removed {
		return n.c.errNoNetwork(n.name)
	}
	if n.members[s] {
		return n.c.errEndpointExists(s.Name(), n.name)
	}
	n.members[s] = true
	return nil
}

// cancel ends what begin announced.
func (n *Network) cancel(s *Sandbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.members, s)
}

// finish makes an endpoint that has joined known.
func (n *Network) finish(ep *Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.endpoints[ep.id] = ep
}

// drop forgets an endpoint that has left.
func (n *Network) drop(ep *Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.endpoints, ep.id)
	delete(n.members, ep.sandbox)
}

// retire marks the network as removed unless it has endpoints other than that of the host's balancer, which it returns.
func (n *Network) retire() (b *balancer, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.members {
		if n.balancer == nil || s != n.balancer.sandbox {
			return nil, false
		}
	}
	n.removed = true
	return n.balancer, true
}

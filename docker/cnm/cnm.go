package cnm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/docker/ipam"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// Spawn starts a long-running function in the lab's group and returns at once. The function ends when its context does.
type Spawn func(run func(ctx context.Context) error)

// Config says what a Controller is. Host and Spawn are needed.
type Config struct {
	Name  string           // the host's name
	Host  *netns.Namespace // the host's namespace
	Spawn Spawn            // starts resolvers, forwarders and namespaces
	Seed  uint64           // seeds ids, hardware addresses and the order of answers; 0 is a seed like any other

	Nameservers []netip.AddrPort // of the host's resolv.conf; empty: none
	Search      []string         // of the host's resolv.conf
	Modern      bool             // speak and choose as today's engines do, not as those of 2017
	Log         *slog.Logger     // nil: silent
	// NoUserlandProxy leaves published ports to netfilter alone, as dockerd --userland-proxy=false does (B21).
	NoUserlandProxy bool

	VTEP      netip.Addr // the address of the host's VXLAN tunnels
	Directory Directory  // nil: the host is not in a swarm (yet; see JoinCluster)
}

// Names of the networks that every host has, and of the one that swarm mode adds.
const (
	NetworkBridge  = "bridge"
	NetworkHost    = "host"
	NetworkNone    = "none"
	NetworkGateway = "docker_gwbridge"
	NetworkIngress = "ingress"
)

// Names of drivers.
const (
	DriverBridge  = "bridge"
	DriverHost    = "host"
	DriverNull    = "null"
	DriverOverlay = "overlay"
	DriverMacvlan = "macvlan"
	DriverIPVlan  = "ipvlan"
)

// Controller has the networks and sandboxes of one host. All methods may be called at once from several goroutines.
type Controller struct {
	cfg     Config
	log     *slog.Logger
	drivers map[string]driver // never changes after New, but for DriverOverlay, guarded by mu
	bridges *bridgeDriver
	ports   portTable
	zones   dns.Registry

	netMu sync.Mutex // held while a network is made or removed, before all other locks

	mu        sync.Mutex
	networks  map[string]*Network   // by id, guarded by mu
	sandboxes map[string]*Sandbox   // by container id, guarded by mu
	services  serviceBinder         // guarded by mu; nil outside a swarm
	directory Directory             // guarded by mu
	vtep      netip.Addr            // guarded by mu
	esp       *vxlan.ESP            // guarded by mu; nil until keys are given
	ipams     map[string]IPAMDriver // guarded by mu

	luckMu sync.Mutex
	luck   *rand.Rand // guarded by luckMu

	indexMu   sync.Mutex
	nextIndex int // guarded by indexMu; the host's next interface index
}

// New returns the controller of a host. It makes docker0 with the network bridge, the networks host and none, the
// host's netfilter chains, and sets ip_forward; with a Directory also docker_gwbridge.
func New(cfg Config) (*Controller, error) {
	if cfg.Host == nil || cfg.Spawn == nil {
		return nil, fmt.Errorf("new controller %s: it needs the host's namespace and a way to start things", cfg.Name)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Controller{
		cfg: cfg, log: cfg.Log, networks: make(map[string]*Network), sandboxes: make(map[string]*Sandbox),
		ipams: map[string]IPAMDriver{IPAMDefault: ipam.NewDriver(false, ipam.Local()...), IPAMNull: ipam.Null{}},
		luck:  rand.New(rand.NewPCG(cfg.Seed, hashString(cfg.Name))),
	}
	c.bridges = newBridgeDriver(c)
	parents := new(parentTable)
	c.drivers = map[string]driver{DriverBridge: c.bridges, DriverHost: nothingDriver{}, DriverNull: nothingDriver{},
		DriverMacvlan: &parentDriver{c, DriverMacvlan, parents}, DriverIPVlan: &parentDriver{c, DriverIPVlan, parents}}
	cfg.Host.SetForward(true)
	if err := c.bridges.setupChains(); err != nil {
		return nil, fmt.Errorf("new controller %s: %w", cfg.Name, err)
	}
	for _, n := range predefined() {
		if _, err := c.createNetwork(n, true); err != nil {
			return nil, fmt.Errorf("new controller %s: network %s: %w", cfg.Name, n.Name, err)
		}
	}
	if cfg.Directory != nil {
		if err := c.JoinCluster(cfg.Directory, cfg.VTEP); err != nil {
			return nil, fmt.Errorf("new controller %s: %w", cfg.Name, err)
		}
	}
	return c, nil
}

// predefined are the networks that every host begins with.
func predefined() []NetworkConfig {
	return []NetworkConfig{
		{Name: NetworkBridge, Driver: DriverBridge, Options: map[string]string{
			optDefaultBridge: "true", optICC: "true", optMasquerade: "true", optHostBinding: "0.0.0.0",
			optBridgeName: "docker0", optMTU: "1500",
		}},
		{Name: NetworkHost, Driver: DriverHost},
		{Name: NetworkNone, Driver: DriverNull},
	}
}

// Name returns the host's name.
func (c *Controller) Name() string { return c.cfg.Name }

// Host returns the host's namespace.
func (c *Controller) Host() *netns.Namespace { return c.cfg.Host }

// Modern tells whether the controller speaks as today's engines do.
func (c *Controller) Modern() bool { return c.cfg.Modern }

// Directory returns what JoinCluster was given; nil outside a swarm.
func (c *Controller) Directory() Directory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.directory
}

// VTEP returns the address of the host's VXLAN tunnels.
func (c *Controller) VTEP() netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.vtep
}

// JoinCluster makes the host a node of a swarm: overlay networks can be made from now on, and docker_gwbridge is there.
func (c *Controller) JoinCluster(d Directory, vtep netip.Addr) error {
	c.mu.Lock()
	if c.directory != nil {
		c.mu.Unlock()
		return fmt.Errorf("join cluster: %s is a node of one", c.cfg.Name)
	}
	c.directory, c.vtep = d, vtep
	c.drivers[DriverOverlay] = &overlayDriver{c: c}
	c.services = serviceDriver{c}
	sealer := c.esp
	c.mu.Unlock()
	if sealer != nil { // of a swarm that the host was in before
		if err := sealer.SetLocal(vtep); err != nil {
			return fmt.Errorf("join cluster: %s: %w", c.cfg.Name, err)
		}
	}
	_, err := c.gatewayNetwork()
	return err
}

// LeaveCluster ends what JoinCluster began. The overlay networks must be gone; docker_gwbridge stays, as in Docker.
func (c *Controller) LeaveCluster() error {
	for _, n := range c.Networks() {
		if n.Driver() == DriverOverlay {
			return fmt.Errorf("leave cluster: %s has the network %s still: remove it first", c.cfg.Name, n.Name())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.directory, c.services = nil, nil
	delete(c.drivers, DriverOverlay)
	return nil
}

// Networks returns the networks by name.
func (c *Controller) Networks() []*Network {
	c.mu.Lock()
	all := make([]*Network, 0, len(c.networks))
	for _, n := range c.networks {
		all = append(all, n)
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b *Network) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
	return all
}

// Network returns the network of that name or id, or with an id that begins so if there is only one. A name comes before
// an id.
func (c *Controller) Network(nameOrID string) (*Network, bool) {
	var found *Network
	matches := 0
	for _, n := range c.Networks() {
		switch {
		case n.name == nameOrID:
			return n, true
		case nameOrID != "" && strings.HasPrefix(n.id, nameOrID):
			found = n
			matches++
			if n.id == nameOrID {
				matches = 1
			}
		}
	}
	if matches != 1 {
		return nil, false
	}
	return found, true
}

// Sandbox returns the sandbox of a container.
func (c *Controller) Sandbox(containerID string) (*Sandbox, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sandboxes[containerID]
	return s, ok
}

// Sandboxes returns all sandboxes by container id.
func (c *Controller) Sandboxes() []*Sandbox {
	c.mu.Lock()
	all := make([]*Sandbox, 0, len(c.sandboxes))
	for _, s := range c.sandboxes {
		all = append(all, s)
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b *Sandbox) int { return cmp.Compare(a.cfg.ID, b.cfg.ID) })
	return all
}

// Zone returns the DNS zone of a network, made if there is none. Drivers and services put remote names into it.
func (c *Controller) Zone(n *Network) *dns.SharedZone { return c.zones.Open(n.id, n.name) }

func (c *Controller) driver(name string) (driver, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.drivers[name]
	return d, ok
}

func (c *Controller) serviceBinder() serviceBinder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.services
}

// Close removes every sandbox and every network but the predefined ones. The first error does not stop it.
func (c *Controller) Close() error {
	var errs []error
	for _, s := range c.Sandboxes() {
		errs = append(errs, s.Delete())
	}
	for _, n := range c.Networks() {
		if !n.Predefined() {
			errs = append(errs, c.RemoveNetwork(n.id))
		}
	}
	return errors.Join(errs...)
}

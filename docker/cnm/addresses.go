package cnm

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/netsim-lab/netsim/docker/ipam"
)

// Names of the address drivers that every engine has. Networks with IPAMNull have no addresses, which the engine's own network
// drivers refuse.
const (
	IPAMDefault = "default"
	IPAMNull    = "null"
)

// IPAMDriver manages address pools and the addresses in them. Its calls may come from several goroutines at once; one that
// fails leaves nothing taken. An error that is ipam.ErrNoAddress says that the pool is used up. A driver whose addresses
// depend on hardware addresses has a method RequiresMAC() bool, too.
type IPAMDriver interface {
	RequestPool(ctx context.Context, r ipam.PoolRequest) (ipam.Lease, error)
	ReleasePool(ctx context.Context, id string) error
	// RequestAddress returns the address with the length of the pool's prefix, or none where the pool is 0.0.0.0/0.
	RequestAddress(ctx context.Context, r ipam.AddressRequest) (netip.Prefix, error)
	ReleaseAddress(ctx context.Context, id string, a netip.Addr) error
}

// AddIPAMDriver makes an address driver known, which docker network create --ipam-driver NAME takes from now on.
func (c *Controller) AddIPAMDriver(name string, d IPAMDriver) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == "" || c.ipams[name] != nil {
		return fail(ErrConflict, "there is an address driver %q already", name)
	}
	c.ipams[name] = d
	return nil
}

// ipam returns the address driver of that name; empty is the default one.
func (c *Controller) ipam(name string) (IPAMDriver, error) {
	if name == "" {
		name = IPAMDefault
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.ipams[name]; d != nil {
		return d, nil
	}
	return nil, c.errNoPlugin(name)
}

// PoolConfig is a subnet of a network.
type PoolConfig struct {
	Subnet       netip.Prefix // zero: the driver chooses
	Gateway      netip.Addr   // zero: the subnet's first address, or what the address driver gives
	IPRange      netip.Prefix // the part of it that addresses are chosen from; zero: the whole subnet
	AuxAddresses map[string]netip.Addr
}

// pools returns all subnets of a configuration.
func (cfg *NetworkConfig) pools() []PoolConfig {
	first := PoolConfig{Subnet: cfg.Subnet, Gateway: cfg.Gateway, IPRange: cfg.IPRange, AuxAddresses: cfg.AuxAddresses}
	return append([]PoolConfig{first}, cfg.MorePools...)
}

// pool is a subnet that a network has got. It does not change.
type pool struct {
	PoolConfig
	driver IPAMDriver
	id     string
}

// empty tells whether the pool has no addresses to give.
func (p *pool) empty() bool { return p.Subnet.Bits() == 0 }

// needsPool refuses a network without addresses, in the words of Docker's drivers.
func (n *Network) needsPool() error {
	if n.subnet.Bits() == 0 {
		return fail(ErrInvalid, "ipv4 pool is empty")
	}
	return nil
}

// Pools returns the network's subnets as they are; none for host and none.
func (n *Network) Pools() []PoolConfig {
	if len(n.pools) == 0 && n.subnet.IsValid() {
		return []PoolConfig{{Subnet: n.subnet, Gateway: n.gateway, IPRange: n.cfg.IPRange, AuxAddresses: maps.Clone(n.cfg.AuxAddresses)}}
	}
	var all []PoolConfig
	for _, p := range n.pools {
		cfg := p.PoolConfig
		cfg.AuxAddresses = maps.Clone(cfg.AuxAddresses)
		all = append(all, cfg)
	}
	return all
}

// IPAMDriver returns the name of the network's address driver.
func (n *Network) IPAMDriver() string {
	if n.cfg.IPAMDriver == "" {
		return IPAMDefault
	}
	return n.cfg.IPAMDriver
}

// poolGateway returns the gateway of the subnet that the endpoint is in.
func (ep *Endpoint) poolGateway() netip.Addr {
	if ep.pool != nil {
		return ep.pool.Gateway
	}
	return ep.network.gateway
}

// contains tells whether an address is in one of the network's subnets.
func (n *Network) contains(a netip.Addr) bool {
	return n.subnet.Contains(a) || slices.ContainsFunc(n.pools, func(p *pool) bool { return p.Subnet.Contains(a) })
}

// addressNetwork gives a network its subnets and gateways. The subnet of an overlay is the swarm's to give.
func (c *Controller) addressNetwork(n *Network) error {
	switch n.cfg.Driver {
	case DriverHost, DriverNull:
		return nil
	case DriverOverlay:
		return n.addressOverlay()
	}
	d, err := c.ipam(n.cfg.IPAMDriver)
	if err != nil {
		return err
	}
	for _, cfg := range n.cfg.pools() {
		p, err := c.leasePool(n, d, cfg)
		if err != nil {
			c.releasePools(n)
			n.pools = nil
			return err
		}
		n.pools = append(n.pools, p)
	}
	n.subnet, n.gateway = n.pools[0].Subnet, n.pools[0].Gateway
	return nil
}

// leasePool takes a pool, and out of it the gateway and the addresses that no container is to get.
func (c *Controller) leasePool(n *Network, d IPAMDriver, cfg PoolConfig) (*pool, error) {
	ctx := context.Background() // a driver bounds its calls
	lease, err := d.RequestPool(ctx, ipam.PoolRequest{Subnet: cfg.Subnet, Range: cfg.IPRange, Avoid: c.reserved(), Options: n.cfg.IPAMOptions})
	switch {
	case errors.Is(err, ipam.ErrPoolOverlap):
		return nil, fail(ErrForbidden, "%s%v", c.say("", "invalid pool request: "), err)
	case errors.Is(err, ipam.ErrNoPool):
		return nil, fail(ErrForbidden, "%s", c.say(err.Error(), "all predefined address pools have been fully subnetted"))
	case err != nil:
		return nil, fail(kindOr(err, ErrInvalid), "%v", err)
	}
	p := &pool{PoolConfig: cfg, driver: d, id: lease.ID}
	p.Subnet = lease.Subnet
	if err := c.fillPool(ctx, n, p, lease); err != nil {
		c.releasePool(n, p)
		return nil, err
	}
	return p, nil
}

// fillPool checks a pool that a driver gave, and takes its gateway and the auxiliary addresses.
func (c *Controller) fillPool(ctx context.Context, n *Network, p *pool, lease ipam.Lease) error {
	s := p.Subnet
	if !s.IsValid() || !s.Addr().Is4() || s != s.Masked() || p.id == "" {
		return fail(ErrSystem, "the address driver %s gave the pool %q with the subnet %s: it must have an id and an IPv4 subnet", n.IPAMDriver(), p.id, s)
	}
	if !p.Gateway.IsValid() {
		p.Gateway = lease.Gateway
	}
	switch {
	case p.Gateway.IsValid() && p.Gateway == lease.Gateway: // the driver keeps it from others
	case p.Gateway.IsValid() || !c.skipsGateway(n):
		a, err := p.driver.RequestAddress(ctx, ipam.AddressRequest{Pool: p.id, Addr: p.Gateway, Gateway: true})
		if err != nil {
			return fail(kindOr(err, ErrInvalid), "failed to allocate gateway (%s): %v", gatewayText(p.Gateway), err)
		}
		p.Gateway = a.Addr()
	}
	if p.Gateway.IsValid() && !s.Contains(p.Gateway) {
		return fail(ErrSystem, "the address driver %s gave the gateway %s, which is not in its pool %s", n.IPAMDriver(), p.Gateway, s)
	}
	for _, name := range slices.Sorted(maps.Keys(p.AuxAddresses)) {
		a := p.AuxAddresses[name]
		if a == p.Gateway { // the gateway may be reserved by a name as well
			continue
		}
		if _, err := p.driver.RequestAddress(ctx, ipam.AddressRequest{Pool: p.id, Addr: a}); err != nil {
			return fail(kindOr(err, ErrInvalid), "failed to allocate secondary ip address (%s:%s): %v", name, a, err)
		}
	}
	return nil
}

// skipsGateway tells whether a network that names no gateway gets none, so that its first address is a container's: what is
// isolated and, since 28, what has no way out by an address (GetSkipGwAlloc of libnetwork's drivers).
func (c *Controller) skipsGateway(n *Network) bool {
	opts, internal := n.cfg.Options, n.cfg.Internal
	switch n.cfg.Driver {
	case DriverBridge:
		inhibit, _ := strconv.ParseBool(opts[optInhibitIPv4]) // what is no flag the driver refuses
		return gatewayMode(opts[optGatewayMode]) == gatewayIsolated || c.cfg.Modern && inhibit && internal
	case DriverMacvlan:
		return c.cfg.Modern && internal
	case DriverIPVlan:
		return c.cfg.Modern && (internal || opts[optIPVlanMode] == "l3" || opts[optIPVlanMode] == "l3s")
	}
	return false
}

func gatewayText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// kindOr returns the kind of an error of Docker's, or another if it has none.
func kindOr(err, other error) error {
	if kind := kindOf(err); kind != ErrSystem || errors.Is(err, ErrSystem) {
		return kind
	}
	return other
}

// releasePools gives all pools of a network back. Whoever still looks at the network sees what they were.
func (c *Controller) releasePools(n *Network) {
	for _, p := range slices.Backward(n.pools) {
		c.releasePool(n, p)
	}
}

// releasePool gives a pool back. What a driver says to it changes nothing, as in Docker.
func (c *Controller) releasePool(n *Network, p *pool) {
	if err := p.driver.ReleasePool(context.Background(), p.id); err != nil {
		c.log.Warn("address pool was not released", "host", c.cfg.Name, "network", n.name, "driver", n.IPAMDriver(), "error", err)
	}
}

// requestAddress gives an endpoint its address on a network with pools, the first that has one; on others it is given by
// the swarm. It sets ep's address and pool, and its hardware address if the driver needs one.
func (c *Controller) requestAddress(ep *Endpoint, want netip.Addr) error {
	n := ep.network
	if len(n.pools) == 0 {
		if !want.IsValid() || !n.subnet.Contains(want) {
			return fail(ErrInvalid, "join network %s: the swarm gives addresses of %s, and gave %s", n.name, n.subnet, want)
		}
		ep.ip = netip.PrefixFrom(want, n.subnet.Bits())
		return nil
	}
	if m, ok := n.pools[0].driver.(interface{ RequiresMAC() bool }); ok && m.RequiresMAC() && ep.mac.IsZero() {
		ep.mac = c.newBridgeMAC()
	}
	for _, p := range n.pools {
		if want.IsValid() && !p.Subnet.Contains(want) {
			continue
		}
		a, err := p.driver.RequestAddress(context.Background(), ipam.AddressRequest{Pool: p.id, Addr: want, MAC: ep.mac})
		switch {
		case errors.Is(err, ipam.ErrNoAddress):
			continue
		case errors.Is(err, ipam.ErrAddressInUse):
			return fail(ErrForbidden, "%s%v", c.say("", "failed to set up container networking: "), err)
		case err != nil:
			return fail(kindOr(err, ErrInvalid), "%v", err)
		}
		if ep.pool = p; !a.IsValid() && p.empty() {
			return nil
		}
		ep.ip = netip.PrefixFrom(a.Addr(), p.Subnet.Bits())
		if !p.Subnet.Contains(a.Addr()) || a.Addr() == p.Gateway {
			c.releaseAddress(ep)
			return fail(ErrSystem, "the address driver %s gave %s, which is no free address of %s", n.IPAMDriver(), a.Addr(), p.Subnet)
		}
		return nil
	}
	if want.IsValid() && !n.contains(want) {
		return fail(ErrInvalid, "%v", ipam.ErrOutOfRange)
	}
	return fail(ErrForbidden, "no available IPv4 addresses on this network's address pools: %s (%s)", n.name, n.id)
}

func (c *Controller) releaseAddress(ep *Endpoint) {
	if ep.pool == nil {
		return
	}
	if err := ep.pool.driver.ReleaseAddress(context.Background(), ep.pool.id, ep.ip.Addr()); err != nil {
		c.log.Warn("address was not released", "host", c.cfg.Name, "network", ep.network.name, "address", ep.ip.Addr(), "error", err)
	}
	ep.pool = nil
}

package cnm

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/docker/ipam"
)

func isPredefined(name string) bool {
	return name == NetworkBridge || name == NetworkHost || name == NetworkNone
}

// CreateNetwork makes a network. Its errors have Docker's texts.
func (c *Controller) CreateNetwork(cfg NetworkConfig) (*Network, error) {
	switch {
	case isPredefined(cfg.Name):
		return nil, c.errPredefinedCreate(cfg.Name)
	case cfg.Driver == DriverHost || cfg.Driver == DriverNull:
		return nil, c.errOneInstance(cfg.Driver)
	case cfg.Name == "":
		return nil, fail(ErrInvalid, "network name cannot be empty")
	}
	return c.createNetwork(cfg, false)
}

func (c *Controller) createNetwork(cfg NetworkConfig, builtIn bool) (*Network, error) {
	c.netMu.Lock()
	defer c.netMu.Unlock()
	return c.createLocked(cfg, builtIn)
}

// createLocked makes a network; netMu is held.
func (c *Controller) createLocked(cfg NetworkConfig, builtIn bool) (*Network, error) {
	if cfg.Driver == "" {
		cfg.Driver = DriverBridge
	}
	d, ok := c.driver(cfg.Driver)
	switch {
	case !ok && cfg.Driver == DriverOverlay:
		return nil, c.errNoSwarm()
	case !ok:
		return nil, fail(ErrNotFound, c.say("plugin %q not found", "could not find plugin %s in v1 plugin registry: plugin not found"), cfg.Driver)
	}
	if err := c.checkNetwork(cfg); err != nil {
		return nil, err
	}
	for _, n := range c.Networks() {
		if n.name == cfg.Name || cfg.ID != "" && n.id == cfg.ID {
			return nil, c.errNetworkExists(cfg.Name)
		}
	}
	n := &Network{c: c, cfg: cfg, id: cfg.ID, name: cfg.Name, driver: d, created: time.Now(),
		endpoints: make(map[string]*Endpoint), members: make(map[*Sandbox]bool)}
	n.cfg.Options, n.cfg.Labels = maps.Clone(cfg.Options), maps.Clone(cfg.Labels)
	n.cfg.AuxAddresses, n.cfg.IPAMOptions = maps.Clone(cfg.AuxAddresses), maps.Clone(cfg.IPAMOptions)
	if n.id == "" {
		n.id = c.newID()
	}
	if err := c.addressNetwork(n); err != nil {
		return nil, err
	}
	if err := d.createNetwork(n); err != nil {
		return nil, errors.Join(err, c.releasePool(n))
	}
	c.mu.Lock()
	c.networks[n.id] = n
	c.mu.Unlock()
	if !builtIn {
		c.log.Info("network created", "host", c.cfg.Name, "network", n.name, "driver", n.cfg.Driver, "subnet", n.subnet)
	}
	return n, nil
}

// addressNetwork gives a network its subnet and gateway. The subnet of an overlay is the swarm's to give.
func (c *Controller) addressNetwork(n *Network) error {
	switch n.cfg.Driver {
	case DriverHost, DriverNull:
		return nil
	case DriverOverlay:
		return n.addressOverlay()
	}
	avoid := c.reserved()
	c.poolMu.Lock()
	defer c.poolMu.Unlock()
	pool, err := c.pools.RequestPool(n.cfg.Subnet, avoid)
	switch {
	case errors.Is(err, ipam.ErrPoolOverlap):
		return fail(ErrForbidden, "%s%v", c.say("", "invalid pool request: "), err)
	case errors.Is(err, ipam.ErrNoPool):
		return fail(ErrForbidden, "%s", c.say(err.Error(), "all predefined address pools have been fully subnetted"))
	case err != nil:
		return fail(ErrInvalid, "%v", err)
	}
	var gateway netip.Addr
	if n.cfg.Gateway.IsValid() || gatewayMode(n.cfg.Options[optGatewayMode]) != gatewayIsolated {
		gateway, err = pool.Request(n.cfg.Gateway)
	}
	if err == nil && n.cfg.IPRange.IsValid() {
		err = pool.SetRange(n.cfg.IPRange)
	}
	text := fmt.Sprintf("failed to allocate gateway (%s): %v", n.cfg.Gateway, err)
	for name, a := range n.cfg.AuxAddresses {
		if err != nil {
			break
		}
		if a != gateway { // the gateway may be reserved by a name as well
			_, err = pool.Request(a)
			text = fmt.Sprintf("failed to allocate secondary ip address (%s:%s): %v", name, a, err)
		}
	}
	if err != nil {
		if rel := c.pools.ReleasePool(pool); rel != nil {
			return rel
		}
		return fail(ErrInvalid, "%s", text)
	}
	n.pool, n.subnet, n.gateway = pool, pool.Subnet(), gateway
	return nil
}

func (n *Network) addressOverlay() error {
	if !n.cfg.Subnet.IsValid() {
		return fail(ErrInvalid, "network %s: the swarm gave the overlay no subnet", n.name)
	}
	n.subnet, n.gateway = n.cfg.Subnet, n.cfg.Gateway
	if !n.gateway.IsValid() {
		n.gateway = n.subnet.Addr().Next()
	}
	return nil
}

// reserved are the ranges that predefined pools stay away from: where the host's routes lead, today only those on link,
// and its name servers (I4).
func (c *Controller) reserved() []netip.Prefix {
	var avoid []netip.Prefix
	for _, r := range c.cfg.Host.Routes() {
		if r.Dst.Bits() > 0 && (!c.cfg.Modern || !r.Via.IsValid()) {
			avoid = append(avoid, r.Dst)
		}
	}
	for _, s := range c.cfg.Nameservers {
		if s.Addr().Is4() {
			avoid = append(avoid, netip.PrefixFrom(s.Addr(), 32))
		}
	}
	return avoid
}

func (c *Controller) releasePool(n *Network) error {
	c.poolMu.Lock()
	defer c.poolMu.Unlock()
	if n.pool == nil {
		return nil
	}
	return c.pools.ReleasePool(n.pool)
}

// RemoveNetwork removes a network that no container is on.
func (c *Controller) RemoveNetwork(nameOrID string) error {
	c.netMu.Lock()
	defer c.netMu.Unlock()
	n, ok := c.Network(nameOrID)
	if !ok {
		return c.errNoNetwork(nameOrID)
	}
	if n.Predefined() {
		return c.errPredefinedRemove(n.name)
	}
	if !n.retire() {
		return c.errActive(n)
	}
	c.mu.Lock()
	delete(c.networks, n.id)
	c.mu.Unlock()
	err := errors.Join(n.driver.deleteNetwork(n), c.releasePool(n))
	c.zones.Delete(n.id)
	c.log.Info("network removed", "host", c.cfg.Name, "network", n.name)
	return err
}

// gatewayNetwork returns docker_gwbridge, made if there is none yet (O11).
func (c *Controller) gatewayNetwork() (*Network, error) {
	if n, ok := c.Network(NetworkGateway); ok {
		return n, nil
	}
	c.netMu.Lock()
	defer c.netMu.Unlock()
	if n, ok := c.Network(NetworkGateway); ok {
		return n, nil
	}
	return c.createLocked(NetworkConfig{Name: NetworkGateway, Driver: DriverBridge, Options: map[string]string{
		optBridgeName: NetworkGateway, optICC: "false", optMasquerade: "true",
	}}, true)
}

// requestAddress gives an endpoint its address on a network with a pool; on others it is given by the swarm.
func (c *Controller) requestAddress(n *Network, want netip.Addr) (addr netip.Prefix, pooled bool, err error) {
	c.poolMu.Lock()
	defer c.poolMu.Unlock()
	if n.pool == nil {
		if !want.IsValid() || !n.subnet.Contains(want) {
			return netip.Prefix{}, false, fail(ErrInvalid, "join network %s: the swarm gives addresses of %s, and gave %s", n.name, n.subnet, want)
		}
		return netip.PrefixFrom(want, n.subnet.Bits()), false, nil
	}
	a, err := n.pool.Request(want)
	switch {
	case errors.Is(err, ipam.ErrNoAddress):
		return netip.Prefix{}, false, fail(ErrForbidden, "no available IPv4 addresses on this network's address pools: %s (%s)", n.name, n.id)
	case errors.Is(err, ipam.ErrAddressInUse):
		return netip.Prefix{}, false, fail(ErrForbidden, "%s%v", c.say("", "failed to set up container networking: "), err)
	case err != nil:
		return netip.Prefix{}, false, fail(ErrInvalid, "%v", err)
	}
	return netip.PrefixFrom(a, n.subnet.Bits()), true, nil
}

func (c *Controller) releaseAddress(ep *Endpoint) {
	if !ep.pooled {
		return
	}
	c.poolMu.Lock()
	defer c.poolMu.Unlock()
	ep.network.pool.Release(ep.ip.Addr())
}

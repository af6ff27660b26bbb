package cnm

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"
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
	n, err := c.createNetwork(cfg, false)
	if err != nil || !cfg.Balancer.IsValid() {
		return n, err
	}
	if err := c.addBalancer(n); err != nil {
		return nil, errors.Join(err, c.RemoveNetwork(n.id))
	}
	return n, nil
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
		return nil, c.errNoPlugin(cfg.Driver)
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
	n.cfg.MorePools = slices.Clone(cfg.MorePools)
	n.cfg.AuxAddresses, n.cfg.IPAMOptions = maps.Clone(cfg.AuxAddresses), maps.Clone(cfg.IPAMOptions)
	if n.id == "" {
		n.id = c.newID()
	}
	if err := c.addressNetwork(n); err != nil {
		return nil, err
	}
	if err := d.createNetwork(n); err != nil {
		c.releasePools(n)
		return nil, err
	}
	c.mu.Lock()
	c.networks[n.id] = n
	c.mu.Unlock()
	if !builtIn {
		c.log.Info("network created", "host", c.cfg.Name, "network", n.name, "driver", n.cfg.Driver, "subnet", n.subnet)
	}
	return n, nil
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
	b, ok := n.retire()
	if !ok {
		return c.errActive(n)
	}
	gone := b.end()
	c.mu.Lock()
	delete(c.networks, n.id)
	c.mu.Unlock()
	err := errors.Join(gone, n.driver.deleteNetwork(n))
	c.releasePools(n)
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

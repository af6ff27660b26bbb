package topology

import "slices"

// drivers are those that every engine has.
var drivers = []Driver{DriverBridge, DriverOverlay, DriverMacvlan, DriverIPVlan, DriverHost, DriverNull}

// Address drivers that every engine has. ipamNull gives no addresses, which none of the network drivers here takes.
const (
	ipamDefault = "default"
	ipamNull    = "null"
)

// Addresses tells whether the plug-in is an address driver, and not a network driver.
func (p *Plugin) Addresses() bool { return p.Builtin != PluginPTP }

// plugin finds a plug-in of the file; nil: there is none of that name.
func (c *checker) plugin(name string) *Plugin {
	at := slices.IndexFunc(c.spec.Plugins, func(p Plugin) bool { return p.Name == name })
	if at < 0 {
		return nil
	}
	return &c.spec.Plugins[at]
}

// pluginNames returns the names of the address drivers or the network drivers among the plug-ins, behind others.
func (c *checker) pluginNames(addresses bool, first ...string) []string {
	for i := range c.spec.Plugins {
		if p := &c.spec.Plugins[i]; p.Addresses() == addresses {
			first = append(first, p.Name)
		}
	}
	return first
}

// checkDriver reports a network driver that is neither the engine's own nor a plug-in.
func (c *checker) checkDriver(n *Network) {
	if n.Driver == "" || slices.Contains(drivers, n.Driver) {
		return
	}
	p := c.plugin(string(n.Driver))
	switch {
	case p == nil:
		var own []string
		for _, d := range drivers {
			own = append(own, string(d))
		}
		known := c.pluginNames(false, own...)
		c.failAt(n.driverPos, "driver cannot be %q%s", clip(string(n.Driver)), c.nearOr(string(n.Driver), known))
	case p.Addresses():
		c.failAt(n.driverPos, "plug-in %q, of %s, is an address driver: write \"ipam: {driver: %s}\"", p.Name, p.Pos, p.Name)
	}
}

// checkIPAM reports an address driver that is neither the engine's own nor a plug-in, or that does not go with the network's driver.
func (c *checker) checkIPAM(n *Network) {
	if n.Driver == DriverOverlay && (n.IPAM.Driver != "" || len(n.IPAM.Options) > 0) {
		c.failAt(n.IPAM.Pos, "overlay network %q has its addresses from the swarm and takes no \"ipam\"", n.Name)
		return
	}
	if n.IPAM.Driver == "" || n.IPAM.Driver == ipamDefault {
		return
	}
	p := c.plugin(n.IPAM.Driver)
	switch {
	case n.IPAM.Driver == ipamNull:
		c.failAt(n.IPAM.driverPos, "ipam driver \"null\" gives no addresses, and a network of driver %q needs some", n.Driver)
	case p == nil:
		c.failAt(n.IPAM.driverPos, "ipam driver cannot be %q%s", clip(n.IPAM.Driver), c.nearOr(n.IPAM.Driver, c.pluginNames(true, ipamDefault)))
	case !p.Addresses():
		c.failAt(n.IPAM.driverPos, "plug-in %q, of %s, is a network driver: write \"driver: %s\"", p.Name, p.Pos, p.Name)
	}
}

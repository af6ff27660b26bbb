package topology

import (
	"net/netip"
	"slices"
)

// predefined are the networks that every engine has, and their drivers.
var predefined = map[string]Driver{"bridge": DriverBridge, "host": DriverHost, "none": DriverNull}

// reserved are the names that the engine itself gives to networks.
var reserved = []string{"bridge", "host", "none", "ingress", "docker_gwbridge"}

// placeNetworks fills in the hosts of local networks that name none. Networks
// that nobody uses share one list of hosts.
func (c *checker) placeNetworks() {
	users := map[string]map[string]bool{}
	for i := range c.spec.Containers {
		x := &c.spec.Containers[i]
		for _, e := range x.Networks {
			if users[e.Network] == nil {
				users[e.Network] = map[string]bool{}
			}
			users[e.Network][x.Host.Name] = true
		}
	}
	var engines []Ref
	for _, h := range c.spec.Fabric.Hosts {
		if h.Engine != "" {
			engines = append(engines, Ref{Pos: h.Pos, Name: h.Name})
		}
	}
	engines = slices.Clip(engines)
	for i := range c.spec.Networks {
		n := &c.spec.Networks[i]
		switch used := users[n.Name]; {
		case !n.Driver.Local() || len(n.Hosts) > 0:
		case len(used) == 0:
			n.Hosts = engines
		default:
			for _, h := range engines {
				if used[h.Name] {
					n.Hosts = append(n.Hosts, h)
				}
			}
		}
	}
}

func (c *checker) checkNetworks() {
	on := make([]map[string]bool, len(c.spec.Networks)) // hosts, by network
	for i := range c.spec.Networks {
		n := &c.spec.Networks[i]
		c.checkDriver(n)
		c.checkIPAM(n)
		c.checkNetworkKind(n)
		c.checkNetworkHosts(n)
		c.checkParent(n)
		c.checkPool(n)
		if n.Subnet.IsValid() {
			on[i] = hostSet(n.Hosts)
		}
		for j := range c.spec.Networks[:i] {
			if c.overlapping(n, &c.spec.Networks[j], on[j]) {
				break
			}
		}
	}
}

func (c *checker) checkNetworkKind(n *Network) {
	switch {
	case slices.Contains(reserved, n.Name):
		c.failAt(n.Pos, "network %q is made by the engine itself; choose another name", n.Name)
	case n.Driver == DriverHost || n.Driver == DriverNull:
		name := "host"
		if n.Driver == DriverNull {
			name = "none"
		}
		c.failAt(n.Pos, "only one network of driver %q is allowed: use the predefined network %q", n.Driver, name)
	case n.Driver == DriverOverlay && c.spec.Swarm == nil:
		c.failAt(n.Pos, "overlay network %q needs a swarm; add \"swarm: {managers: [HOST]}\"", n.Name)
	case n.Driver != DriverOverlay && n.Attachable:
		c.failAt(n.Pos, "attachable is for overlay networks; network %q has driver %q", n.Name, n.Driver)
	}
}

func (c *checker) checkNetworkHosts(n *Network) {
	if n.Driver == DriverOverlay && len(n.Hosts) > 0 {
		c.failAt(n.Hosts[0].Pos, "overlay network %q spans the swarm and takes no \"host\"", n.Name)
		return
	}
	seen := map[string]bool{}
	for _, h := range n.Hosts {
		if seen[h.Name] {
			c.failAt(h.Pos, "host %q is named twice", clip(h.Name))
			continue
		}
		seen[h.Name] = true
		c.engineHost(h, "the network's host")
	}
}

// checkPool checks that gateway and ip_range fit the subnet.
func (c *checker) checkPool(n *Network) {
	if !n.Subnet.IsValid() {
		if n.Gateway.IsValid() {
			c.failAt(n.gatewayPos, "network %q has a gateway but no subnet", n.Name)
		}
		if n.IPRange.IsValid() {
			c.failAt(n.ipRangePos, "network %q has an ip_range but no subnet", n.Name)
		}
		return
	}
	if n.Subnet.Bits() > 29 || n.Subnet.Bits() < 8 {
		c.failAt(n.subnetPos, "subnet %s of network %q must have a prefix length from 8 to 29", n.Subnet, n.Name)
		return
	}
	switch g := n.Gateway; {
	case !g.IsValid():
	case !n.Subnet.Contains(g):
		c.failAt(n.gatewayPos, "invalid gateway %s of network %q: parent subnet %s doesn't contain this address", g, n.Name, n.Subnet)
	case isEdge(n.Subnet, g):
		c.failAt(n.gatewayPos, "invalid gateway %s of network %q: that is the network or broadcast address of %s", g, n.Name, n.Subnet)
	}
	if x := n.IPRange; x.IsValid() && (!n.Subnet.Contains(x.Addr()) || x.Bits() < n.Subnet.Bits()) {
		c.failAt(n.ipRangePos, "ip_range %s of network %q is not inside its subnet %s", x, n.Name, n.Subnet)
	}
}

// overlapping reports two networks of one scope whose subnets overlap: two
// overlays, or two local networks on one host. oHosts are the hosts of o.
func (c *checker) overlapping(n, o *Network, oHosts map[string]bool) bool {
	if !n.Subnet.IsValid() || !o.Subnet.IsValid() || !n.Subnet.Overlaps(o.Subnet) || n.Driver.Local() != o.Driver.Local() {
		return false
	}
	where := "both are overlays"
	if n.Driver.Local() {
		shared := firstIn(n.Hosts, oHosts)
		if shared == "" {
			return false
		}
		where = "both are on host " + shared
	}
	c.failAt(n.subnetPos, "subnet %s of network %q overlaps %s of network %q at %s; %s", n.Subnet, n.Name, o.Subnet, o.Name, o.subnetPos, where)
	return true
}

func hostSet(refs []Ref) map[string]bool {
	set := make(map[string]bool, len(refs))
	for _, r := range refs {
		set[r.Name] = true
	}
	return set
}

// firstIn returns the first name that is in the set, or the empty string.
func firstIn(refs []Ref, set map[string]bool) string {
	for _, r := range refs {
		if set[r.Name] {
			return r.Name
		}
	}
	return ""
}

// network finds a defined network, or reports that there is none.
func (c *checker) network(name string, at Pos) *Network {
	if n, ok := c.networks[name]; ok {
		return n
	}
	if name == "" {
		return nil
	}
	known := make([]string, 0, len(c.spec.Networks)+len(predefined))
	for _, n := range c.spec.Networks {
		known = append(known, n.Name)
	}
	known = append(known, reserved[:len(predefined)]...)
	c.failAt(at, "network %q is not defined%s", clip(name), c.near(name, known))
	return nil
}

// EffectiveGateway returns the gateway that the network will have: the given
// one, else the first address of its subnet, else zero.
func (n *Network) EffectiveGateway() netip.Addr {
	if n.Gateway.IsValid() || !n.Subnet.IsValid() {
		return n.Gateway
	}
	return n.Subnet.Addr().Next()
}

package topology

import (
	"net/netip"
	"slices"
)

func (c *checker) checkServices() {
	for i := range c.spec.Services {
		s := &c.spec.Services[i]
		if c.spec.Swarm == nil {
			c.failAt(s.Pos, "service %q needs a swarm; add \"swarm: {managers: [HOST]}\"", s.Name)
		}
		c.checkServiceNetworks(s)
		for _, p := range s.Ports {
			if p.HostIP.IsValid() {
				c.failAt(p.Pos, "a service publishes its ports on every address; leave out %s", p.HostIP)
			}
			if p.Mode == PublishIngress && s.EndpointMode == EndpointDNSRR {
				c.failAt(p.Pos, "port published with ingress mode can't be used with dnsrr mode; use mode: host or endpoint_mode: vip")
			}
		}
		for _, k := range s.Constraints {
			if _, ok := c.members[k.Value]; k.Key == "node.hostname" && !ok && !k.Not {
				c.failAt(k.Pos, "constraint %q fits no swarm node%s", k, c.near(k.Value, c.memberList()))
			}
		}
	}
}

func (c *checker) memberList() []string {
	var names []string
	for _, h := range c.hostNameList() {
		if _, ok := c.members[h]; ok {
			names = append(names, h)
		}
	}
	return names
}

func (c *checker) checkServiceNetworks(s *Service) {
	seen := map[string]bool{}
	for _, ref := range s.Networks {
		if seen[ref.Name] {
			c.failAt(ref.Pos, "service %q names network %q twice", s.Name, clip(ref.Name))
			continue
		}
		seen[ref.Name] = true
		local := predefined[ref.Name] != ""
		if !local {
			n := c.network(ref.Name, ref.Pos)
			local = n != nil && n.Driver.Local()
		}
		if local {
			c.failAt(ref.Pos, "the network %s cannot be used with services; only networks scoped to the swarm can be used, such as those created with the overlay driver", ref.Name)
		}
	}
}

func (c *checker) checkContainers() {
	taken := map[string]Pos{} // by network, scope and address
	for i := range c.spec.Containers {
		x := &c.spec.Containers[i]
		c.engineHost(x.Host, "container host")
		seen := map[string]bool{}
		for j := range x.Networks {
			e := &x.Networks[j]
			if seen[e.Network] {
				c.failAt(e.Pos, "container %q names network %q twice", x.Name, clip(e.Network))
				continue
			}
			seen[e.Network] = true
			c.checkEndpoint(x, e, taken)
		}
	}
}

func (c *checker) checkEndpoint(x *Container, e *Endpoint, taken map[string]Pos) {
	if driver := predefined[e.Network]; driver != "" {
		c.checkPredefined(x, e, driver)
		return
	}
	n := c.network(e.Network, e.Pos)
	if n == nil {
		return
	}
	named := func(h Ref) bool { return h.Name == x.Host.Name }
	_, member := c.members[x.Host.Name]
	switch {
	case n.Driver.Local() && c.hosts[x.Host.Name] != nil && !slices.ContainsFunc(n.Hosts, named):
		c.failAt(e.Pos, "network %q is not on host %q, where container %q runs; add the host to the network at %s", n.Name, x.Host.Name, x.Name, n.Pos)
	case n.Driver == DriverOverlay && !n.Attachable:
		c.failAt(e.Pos, "network %s not manually attachable: a container can join an overlay only with \"attachable: true\", at %s", n.Name, n.Pos)
	case n.Driver == DriverOverlay && c.hosts[x.Host.Name] != nil && !member && c.spec.Swarm != nil:
		c.failAt(e.Pos, "host %q is not in the swarm, so container %q cannot join overlay network %q", x.Host.Name, x.Name, n.Name)
	}
	if e.IP.IsValid() {
		c.checkStaticIP(x, e, n, taken)
	}
}

func (c *checker) checkPredefined(x *Container, e *Endpoint, driver Driver) {
	if len(x.Networks) > 1 && driver != DriverBridge {
		c.failAt(e.Pos, "a container on network %q cannot be on another network as well", e.Network)
	}
	if e.IP.IsValid() {
		c.failAt(e.ipPos, "user specified IP address is supported on user defined networks only")
	}
	if len(e.Aliases) > 0 {
		c.failAt(e.Pos, "network-scoped alias is supported only for containers in user defined networks")
	}
}

// checkStaticIP checks an address that a container asks for.
func (c *checker) checkStaticIP(x *Container, e *Endpoint, n *Network, taken map[string]Pos) {
	switch {
	case !n.Subnet.IsValid():
		c.failAt(e.ipPos, "user specified IP address is supported only when connecting to networks with user configured subnets; add a subnet to network %q at %s", n.Name, n.Pos)
		return
	case !n.Subnet.Contains(e.IP):
		c.failAt(e.ipPos, "address %s of container %q is outside subnet %s of network %q", e.IP, x.Name, n.Subnet, n.Name)
		return
	case isEdge(n.Subnet, e.IP):
		c.failAt(e.ipPos, "address %s of container %q is the network or broadcast address of %s", e.IP, x.Name, n.Subnet)
		return
	case e.IP == n.EffectiveGateway():
		c.failAt(e.ipPos, "address %s of container %q is the gateway of network %q", e.IP, x.Name, n.Name)
		return
	}
	key := n.Name + "|" + e.IP.String()
	if n.Driver.Local() { // each host gives its own, twice on one wire if nobody plans them
		key += "|" + x.Host.Name
	}
	if first, twice := taken[key]; twice {
		c.failAt(e.ipPos, "address %s of container %q is already in use on network %q, from %s", e.IP, x.Name, n.Name, first)
		return
	}
	taken[key] = e.ipPos
}

// published is a port that somebody has, on one host or, for the routing mesh,
// on all hosts of the swarm.
type published struct {
	owner string
	ip    netip.Addr
	pos   Pos
}

// portKey is what two publishers must not share, beside the address.
type portKey struct {
	host     string // empty: the routing mesh
	protocol string
	port     uint16
}

// checkPorts reports a port that two publish in one place.
func (c *checker) checkPorts() {
	taken := map[portKey][]published{}
	for i := range c.spec.Services {
		s := &c.spec.Services[i]
		for _, p := range s.Ports {
			c.publish(taken, portKey{"", p.Protocol, p.Published}, published{"service " + s.Name, netip.Addr{}, p.Pos})
		}
	}
	for i := range c.spec.Containers {
		x := &c.spec.Containers[i]
		for _, p := range x.Ports {
			mine := published{"container " + x.Name, p.HostIP, p.Pos}
			key := portKey{x.Host.Name, p.Protocol, p.Published}
			if _, member := c.members[x.Host.Name]; member && c.clash(taken[portKey{"", p.Protocol, p.Published}], key, mine) {
				continue
			}
			c.publish(taken, key, mine)
		}
	}
}

func (c *checker) publish(taken map[portKey][]published, key portKey, mine published) {
	if key.port == 0 || c.clash(taken[key], key, mine) {
		return
	}
	if len(taken[key]) < maxEntries {
		taken[key] = append(taken[key], mine)
	}
}

// clash reports the first publisher that has the port on the same address.
func (c *checker) clash(others []published, key portKey, mine published) bool {
	for _, o := range others {
		if key.port == 0 || o.ip.IsValid() && mine.ip.IsValid() && o.ip != mine.ip {
			continue
		}
		where := "in the swarm"
		if key.host != "" {
			where = "on host " + key.host
		}
		c.failAt(mine.pos, "port %d/%s of %s is already published %s by %s at %s", key.port, key.protocol, mine.owner, where, o.owner, o.pos)
		return true
	}
	return false
}

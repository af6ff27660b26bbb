package topology

// checker looks at a Spec as a whole: names that must exist, addresses that
// must fit, ports that only one can have. It also settles the defaults that
// depend on several elements.
type checker struct {
	*reader
	spec       *Spec
	nodes      map[string]placed // switches, routers and hosts
	nodeNames  []string
	hosts      map[string]*Host
	routers    map[string]*Router
	networks   map[string]*Network
	services   map[string]*Service
	containers map[string]*Container // by HOST/NAME
	members    map[string]Pos        // swarm nodes
}

// placed is what carries a fabric name, and where it is defined.
type placed struct {
	kind string
	pos  Pos
}

// The kinds of fabric nodes, as messages call them.
const (
	kindSwitch = "switch"
	kindRouter = "router"
	kindHost   = "host"

	kindBalancer = "balancer"
)

func newChecker(r *reader, s *Spec) *checker {
	return &checker{
		reader: r, spec: s,
		nodes:      map[string]placed{},
		hosts:      map[string]*Host{},
		routers:    map[string]*Router{},
		networks:   map[string]*Network{},
		services:   map[string]*Service{},
		containers: map[string]*Container{},
		members:    map[string]Pos{},
	}
}

func (c *checker) all() {
	c.collect()
	c.checkFabric()
	c.checkSwarm()
	c.placeNetworks()
	c.checkNetworks()
	c.checkServices()
	c.checkContainers()
	c.checkPorts()
	c.checkExposes()
	c.checkSteps()
	c.checkRemotes()
}

// collect fills the name tables. Names of one kind are unique by being keys
// of one mapping; only clashes between kinds remain.
func (c *checker) collect() {
	s := c.spec
	for i := range s.Fabric.Switches {
		c.addNode(s.Fabric.Switches[i].Name, placed{kindSwitch, s.Fabric.Switches[i].Pos})
	}
	for i := range s.Fabric.Routers {
		x := &s.Fabric.Routers[i]
		c.addNode(x.Name, placed{kindRouter, x.Pos})
		c.routers[x.Name] = x
	}
	for i := range s.Fabric.Hosts {
		h := &s.Fabric.Hosts[i]
		kind := kindHost
		if h.balancer {
			kind = kindBalancer
		}
		c.addNode(h.Name, placed{kind, h.Pos})
		c.hosts[h.Name] = h
	}
	for i := range s.Networks {
		c.networks[s.Networks[i].Name] = &s.Networks[i]
	}
	for i := range s.Services {
		c.services[s.Services[i].Name] = &s.Services[i]
	}
	for i := range s.Containers {
		x := &s.Containers[i]
		key := x.Host.Name + "/" + x.Name
		if first, twice := c.containers[key]; twice {
			c.failAt(x.Pos, "container %q on host %q is defined twice; the first is at %s", x.Name, x.Host.Name, first.Pos)
			continue
		}
		c.containers[key] = x
	}
}

func (c *checker) addNode(name string, p placed) {
	if first, twice := c.nodes[name]; twice {
		c.failAt(p.pos, "%s %q has the name of a %s, which is at %s", p.kind, name, first.kind, first.pos)
		return
	}
	c.nodes[name] = p
	c.nodeNames = append(c.nodeNames, name)
}

// known reports a name that no switch, router or host has. An empty name was
// reported when it was read.
func (c *checker) known(name string, at Pos) bool {
	if _, ok := c.nodes[name]; ok {
		return true
	}
	if name != "" {
		c.failAt(at, "node %q is not defined%s", clip(name), c.near(name, c.nodeNames))
	}
	return false
}

// engineHost reports a name that is not a host with an engine.
func (c *checker) engineHost(ref Ref, role string) bool {
	if ref.Name == "" {
		return false
	}
	h, ok := c.hosts[ref.Name]
	switch {
	case c.nodes[ref.Name].kind != "" && c.nodes[ref.Name].kind != kindHost:
		c.failAt(ref.Pos, "%s %q is a %s, not a host", role, ref.Name, c.nodes[ref.Name].kind)
		return false
	case !ok:
		c.failAt(ref.Pos, "host %q is not defined%s", clip(ref.Name), c.near(ref.Name, c.hostNameList()))
	case h.Engine == "":
		c.failAt(ref.Pos, "%s %q has no Docker engine; add \"engine: docker\" to the host at %s", role, h.Name, h.Pos)
		return false
	}
	return ok
}

func (c *checker) hostNameList() []string {
	names := make([]string, len(c.spec.Fabric.Hosts))
	for i, h := range c.spec.Fabric.Hosts {
		names[i] = h.Name
	}
	return names
}

func (c *checker) checkSwarm() {
	w := c.spec.Swarm
	if w == nil {
		return
	}
	for _, m := range w.Managers {
		c.joinSwarm(m, "swarm manager")
	}
	for _, m := range w.Workers {
		c.joinSwarm(m, "swarm worker")
	}
}

func (c *checker) joinSwarm(ref Ref, role string) {
	if !c.engineHost(ref, role) {
		return
	}
	if first, twice := c.members[ref.Name]; twice {
		c.failAt(ref.Pos, "host %q is in the swarm already, from %s", ref.Name, first)
		return
	}
	c.members[ref.Name] = ref.Pos
}

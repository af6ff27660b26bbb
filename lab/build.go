package lab

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"sync"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// physical is the fabric of a lab: what one would cable.
type physical struct {
	switches map[string]*l2switch.Switch
	consoles map[string]*machine // where commands of switches run, by the switch's name
	machines map[string]*machine // hosts, routers, the name server and the internet, by name
	order    []*machine
	cables   []*cable

	away      map[string]netip.AddrPort // nodes that other processes run, and where those listen
	awayHosts map[string]bool           // the hosts of them
	joints    []*joint                  // cables that lead there
	distant   []topology.Cable          // cables between two such nodes
}

// machine is a host, a router, the name server or a part of the internet.
type machine struct {
	name   string
	ns     *netns.Namespace
	host   *topology.Host // nil: it is none
	router *topology.Router
	kind   NodeKind         // of what is neither host nor router
	sites  []topology.Site  // what it is the address of, in the internet
	kernel *kernelHost      // nil: it is a simulated one
	sw     *l2switch.Switch // of a switch's console
	names  *hostNames
	addr   netip.Prefix    // the first it has
	named  namedNamespaces // of ip netns
	report *balancerReport // nil: it is no balancer

	once sync.Once
	sys  *shell.System // made by once
}

// cable is a cable and what it connects.
type cable struct {
	link *fabric.Link
	a, b string // nodes
	flap topology.Flap
}

// derive makes a seed of a seed and a name.
func derive(seed uint64, name string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", seed, name) // a hash takes everything
	return h.Sum64()
}

// buildFabric makes the switches, machines and cables of spec. It starts nothing.
func buildFabric(spec *topology.Spec, seed uint64) (*physical, error) {
	p := &physical{switches: map[string]*l2switch.Switch{}, consoles: map[string]*machine{}, machines: map[string]*machine{}, away: spec.Fabric.Remotes(), awayHosts: map[string]bool{}}
	f := &spec.Fabric
	for i := range f.Switches {
		s := &f.Switches[i]
		if s.Remote.IsValid() {
			continue
		}
		p.switches[s.Name] = l2switch.New(l2switch.Config{Name: s.Name, VLANFiltering: len(s.VLANs) > 0, STP: treeConfig(s, i, seed)})
		p.consoles[s.Name] = &machine{name: s.Name, sw: p.switches[s.Name], ns: netns.New(netns.Config{Name: s.Name, Seed: derive(seed, s.Name)})}
	}
	for i := range f.Hosts {
		if f.Hosts[i].Remote.IsValid() {
			p.awayHosts[f.Hosts[i].Name] = true
			continue
		}
		m := p.add(f.Hosts[i].Name, seed, false, &machine{host: &f.Hosts[i]})
		if len(m.host.Frontends) > 0 {
			m.report = new(balancerReport)
		}
		if m.host.Kernel {
			m.kernel = &kernelHost{host: m.host}
		}
	}
	for i := range f.Routers {
		if f.Routers[i].Remote.IsValid() {
			continue
		}
		m := p.add(f.Routers[i].Name, seed, true, &machine{router: &f.Routers[i]})
		if err := m.ns.SetIgnoreLinkdown(true); err != nil {
			return nil, err
		}
	}
	for _, c := range f.Cables() {
		if err := p.plug(spec, c); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Pos, err)
		}
	}
	return p, nil
}

func (p *physical) add(name string, seed uint64, forward bool, m *machine) *machine {
	m.name = name
	m.ns = netns.New(netns.Config{Name: name, Forward: forward, Seed: derive(seed, name)})
	p.machines[name] = m
	p.order = append(p.order, m)
	return m
}

// plug makes a cable and connects both of its ends.
func (p *physical) plug(spec *topology.Spec, c topology.Cable) error {
	if p.away[c.A.Node].IsValid() || p.away[c.B.Node].IsValid() {
		return p.plugJoint(spec, c)
	}
	link := fabric.NewLink(p.endName(c.A, c.B), p.endName(c.B, c.A))
	if err := impairBoth(link, c); err != nil {
		return err
	}
	p.cables = append(p.cables, &cable{link: link, a: c.A.Node, b: c.B.Node, flap: c.Flap})
	if err := p.connect(spec, c.A, c.B, link.A(), c.MTU); err != nil {
		return err
	}
	return p.connect(spec, c.B, c.A, link.B(), c.MTU)
}

// endName is what traces call the end of a cable: host-a/eth0, or tor:host-a.
func (p *physical) endName(e, peer topology.End) string {
	if e.Port < 0 {
		return e.Node + ":" + peer.Node
	}
	return fmt.Sprintf("%s/eth%d", e.Node, e.Port)
}

// connect makes one end of a cable an interface, or a port of a switch, which has the name of the other end.
func (p *physical) connect(spec *topology.Spec, e, peer topology.End, end *fabric.LinkEnd, mtu int) error {
	if sw := p.switches[e.Node]; sw != nil {
		cfg := portVLAN(spec, e.Node, peer.Node)
		cfg.STP = treePort(spec, e.Node, peer.Node, end)
		_, err := sw.AddPort(portName(sw, peer.Node), mtuPort{end, mtu}, cfg)
		return err
	}
	m := p.machines[e.Node]
	if m == nil {
		return fmt.Errorf("cable of %q: there is no such node", e.Node)
	}
	if e.Addr.IsValid() && (!m.addr.IsValid() || e.Port == 0) {
		m.addr = e.Addr
	}
	name := fmt.Sprintf("eth%d", e.Port)
	if m.kernel != nil {
		m.kernel.ports = append(m.kernel.ports, kernelPort{name: name, addr: e.Addr, mtu: mtu, end: end})
		return nil
	}
	_, err := m.ns.AddInterface(netns.InterfaceConfig{Name: name, MTU: mtu, Port: end, Addr: e.Addr})
	return err
}

// portVLAN returns what the topology says of the VLANs of a switch's port.
func portVLAN(spec *topology.Spec, sw, peer string) l2switch.PortConfig {
	for _, s := range spec.Fabric.Switches {
		if s.Name != sw {
			continue
		}
		for _, v := range s.VLANs {
			switch {
			case v.Peer != peer:
			case len(v.Trunk) > 0:
				return l2switch.PortConfig{Trunk: v.Trunk, Native: v.Access}
			default:
				return l2switch.PortConfig{VLAN: v.Access}
			}
		}
	}
	return l2switch.PortConfig{}
}

// route gives every machine the routes of the topology; internet is where those without a default route find one by
// subnet, nil if there is none.
func (p *physical) route(internet map[netip.Prefix]netip.Addr) error {
	for _, m := range p.order {
		var routes []topology.Route
		var gateway netip.Addr
		switch {
		case m.kernel != nil:
			continue // once it is there
		case m.host != nil:
			routes, gateway = m.host.Routes, m.host.Gateway
		case m.router != nil:
			routes = m.router.Routes
		default:
			continue
		}
		for _, r := range routes {
			if err := addRoute(m.ns, r); err != nil {
				return fmt.Errorf("%s: %w", r.Pos, err)
			}
		}
		if !gateway.IsValid() {
			gateway = m.wayOut(internet)
		}
		if gateway.IsValid() {
			if err := m.ns.AddDefaultRoute(gateway); err != nil {
				return err
			}
		}
	}
	return nil
}

// wayOut returns the internet's address in the first subnet of m that has one, unless m has a default route.
func (m *machine) wayOut(internet map[netip.Prefix]netip.Addr) netip.Addr {
	for _, r := range m.ns.Routes() {
		if r.Dst.Bits() == 0 {
			return netip.Addr{}
		}
	}
	for _, i := range m.ns.Interfaces() {
		for _, a := range i.Addrs() {
			if via, ok := internet[a.Masked()]; ok {
				return via
			}
		}
	}
	return netip.Addr{}
}

// addRoute adds a route by gateways that are on link.
func addRoute(ns *netns.Namespace, r topology.Route) error {
	route := netns.Route{Dst: r.To, Metric: r.Metric}
	for _, via := range r.Via {
		dev, ok := ns.OnLink(via)
		if !ok {
			return fmt.Errorf("route of %s to %s: gateway %s is not on link", ns.Name(), r.To, via)
		}
		route.Hops = append(route.Hops, netns.NextHop{Via: via, Dev: dev})
	}
	return ns.AddRoute(route)
}

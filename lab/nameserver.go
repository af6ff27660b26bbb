package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// nameServer is the infrastructure's name server, and the gateway to the internet, as the package's documentation tells.
type nameServer struct {
	*machine
	server *dns.Static
	bySub  map[netip.Prefix]netip.Addr // its address in each subnet, here or in another part of the lab
	addrs  []netip.Addr                // those that it has here, in the order of its interfaces
	exits  map[netip.Prefix]netip.Addr // those of bySub that are a gateway to the internet; nil: there is none
}

// freeName returns a name for a node that nothing in the topology has: that which is asked for, or one with a number.
func freeName(spec *topology.Spec, want string) string {
	taken := map[string]bool{}
	for _, s := range spec.Fabric.Switches {
		taken[s.Name] = true
	}
	for _, r := range spec.Fabric.Routers {
		taken[r.Name] = true
	}
	for _, h := range spec.Fabric.Hosts {
		taken[h.Name] = true
	}
	name := want
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", want, n)
	}
	return name
}

// addNameServer makes the name server and cables it to every segment with a host.
func (p *physical) addNameServer(spec *topology.Spec, seed uint64) (*nameServer, error) {
	name := freeName(spec, "dns")
	s := &nameServer{machine: p.add(name, seed, false, &machine{kind: KindNameServer}), bySub: map[netip.Prefix]netip.Addr{}}
	if err := s.joinExits(p, spec); err != nil {
		return nil, err
	}
	taken, switches := takenAddrs(spec), map[string]bool{}
	for _, sw := range spec.Fabric.Switches {
		switches[sw.Name] = true
	}
	for _, h := range spec.Fabric.Hosts {
		for _, a := range h.Links {
			if !switches[a.To] || !a.Addr.IsValid() || s.bySub[a.Addr.Masked()].IsValid() {
				continue
			}
			addr, ok := highestFree(a.Addr, taken)
			if !ok {
				continue // it goes without
			}
			taken[addr] = true
			if err := s.join(p, spec, h.Name, topology.Attachment{To: a.To, Addr: netip.PrefixFrom(addr, a.Addr.Bits())}); err != nil {
				return nil, err
			}
		}
	}
	s.server = dns.NewStatic(dns.StaticConfig{Names: staticNames(spec, p)})
	if err := s.addWayBack(spec); err != nil {
		return nil, err
	}
	return s, s.addInternet(p, spec, seed)
}

// takenAddrs returns the addresses that the topology gives to somebody, or that lie beyond it.
func takenAddrs(spec *topology.Spec) map[netip.Addr]bool {
	taken := map[netip.Addr]bool{}
	note := func(links []topology.Attachment, routes []topology.Route) {
		for _, a := range links {
			taken[a.Addr.Addr()] = true
		}
		for _, r := range routes {
			for _, via := range r.Via {
				taken[via] = true
			}
		}
	}
	for _, h := range spec.Fabric.Hosts {
		note(h.Links, h.Routes)
		taken[h.Gateway] = true
		for _, d := range h.DNS {
			taken[d] = true
		}
	}
	for _, s := range spec.Fabric.Switches {
		for _, t := range s.TAPs {
			taken[t.Address.Addr()] = true
		}
	}
	for _, r := range spec.Fabric.Routers {
		note(r.Links, r.Routes)
	}
	if net := spec.Fabric.Internet; net != nil {
		note(net.Gateway, nil)
	}
	return taken
}

// join cables the name server to a switch: to the segment that the link of peer is on, a host or router.
func (s *nameServer) join(p *physical, spec *topology.Spec, peer string, a topology.Attachment) error {
	s.bySub[a.Addr.Masked()] = a.Addr.Addr()
	if p.switches[a.To] == nil {
		return nil // its switch is elsewhere, and so it is
	}
	port := len(s.addrs)
	ifName := fmt.Sprintf("eth%d", port)
	portName := s.name
	if port > 0 {
		portName = fmt.Sprintf("%s~%d", s.name, port) // which no host can be called
	}
	link := fabric.NewLink(s.name+"/"+ifName, a.To+":"+portName)
	p.cables = append(p.cables, &cable{link: link, a: s.name, b: a.To})
	vlan := portVLAN(spec, a.To, peer)
	if len(vlan.Trunk) > 0 {
		vlan.Trunk, vlan.VLAN, vlan.Native = nil, vlan.Native, 0
	}
	vlan.STP.Edge = true
	if _, err := p.switches[a.To].AddPort(portName, mtuPort{link.B(), netns.DefaultMTU}, vlan); err != nil {
		return err
	}
	if _, err := s.ns.AddInterface(netns.InterfaceConfig{Name: ifName, Port: link.A(), Addr: a.Addr}); err != nil {
		return err
	}
	if port == 0 {
		s.machine.addr = a.Addr
	}
	s.addrs = append(s.addrs, a.Addr.Addr())
	return nil
}

// in tells whether the server has an address here in the subnet of one.
func (s *nameServer) in(subnet netip.Prefix) bool {
	return slices.Contains(s.addrs, s.bySub[subnet.Masked()])
}

// highestFree returns the highest host address of a subnet that nobody has; it looks at the upper 4096.
func highestFree(p netip.Prefix, taken map[netip.Addr]bool) (netip.Addr, bool) {
	if p.Bits() > 30 {
		return netip.Addr{}, false
	}
	network := p.Masked().Addr()
	raw := network.As4()
	for b := p.Bits(); b < 32; b++ {
		raw[b/8] |= 0x80 >> (b % 8)
	}
	a := netip.AddrFrom4(raw).Prev()
	for range 4096 {
		if a == network {
			break
		}
		if !taken[a] {
			return a, true
		}
		a = a.Prev()
	}
	return netip.Addr{}, false
}

// staticNames returns what the name server knows: each machine by its first address, and the internet.
func staticNames(spec *topology.Spec, p *physical) map[string][]netip.Addr {
	names := map[string][]netip.Addr{}
	if net := spec.Fabric.Internet; net != nil {
		for _, n := range net.Names {
			names[n.Name] = n.Addrs
		}
	}
	for _, m := range p.order {
		if m.addr.IsValid() {
			names[m.name] = []netip.Addr{m.addr.Addr()}
		}
	}
	for _, r := range spec.Fabric.Routers {
		if a := firstAddr(r.Links); r.Remote.IsValid() && a.IsValid() {
			names[r.Name] = []netip.Addr{a}
		}
	}
	for _, h := range spec.Fabric.Hosts {
		if a := firstAddr(h.Links); h.Remote.IsValid() && a.IsValid() {
			names[h.Name] = []netip.Addr{a}
		}
	}
	return names
}

// firstAddr returns the first address of a router or host; the zero Addr if it has none.
func firstAddr(links []topology.Attachment) netip.Addr {
	for _, a := range links {
		if a.Addr.IsValid() {
			return a.Addr.Addr()
		}
	}
	return netip.Addr{}
}

// addWayBack gives the name server a way to what routers are between: the first router of a segment.
func (s *nameServer) addWayBack(spec *topology.Spec) error {
	for _, r := range spec.Fabric.Routers {
		for _, a := range r.Links {
			if a.Addr.IsValid() && s.in(a.Addr) {
				return s.ns.AddDefaultRoute(a.Addr.Addr())
			}
		}
	}
	return nil
}

// nearest returns the server's address for a machine: that in the subnet of its first interface that the server is
// in, else the server's first; the zero Addr if it has none.
func (s *nameServer) nearest(m *machine) netip.Addr {
	if m.kind == KindInternet {
		return netip.Addr{} // whose packets do not come in
	}
	for _, i := range m.ns.Interfaces() {
		for _, a := range i.Addrs() {
			if addr, ok := s.bySub[a.Masked()]; ok {
				return addr
			}
		}
	}
	if len(s.addrs) > 0 {
		return s.addrs[0]
	}
	return netip.Addr{}
}

// listen opens the server's sockets, one pair for each address: answers come from where they were asked for.
func (s *nameServer) listen() (serve func(ctx context.Context) error, err error) {
	type pair struct {
		pc net.PacketConn
		ln net.Listener
	}
	var pairs []pair
	for _, a := range s.addrs {
		at := netip.AddrPortFrom(a, 53).String()
		pc, err := s.ns.ListenPacket("udp", at)
		if err != nil {
			return nil, fmt.Errorf("start the name server: %w", err)
		}
		ln, err := s.ns.Listen("tcp", at)
		if err != nil {
			return nil, fmt.Errorf("start the name server: %w", err) // the namespace closes what is open
		}
		pairs = append(pairs, pair{pc, ln})
	}
	return func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, p := range pairs {
			g.Go(func() error { return s.server.Serve(ctx, p.pc, p.ln) })
		}
		if err := g.Wait(); !errors.Is(err, net.ErrClosed) { // its namespace may be the first to end
			return err
		}
		return nil
	}, nil
}

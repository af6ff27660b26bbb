package cnm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/netsim-lab/netsim/dns"
)

// embedded is the embedded resolver of a sandbox, which runs.
type embedded struct {
	task  *task
	rules []rule
}

// startResolver starts the embedded resolver once the container is on a user-defined network (D1). It stays until the
// sandbox is deleted.
func (s *Sandbox) startResolver() error {
	s.mu.Lock()
	running := s.resolver != nil
	s.mu.Unlock()
	if running || s.cfg.balances || !slices.ContainsFunc(s.Endpoints(), func(ep *Endpoint) bool { return ep.network.UserDefined() }) {
		return nil
	}
	e, err := s.newEmbedded()
	if err != nil {
		return fmt.Errorf("start the resolver of %s: %w", s.Name(), err)
	}
	s.mu.Lock()
	s.resolver = e
	s.mu.Unlock()
	return nil
}

// newEmbedded opens the resolver's sockets, on ports of their own in the container's namespace, and leads port 53 of
// 127.0.0.11 to them.
func (s *Sandbox) newEmbedded() (*embedded, error) {
	anyPort := netip.AddrPortFrom(dns.Embedded, 0).String()
	pc, err := s.cfg.NS.ListenPacket("udp", anyPort)
	if err != nil {
		return nil, err
	}
	ln, err := s.cfg.NS.Listen("tcp", anyPort)
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	rules := resolverRules(portOf(pc.LocalAddr()), portOf(ln.Addr()))
	nf := s.cfg.NS.Netfilter()
	err = errors.Join(nf.NewChain("nat", "DOCKER_OUTPUT"), nf.NewChain("nat", "DOCKER_POSTROUTING"))
	if err == nil {
		err = addRules(nf, rules)
	}
	if err != nil {
		return nil, errors.Join(err, pc.Close(), ln.Close())
	}
	conf := s.c.resolv()
	r := dns.New(dns.Config{
		Networks: func() []dns.NetworkZone { return *s.zones.Load() }, Upstreams: s.upstreams(), Dial: s.dialUpstream,
		Rand: s.c.newRand(), NdotsSet: conf.NdotsSet(), Log: s.c.log,
	})
	t := s.c.start("resolver of "+s.Name(), func(ctx context.Context) error {
		err := r.Serve(ctx, pc, ln)
		select {
		case <-s.cfg.NS.Done(): // the container ended before its sandbox was deleted
			return nil
		default:
			return err
		}
	})
	return &embedded{task: t, rules: rules}, nil
}

// resolverRules are the rules of D1 in the order in which they are added.
func resolverRules(udp, tcp uint16) []rule {
	rules := []rule{
		{table: "nat", chain: "OUTPUT", spec: "-d 127.0.0.11 -j DOCKER_OUTPUT", insert: true},
		{table: "nat", chain: "POSTROUTING", spec: "-d 127.0.0.11 -j DOCKER_POSTROUTING", insert: true},
	}
	for _, p := range []struct {
		proto string
		port  uint16
	}{{"udp", udp}, {"tcp", tcp}} {
		rules = append(rules,
			rule{table: "nat", chain: "DOCKER_OUTPUT", spec: fmt.Sprintf("-d 127.0.0.11 -p %s --dport 53 -j DNAT --to-destination 127.0.0.11:%d", p.proto, p.port)},
			rule{table: "nat", chain: "DOCKER_POSTROUTING", spec: fmt.Sprintf("-s 127.0.0.11 -p %s --sport %d -j SNAT --to-source :53", p.proto, p.port)})
	}
	return rules
}

func portOf(a net.Addr) uint16 {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return 0
	}
	return p.Port()
}

// upstreams are the servers for names that no network knows: those that the user chose (D4), else the host's.
func (s *Sandbox) upstreams() []netip.AddrPort {
	if len(s.cfg.DNS) == 0 {
		return s.c.cfg.Nameservers
	}
	var servers []netip.AddrPort
	for _, a := range s.cfg.DNS {
		servers = append(servers, netip.AddrPortFrom(a, 53))
	}
	return servers
}

// dialUpstream reaches a server from inside the container, so that one without a way out reaches none; a server on the
// host's loopback is reached from the host (D6).
func (s *Sandbox) dialUpstream(ctx context.Context, network, address string) (net.Conn, error) {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().IsLoopback() && len(s.cfg.DNS) == 0 {
		return s.c.cfg.Host.Dial(ctx, network, address)
	}
	return s.cfg.NS.Dial(ctx, network, address)
}

func (s *Sandbox) stopResolver() error {
	s.mu.Lock()
	e := s.resolver
	s.resolver = nil
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	e.task.stop()
	nf := s.cfg.NS.Netfilter()
	errs := []error{deleteRules(nf, e.rules)}
	for _, chain := range []string{"DOCKER_OUTPUT", "DOCKER_POSTROUTING"} {
		_, err := nf.Command([]string{"-t", "nat", "-X", chain})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// updateZones tells the resolver which networks the container is on.
func (s *Sandbox) updateZones() {
	var zones []dns.NetworkZone
	for _, ep := range s.Endpoints() {
		n := ep.network
		if !n.UserDefined() {
			continue
		}
		zone := dns.NetworkZone{Zone: s.c.Zone(n), Scope: dns.ScopeLocal}
		switch {
		case n.cfg.Ingress:
			zone.Scope = dns.ScopeIngress
		case n.cfg.Driver == DriverOverlay:
			zone.Scope = dns.ScopeSwarm
		}
		zones = append(zones, zone)
	}
	dns.SortNetworks(zones)
	s.zones.Store(&zones)
}

// Names returns the names by which others on the network find the endpoint: the container's, then the user's aliases, the
// short id and the host name (D7). The first is that of reverse lookups (D18).
func (ep *Endpoint) Names() []string {
	names := []string{ep.sandbox.Name()}
	for _, name := range append(slices.Clone(ep.cfg.Aliases), short(ep.sandbox.cfg.ID), ep.sandbox.cfg.Hostname) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// named tells whether the endpoint has names on its network.
func (ep *Endpoint) named() bool {
	return ep.network.UserDefined() && !ep.network.cfg.Ingress && !ep.Balances() && ep.ip.IsValid()
}

// addNames puts the endpoint's names into the zone of its network.
func (s *Sandbox) addNames(ep *Endpoint) {
	if !ep.named() {
		return
	}
	s.c.Zone(ep.network).Update(func(z *dns.Zone) {
		names := ep.Names()
		for _, name := range names {
			z.Add(ep.id, name, ep.IP())
		}
		z.AddReverse(ep.id, ep.IP(), names[0])
	})
}

// removeNames takes them out (D15).
func (s *Sandbox) removeNames(ep *Endpoint) {
	if ep.named() {
		s.c.Zone(ep.network).RemoveOwner(ep.id)
	}
}

package image

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/lb/l7"
)

// routesOf returns the routes that services ask for, older services first. Requests go to tasks that are healthy, TLS connections to
// all (G9). A service that shares no network with the mesh gets none (G3): the error says so, and of every label that is of no effect.
func routesOf(services []Service, network string) ([]l7.Route, error) {
	var routes []l7.Route
	var errs []error
	for _, s := range services {
		claims, err := l7.Claims(s.Name, s.Labels, s.Ports)
		errs = append(errs, err)
		for i, c := range claims {
			shared, err := sharedNetwork(&s, c.Network, network)
			if err != nil {
				if i == 0 || claims[i-1].Network != c.Network { // once
					errs = append(errs, fmt.Errorf("service %s: %w", s.Name, err))
				}
				continue
			}
			r := c.Route
			if r.Redirect == "" {
				r.Backends = backendsOf(&s, &c, shared)
			}
			routes = append(routes, r)
		}
	}
	return slices.Clip(routes), errors.Join(errs...)
}

// backendsOf returns who answers for a claim.
func backendsOf(s *Service, c *l7.Claim, network *ServiceNetwork) (all []l7.Backend) {
	if c.VIP && network.VIP.IsValid() {
		return []l7.Backend{{Name: s.Name, Addr: netip.AddrPortFrom(network.VIP, c.Port)}}
	}
	for _, t := range s.Tasks {
		if addr := t.Addrs[network.Name]; addr.IsValid() && (t.Healthy || c.Route.Kind == l7.TLS) {
			all = append(all, l7.Backend{Name: t.Name, Addr: netip.AddrPortFrom(addr, c.Port)})
		}
	}
	return all
}

// sharedNetwork returns the network by which a mesh gets to a service: the one that a label names, or else the mesh's own, or one that
// is labelled as the mesh's (G4).
func sharedNetwork(s *Service, named, own string) (*ServiceNetwork, error) {
	for _, fits := range []func(*ServiceNetwork) bool{
		func(n *ServiceNetwork) bool { return n.Name == own },
		func(n *ServiceNetwork) bool { return n.Labels[l7.Label] == "true" },
	} {
		if named != "" {
			own = named
		}
		if i := slices.IndexFunc(s.Networks, func(n ServiceNetwork) bool { return fits(&n) }); i >= 0 {
			return &s.Networks[i], nil
		}
		if named != "" {
			break
		}
	}
	on := "it is on no network"
	if len(s.Networks) > 0 {
		var names []string
		for _, n := range s.Networks {
			names = append(names, n.Name)
		}
		on = "it is on " + strings.Join(names, ", ")
	}
	return nil, fmt.Errorf("its labels are of no effect, for it is not on the network %s: %s", own, on)
}

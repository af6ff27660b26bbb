package dns

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
)

// SharedZone is a Zone for many goroutines: the resolvers of all containers on a network read it while endpoints come
// and go. All methods are safe to call at once and none waits for longer than a change of a map takes.
type SharedZone struct {
	network string // never changes, so it is read without mu

	mu   sync.RWMutex
	zone *Zone
}

// NewSharedZone returns an empty shared zone for the named network.
func NewSharedZone(network string) *SharedZone {
	zone := NewZone(network)
	return &SharedZone{network: zone.Network(), zone: zone}
}

// Network returns the name of the network in lower case.
func (s *SharedZone) Network() string { return s.network }

// Add is Zone.Add.
func (s *SharedZone) Add(owner, name string, addr netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zone.Add(owner, name, addr)
}

// AddReverse is Zone.AddReverse.
func (s *SharedZone) AddReverse(owner string, addr netip.Addr, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zone.AddReverse(owner, addr, name)
}

// Remove is Zone.Remove.
func (s *SharedZone) Remove(owner, name string, addr netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zone.Remove(owner, name, addr)
}

// RemoveReverse is Zone.RemoveReverse.
func (s *SharedZone) RemoveReverse(owner string, addr netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zone.RemoveReverse(owner, addr)
}

// RemoveOwner is Zone.RemoveOwner.
func (s *SharedZone) RemoveOwner(owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zone.RemoveOwner(owner)
}

// Update calls change with the zone, so that several changes are seen at once or not at all. change must not keep the
// zone nor call methods of s.
func (s *SharedZone) Update(change func(z *Zone)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.zone)
}

// Lookup is Zone.Lookup.
func (s *SharedZone) Lookup(name string) (addrs []netip.Addr, ok bool) {
	var buf [maxName]byte
	return s.lookup(appendLower(buf[:0], name))
}

// lookup is Zone.lookup.
func (s *SharedZone) lookup(name []byte) ([]netip.Addr, bool) {
	s.mu.RLock()
	addrs, ok := s.zone.lookup(name)
	s.mu.RUnlock()
	return addrs, ok
}

// Reverse is Zone.Reverse.
func (s *SharedZone) Reverse(addr netip.Addr) (name string, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.zone.Reverse(addr)
}

// Names is Zone.Names.
func (s *SharedZone) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.zone.Names()
}

// Registry keeps the shared zones of one engine or cluster by network id. The zero value is empty and ready; all methods
// are safe to call at once.
type Registry struct {
	mu    sync.RWMutex
	zones map[string]*SharedZone // by network id
}

// Open returns the zone of the network with that id, making an empty one for the named network if there is none yet.
func (r *Registry) Open(id, network string) *SharedZone {
	r.mu.Lock()
	defer r.mu.Unlock()
	if zone := r.zones[id]; zone != nil {
		return zone
	}
	if r.zones == nil {
		r.zones = make(map[string]*SharedZone)
	}
	zone := NewSharedZone(network)
	r.zones[id] = zone
	return zone
}

// Zone returns the zone of the network with that id, nil if there is none.
func (r *Registry) Zone(id string) *SharedZone {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.zones[id]
}

// Delete forgets the zone of the network with that id. Resolvers that still hold it go on answering from it.
func (r *Registry) Delete(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.zones, id)
}

// RemoveOwner ends all that owner holds in any zone, and reports whether there was anything.
func (r *Registry) RemoveOwner(owner string) bool {
	removed := false
	for _, zone := range r.all() {
		removed = zone.RemoveOwner(owner) || removed
	}
	return removed
}

// all returns the zones at this moment.
func (r *Registry) all() []*SharedZone {
	r.mu.RLock()
	defer r.mu.RUnlock()
	zones := make([]*SharedZone, 0, len(r.zones))
	for _, zone := range r.zones {
		zones = append(zones, zone)
	}
	return zones
}

// Scope says which class of network a zone belongs to. Lower scopes are asked first.
type Scope uint8

// The scopes in the order in which a resolver asks them.
const (
	ScopeSwarm   Scope = iota // a user's overlay network
	ScopeIngress              // the routing mesh's network, which yields no names
	ScopeLocal                // bridge, macvlan and other networks of one host
)

// NetworkZone is one network that the asker is attached to.
type NetworkZone struct {
	Zone  *SharedZone
	Scope Scope
}

// SortNetworks puts networks into the order in which a resolver asks them: user overlays, ingress, local networks, and
// within a class by name.
func SortNetworks(networks []NetworkZone) {
	slices.SortStableFunc(networks, func(a, b NetworkZone) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Zone.Network(), b.Zone.Network()))
	})
}

// findName returns the addresses of name (lower case, no final dot) on the first of the networks that knows it. The
// whole name is tried first; then the name is split at each dot, from the right, into a name and its network.
func findName(networks []NetworkZone, name []byte) (addrs []netip.Addr, ok bool) {
	for _, n := range networks {
		if n.Scope == ScopeIngress || n.Zone == nil {
			continue
		}
		if addrs, ok = n.Zone.lookup(name); ok {
			return addrs, true
		}
	}
	for dot := len(name) - 1; dot > 0; dot-- {
		if name[dot] != '.' {
			continue
		}
		if addrs, ok = findOnNetwork(networks, name[:dot], name[dot+1:]); ok {
			return addrs, true
		}
	}
	return nil, false
}

// findOnNetwork returns the addresses of name on the networks of that name.
func findOnNetwork(networks []NetworkZone, name, network []byte) ([]netip.Addr, bool) {
	for _, n := range networks {
		if n.Scope == ScopeIngress || n.Zone == nil || string(network) != n.Zone.network {
			continue
		}
		if addrs, ok := n.Zone.lookup(name); ok {
			return addrs, true
		}
	}
	return nil, false
}

// findAddr returns the reverse name of addr on the first of the networks that knows it.
func findAddr(networks []NetworkZone, addr netip.Addr) (name string, ok bool) {
	for _, n := range networks {
		if n.Scope == ScopeIngress || n.Zone == nil {
			continue
		}
		if name, ok = n.Zone.Reverse(addr); ok {
			return name, true
		}
	}
	return "", false
}

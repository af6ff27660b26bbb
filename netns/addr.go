package netns

import (
	"fmt"
	"net/netip"
	"slices"
)

// Addrs returns the addresses in the order they were added.
func (i *Interface) Addrs() []netip.Prefix {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.addrs)
}

// has tells whether the interface has the address.
func (i *Interface) has(a netip.Addr) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr() == a })
}

// AddAddr adds an address with its prefix length, and the route to its subnet.
func (i *Interface) AddAddr(p netip.Prefix) error {
	if !p.IsValid() || !p.Addr().Is4() {
		return fmt.Errorf("add address %s to %s: not an IPv4 address", p, i.place)
	}
	if err := i.upper.claim(i, p.Addr()); err != nil {
		return fmt.Errorf("add address %s to %s: %w", p, i.place, err)
	}
	i.mu.Lock()
	if slices.Contains(i.addrs, p) {
		i.mu.Unlock()
		return fmt.Errorf("add address %s to %s: it has it", p, i.place)
	}
	i.addrs = append(i.addrs, p)
	i.mu.Unlock()
	err := i.ns.change(func(c *config) (err error) {
		i.ns.readdressLocked(c)
		if p.IsSingleIP() || i.kind == KindLoopback {
			return nil
		}
		if c.fib.holds(func(r Route) bool { return r.Kernel && r.Dst == p.Masked() && r.Dev == i }) {
			return nil // that of the first address in the subnet
		}
		c.fib, err = c.fib.Add(Route{Dst: p.Masked(), Dev: i, Src: p.Addr(), Kernel: true, Metric: i.kernelMetric(c, p)})
		return err
	})
	if err != nil {
		i.forget(p)
		return fmt.Errorf("add address %s to %s: %w", p, i.place, err)
	}
	i.upper.readdress()
	return nil
}

// kernelMetric keeps a second interface in one subnet behind the first, as Linux's order of routes does.
func (i *Interface) kernelMetric(c *config, p netip.Prefix) int {
	metric := 0
	for _, r := range c.fib.routes {
		if r.Dst == p.Masked() && r.Dev != i && r.Metric >= metric {
			metric = r.Metric + 1
		}
	}
	return metric
}

// RemoveAddr takes an address away, and the route to its subnet unless another address needs it.
func (i *Interface) RemoveAddr(p netip.Prefix) error {
	if !i.forget(p) {
		return fmt.Errorf("remove address %s from %s: it does not have it", p, i.place)
	}
	i.upper.readdress()
	heir := netip.Addr{}
	for _, o := range i.Addrs() {
		if o.Masked() == p.Masked() {
			heir = o.Addr()
			break
		}
	}
	return i.ns.change(func(c *config) (err error) {
		i.ns.readdressLocked(c)
		var route Route
		c.fib = c.fib.Remove(func(r Route) bool {
			if r.Kernel && r.Dst == p.Masked() && r.Dev == i {
				route = r
				return true
			}
			return false
		})
		if heir.IsValid() && route.Dev != nil {
			route.Src = heir
			c.fib, err = c.fib.Add(route)
		}
		return err
	})
}

// forget takes p off the interface's list; false if it is not there.
func (i *Interface) forget(p netip.Prefix) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := slices.Index(i.addrs, p)
	if at < 0 {
		return false
	}
	i.addrs = slices.Delete(i.addrs, at, at+1)
	return true
}

// readdressLocked makes the addresses of c those of all interfaces; of two that have the same, the first. The caller
// holds ns.mu.
func (ns *Namespace) readdressLocked(c *config) {
	clear(c.local)
	clear(c.bcast)
	c.known = addrFilter{}
	for _, i := range ns.interfacesLocked() {
		for _, p := range i.Addrs() {
			c.known.add(p.Addr())
			if c.local[p.Addr()] == nil {
				c.local[p.Addr()] = i
			}
			if last := lastAddr(p); p.Bits() < 31 && i.kind != KindLoopback && c.bcast[last] == nil {
				c.known.add(last)
				c.bcast[last] = i
			}
		}
	}
}

// sourceTowards returns the address of the interface in the same subnet as hop, else its first that is no /32 alias,
// else its first.
func (i *Interface) sourceTowards(hop netip.Addr) netip.Addr {
	i.mu.Lock()
	defer i.mu.Unlock()
	var first netip.Addr
	for _, p := range i.addrs {
		if p.Contains(hop) && !p.IsSingleIP() {
			return p.Addr()
		}
		if !first.IsValid() && !p.IsSingleIP() {
			first = p.Addr()
		}
	}
	if !first.IsValid() && len(i.addrs) > 0 {
		first = i.addrs[0].Addr()
	}
	return first
}

// lastAddr returns the broadcast address of an IPv4 prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for b := p.Bits(); b < 32; b++ {
		a[b/8] |= 0x80 >> (b % 8)
	}
	return netip.AddrFrom4(a)
}

package netns

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// Route is one line of the routing table.
type Route struct {
	Dst    netip.Prefix // 0.0.0.0/0: the default route
	Via    netip.Addr   // next hop; the zero Addr: on link
	Dev    *Interface
	Src    netip.Addr // preferred source; zero: the first address of Dev that fits
	Metric int
	Kernel bool // made by adding an address ("proto kernel")
	MTU    int  // 0: that of Dev

	// Hops are several next hops that share the flows; Via and Dev then are those of the first. nil: Via and Dev are the
	// only way.
	Hops []NextHop

	ways []Route // of Hops, as packets take them
}

// String prints the route as `ip route` does.
func (r Route) String() string {
	var b strings.Builder
	if r.Dst.Bits() == 0 {
		b.WriteString("default")
	} else if r.Dst.IsSingleIP() {
		b.WriteString(r.Dst.Addr().String())
	} else {
		b.WriteString(r.Dst.String())
	}
	if len(r.Hops) == 0 {
		if r.Via.IsValid() {
			fmt.Fprintf(&b, " via %s", r.Via)
		}
		fmt.Fprintf(&b, " dev %s", r.Dev.name)
		if r.Kernel {
			b.WriteString("  proto kernel")
		}
		if !r.Via.IsValid() {
			b.WriteString("  scope link")
		}
	}
	if r.Src.IsValid() {
		fmt.Fprintf(&b, "  src %s", r.Src)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&b, "  metric %d", r.Metric)
	}
	if len(r.Hops) > 0 {
		b.WriteByte(' ')
		for _, h := range r.Hops {
			b.WriteString(h.text())
		}
	} else if !r.Dev.Carrier() && r.Dev.up.Load() {
		b.WriteString(" linkdown")
	}
	return b.String()
}

// linearFIB is up to how many routes a table is searched line by line.
const linearFIB = 16

// FIB is a forwarding table with longest-prefix match. It is a plain value that is never changed: Add and Remove
// return a new one.
type FIB struct {
	routes []Route    // longest prefix first, then by address, lowest metric, oldest
	nets   []network4 // their destinations, in the same order
	byLen  []lengthClass

	linkdown bool // routes by interfaces without a carrier are passed over
}

// lengthClass holds where in a table the routes of each prefix of one length begin.
type lengthClass struct {
	bits int
	mask uint32
	m    map[uint32]int
}

// network4 is an IPv4 prefix as packets are held against it.
type network4 struct{ addr, mask uint32 }

func network4Of(p netip.Prefix) network4 {
	mask := ^uint32(0) << (32 - p.Bits()) // of 0 bits: 0
	return network4{addr4(p.Addr()) & mask, mask}
}

// addr4 returns an IPv4 address as a number.
func addr4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// Add returns a table that also holds r. A route to the same prefix with the same metric is replaced if it leaves by
// the same interface, and an error otherwise ("File exists").
func (t FIB) Add(r Route) (FIB, error) {
	r = r.prepare()
	routes := make([]Route, 0, len(t.routes)+1)
	for _, o := range t.routes {
		if o.Dst == r.Dst && o.Metric == r.Metric {
			if !o.sameWays(&r) {
				return t, fmt.Errorf("add route to %s: a route to it exists by %s", r.Dst, o.Dev.name)
			}
			continue
		}
		routes = append(routes, o)
	}
	return t.with(append(routes, r)), nil
}

// Remove returns a table without the routes that drop says.
func (t FIB) Remove(drop func(Route) bool) FIB {
	var routes []Route
	for _, r := range t.routes {
		if !drop(r) {
			routes = append(routes, r)
		}
	}
	return t.with(routes)
}

// with returns a table of those routes that is like t otherwise.
func (t FIB) with(routes []Route) FIB {
	n := newFIB(routes)
	n.linkdown = t.linkdown
	return n
}

// holds tells whether the table has a route that is says.
func (t FIB) holds(is func(Route) bool) bool { return slices.ContainsFunc(t.routes, is) }

func newFIB(routes []Route) FIB {
	slices.SortStableFunc(routes, func(a, b Route) int {
		return cmp.Or(b.Dst.Bits()-a.Dst.Bits(), a.Dst.Addr().Compare(b.Dst.Addr()), a.Metric-b.Metric)
	})
	t := FIB{routes: routes, nets: make([]network4, len(routes))}
	for i := range routes {
		t.nets[i] = network4Of(routes[i].Dst)
	}
	if len(routes) <= linearFIB {
		return t
	}
	for i, dst := range t.nets {
		bits, n := routes[i].Dst.Bits(), len(t.byLen)
		if n == 0 || t.byLen[n-1].bits != bits {
			t.byLen = append(t.byLen, lengthClass{bits, dst.mask, map[uint32]int{}})
			n++
		}
		if _, ok := t.byLen[n-1].m[dst.addr]; !ok {
			t.byLen[n-1].m[dst.addr] = i
		}
	}
	return t
}

// Lookup returns the route to dst: of the longest prefix that has one whose interface is up, that with the lowest
// metric. If it has several next hops, which of them a packet takes is another question.
func (t FIB) Lookup(dst netip.Addr) (*Route, bool) {
	if !dst.Is4() {
		return nil, false
	}
	a := addr4(dst)
	if t.byLen == nil {
		return t.lookupLinear(a)
	}
	for k := range t.byLen {
		c := &t.byLen[k]
		i, ok := c.m[a&c.mask]
		if !ok {
			continue
		}
		for net := t.nets[i]; i < len(t.routes) && t.nets[i] == net; i++ {
			if r := &t.routes[i]; r.up(t.linkdown) {
				return r, true
			}
		}
	}
	return nil, false
}

func (t FIB) lookupLinear(a uint32) (*Route, bool) {
	for i, net := range t.nets {
		if a&net.mask == net.addr {
			if r := &t.routes[i]; r.up(t.linkdown) {
				return r, true
			}
		}
	}
	return nil, false
}

// Routes returns the table as `ip route` lists it: the default route first, then by destination.
func (t FIB) Routes() []Route {
	out := slices.Clone(t.routes)
	slices.SortStableFunc(out, func(x, y Route) int {
		a, b := x.Dst, y.Dst
		if (a.Bits() == 0) != (b.Bits() == 0) {
			return a.Bits() - b.Bits()
		}
		return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
	})
	return out
}

// AddRoute adds a route. Dst is masked; Dev, or that of each next hop, must belong to the namespace.
func (ns *Namespace) AddRoute(r Route) error {
	if err := ns.checkHops(&r); err != nil {
		return err
	}
	r = r.prepare()
	if r.Dev == nil || r.Dev.ns != ns {
		return fmt.Errorf("add route to %s in %s: no such device", r.Dst, ns.cfg.Name)
	}
	if !r.Dst.IsValid() {
		return fmt.Errorf("add route in %s: no destination", ns.cfg.Name)
	}
	for _, a := range []netip.Addr{r.Dst.Addr(), r.Via, r.Src} {
		if a.IsValid() && !a.Is4() {
			return fmt.Errorf("add route to %s in %s: %s is not an IPv4 address", r.Dst, ns.cfg.Name, a)
		}
	}
	r.Dst = r.Dst.Masked()
	return ns.change(func(c *config) (err error) {
		for _, via := range r.gateways() {
			if g, ok := c.fib.onLink(via); !ok || g.Via.IsValid() {
				return fmt.Errorf("add route to %s via %s in %s: nexthop has invalid gateway", r.Dst, via, ns.cfg.Name)
			}
		}
		c.fib, err = c.fib.Add(r)
		return err
	})
}

// AddDefaultRoute adds a default route by a gateway that is on link.
func (ns *Namespace) AddDefaultRoute(via netip.Addr) error {
	r, ok := ns.conf.Load().fib.onLink(via)
	if !ok {
		return fmt.Errorf("add default route in %s: gateway %s is not on link", ns.cfg.Name, via)
	}
	return ns.AddRoute(Route{Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: via, Dev: r.Dev})
}

// RemoveRoute removes the routes to dst by dev (nil: by any), whatever their metric.
func (ns *Namespace) RemoveRoute(dst netip.Prefix, dev *Interface) error {
	dst = dst.Masked()
	return ns.change(func(c *config) error {
		before := len(c.fib.routes)
		c.fib = c.fib.Remove(func(r Route) bool { return r.Dst == dst && (dev == nil || r.uses(dev)) })
		if len(c.fib.routes) == before {
			return fmt.Errorf("remove route to %s in %s: no such route", dst, ns.cfg.Name)
		}
		return nil
	})
}

// DeleteRoute removes the one route to r.Dst that has r's metric.
func (ns *Namespace) DeleteRoute(r Route) error {
	r.Dst = r.Dst.Masked()
	is := func(o Route) bool { return o.Dst == r.Dst && o.Metric == r.Metric }
	return ns.change(func(c *config) error {
		if !c.fib.holds(is) {
			return fmt.Errorf("delete route to %s metric %d in %s: no such route", r.Dst, r.Metric, ns.cfg.Name)
		}
		c.fib = c.fib.Remove(is)
		return nil
	})
}

// Routes returns the routing table as `ip route` lists it.
func (ns *Namespace) Routes() []Route { return ns.conf.Load().fib.Routes() }

// RouteTo returns the route that a packet to dst takes; of several next hops it is the first that is up.
func (ns *Namespace) RouteTo(dst netip.Addr) (Route, bool) {
	r, ok := ns.conf.Load().fib.Lookup(dst)
	if !ok {
		return Route{}, false
	}
	return *r.way(0), true
}

// OnLink returns the interface by which a gateway is reached that is on link, whether or not it has a carrier.
func (ns *Namespace) OnLink(via netip.Addr) (*Interface, bool) {
	r, ok := ns.conf.Load().fib.onLink(via)
	if !ok || r.Via.IsValid() {
		return nil, false
	}
	return r.Dev, true
}

// sourceFor returns the source address of a packet of the namespace's own that takes r: the route's preferred one,
// else the address of its interface in the next hop's subnet, else the interface's first, else any.
func (ns *Namespace) sourceFor(r *Route, dst netip.Addr) netip.Addr {
	if r.Src.IsValid() {
		return r.Src
	}
	r = r.way(0) // the first of several that is up
	hop := dst
	if r.Via.IsValid() {
		hop = r.Via
	}
	if a := r.Dev.sourceTowards(hop); a.IsValid() {
		return a
	}
	for _, i := range ns.Interfaces() {
		if a := i.sourceTowards(hop); a.IsValid() && i.kind != KindLoopback {
			return a
		}
	}
	return netip.Addr{}
}

// localSource returns the source address of a packet to the namespace's own address dst: to 127.0.0.0/8 it is
// 127.0.0.1, to an address of a subnet the namespace's first in that (so one that shares a service's virtual address
// with others does not send as the service), and otherwise dst itself.
func (ns *Namespace) localSource(c *config, dst netip.Addr) netip.Addr {
	if dst.IsLoopback() {
		return localhost
	}
	if r, ok := c.fib.Lookup(dst); ok && !r.Via.IsValid() {
		if a := ns.sourceFor(r, dst); a.IsValid() {
			return a
		}
	}
	return dst
}

var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// source returns the address that a packet of the namespace's own to dst comes from.
func (ns *Namespace) source(c *config, dst netip.Addr) (netip.Addr, error) {
	if ns.isLocal(c, dst) {
		return ns.localSource(c, dst), nil
	}
	r, ok := c.fib.Lookup(dst)
	if !ok {
		return netip.Addr{}, syscall.ENETUNREACH
	}
	if src := ns.sourceFor(r, dst); src.IsValid() {
		return src, nil
	}
	return netip.Addr{}, syscall.EADDRNOTAVAIL
}

// SourceFor returns the address that a packet to dst comes from; false if there is no route to it, or no address.
func (ns *Namespace) SourceFor(dst netip.Addr) (netip.Addr, bool) {
	src, err := ns.source(ns.conf.Load(), dst)
	return src, err == nil
}

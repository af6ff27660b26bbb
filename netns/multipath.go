package netns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/fabric"
)

// maxWeight is the largest weight of a next hop (rtnh_hops of struct rtnexthop has 8 bits, and 0 stands for 1).
const maxWeight = 256

// NextHop is one of several ways of a route.
type NextHop struct {
	Via    netip.Addr // a gateway; the zero Addr: on link
	Dev    *Interface
	Weight int // its share of the flows beside the others'; 0: 1
}

// weight is the share of the flows that a hop gets.
func (h NextHop) weight() int { return max(h.Weight, 1) }

// prepare makes the ways of a route of its next hops; the first also is the route's own, for who looks at one only.
func (r Route) prepare() Route {
	r.ways = nil
	switch len(r.Hops) {
	case 0:
		return r
	case 1:
		r.Via, r.Dev, r.Hops = r.Hops[0].Via, r.Hops[0].Dev, nil
		return r
	}
	r.Hops = slices.Clone(r.Hops)
	for i := range r.Hops {
		h := &r.Hops[i]
		h.Weight = h.weight()
		r.ways = append(r.ways, Route{Dst: r.Dst, Via: h.Via, Dev: h.Dev, Src: r.Src, Metric: r.Metric, MTU: r.MTU})
	}
	r.Via, r.Dev = r.Hops[0].Via, r.Hops[0].Dev
	return r
}

// gateways returns the gateways of all next hops.
func (r *Route) gateways() []netip.Addr {
	if len(r.Hops) == 0 && r.Via.IsValid() {
		return []netip.Addr{r.Via}
	}
	var all []netip.Addr
	for _, h := range r.Hops {
		if h.Via.IsValid() {
			all = append(all, h.Via)
		}
	}
	return all
}

// onLink looks a gateway up; a carrier is not wanted.
func (t FIB) onLink(via netip.Addr) (*Route, bool) {
	t.linkdown = false
	return t.Lookup(via)
}

// uses tells whether a way of the route leaves by dev.
func (r *Route) uses(dev *Interface) bool {
	return r.Dev == dev || slices.ContainsFunc(r.Hops, func(h NextHop) bool { return h.Dev == dev })
}

// sameWays tells whether two routes have the same next hops.
func (r *Route) sameWays(o *Route) bool {
	if len(r.Hops) == 0 && len(o.Hops) == 0 {
		return r.Dev == o.Dev && r.Via == o.Via
	}
	return slices.Equal(r.Hops, o.Hops)
}

// up tells whether the route, or one way of it, leaves by an interface that is up; with linkdown one without a carrier
// counts as down.
func (r *Route) up(linkdown bool) bool {
	if r.ways == nil {
		return r.Dev.up.Load() && (!linkdown || r.Dev.linked())
	}
	for i := range r.ways {
		if r.ways[i].up(linkdown) {
			return true
		}
	}
	return false
}

// linked tells whether the interface has a carrier, of those whose carrier is known at once.
func (i *Interface) linked() bool {
	c, ok := i.port.(carrier)
	return !ok || i.kind == KindBridge || c.Carrier()
}

// way returns the way that a flow takes of a route with several: of those that are up and have a carrier, or are up if
// none has one, that whose share of the numbers the hash falls into. Linux does so, too (fib_select_multipath and
// fib_rebalance in net/ipv4/fib_semantics.c), with ignore_routes_with_linkdown set, as routing daemons recommend.
// A route with one way is its own.
func (r *Route) way(hash uint32) *Route {
	if r.ways == nil {
		return r
	}
	linkdown := true
	total := r.weights(linkdown)
	if total == 0 {
		linkdown = false
		total = r.weights(linkdown)
	}
	at := int(uint64(hash) * uint64(total) >> 32)
	for i := range r.ways {
		if !r.ways[i].up(linkdown) {
			continue
		}
		if at -= r.Hops[i].Weight; at < 0 {
			return &r.ways[i]
		}
	}
	return &r.ways[0] // all have gone down just now
}

// weights returns the sum of the weights of the ways that are up.
func (r *Route) weights(linkdown bool) int {
	total := 0
	for i := range r.ways {
		if r.ways[i].up(linkdown) {
			total += r.Hops[i].Weight
		}
	}
	return total
}

// by returns the way of a route that leaves by the interface of that name, or that of the least hash.
func (r *Route) by(dev string) *Route {
	for i := range r.ways {
		if r.ways[i].Dev.name == dev {
			return &r.ways[i]
		}
	}
	return r.way(0)
}

// wayOf returns the way that a packet takes. The hash is over addresses, protocol and ports, as with Linux's
// fib_multipath_hash_policy 1 (Documentation/networking/ip-sysctl.rst), and another in each namespace: routers in a row
// would otherwise all choose alike. A route with one way costs a comparison.
func (ns *Namespace) wayOf(r *Route, f *fabric.Frame) *Route {
	if r.ways == nil {
		return r
	}
	h := f.FlowHash() ^ ns.hashSeed
	h ^= h >> 16 // the finalizer of MurmurHash3
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	return r.way(h)
}

// text prints the next hops as `ip route` does, each on a line of its own.
func (h NextHop) text() string {
	var b strings.Builder
	b.WriteString("\n\tnexthop")
	if h.Via.IsValid() {
		fmt.Fprintf(&b, " via %s ", h.Via)
	}
	fmt.Fprintf(&b, " dev %s weight %d", h.Dev.name, h.weight())
	switch {
	case !h.Dev.up.Load():
		b.WriteString(" dead linkdown")
	case !h.Dev.linked():
		b.WriteString(" linkdown")
	}
	return b.String()
}

// checkHops refuses next hops that are not the namespace's.
func (ns *Namespace) checkHops(r *Route) error {
	for _, h := range r.Hops {
		switch {
		case h.Dev == nil || h.Dev.ns != ns:
			return fmt.Errorf("add route to %s in %s: a next hop has no such device", r.Dst, ns.cfg.Name)
		case h.Via.IsValid() && !h.Via.Is4():
			return fmt.Errorf("add route to %s in %s: %s is not an IPv4 address", r.Dst, ns.cfg.Name, h.Via)
		case h.Weight < 0 || h.Weight > maxWeight:
			return fmt.Errorf("add route to %s in %s: a weight of %d is not within 1 to %d", r.Dst, ns.cfg.Name, h.Weight, maxWeight)
		}
	}
	return nil
}

// SetIgnoreLinkdown says whether routes by interfaces without a carrier are passed over for others, as Linux's
// net.ipv4.conf.all.ignore_routes_with_linkdown does and routers have it. The next hops of one route are chosen among those with a carrier anyway.
func (ns *Namespace) SetIgnoreLinkdown(on bool) error {
	return ns.change(func(c *config) error {
		c.fib.linkdown = on
		return nil
	})
}

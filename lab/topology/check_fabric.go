package topology

import (
	"net/netip"
	"slices"
	"strings"
)

func (c *checker) checkFabric() {
	f := &c.spec.Fabric
	for i := range f.Routers {
		x := &f.Routers[i]
		c.checkAttachments(x.Name, x.Links)
		c.checkRoutes(x.Name, x.Links, x.Routes)
	}
	for i := range f.Hosts {
		h := &f.Hosts[i]
		c.checkAttachments(h.Name, h.Links)
		c.checkRoutes(h.Name, h.Links, h.Routes)
		c.checkGateway(h)
		c.checkBalancer(h)
	}
	for i := range f.Links {
		c.checkLink(&f.Links[i], f.Links[:i])
	}
	trunks := map[[2]string]bool{}
	for _, l := range f.Links {
		a, b := l.Between[0].Name, l.Between[1].Name
		trunks[[2]string{a, b}], trunks[[2]string{b, a}] = true, true
	}
	for _, s := range f.Switches {
		c.checkVLANs(s, trunks)
		c.checkCosts(s, trunks)
	}
	c.checkSegments()
	c.checkTAPs()
	c.checkInternet()
}

// links returns the interfaces of a router or host.
func (c *checker) links(name string) []Attachment {
	if h, ok := c.hosts[name]; ok {
		return h.Links
	}
	if x, ok := c.routers[name]; ok {
		return x.Links
	}
	return nil
}

func attachedTo(links []Attachment, peer string) (Attachment, bool) {
	for _, a := range links {
		if a.To == peer {
			return a, true
		}
	}
	return Attachment{}, false
}

// checkAttachments checks the other end of each interface. Between two nodes
// that have addresses, both must name the cable.
func (c *checker) checkAttachments(name string, links []Attachment) {
	for _, a := range links {
		switch {
		case a.To == name && c.nodes[name].kind == kindSwitch:
			continue // a name clash, already reported
		case a.To == name:
			c.failAt(a.Pos, "%q cannot be linked to itself", name)
			continue
		case !c.known(a.To, a.Pos), c.nodes[a.To].kind == kindSwitch:
			continue
		}
		back, ok := attachedTo(c.links(a.To), name)
		switch {
		case !ok:
			c.failAt(a.Pos, "%s %q does not name %q in its links, so the cable has no address at that end", c.nodes[a.To].kind, a.To, name)
		case name > a.To && a.Addr.IsValid() && back.Addr.IsValid() && !a.Addr.Contains(back.Addr.Addr()):
			c.failAt(a.addrPos, "the ends of this cable are in different subnets: %s here, %s at %s", a.Addr, back.Addr, back.Pos)
		}
	}
}

// onLink tells whether a is a neighbour on one of the links.
func onLink(links []Attachment, a netip.Addr) bool {
	for _, l := range links {
		if l.Addr.IsValid() && l.Addr.Contains(a) {
			return true
		}
	}
	return false
}

func subnetList(links []Attachment) string {
	var all []string
	for _, l := range links {
		if l.Addr.IsValid() && len(all) < 8 {
			all = append(all, l.Addr.Masked().String())
		}
	}
	if len(all) == 0 {
		return "it has no address"
	}
	return "it is linked to " + strings.Join(all, ", ")
}

func (c *checker) checkRoutes(name string, links []Attachment, routes []Route) {
	type target struct {
		to     netip.Prefix
		metric int
	}
	first := map[target]Pos{}
	for _, x := range routes {
		for i, via := range x.Via {
			switch {
			case !onLink(links, via):
				c.failAt(x.Pos, "route of %q goes via %s, which no link of it reaches; %s", name, via, subnetList(links))
			case slices.Contains(x.Via[:i], via):
				c.failAt(x.Pos, "route of %q goes via %s twice", name, via)
			}
		}
		at := target{x.To, x.Metric}
		if pos, twice := first[at]; twice && x.To.IsValid() {
			c.failAt(x.Pos, "route of %q to %s is there already, at %s; list all gateways in one via, or give one route another metric", name, x.To, pos)
			continue
		}
		first[at] = x.Pos
	}
}

func (c *checker) checkGateway(h *Host) {
	if !h.Gateway.IsValid() {
		return
	}
	if !onLink(h.Links, h.Gateway) {
		c.failAt(h.gatewayPos, "gateway %s of host %q is not on one of its links; %s", h.Gateway, h.Name, subnetList(h.Links))
	}
	for _, l := range h.Links {
		if l.Addr.IsValid() && l.Addr.Addr() == h.Gateway {
			c.failAt(h.gatewayPos, "gateway %s of host %q is the host's own address", h.Gateway, h.Name)
		}
	}
}

// checkLink checks one entry of links. Two switches may have several cables
// between them; any other pair has exactly the one that its interfaces make.
func (c *checker) checkLink(l *Link, before []Link) {
	a, b := l.Between[0], l.Between[1]
	if !c.known(a.Name, a.Pos) || !c.known(b.Name, b.Pos) {
		if a.Name != b.Name {
			c.knownSecond(a, b)
		}
		return
	}
	if a.Name == b.Name {
		c.failAt(b.Pos, "%q cannot be linked to itself", b.Name)
		return
	}
	if c.nodes[a.Name].kind == kindSwitch && c.nodes[b.Name].kind == kindSwitch {
		return
	}
	_, there := attachedTo(c.links(a.Name), b.Name)
	_, back := attachedTo(c.links(b.Name), a.Name)
	if !there && !back {
		c.failAt(l.Pos, "no cable runs between %q and %q; name one in the links of the other, with an address", a.Name, b.Name)
		return
	}
	for _, o := range before {
		if o.joins(a.Name, b.Name) {
			c.failAt(l.Pos, "the cable between %q and %q is described twice; the first is at %s", a.Name, b.Name, o.Pos)
			return
		}
	}
}

// knownSecond reports the second name of a link when the first was unknown too.
func (c *checker) knownSecond(a, b Ref) {
	if _, ok := c.nodes[a.Name]; !ok {
		c.known(b.Name, b.Pos)
	}
}

// joins tells whether the link is between the two nodes, in either order.
func (l *Link) joins(a, b string) bool {
	x, y := l.Between[0].Name, l.Between[1].Name
	return x == a && y == b || x == b && y == a
}

// checkVLANs checks that each port of a switch that has VLANs is cabled, to a
// node that names the switch or by one of the trunks.
func (c *checker) checkVLANs(s Switch, trunks map[[2]string]bool) {
	for _, v := range s.VLANs {
		if !c.known(v.Peer, v.Pos) {
			continue
		}
		_, cabled := attachedTo(c.links(v.Peer), s.Name)
		if !cabled && !trunks[[2]string{s.Name, v.Peer}] {
			c.failAt(v.Pos, "switch %q has no cable to %q, so it has no port for these VLANs", s.Name, v.Peer)
		}
	}
}

// segment is what one address must be unique on: switches that are cabled
// together, and one VLAN of them.
type segment struct {
	root string
	vlan uint16
}

// checkSegments reports an address that two interfaces of one segment have.
func (c *checker) checkSegments() {
	root, vlans := c.switchGroups(), c.portVLANs()
	type owner struct {
		node string
		pos  Pos
	}
	seen := map[segment]map[netip.Addr]owner{}
	check := func(node string, links []Attachment) {
		for _, a := range links {
			seg := segment{root: root(a.To), vlan: 1}
			if v, ok := vlans[[2]string{a.To, node}]; ok {
				seg.vlan = v
			}
			if c.nodes[a.To].kind != kindSwitch {
				seg = segment{root: min(a.To, node) + "|" + max(a.To, node), vlan: 1}
			}
			if !a.Addr.IsValid() || seg.vlan == 0 {
				continue
			}
			if seen[seg] == nil {
				seen[seg] = map[netip.Addr]owner{}
			}
			if first, twice := seen[seg][a.Addr.Addr()]; twice {
				c.failAt(a.addrPos, "address %s of %q is also that of %q, on the same segment, at %s", a.Addr.Addr(), node, first.node, first.pos)
				continue
			}
			seen[seg][a.Addr.Addr()] = owner{node, a.addrPos}
		}
	}
	for _, x := range c.spec.Fabric.Routers {
		check(x.Name, x.Links)
	}
	for _, h := range c.spec.Fabric.Hosts {
		check(h.Name, h.Links)
	}
	for _, s := range c.spec.Fabric.Switches {
		for _, t := range s.TAPs {
			check("the tap of "+s.Name, []Attachment{{Pos: t.Pos, To: s.Name, Addr: t.Address, addrPos: t.addressPos}})
		}
	}
}

// portVLANs returns the VLAN of untagged frames by switch and peer, for ports
// that say so; it is 0 where such frames are not carried.
func (c *checker) portVLANs() map[[2]string]uint16 {
	vlans := map[[2]string]uint16{}
	for _, s := range c.spec.Fabric.Switches {
		for _, v := range s.VLANs {
			vlans[[2]string{s.Name, v.Peer}] = v.Access
		}
	}
	return vlans
}

// switchGroups returns a function that gives all switches which are cabled
// together the same name.
func (c *checker) switchGroups() func(string) string {
	parent := map[string]string{}
	find := func(s string) string {
		root := s
		for parent[root] != "" {
			root = parent[root]
		}
		for parent[s] != "" {
			s, parent[s] = parent[s], root
		}
		return root
	}
	for _, l := range c.spec.Fabric.Links {
		a, b := l.Between[0].Name, l.Between[1].Name
		if c.nodes[a].kind == kindSwitch && c.nodes[b].kind == kindSwitch {
			if x, y := find(a), find(b); x != y {
				parent[x] = y
			}
		}
	}
	return find
}

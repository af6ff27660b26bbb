package topology

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Internet is the world beyond the lab: names, and what answers at their addresses.
type Internet struct {
	Pos Pos
	// Gateway says on which switches the way out is, and with which address; empty: on every segment that has a host,
	// with an address that is free there.
	Gateway []Attachment
	Names   []Site
}

// Site is a name of the internet. An address that lies in a subnet of the lab is that of a machine there, and the name is
// all that the internet adds.
type Site struct {
	HostName
	Delay time.Duration // each way
	Web   *string       // what its web server says; nil: it has none

	delayPos, webPos Pos
}

// siteForm is what the internet's names look like (RFC 1123 section 2.1).
var siteForm = regexp.MustCompile(`^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(?i:\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// maxSite is the length of the longest name of the domain name system.
const maxSite = 253

// internet reads {gateway: {tor: 192.168.1.1/24}, names: {www.example.com: 93.184.216.34}}.
func (r *reader) internet(n *yaml.Node) *Internet {
	net := &Internet{Pos: r.pos(n)}
	r.object(n, "internet", fields{
		"gateway": func(n *yaml.Node) { net.Gateway = r.exits(n) },
		"names":   func(n *yaml.Node) { net.Names = r.sites(n) },
	})
	return net
}

// exits reads {tor: 192.168.1.1/24}, or several addresses of one switch as a list.
func (r *reader) exits(n *yaml.Node) []Attachment {
	var all []Attachment
	for _, e := range r.entries(n, "gateway") {
		if isNull(e.value) {
			r.fail(e.key, "the gateway needs an address on %q, like {%s: 192.168.1.1/24}", clip(e.key.Value), clip(e.key.Value))
		}
		for _, c := range r.oneOrMore(e.value, "an address") {
			all = append(all, Attachment{Pos: r.pos(e.key), To: e.key.Value, Addr: r.interfaceAddr(c, "an address"), addrPos: r.pos(c)})
		}
	}
	if len(all) > maxExits {
		r.fail(n, "the internet's gateway has %d addresses; the most are %d", len(all), maxExits)
		return nil
	}
	return all
}

// maxExits is how many addresses the internet's gateway may have.
const maxExits = 64

// sites reads {name: address}, {name: [address, address]} or {name: {address: ..., delay: 10ms, web: text}}.
func (r *reader) sites(n *yaml.Node) []Site {
	var all []Site
	for _, e := range r.entries(n, "names") {
		s := Site{HostName: HostName{Pos: r.pos(e.key), Name: e.key.Value}}
		if len(s.Name) > maxSite || !siteForm.MatchString(s.Name) {
			r.fail(e.key, "%q cannot be a name of the internet: write one like www.example.com", clip(s.Name))
		}
		switch {
		case e.value.Kind == yaml.MappingNode:
			r.object(e.value, "a name", fields{
				"address": r.addrs(&s.Addrs, "an address"),
				"delay":   r.at(&s.delayPos, r.duration(&s.Delay, "delay")),
				"web":     r.at(&s.webPos, r.web(&s.Web)),
			}, "address: 93.184.216.34")
		case isNull(e.value):
			r.fail(e.key, "name %q has no address", clip(s.Name))
		default:
			r.addrs(&s.Addrs, "an address")(e.value)
		}
		all = append(all, s)
	}
	return all
}

func (r *reader) web(to **string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var text string
		r.text(&text, "web")(n)
		*to = &text
	}
}

// Subnets returns the subnets of the lab's machines, each once, in the order of the file.
func (f *Fabric) Subnets() []netip.Prefix {
	var all []netip.Prefix
	had := map[netip.Prefix]bool{}
	note := func(links []Attachment) {
		for _, a := range links {
			if p := a.Addr.Masked(); p.IsValid() && !had[p] {
				had[p] = true
				all = append(all, p)
			}
		}
	}
	for _, r := range f.Routers {
		note(r.Links)
	}
	for _, h := range f.Hosts {
		note(h.Links)
	}
	return all
}

// Inside returns a function that tells whether an address lies in a subnet of the lab.
func (f *Fabric) Inside() func(netip.Addr) bool {
	subnets := map[netip.Prefix]bool{}
	for _, p := range f.Subnets() {
		subnets[p] = true
	}
	return func(a netip.Addr) bool {
		for bits := range a.BitLen() + 1 {
			if p, err := a.Prefix(bits); err == nil && subnets[p] {
				return true
			}
		}
		return false
	}
}

// checkInternet checks that what is outside is not inside, and that the gateway is where hosts are.
func (c *checker) checkInternet() {
	net := c.spec.Fabric.Internet
	if net == nil {
		return
	}
	for i := range net.Gateway {
		c.checkExit(net.Gateway[i], net.Gateway[:i])
	}
	inside := c.spec.Fabric.Inside()
	first := map[netip.Addr]*Site{}
	for i := range net.Names {
		s := &net.Names[i]
		if p, taken := c.nodes[s.Name]; taken {
			c.failAt(s.Pos, "%q is the name of a %s, which is at %s", clip(s.Name), p.kind, p.pos)
		}
		for _, a := range s.Addrs {
			if inside(a) {
				c.checkInside(s, a)
			} else if o := first[a]; o == nil {
				first[a] = s
			} else if o.Delay != s.Delay {
				c.failAt(s.Pos, "address %s of %q is also that of %q, which has another delay, at %s", a, s.Name, o.Name, o.Pos)
			}
		}
	}
}

// checkInside reports what a name cannot have whose address is one of the lab.
func (c *checker) checkInside(s *Site, a netip.Addr) {
	if s.Delay > 0 {
		c.failAt(s.delayPos, "%q has no delay of its own: its address %s is one of the lab; give the links of its machine a delay", s.Name, a)
	}
	if s.Web != nil {
		c.failAt(s.webPos, "%q has no web server of its own: its address %s is one of the lab", s.Name, a)
	}
}

// checkExit checks an address of the gateway: a host or router must be there, and nobody else have it.
func (c *checker) checkExit(g Attachment, before []Attachment) {
	switch p := c.nodes[g.To]; {
	case !c.known(g.To, g.Pos) || !g.Addr.IsValid():
		return
	case p.kind != kindSwitch:
		c.failAt(g.Pos, "the internet's gateway is on a switch; %q is a %s", g.To, p.kind)
		return
	}
	subnet, found := g.Addr.Masked(), false
	var there []string
	look := func(name string, links []Attachment) {
		for _, a := range links {
			switch {
			case a.To != g.To || !a.Addr.IsValid():
			case a.Addr.Addr() == g.Addr.Addr():
				c.failAt(g.addrPos, "address %s of the internet's gateway is that of %q, at %s", g.Addr.Addr(), name, a.addrPos)
				found = true
			case a.Addr.Masked() == subnet:
				found = true
			case !slices.Contains(there, a.Addr.Masked().String()) && len(there) < 8:
				there = append(there, a.Addr.Masked().String())
			}
		}
	}
	for _, x := range c.spec.Fabric.Routers {
		look(x.Name, x.Links)
	}
	for _, h := range c.spec.Fabric.Hosts {
		look(h.Name, h.Links)
	}
	for _, o := range before {
		if o.To == g.To && o.Addr.IsValid() && o.Addr.Masked() == subnet {
			c.failAt(g.addrPos, "the internet's gateway has an address in %s already, at %s", subnet, o.addrPos)
		}
	}
	hint := "; none is cabled to it"
	if len(there) > 0 {
		hint = "; there are some in " + strings.Join(there, ", ")
	}
	if !found {
		c.failAt(g.addrPos, "no host or router of switch %q is in %s, where the internet's gateway would be%s", g.To, subnet, hint)
	}
}

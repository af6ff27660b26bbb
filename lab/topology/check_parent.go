package topology

import (
	"slices"
	"strconv"
	"strings"
)

// modes are those of the drivers whose containers stand on an interface of their host.
var modes = map[Driver][]string{
	DriverMacvlan: {"bridge", "private", "vepa", "passthru"},
	DriverIPVlan:  {"l2", "l3", "l3s"},
}

// checkParent checks what macvlan and ipvlan networks have beside others: eth0 or eth0.10 of each of their hosts.
func (c *checker) checkParent(n *Network) {
	if !n.Driver.OnParent() {
		if n.Parent != "" {
			c.failAt(n.parentPos, "parent is for macvlan and ipvlan networks; network %q has driver %q", n.Name, n.Driver)
		}
		if n.Mode != "" {
			c.failAt(n.modePos, "mode is for macvlan and ipvlan networks; network %q has driver %q", n.Name, n.Driver)
		}
		return
	}
	if n.Mode != "" && !slices.Contains(modes[n.Driver], n.Mode) {
		c.failAt(n.modePos, "requested %s mode %q of network %q is not valid: it is one of %s", n.Driver, clip(n.Mode), n.Name, strings.Join(modes[n.Driver], ", "))
	}
	for _, o := range n.Options {
		if o.Name == "parent" && n.Parent != "" || o.Name == string(n.Driver)+"_mode" && n.Mode != "" {
			c.failAt(o.Pos, "network %q has the option %q twice: write it once", n.Name, o.Name)
		}
	}
	if n.Parent == "" {
		return
	}
	card, vlan, tagged := strings.Cut(n.Parent, ".")
	if id, err := strconv.Atoi(vlan); tagged && (err != nil || id < 1 || id > 4094) {
		c.failAt(n.parentPos, "parent %q of network %q: vlan id must be between 1-4094, as in eth0.10", clip(n.Parent), n.Name)
		return
	}
	for _, ref := range n.Hosts {
		if h := c.hosts[ref.Name]; h != nil && !hasCard(h, card) {
			c.failAt(n.parentPos, "parent %q of network %q: host %q has no interface %q; its links are eth0, eth1 and so on, in their order", clip(n.Parent), n.Name, h.Name, clip(card))
			return
		}
	}
}

// hasCard tells whether a host has a link of that name. Interfaces of other kinds are made by hand, and are not known.
func hasCard(h *Host, name string) bool {
	number, ok := strings.CutPrefix(name, "eth")
	n, err := strconv.Atoi(number)
	return !ok || err != nil || n < len(h.Links)+len(h.TAPs)
}

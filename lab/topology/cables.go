package topology

import "net/netip"

// End is one end of a cable.
type End struct {
	Node string
	Port int          // for routers and hosts: 0 is eth0, 1 is eth1; for switches -1
	Addr netip.Prefix // zero on a switch or an interface without address
}

// Cable is one physical connection of the fabric.
type Cable struct {
	Pos     Pos
	A, B    End
	MTU     int
	VNI     uint32     // what it is called between processes, if its ends are in two; unique in the fabric
	Forward Impairment // from A to B
	Reverse Impairment // from B to A
	Flap    Flap
}

// Cables returns every cable of the fabric once: those that the interfaces of
// hosts and routers make, hosts first and in file order, then those between
// switches. Each carries the MTU and impairments that Links gives it.
func (f *Fabric) Cables() []Cable {
	var all []Cable
	ends, described := f.index()
	made := map[[2]string]bool{}
	add := func(node string, links []Attachment) {
		for i, a := range links {
			if made[[2]string{a.To, node}] {
				continue
			}
			made[[2]string{node, a.To}] = true
			c := Cable{Pos: a.Pos, A: End{node, i, a.Addr}, B: endOf(a.To, node, ends[a.To]), MTU: 1500}
			impair(&c, described)
			all = append(all, c)
		}
	}
	for _, h := range f.Hosts {
		add(h.Name, h.Links)
	}
	for _, r := range f.Routers {
		add(r.Name, r.Links)
	}
	return numbered(append(all, f.trunks()...))
}

// index returns the interfaces of each node by its name, and the entry of
// links for each pair of nodes, in both orders.
func (f *Fabric) index() (ends map[string][]Attachment, described map[[2]string]*Link) {
	ends = map[string][]Attachment{}
	for _, h := range f.Hosts {
		ends[h.Name] = h.Links
	}
	for _, r := range f.Routers {
		ends[r.Name] = r.Links
	}
	described = map[[2]string]*Link{}
	for i := range f.Links {
		a, b := f.Links[i].Between[0].Name, f.Links[i].Between[1].Name
		described[[2]string{a, b}], described[[2]string{b, a}] = &f.Links[i], &f.Links[i]
	}
	return ends, described
}

// endOf returns node's end of its cable to peer.
func endOf(node, peer string, links []Attachment) End {
	for i, a := range links {
		if a.To == peer {
			return End{node, i, a.Addr}
		}
	}
	return End{Node: node, Port: -1}
}

// impair applies the entry of links that describes the cable.
func impair(c *Cable, described map[[2]string]*Link) {
	l := described[[2]string{c.A.Node, c.B.Node}]
	if l == nil {
		return
	}
	c.MTU, c.VNI, c.Forward, c.Reverse, c.Flap = l.MTU, uint32(l.VNI), l.Forward, l.Reverse, l.Flap
	if l.Between[0].Name != c.A.Node {
		c.Forward, c.Reverse = l.Reverse, l.Forward
	}
}

// trunks returns the cables between switches.
func (f *Fabric) trunks() []Cable {
	isSwitch := map[string]bool{}
	for _, s := range f.Switches {
		isSwitch[s.Name] = true
	}
	var all []Cable
	for _, l := range f.Links {
		if a, b := l.Between[0].Name, l.Between[1].Name; isSwitch[a] && isSwitch[b] {
			all = append(all, Cable{
				Pos: l.Pos, A: End{Node: a, Port: -1}, B: End{Node: b, Port: -1},
				MTU: l.MTU, VNI: uint32(l.VNI), Forward: l.Forward, Reverse: l.Reverse, Flap: l.Flap,
			})
		}
	}
	return all
}

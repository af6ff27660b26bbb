package topology

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// A lab may be split over several netsim processes. Nodes that have a remote address are run by the process that listens
// there, all others by the one that listens at Fabric.Listen. Every process reads the same file, or one of its own that
// names the nodes of the others as remote; what must agree are the names, addresses and cables where they meet.

// vxlanPort is the UDP port of VXLAN (RFC 7348 section 5).
const vxlanPort = 4789

// derivedVNI is the bit that the VNIs have which follow from names; those that a file gives are mostly smaller.
const derivedVNI = 1 << 23

// maxName is the length of the longest name (see nameForm).
const maxName = 63

// defaultListen is where a part listens that says nothing: on this machine alone.
var defaultListen = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), vxlanPort)

// endpoint reads ADDRESS:PORT, or ADDRESS for VXLAN's port.
func (r *reader) endpoint(to *netip.AddrPort, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		at, err := ParseEndpoint(s)
		if err != nil {
			r.fail(n, "%s %v", what, err)
			return
		}
		*to = at
	}
}

// ParseEndpoint reads ADDRESS:PORT of a process that runs a part of a lab; ADDRESS alone stands for VXLAN's port 4789.
// The error says what it cannot be, to follow a name.
func ParseEndpoint(s string) (netip.AddrPort, error) {
	text := s
	if !strings.Contains(text, ":") {
		text = fmt.Sprintf("%s:%d", text, vxlanPort)
	}
	at, err := netip.ParseAddrPort(strings.Replace(text, "localhost:", "127.0.0.1:", 1))
	if err != nil || !at.Addr().Is4() || at.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("cannot be %q: write an IPv4 address and a UDP port like 127.0.0.1:4790", clip(s))
	}
	return at, nil
}

// numbered gives each cable that has no VNI one that follows from the names of its ends.
func numbered(all []Cable) []Cable {
	nth := map[[2]string]int{}
	for i := range all {
		c := &all[i]
		pair := [2]string{min(c.A.Node, c.B.Node), max(c.A.Node, c.B.Node)}
		n := nth[pair]
		nth[pair]++
		if c.VNI == 0 {
			h := fnv.New32a()
			fmt.Fprintf(h, "%s/%s/%d", pair[0], pair[1], n) // a hash takes everything
			c.VNI = h.Sum32()&(derivedVNI-1) | derivedVNI
		}
	}
	return all
}

// Remotes returns the nodes that other processes run, and where these listen.
func (f *Fabric) Remotes() map[string]netip.AddrPort {
	away := map[string]netip.AddrPort{}
	add := func(node string, at netip.AddrPort) {
		if at.IsValid() {
			away[node] = at
		}
	}
	for _, x := range f.Switches {
		add(x.Name, x.Remote)
	}
	for _, x := range f.Routers {
		add(x.Name, x.Remote)
	}
	for _, x := range f.Hosts {
		add(x.Name, x.Remote)
	}
	return away
}

// At returns the lab as the process sees it that listens at an address: its nodes have no remote address, and all others
// have. The lab's name gets the port, so that two parts can run on one machine. It is an error if no node is there.
func (s *Spec) At(here netip.AddrPort) (*Spec, error) {
	away := s.Fabric.Remotes()
	if there := slices.Collect(maps.Values(away)); !slices.Contains(there, here) {
		if len(there) == 0 {
			return nil, fmt.Errorf("no node of lab %s is at %s: none has a remote address; give one to some, like \"remote: %s\"", s.Name, here, here)
		}
		slices.SortFunc(there, netip.AddrPort.Compare)
		var known []string
		for _, a := range slices.Compact(there) {
			known = append(known, a.String())
		}
		return nil, fmt.Errorf("no node of lab %s is at %s; there are some at %s", s.Name, here, strings.Join(known, ", "))
	}
	if s.Fabric.Listen.Addr().IsUnspecified() {
		return nil, fmt.Errorf("the other part of lab %s listens on %s, which cannot be sent to; write the address that it is reached at", s.Name, s.Fabric.Listen)
	}
	moved := func(at netip.AddrPort) netip.AddrPort {
		switch {
		case at == here:
			return netip.AddrPort{}
		case !at.IsValid():
			return s.Fabric.Listen
		}
		return at
	}
	part := *s
	f := &part.Fabric
	f.Switches, f.Routers, f.Hosts = slices.Clone(f.Switches), slices.Clone(f.Routers), slices.Clone(f.Hosts)
	for i := range f.Switches {
		f.Switches[i].Remote = moved(f.Switches[i].Remote)
	}
	for i := range f.Routers {
		f.Routers[i].Remote = moved(f.Routers[i].Remote)
	}
	for i := range f.Hosts {
		f.Hosts[i].Remote = moved(f.Hosts[i].Remote)
	}
	f.Listen = here
	suffix := fmt.Sprintf("-%d", here.Port())
	part.Name = part.Name[:min(len(part.Name), maxName-len(suffix))] + suffix
	return &part, nil
}

// Local returns the lab without what other processes run: the containers, networks and the swarm of remote hosts, and the
// steps and exposed ports there. The fabric stays whole, for its cables lead there. Without remote nodes it returns s.
func (s *Spec) Local() *Spec {
	away := s.Fabric.Remotes()
	if len(away) == 0 {
		return s
	}
	gone := func(r Ref) bool { return away[r.Name].IsValid() }
	there := func(n Node) bool { return s.placeOf(&n, away).IsValid() }
	part := *s
	if s.Swarm != nil && s.swarmPlace(away).IsValid() {
		part.Swarm, part.Services = nil, nil
	}
	part.Networks = nil
	for _, n := range s.Networks {
		if n.Driver == DriverOverlay && part.Swarm == nil {
			continue
		}
		n.Hosts = slices.DeleteFunc(slices.Clone(n.Hosts), gone)
		part.Networks = append(part.Networks, n)
	}
	part.Containers = slices.DeleteFunc(slices.Clone(s.Containers), func(c Container) bool { return gone(c.Host) })
	part.Steps = slices.DeleteFunc(slices.Clone(s.Steps), func(x Step) bool { return there(x.On) })
	part.Expose = slices.DeleteFunc(slices.Clone(s.Expose), func(e Expose) bool { return there(e.Node) })
	return &part
}

// swarmPlace returns the process that runs the swarm; zero: this one.
func (s *Spec) swarmPlace(away map[string]netip.AddrPort) netip.AddrPort {
	if s.Swarm == nil || len(s.Swarm.Managers) == 0 {
		return netip.AddrPort{}
	}
	return away[s.Swarm.Managers[0].Name]
}

// placeOf returns the process that runs a node; zero: this one.
func (s *Spec) placeOf(n *Node, away map[string]netip.AddrPort) netip.AddrPort {
	if n.Host == "" && n.Service != "" {
		return s.swarmPlace(away)
	}
	return away[n.Host]
}

// checkRemotes settles where this part listens, and checks what the parts of a lab must have in common.
func (c *checker) checkRemotes() {
	f := &c.spec.Fabric
	away := f.Remotes()
	if len(away) > 0 {
		c.settleListen(away)
		c.checkSwarmIsWhole(away)
		for _, s := range c.spec.Steps {
			for _, seen := range s.Expect.SourceSeen {
				if seen.At != nil && c.spec.placeOf(&s.On, away) != c.spec.placeOf(seen.At, away) {
					c.failAt(seen.Pos, "source_seen looks at %s, which another process runs than %s, where the step does", seen.At.Text, s.On.Text)
				}
			}
		}
	}
	vnis := map[uint32]Pos{}
	for _, x := range f.Cables() {
		crosses := away[x.A.Node] != away[x.B.Node]
		if first, twice := vnis[x.VNI]; crosses && twice {
			c.failAt(x.Pos, "the cable between %q and %q has VNI %d, as has the one at %s; give one of them another, with \"vni:\" in links", x.A.Node, x.B.Node, x.VNI, first)
		}
		if crosses {
			vnis[x.VNI] = x.Pos
		}
	}
	for _, l := range f.Links {
		if a, b := l.Between[0].Name, l.Between[1].Name; l.VNI != 0 && away[a] == away[b] && c.nodes[a].kind != "" && c.nodes[b].kind != "" {
			c.failAt(l.Pos, "vni is for a cable between two processes, and %q and %q are in one; give one of them a remote address", a, b)
		}
	}
}

// settleListen fills in where this part listens. The loopback address serves only if all parts are on one machine.
func (c *checker) settleListen(away map[string]netip.AddrPort) {
	f := &c.spec.Fabric
	given := f.Listen.IsValid()
	if !given {
		f.Listen = defaultListen
	}
	names := slices.Sorted(maps.Keys(away))
	for _, name := range names {
		pos, at := c.nodes[name].pos, away[name]
		switch {
		case at == f.Listen && given:
			c.failAt(pos, "%q is at %s, where this part listens itself; give it the address of the process that runs it", name, at)
		case at == f.Listen:
			c.failAt(pos, "%q is at %s, where this part listens unless \"fabric\" has another \"listen\"; give one of them another port", name, at)
		case !given && !at.Addr().IsLoopback():
			c.failAt(pos, "%q is at %s, on another machine, and this part listens on loopback only; give \"fabric\" the address that is reached from there, like \"listen: 192.0.2.1:%d\"", name, at, vxlanPort)
			return
		}
	}
}

// checkSwarmIsWhole reports members of a swarm that another process runs than the first: one process makes all of a swarm.
func (c *checker) checkSwarmIsWhole(away map[string]netip.AddrPort) {
	w := c.spec.Swarm
	if w == nil {
		return
	}
	if len(w.Managers) == 0 { // which is an error of its own
		return
	}
	place := c.spec.swarmPlace(away)
	for _, r := range slices.Concat(w.Managers, w.Workers) {
		if away[r.Name] != place {
			c.failAt(r.Pos, "host %q and manager %q are run by two processes, and a swarm cannot be split; other hosts, routers and switches can", r.Name, w.Managers[0].Name)
		}
	}
}

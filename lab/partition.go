package lab

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// PartitionRequest asks for groups of hosts that get nothing from each other.
type PartitionRequest struct {
	Heal   bool       // first end all partitions
	Groups [][]string // hosts; of one group, all other hosts are the second
}

// Parted are two hosts that get nothing from each other.
type Parted struct{ A, B string }

// parts are the partitions of a lab: for each host those that it gets nothing from.
type parts map[string]map[string]bool

// Partition parts groups of hosts from each other, beside those that are parted already, and returns all that are. What
// one host sends another, or an ARP request of it, by whatever way it comes, is dropped at the end of the receiver's cable
// ("partition"); everybody else hears both. If a host is not there nothing changes.
func (l *Lab) Partition(r PartitionRequest) ([]Parted, error) {
	groups, err := l.phys.groups(r.Groups)
	if err != nil {
		return nil, err
	}
	l.parting.Lock()
	defer l.parting.Unlock()
	if r.Heal || l.parts == nil {
		l.parts = parts{}
	}
	for i, g := range groups {
		for _, h := range groups[:i] {
			for _, a := range g {
				for _, b := range h {
					l.parts.add(a, b)
					l.parts.add(b, a)
				}
			}
		}
	}
	l.setGates()
	return l.parts.list(), nil
}

func (p parts) add(a, b string) {
	if p[a] == nil {
		p[a] = map[string]bool{}
	}
	p[a][b] = true
}

func (p parts) list() []Parted {
	all := []Parted{}
	for a, others := range p {
		for b := range others {
			if a < b {
				all = append(all, Parted{a, b})
			}
		}
	}
	slices.SortFunc(all, func(x, y Parted) int { return cmp.Or(strings.Compare(x.A, y.A), strings.Compare(x.B, y.B)) })
	return all
}

// groups checks the names in groups of hosts, and adds the second group where there is one.
func (p *physical) groups(groups [][]string) ([][]string, error) {
	in := map[string]bool{}
	var hosts []string
	for _, m := range p.order {
		if m.host != nil {
			hosts = append(hosts, m.name)
		}
	}
	hosts = slices.AppendSeq(hosts, maps.Keys(p.awayHosts))
	for _, g := range groups {
		for _, name := range g {
			switch {
			case !slices.Contains(hosts, name) && slices.Contains(p.names(), name):
				return nil, fmt.Errorf("%q is no host; a partition is of hosts, and what lies between them is cut off by taking its links down", name)
			case !slices.Contains(hosts, name):
				return nil, fmt.Errorf("%w: %q%s; a partition is of hosts", ErrNoNode, name, near(name, hosts))
			case in[name]:
				return nil, fmt.Errorf("host %q is in the partition twice", name)
			}
			in[name] = true
		}
	}
	if len(groups) != 1 {
		return groups, nil
	}
	return append(groups, slices.DeleteFunc(hosts, func(name string) bool { return in[name] })), nil
}

// gate drops what comes from some hosts: known by the addresses of Ethernet, of IPv4, and of who asks by ARP.
type gate struct {
	macs  map[wire.MAC]bool
	addrs map[[4]byte]bool
}

// setGates gives every cable of a host what its partitions say. The caller holds l.parting.
func (l *Lab) setGates() {
	for _, m := range l.phys.order {
		if m.host == nil {
			continue
		}
		var decide fabric.Gate
		if others := l.parts[m.name]; len(others) > 0 {
			decide = l.gateAgainst(others).decide
		}
		for _, c := range l.phys.cables {
			if c.a == m.name || c.b == m.name {
				c.ends(m.name)[0].SetGate(decide)
			}
		}
	}
}

// gateAgainst returns a gate against hosts.
func (l *Lab) gateAgainst(hosts map[string]bool) *gate {
	g := &gate{macs: map[wire.MAC]bool{}, addrs: map[[4]byte]bool{}}
	add := func(p netip.Prefix) {
		if p.Addr().Is4() {
			g.addrs[p.Addr().As4()] = true
		}
	}
	for _, h := range l.spec.Fabric.Hosts { // those that another process runs, too
		if !hosts[h.Name] {
			continue
		}
		for _, a := range h.Links {
			add(a.Addr)
		}
	}
	for name := range hosts {
		m := l.phys.machines[name]
		if m == nil {
			continue
		}
		for i := range m.host.Links {
			dev, ok := m.ns.Interface(fmt.Sprintf("eth%d", i))
			if !ok {
				continue
			}
			for all := []*netns.Interface{dev}; len(all) > 0; all = all[1:] {
				all = append(all, all[0].Uppers()...) // of VLANs, and of containers on macvlan networks
				g.macs[all[0].MAC()] = true
				for _, a := range all[0].Addrs() {
					add(a)
				}
			}
		}
	}
	return g
}

// watchContainer is told of every interface that a container gets.
func (l *Lab) watchContainer(i *netns.Interface) {
	l.remember(i)
	if i.Lower() == nil {
		return
	}
	l.parting.Lock()
	defer l.parting.Unlock()
	if len(l.parts) > 0 { // it has joined a host that may be parted from others
		l.setGates()
	}
}

// decide is the fabric.Gate.
func (g *gate) decide(f *fabric.Frame) fabric.DropReason {
	b := f.Linear()
	if len(b) < wire.EthernetLen {
		return 0
	}
	if g.macs[wire.MAC(b[6:12])] {
		return fabric.DropPartition
	}
	at, kind := wire.EthernetLen, binary.BigEndian.Uint16(b[12:])
	if kind == wire.TypeVLAN && len(b) >= at+wire.VLANLen {
		kind = binary.BigEndian.Uint16(b[16:])
		at += wire.VLANLen
	}
	switch kind { // the sender's address lies 12 bytes into an IPv4 header, and 14 into ARP's
	case wire.TypeIPv4:
		at += 12
	case wire.TypeARP:
		at += 14
	default:
		return 0
	}
	if len(b) >= at+4 && g.addrs[[4]byte(b[at:at+4])] {
		return fabric.DropPartition
	}
	return 0
}

// change does what a step changes.
func (l *Lab) change(c *topology.Change) error {
	if c.Heal || len(c.Partition) > 0 {
		r := PartitionRequest{Heal: c.Heal}
		for _, group := range c.Partition {
			var names []string
			for _, ref := range group {
				names = append(names, ref.Name)
			}
			r.Groups = append(r.Groups, names)
		}
		if _, err := l.Partition(r); err != nil {
			return err
		}
	}
	for i := range c.Links {
		x := &c.Links[i]
		a, b := x.Between[0].Name, x.Between[1].Name
		if l.phys.away[a].IsValid() && l.phys.away[b].IsValid() {
			continue // the process that has it does that
		}
		for _, r := range []LinkRequest{
			{From: a, To: b, Change: linkChange(x.Reset, &x.Forward)}, {From: b, To: a, Change: linkChange(x.Reset, &x.Reverse)},
		} {
			if r.Change == (LinkChange{}) {
				continue
			}
			if _, err := l.Link(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkChange is the part of an impairment that is given.
func linkChange(reset bool, p *topology.ImpairmentPart) LinkChange {
	c := LinkChange{Reset: reset}
	i := impairment(p.Impairment)
	for key, given := range map[string]func(){
		"down": func() { c.Down = &i.Down }, "rate": func() { c.Rate = &i.Rate }, "queue": func() { c.QueueFrames = &i.QueueFrames },
		"loss": func() { c.Loss = &i.Loss }, "burst": func() { c.Burst = &i.Burst }, "corrupt": func() { c.Corrupt = &i.Corrupt },
		"duplicate": func() { c.Duplicate = &i.Duplicate }, "delay": func() { c.Delay = &i.Delay }, "jitter": func() { c.Jitter = &i.Jitter },
		"overtake": func() { c.Overtake = &i.Overtake }, "reorder": func() { c.Reorder = &i.Reorder },
		"mtu": func() { c.MTU = &i.MTU },
	} {
		if p.Given[key] {
			given()
		}
	}
	return c
}

func (l *Lab) servePartition(r PartitionRequest) answer {
	all, err := l.Partition(r)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Parted: all}
}

// Partition is Lab.Partition in a running lab.
func (c *Client) Partition(ctx context.Context, r PartitionRequest) ([]Parted, error) {
	a, err := c.ask(ctx, request{Op: opPartition, Partition: &r})
	if err != nil {
		return nil, err
	}
	return a.Parted, nil
}

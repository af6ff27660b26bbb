package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/lb"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// place is where a task, or a host's entry into the routing mesh, is on a network.
type place struct {
	host *host
	ip   netip.Addr
	task *swarmapi.Task // nil: of the routing mesh
	some bool           // it comes or goes: tables may have it, or not
}

// truth is what the leader's store says that all tables are to say.
type truth struct {
	services map[string]*swarmapi.Service
	networks map[string]*swarmapi.Network
	places   map[string][]place // by network
	text     string             // all of it, to be compared
	ready    bool               // all hosts have a session with the leader, who has told them what it wants of them
}

// truth asks a manager; false: there is none that knows.
func (l *lab) truth() (*truth, bool) {
	for _, h := range l.hosts {
		if h.off == nil || !h.Info().Control || h.Status(l.ctx).Raft.State != "Leader" {
			continue
		}
		if t, err := l.truthOf(h); err == nil {
			return t, true
		}
	}
	return nil, false
}

func (l *lab) truthOf(m *host) (*truth, error) {
	ctx, cancel := context.WithTimeout(l.ctx, 2*time.Second)
	defer cancel()
	c := m.Control()
	services, err1 := c.ListServices(ctx, &swarmapi.ListServicesRequest{})
	tasks, err2 := c.ListTasks(ctx, &swarmapi.ListTasksRequest{})
	nodes, err3 := c.ListNodes(ctx, &swarmapi.ListNodesRequest{})
	networks, err4 := c.ListNetworks(ctx, &swarmapi.ListNetworksRequest{})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	t := &truth{services: map[string]*swarmapi.Service{}, networks: map[string]*swarmapi.Network{}, places: map[string][]place{}}
	for _, s := range services.Services {
		t.services[s.ID] = s
	}
	for _, n := range networks.Networks {
		t.networks[n.ID] = n
	}
	on, ready := map[string]*host{}, 0
	for _, n := range nodes.Nodes {
		i := slices.IndexFunc(l.hosts, func(h *host) bool { return n.Description != nil && h.name == n.Description.Hostname })
		if i < 0 {
			continue
		}
		on[n.ID] = l.hosts[i]
		if n.Status.State == swarmapi.NodeStatus_READY {
			ready++
		}
		t.text += fmt.Sprintf("%s %v\n", l.hosts[i].name, n.Status.State)
		for _, a := range n.Attachments {
			t.add(a, place{host: l.hosts[i]})
		}
	}
	t.ready = ready == len(l.hosts)
	for _, x := range tasks.Tasks {
		if x.Status.State > swarmapi.TaskStateRunning || x.Status.State < swarmapi.TaskStateAssigned || on[x.NodeID] == nil {
			continue
		}
		some := x.DesiredState != swarmapi.TaskStateRunning || x.Status.State != swarmapi.TaskStateRunning
		for _, a := range x.Networks {
			t.add(a, place{host: on[x.NodeID], task: x, some: some})
		}
	}
	return t, nil
}

func (t *truth) add(a *swarmapi.NetworkAttachment, p place) {
	for _, text := range a.Addresses {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			p.ip = prefix.Addr()
			t.places[a.Network.ID] = append(t.places[a.Network.ID], p)
			t.text += fmt.Sprintln(a.Network.ID, p.ip, p.host.name, p.some)
		}
	}
}

// want is what a table is to say of a place; what begins with maybe it may say.
func (p place) want(what string) string {
	if p.some {
		return maybe + what
	}
	return what
}

const maybe = "maybe "

// on returns the places of a network on one host, or on all others.
func (t *truth) on(network string, h *host, there bool) (all []place) {
	for _, p := range t.places[network] {
		if (p.host == h) == there {
			all = append(all, p)
		}
	}
	return all
}

// differences tells how what a host has differs from the truth.
func (t *truth) differences(h *host, names []string) (all []string) {
	differ := func(what string, got, want []string) {
		for _, d := range difference(got, want) {
			all = append(all, h.name+": "+what+": "+d)
		}
	}
	ctl := h.whole.engine.Controller()
	var have, want []string
	for _, n := range ctl.Networks() {
		if n.Driver() == cnm.DriverOverlay && len(n.Endpoints()) > 0 {
			have = append(have, n.Name())
		}
	}
	for id, n := range t.networks {
		if here := t.on(id, h, true); len(here) > 0 {
			all := slices.IndexFunc(here, func(p place) bool { return !p.some }) < 0
			want = append(want, place{some: all}.want(n.Spec.Annotations.Name))
		}
	}
	differ("overlays", have, want)
	for id := range t.networks {
		if n, ok := ctl.Network(id); ok && n.Sandbox() != nil && n.Driver() == cnm.DriverOverlay {
			t.forwarding(h, n, differ)
		}
	}
	for _, s := range ctl.Sandboxes() {
		t.balancing(h, s, differ)
	}
	if len(all) == 0 { // names are asked for one by one, by the way that programs have
		t.naming(h, names, differ)
	}
	return all
}

// forwarding compares endpoints, FDB and neighbours of an overlay.
func (t *truth) forwarding(h *host, n *cnm.Network, differ func(string, []string, []string)) {
	var have, want, fdb, wantFDB, neigh, wantNeigh, kernel []string
	for _, ep := range n.Endpoints() {
		have = append(have, ep.IP().String())
	}
	for _, p := range t.on(n.ID(), h, true) {
		want = append(want, p.want(p.ip.String()))
	}
	differ("endpoints on "+n.Name(), have, want)
	tunnel, ok := n.Sandbox().Interface("vxlan0")
	if !ok {
		differ("devices of "+n.Name(), nil, []string{"vxlan0"})
		return
	}
	table := tunnel.Device().(*vxlan.Device).Table()
	for _, r := range table.Remotes(time.Now()) {
		if r.Static {
			fdb = append(fdb, fmt.Sprint(r.MAC, " behind ", r.VTEP))
		}
	}
	for _, e := range table.Neighbours() {
		neigh = append(neigh, fmt.Sprint(e.IP, " at ", e.MAC))
	}
	for _, e := range n.Sandbox().Neighbours() {
		if e.Dev == tunnel && e.State == netns.NeighPermanent {
			kernel = append(kernel, fmt.Sprint(e.Addr, " at ", e.MAC))
		}
	}
	for _, p := range t.on(n.ID(), h, false) {
		a := p.ip.As4()
		mac := fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3])
		wantFDB = append(wantFDB, p.want(mac+" behind "+p.host.addr.String()))
		wantNeigh = append(wantNeigh, p.want(p.ip.String()+" at "+mac))
	}
	differ("FDB of "+n.Name(), fdb, wantFDB)
	differ("neighbours of "+n.Name(), neigh, wantNeigh)
	differ("ip neigh of "+n.Name(), kernel, wantNeigh)
}

var markRule = regexp.MustCompile(`^-A (OUTPUT|INPUT|PREROUTING) (?:-d ([0-9.]+)/32|-p (tcp|udp) .*--dport (\d+)) -j MARK --set-x?mark (0x[0-9a-f]+)`)

// balancing compares what a sandbox balances: by each service's virtual address, and in the routing mesh by its published ports.
func (t *truth) balancing(h *host, s *cnm.Sandbox, differ func(string, []string, []string)) {
	mesh := s.Name() == "ingress-sbox"
	have := balanced(s.NS())
	want := map[string][]string{}
	for _, ep := range s.Endpoints() {
		id := ep.Network().ID()
		if ep.Network().Driver() != cnm.DriverOverlay || ep.Network().Ingress() != mesh {
			continue
		}
		if h.whole.modern && !mesh && !ep.Balances() {
			continue // S9: one sandbox does for all of the host
		}
		for _, p := range t.places[id] {
			if p.task == nil {
				continue
			}
			vip := virtual4(p.task.Endpoint, id)
			if !vip.IsValid() {
				continue
			}
			to := []string{p.want(fmt.Sprintf("%s weight 1", p.ip))}
			if p.some {
				to = append(to, p.want(fmt.Sprintf("%s weight 0", p.ip)))
			}
			want[vip.String()] = append(want[vip.String()], to...)
			if !mesh {
				continue
			}
			for _, port := range p.task.Endpoint.Ports {
				by := fmt.Sprintf("%s/%d", strings.ToLower(port.Protocol.String()), port.PublishedPort)
				want[by] = append(want[by], to...)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(union(have, want))) {
		differ("IPVS of "+s.Name()+" for "+key, have[key], want[key])
	}
}

func union(a, b map[string][]string) map[string][]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// balanced reads what a namespace balances: the rules that mark packets, and what IPVS does with the marks.
func balanced(ns *netns.Namespace) map[string][]string {
	out := map[string][]string{}
	behind := map[string][]string{}
	for _, s := range ns.IPVS().Services() {
		to := []string{}
		for _, d := range s.Destinations {
			to = append(to, fmt.Sprintf("%s weight %d", d.Addr.Addr(), d.Weight))
		}
		behind[fmt.Sprint(s.Key)] = to
	}
	used := map[string]bool{}
	rules, _ := ns.Netfilter().Command([]string{"-t", "mangle", "-S"})
	for line := range strings.Lines(rules) {
		g := markRule.FindStringSubmatch(line)
		if g == nil {
			continue
		}
		var mark uint32
		_, _ = fmt.Sscanf(g[5], "0x%x", &mark)
		key := fmt.Sprint(lb.Mark(mark))
		by := g[2]
		if by == "" {
			by = g[3] + "/" + g[4]
		}
		used[key] = true
		out[by] = append(out[by], behind[key]...)
	}
	for key, to := range behind {
		if !used[key] {
			out["no rule, "+key] = to
		}
	}
	return out
}

// virtual4 is the virtual address of a service on a network.
func virtual4(e *swarmapi.Endpoint, network string) (a netip.Addr) {
	if e == nil {
		return a
	}
	for _, v := range e.VirtualIPs {
		if p, err := netip.ParsePrefix(v.Addr); err == nil && v.NetworkID == network {
			a = p.Addr()
		}
	}
	return a
}

// naming asks the embedded resolver of one container on each set of networks for all names, up to
// the first that is wrong.
func (t *truth) naming(h *host, names []string, report func(string, []string, []string)) {
	asked, wrong := map[string]bool{}, 0
	differ := func(what string, got, want []string) {
		if len(difference(got, want)) > 0 {
			wrong++
		}
		report(what, got, want)
	}
	for _, c := range h.whole.engine.Containers() {
		s := c.Sandbox()
		if s == nil {
			continue
		}
		var on []string
		for _, ep := range s.Endpoints() {
			if ep.Network().Driver() == cnm.DriverOverlay && !ep.Network().Ingress() {
				on = append(on, ep.Network().ID())
			}
		}
		slices.Sort(on)
		if len(on) == 0 || asked[strings.Join(on, " ")] {
			continue
		}
		asked[strings.Join(on, " ")] = true
		for _, name := range t.names(names) {
			if wrong > 0 {
				return
			}
			t.answer(s, on, name, name, false, differ)
			t.answer(s, on, name, "tasks."+name, true, differ)
		}
	}
}

// names are those of the services that are there, and of others.
func (t *truth) names(others []string) []string {
	all := slices.Clone(others)
	for _, s := range t.services {
		all = append(all, s.Spec.Annotations.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// answer compares an answer with that of one of the networks, the first that knows the name.
func (t *truth) answer(s *cnm.Sandbox, on []string, service, name string, tasks bool, differ func(string, []string, []string)) {
	got := ask(s.NS(), name)
	var want []string
	for _, id := range on {
		var here []string
		for _, p := range t.places[id] {
			if p.task == nil || p.task.ServiceAnnotations.Name != service {
				continue
			}
			to := p.ip
			if vip := virtual4(p.task.Endpoint, id); vip.IsValid() && !tasks {
				to = vip
			}
			here = append(here, p.want(to.String()))
		}
		if here = distinct(here); len(here) > 0 && (want == nil || len(difference(got, here)) == 0) {
			want = here
		}
	}
	differ(fmt.Sprintf("DNS in %s: %s", s.Name(), name), got, want)
}

// distinct are the different ones of what is wanted; what must be there, may.
func distinct(all []string) []string {
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(s string) bool {
		may, ok := strings.CutPrefix(s, maybe)
		return ok && slices.Contains(all, may)
	})
}

// ask resolves a name by 127.0.0.11.
func ask(ns *netns.Namespace, name string) (all []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	reply, err := dns.Query(ctx, ns.Dial, netip.AddrPortFrom(dns.Embedded, 53), dns.Question{Name: name, Type: dns.TypeA})
	if err != nil {
		return []string{err.Error()}
	}
	for _, a := range reply.Addrs() { // none: no network has it, and there is nobody else to be asked
		all = append(all, a.String())
	}
	return all
}

// difference tells what of two lists is only in one.
func difference(got, want []string) (out []string) {
	extra := slices.Clone(got)
	for _, w := range want {
		w, may := strings.CutPrefix(w, maybe)
		if i := slices.Index(extra, w); i >= 0 {
			extra = slices.Delete(extra, i, i+1)
		} else if !may {
			out = append(out, "no "+w)
		}
	}
	for _, e := range extra {
		out = append(out, "unwanted "+e)
	}
	slices.Sort(out)
	return out
}

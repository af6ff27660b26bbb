package topology

import (
	"math"
	"net/netip"

	"gopkg.in/yaml.v3"
)

// fabric reads the physical network.
func (r *reader) fabric(n *yaml.Node, f *Fabric) {
	f.Pos = r.pos(n)
	r.object(n, "fabric", fields{
		"switches": func(n *yaml.Node) { f.Switches = r.switches(n) },
		"routers":  func(n *yaml.Node) { f.Routers = r.routers(n) },
		"hosts":    func(n *yaml.Node) { f.Hosts = append(f.Hosts, r.hosts(n)...) },
		"links":    func(n *yaml.Node) { f.Links = r.links(n) },
		"listen":   r.endpoint(&f.Listen, "listen"),
		"internet": func(n *yaml.Node) { f.Internet = r.internet(n) },

		"balancers": func(n *yaml.Node) { f.Hosts = append(f.Hosts, r.balancers(n)...) },
	})
}

func (r *reader) switches(n *yaml.Node) []Switch {
	var all []Switch
	for _, e := range r.entries(n, "switches") {
		s := Switch{Pos: r.pos(e.key), Name: r.name(e.key, "switch")}
		r.object(e.value, "a switch", fields{
			"remote": r.endpoint(&s.Remote, "remote"),
			"stp":    func(n *yaml.Node) { s.STP = r.stp(n) },
			"vlans":  func(n *yaml.Node) { s.VLANs = r.vlans(n) },
			"tap":    r.taps(&s.TAPs, false),
		})
		all = append(all, s)
	}
	return all
}

// vlans reads {peer: 10}, an access port, {peer: [10, 20]}, a trunk, or
// {peer: {access: 1, trunk: [10, 20]}}, both.
func (r *reader) vlans(n *yaml.Node) []PortVLAN {
	var all []PortVLAN
	for _, e := range r.entries(n, "vlans") {
		p := PortVLAN{Pos: r.pos(e.key), Peer: e.key.Value}
		access := func(n *yaml.Node) { p.Access = r.vlan(n) }
		trunk := func(n *yaml.Node) {
			for _, c := range r.list(n, "trunk") {
				p.Trunk = append(p.Trunk, r.vlan(c))
			}
		}
		switch e.value.Kind {
		case yaml.SequenceNode:
			trunk(e.value)
		case yaml.MappingNode:
			r.object(e.value, "a switch port", fields{"access": access, "trunk": trunk})
		default:
			access(e.value)
		}
		all = append(all, p)
	}
	return all
}

func (r *reader) vlan(n *yaml.Node) uint16 {
	id := 0
	r.integer(&id, "a VLAN", 1, 4094)(n)
	return uint16(id)
}

func (r *reader) routers(n *yaml.Node) []Router {
	var all []Router
	for _, e := range r.entries(n, "routers") {
		x := Router{Pos: r.pos(e.key), Name: r.name(e.key, "router")}
		r.object(e.value, "a router", fields{
			"links":  r.attachments(&x.Links),
			"remote": r.endpoint(&x.Remote, "remote"),
			"routes": r.routes(&x.Routes),
		}, "links")
		all = append(all, x)
	}
	return all
}

func (r *reader) hosts(n *yaml.Node) []Host {
	var all []Host
	for _, e := range r.entries(n, "hosts") {
		h := Host{Pos: r.pos(e.key), Name: r.name(e.key, "host"), GSO: GSOAuto}
		r.object(e.value, "a host", fields{
			"links":       r.attachments(&h.Links),
			"engine":      choice(r, &h.Engine, "engine", EngineDocker),
			"gateway":     r.at(&h.gatewayPos, r.addr(&h.Gateway, "gateway")),
			"remote":      r.endpoint(&h.Remote, "remote"),
			"routes":      r.routes(&h.Routes),
			"dns":         r.addrs(&h.DNS, "dns"),
			"extra_hosts": r.hostNames(&h.ExtraHosts, "extra_hosts"),
			"gso":         choice(r, &h.GSO, "gso", GSOAuto, GSOOn, GSOOff),
			"kernel":      r.boolean(&h.Kernel, "kernel"),
			"tap":         r.taps(&h.TAPs, true),
			"userland_proxy": func(n *yaml.Node) {
				proxy := true
				r.boolean(&proxy, "userland_proxy")(n)
				h.NoUserlandProxy = !proxy
			},
		}, "links")
		all = append(all, h)
	}
	return all
}

// attachments reads {tor: 192.168.1.2/24}.
func (r *reader) attachments(to *[]Attachment) func(*yaml.Node) {
	return func(n *yaml.Node) {
		entries := r.entries(n, "links")
		if len(entries) == 0 && (isNull(n) || n.Kind == yaml.MappingNode) {
			r.fail(n, "links is empty: name a switch and an address, like {tor: 192.168.1.2/24}")
		}
		for _, e := range entries {
			*to = append(*to, Attachment{
				Pos: r.pos(e.key), To: e.key.Value,
				Addr: r.interfaceAddr(e.value, "an address"), addrPos: r.pos(e.value),
			})
		}
	}
}

// gateways reads an address or a list of them.
func (r *reader) gateways(to *[]netip.Addr) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.addrs(to, "via")(n)
		switch {
		case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
			r.fail(n, "via names no gateway: write an address, or a list of addresses that share the flows")
		case len(*to) > maxHops:
			r.fail(n, "via names %d gateways; the most are %d", len(*to), maxHops)
		}
	}
}

// maxHops is how many next hops a route may have.
const maxHops = 64

func (r *reader) routes(to *[]Route) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.list(n, "routes") {
			x := Route{Pos: r.pos(c)}
			r.object(c, "a route", fields{
				"to":     r.subnet(&x.To, "to"),
				"via":    r.gateways(&x.Via),
				"metric": r.integer(&x.Metric, "metric", 0, math.MaxInt32),
			}, "to", "via")
			*to = append(*to, x)
		}
	}
}

// links reads the list of cables and their impairments.
func (r *reader) links(n *yaml.Node) []Link {
	var all []Link
	for _, c := range r.list(n, "links") {
		l := Link{Pos: r.pos(c), MTU: 1500}
		both := r.impairment(&l.Forward)
		both["between"] = func(n *yaml.Node) { r.between(n, &l.Between) }
		both["mtu"] = r.integer(&l.MTU, "mtu", 68, 65535)
		both["vni"] = r.integer(&l.VNI, "vni", 1, 1<<24-1)
		both["flap"] = r.flap(&l.Flap)
		var forward, reverse *yaml.Node
		both["forward"] = func(n *yaml.Node) { forward = n }
		both["reverse"] = func(n *yaml.Node) { reverse = n }
		r.object(c, "a link", both, "between")
		l.Reverse = l.Forward
		if forward != nil {
			r.object(forward, "forward", r.impairment(&l.Forward))
		}
		if reverse != nil {
			r.object(reverse, "reverse", r.impairment(&l.Reverse))
		}
		all = append(all, l)
	}
	return all
}

func (r *reader) impairment(i *Impairment) fields {
	return fields{
		"delay":     r.duration(&i.Delay, "delay"),
		"jitter":    r.duration(&i.Jitter, "jitter"),
		"overtake":  r.boolean(&i.Overtake, "overtake"),
		"loss":      r.share(&i.Loss, "loss"),
		"burst":     r.burst(&i.Burst),
		"duplicate": r.share(&i.Duplicate, "duplicate"),
		"reorder":   r.share(&i.Reorder, "reorder"),
		"corrupt":   r.share(&i.Corrupt, "corrupt"),
		"rate":      r.rate(&i.Rate, "rate"),
		"queue":     r.integer(&i.Queue, "queue", 1, 1<<20),
		"down":      r.boolean(&i.Down, "down"),
	}
}

func (r *reader) flap(f *Flap) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.object(n, "flap", fields{"down": r.duration(&f.Down, "down"), "every": r.duration(&f.Every, "every")}, "down", "every")
		if f.Every > 0 && (f.Down <= 0 || f.Down >= f.Every) {
			r.fail(n, "flap must be down for less than every, and more than nothing")
		}
	}
}

func (r *reader) burst(b *Burst) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.object(n, "burst", fields{
			"p":    r.share(&b.P, "p"),
			"r":    r.share(&b.R, "r"),
			"good": r.share(&b.Good, "good"),
			"bad":  r.share(&b.Bad, "bad"),
		}, "p")
		if b.P > 0 && b.R == 0 {
			r.fail(n, "burst needs an r above 0%%, or the cable turns bad for ever")
		}
	}
}

func (r *reader) between(n *yaml.Node, to *[2]Ref) {
	items := r.list(n, "between")
	if n.Kind != yaml.SequenceNode {
		return
	}
	if len(items) != 2 {
		r.fail(n, "between must name two nodes, not %d", len(items))
		return
	}
	for i, c := range items {
		if s, ok := r.scalar(c, "between"); ok {
			to[i] = Ref{Pos: r.pos(c), Name: s}
		}
	}
}

// hostNames reads {name: address} or {name: [address, address]}.
func (r *reader) hostNames(to *[]HostName, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, e := range r.entries(n, what) {
			h := HostName{Pos: r.pos(e.key), Name: e.key.Value}
			r.addrs(&h.Addrs, "an address")(e.value)
			if isNull(e.value) {
				r.fail(e.key, "name %q has no address", clip(h.Name))
			}
			*to = append(*to, h)
		}
	}
}

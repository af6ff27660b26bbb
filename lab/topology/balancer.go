package topology

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// What a balancer does with connections, and whom it gives the next.
const (
	BalancerTCP         = "tcp"
	BalancerHTTP        = "http"
	BalancerRoundRobin  = "roundrobin"
	BalancerLeastConn   = "leastconn"
	maxBalancerPorts    = 64
	maxBalancerBackends = 1024
	maxChecks           = 100
)

// Frontend is a port of a balancer and what is behind it.
type Frontend struct {
	Pos       Pos
	Port      int
	Mode      string // BalancerTCP or BalancerHTTP
	Balance   string // BalancerRoundRobin or BalancerLeastConn
	Backends  []Backend
	Sticky    string       // name of the cookie that keeps a client with a backend; empty: none does
	Forwarded bool         // backends are told of the client by X-Forwarded-For
	Check     BalanceCheck // how it is found out which backends are up

	stickyPos, forwardedPos Pos
}

// Backend is a server behind a balancer.
type Backend struct {
	Pos  Pos
	Text string // as the file has it: host-a:80
	Node string // the host or router; empty: the file has an address
	Addr netip.AddrPort
}

// BalanceCheck says how a balancer looks at its backends.
type BalanceCheck struct {
	Path              string // of an HTTP request; empty: a connection is enough
	Interval, Timeout time.Duration
	Rise, Fall        int
}

// defaultCheck is HAProxy's.
var defaultCheck = BalanceCheck{Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3}

// balancers reads machines that share what comes among others. Each is a host with ports of its own.
func (r *reader) balancers(n *yaml.Node) []Host {
	var all []Host
	for _, e := range r.entries(n, "balancers") {
		h := Host{Pos: r.pos(e.key), Name: r.name(e.key, kindBalancer), GSO: GSOAuto}
		r.object(e.value, "a balancer", fields{
			"links":       r.attachments(&h.Links),
			"gateway":     r.at(&h.gatewayPos, r.addr(&h.Gateway, "gateway")),
			"remote":      r.endpoint(&h.Remote, "remote"),
			"routes":      r.routes(&h.Routes),
			"dns":         r.addrs(&h.DNS, "dns"),
			"extra_hosts": r.hostNames(&h.ExtraHosts, "extra_hosts"),
			"listen":      func(n *yaml.Node) { h.Frontends = r.frontends(n) },
		}, "links", "listen")
		h.balancer = true
		all = append(all, h)
	}
	return all
}

func (r *reader) frontends(n *yaml.Node) []Frontend {
	var all []Frontend
	items := r.list(n, "listen")
	switch {
	case len(items) > maxBalancerPorts:
		r.fail(n, "a balancer has at most %d ports, not %d", maxBalancerPorts, len(items))
		return nil
	case len(items) == 0 && (isNull(n) || n.Kind == yaml.SequenceNode):
		r.fail(n, "listen is empty: name a port and backends, like {port: 80, backends: [\"host-a:80\"]}")
	}
	for _, c := range items {
		f := Frontend{Pos: r.pos(c), Mode: BalancerTCP, Balance: BalancerRoundRobin, Check: defaultCheck}
		r.object(c, "a port of a balancer", fields{
			"port":      r.integer(&f.Port, "port", 1, 65535),
			"mode":      choice(r, &f.Mode, "mode", BalancerTCP, BalancerHTTP),
			"balance":   choice(r, &f.Balance, "balance", BalancerRoundRobin, BalancerLeastConn),
			"backends":  r.backends(&f.Backends),
			"sticky":    r.at(&f.stickyPos, r.text(&f.Sticky, "sticky")),
			"forwarded": r.at(&f.forwardedPos, r.boolean(&f.Forwarded, "forwarded")),
			"check":     r.balanceCheck(&f.Check),
		}, "port", "backends")
		all = append(all, f)
	}
	return all
}

func (r *reader) backends(to *[]Backend) func(*yaml.Node) {
	return func(n *yaml.Node) {
		items := r.list(n, "backends")
		switch {
		case len(items) > maxBalancerBackends:
			r.fail(n, "a port has at most %d backends, not %d", maxBalancerBackends, len(items))
			return
		case len(items) == 0 && (isNull(n) || n.Kind == yaml.SequenceNode):
			r.fail(n, "backends is empty: write HOST:PORT, like \"host-a:80\"")
		}
		for _, c := range items {
			text, ok := r.scalar(c, "a backend")
			if !ok {
				continue
			}
			host, port, ok := cutLast(text, ":")
			number, err := portNumber(port)
			switch {
			case !ok || host == "":
				r.fail(c, "backend %q is not HOST:PORT; write one like \"host-a:80\" or \"192.168.1.2:80\"", clip(text))
				continue
			case err != nil:
				r.fail(c, "backend %q: %v", clip(text), err)
				continue
			}
			b := Backend{Pos: r.pos(c), Text: text, Node: host}
			if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
				b.Node = ""
				b.Addr = netip.AddrPortFrom(a.Unmap(), uint16(number))
			} else {
				b.Addr = netip.AddrPortFrom(netip.Addr{}, uint16(number)) // until the node's is known
			}
			*to = append(*to, b)
		}
	}
}

// balanceCheck reads {path: /health, interval: 2s, timeout: 1s, rise: 2, fall: 3}.
func (r *reader) balanceCheck(to *BalanceCheck) func(*yaml.Node) {
	positive := func(to *time.Duration, what string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			r.duration(to, what)(n)
			if *to == 0 {
				r.fail(n, "%s must be longer than nothing", what)
			}
		}
	}
	return func(n *yaml.Node) {
		r.object(n, "check", fields{
			"path": func(n *yaml.Node) {
				r.text(&to.Path, "path")(n)
				if !strings.HasPrefix(to.Path, "/") || strings.ContainsAny(to.Path, " \t\r\n") {
					r.fail(n, "path must begin with a slash and hold no blanks, like /health")
				}
			},
			"interval": positive(&to.Interval, "interval"),
			"timeout":  positive(&to.Timeout, "timeout"),
			"rise":     r.integer(&to.Rise, "rise", 1, maxChecks),
			"fall":     r.integer(&to.Fall, "fall", 1, maxChecks),
		})
	}
}

// checkBalancer checks a balancer's ports, and finds the addresses of its backends.
func (c *checker) checkBalancer(h *Host) {
	ports := map[int]Pos{}
	for i := range h.Frontends {
		f := &h.Frontends[i]
		if first, twice := ports[f.Port]; twice && f.Port != 0 {
			c.failAt(f.Pos, "port %d of balancer %q is there already, at %s", f.Port, h.Name, first)
		}
		ports[f.Port] = f.Pos
		if f.Mode != BalancerHTTP && f.Sticky != "" {
			c.failAt(f.stickyPos, "cookies are for mode: http; this port passes connections on as they are")
		}
		if f.Mode != BalancerHTTP && f.Forwarded {
			c.failAt(f.forwardedPos, "forwarded addresses are for mode: http; this port passes connections on as they are")
		}
		if strings.ContainsAny(f.Sticky, " \t\r\n;,=\"") {
			c.failAt(f.stickyPos, "no cookie can be called %q", clip(f.Sticky))
		}
		seen := map[netip.AddrPort]Pos{}
		for j := range f.Backends {
			b := &f.Backends[j]
			if !c.settleBackend(h, b) {
				continue
			}
			if first, twice := seen[b.Addr]; twice {
				c.failAt(b.Pos, "backend %s is there already, at %s", b.Text, first)
			}
			seen[b.Addr] = b.Pos
			if own(h.Links, b.Addr.Addr()) && int(b.Addr.Port()) == f.Port {
				c.failAt(b.Pos, "backend %s is this very port of balancer %q", b.Text, h.Name)
			}
		}
	}
}

// own tells whether an address is that of one of the links.
func own(links []Attachment, a netip.Addr) bool {
	for _, l := range links {
		if l.Addr.IsValid() && l.Addr.Addr() == a {
			return true
		}
	}
	return false
}

// settleBackend finds the address of a backend: that on a link to where the balancer is, too, or else its first.
func (c *checker) settleBackend(h *Host, b *Backend) bool {
	if b.Node == "" {
		if !b.Addr.Addr().Is4() {
			c.failAt(b.Pos, "backend %s: %s is not an IPv4 address", b.Text, b.Addr.Addr())
			return false
		}
		return true
	}
	if !c.known(b.Node, b.Pos) {
		return false
	}
	var addr netip.Addr
	for _, l := range c.links(b.Node) {
		switch {
		case !l.Addr.IsValid():
		case onLink(h.Links, l.Addr.Addr()):
			b.Addr = netip.AddrPortFrom(l.Addr.Addr(), b.Addr.Port())
			return true
		case !addr.IsValid():
			addr = l.Addr.Addr()
		}
	}
	if !addr.IsValid() {
		c.failAt(b.Pos, "backend %s: %s %q has no address", b.Text, c.nodes[b.Node].kind, b.Node)
		return false
	}
	b.Addr = netip.AddrPortFrom(addr, b.Addr.Port())
	return true
}

// Address returns the port of a frontend with a colon before it, as graphs and messages have it.
func (f *Frontend) Address() string { return ":" + strconv.Itoa(f.Port) }

package shell

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/nat"
)

// runIptables is iptables over the tables that packets use.
func runIptables(_ context.Context, c *Call) int {
	var args []string
	for i := 1; i < len(c.Args); i++ {
		if a := c.Args[i]; a == "-w" || a == "--wait" { // there is no lock to wait for
			if i+1 < len(c.Args) && c.Args[i+1] != "" && strings.Trim(c.Args[i+1], "0123456789") == "" {
				i++
			}
			continue
		}
		args = append(args, c.Args[i])
	}
	out, err := c.Sys.NS.Netfilter().Command(args)
	c.Printf("%s", out)
	var e *nat.CommandError
	switch {
	case errors.As(err, &e):
		return c.say1(strings.TrimSuffix(e.Text, "\n"), e.Status)
	case err != nil:
		return c.fail(1, "%v", err)
	}
	return 0
}

// runIptablesSave is iptables-save, with -c and -t TABLE.
func runIptablesSave(_ context.Context, c *Call) int {
	opts, _, err := getopt(c.Args[1:], "c t: counters table:")
	if err != nil {
		return c.badOption(err)
	}
	text := c.Sys.NS.Netfilter().Save(opts.has("c", "counters"))
	table, only := opts.last("t", "table")
	if !only {
		c.Printf("%s", text)
		return 0
	}
	on := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "*") {
			on = strings.TrimSpace(line[1:]) == table
		}
		if on && !strings.HasPrefix(line, "#") {
			c.Printf("%s", line)
		}
	}
	return 0
}

// conntrackFilter is what conntrack -L and -D select by.
type conntrackFilter struct {
	proto                string
	src, dst, rsrc, rdst string
	sport, dport, state  string
	snat, dnat, any      bool
}

// protoNames are the protocols that conntrack names.
var protoNames = map[string]uint8{"tcp": wire.ProtoTCP, "udp": wire.ProtoUDP, "icmp": wire.ProtoICMP}

func (f *conntrackFilter) matches(n nat.Connection) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	if p, ok := protoNames[f.proto]; f.proto != "" && (!ok || p != n.Proto) {
		return false
	}
	o, r := n.Original, n.Reply
	return is(f.src, o.Src.Addr().String()) && is(f.dst, o.Dst.Addr().String()) && is(f.rsrc, r.Src.Addr().String()) &&
		is(f.rdst, r.Dst.Addr().String()) && is(f.sport, portText(o.Src.Port())) && is(f.dport, portText(o.Dst.Port())) &&
		is(strings.ToUpper(f.state), n.State) && (!f.snat || n.SNAT) && (!f.dnat || n.DNAT) && (!f.any || n.SNAT || n.DNAT)
}

// runConntrack is conntrack: -L lists, -D deletes, -F flushes, -C counts, -E shows what comes and goes.
func runConntrack(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "L D F C E b: buffer-size: e: event event-mask: p: s: d: r: q: n g j o: proto: src: dst: reply-src: reply-dst: sport: dport: "+
		"orig-port-src: orig-port-dst: state: src-nat dst-nat any-nat dump delete flush count f: family:")
	if err != nil {
		return c.badOption(err)
	}
	if len(rest) > 0 && rest[0] != "conntrack" {
		return c.fail(2, "v1.4.3 (conntrack-tools): unknown table '%s'", rest[0])
	}
	f := &conntrackFilter{snat: opts.has("n", "src-nat"), dnat: opts.has("g", "dst-nat"), any: opts.has("j", "any-nat")}
	for _, o := range opts {
		for to, names := range map[*string][]string{&f.proto: {"p", "proto"}, &f.src: {"s", "src"}, &f.dst: {"d", "dst"}, &f.rsrc: {"r", "reply-src"},
			&f.rdst: {"q", "reply-dst"}, &f.sport: {"sport", "orig-port-src"}, &f.dport: {"dport", "orig-port-dst"}, &f.state: {"state"}} {
			if o.name == names[0] || len(names) > 1 && o.name == names[1] {
				*to = o.value
			}
		}
	}
	nf, now := c.Sys.NS.Netfilter(), time.Now().UnixNano()
	switch {
	case opts.has("C", "count"):
		c.Printf("%d\n", len(nf.Connections(now)))
		return 0
	case opts.has("E", "event"):
		kinds, _ := opts.last("e", "event-mask")
		size, err := 0, error(nil)
		if text, ok := opts.last("b", "buffer-size"); ok {
			if size, err = number(text, 1, maxEventBuffer); err != nil {
				return c.fail(2, "v1.4.3 (conntrack-tools): %v", err)
			}
		}
		return c.conntrackEvents(ctx, f, kinds, size)
	case opts.has("F", "flush"):
		nf.Forget(now, nil)
		return c.say1("conntrack v1.4.3 (conntrack-tools): connection tracking table has been emptied.", 0)
	}
	var all []nat.Connection
	for _, n := range nf.Connections(now) {
		if f.matches(n) {
			all = append(all, n)
		}
	}
	verb, status := "shown", 0
	if opts.has("D", "delete") {
		if verb = "deleted"; nf.Forget(now, f.matches) == 0 {
			status = 1
		}
	} else if !opts.has("L", "dump") {
		return c.fail(2, "v1.4.3 (conntrack-tools): you need to supply a command: -L, -D, -F, -C or -E")
	}
	return c.conntrackList(all, verb, status)
}

// conntrackList prints connections, and on the standard error how many there are.
func (c *Call) conntrackList(all []nat.Connection, verb string, status int) int {
	text := strings.TrimSuffix(nat.FormatConntrack(all), "\n")
	at := strings.LastIndexByte(text, '\n') + 1
	c.Printf("%s", text[:at])
	return c.say1(strings.Replace(text[at:], "shown", verb, 1), status)
}

// runIpvsadm is ipvsadm over the balancer that packets use.
func runIpvsadm(_ context.Context, c *Call) int {
	out, err := c.Sys.NS.IPVS().Command(c.Args[1:])
	c.Printf("%s", out)
	if err != nil {
		return c.say1(err.Error(), 255)
	}
	return 0
}

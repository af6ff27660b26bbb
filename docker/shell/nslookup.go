package shell

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/dns"
)

// nslookup is what nslookup was asked.
type nslookup struct {
	conf    dns.ResolvConf
	servers []netip.AddrPort
	name    string
	typ     dns.Type // 0: addresses, or the name of one
	timeout time.Duration
	tries   int
}

// runNslookup is nslookup [-type=TYPE] [-port=PORT] [-timeout=SECONDS] [-retry=COUNT] NAME [SERVER].
func runNslookup(ctx context.Context, c *Call) int {
	conf := c.Sys.resolvConf()
	n := nslookup{conf: conf, servers: conf.Servers(), timeout: conf.Timeout(), tries: conf.Attempts()}
	port := uint16(53)
	var args []string
	for _, a := range c.Args[1:] {
		if option, ok := strings.CutPrefix(a, "-"); !ok {
			args = append(args, a)
		} else if !n.option(option, &port) {
			c.Printf("*** Invalid option: %s\n", option)
		}
	}
	if len(args) == 0 || len(args) > 2 {
		return c.usage(1)
	}
	if len(args) > 1 {
		a, err := c.Sys.lookup(ctx, args[1])
		if err != nil {
			return c.Errorf("couldn't get address for '%s': not found", args[1])
		}
		n.servers = []netip.AddrPort{netip.AddrPortFrom(a, 53)}
	}
	for i := range n.servers {
		n.servers[i] = netip.AddrPortFrom(n.servers[i].Addr(), port)
	}
	n.name = args[0]
	a, err := netip.ParseAddr(n.name)
	switch {
	case n.typ == 0 && err == nil && c.busybox():
		return c.nslookupReverse(ctx, &n, a)
	case n.typ == 0 && err == nil:
		n.typ = dns.TypePTR
	}
	if n.typ != 0 {
		return c.nslookupRecords(ctx, &n)
	}
	return c.nslookupAddrs(ctx, &n)
}

// option reads what follows the dash of one; false: there is none such, or its value is none.
func (n *nslookup) option(text string, port *uint16) bool {
	name, value, _ := strings.Cut(text, "=")
	switch name {
	case "type", "ty", "querytype", "query", "qu", "q":
		typ, err := dns.ParseType(value)
		if err == nil {
			n.typ = typ
		}
		return err == nil
	case "port", "po":
		v, err := number(value, 1, 65535)
		if err == nil {
			*port = uint16(v)
		}
		return err == nil
	case "timeout", "ti":
		v, err := number(value, 1, 1000)
		if err == nil {
			n.timeout = time.Duration(v) * time.Second
		}
		return err == nil
	case "retry", "ret":
		v, err := number(value, 0, 1000)
		if err == nil {
			n.tries = v + 1
		}
		return err == nil
	case "debug", "nodebug", "d2", "nod2", "recurse", "rec", "search", "sea", "vc", "novc", "fail", "nofail", "class", "cl", "domain", "do":
		return true
	}
	return false
}

// ask asks for one type of the name, with each domain of the search list until there are records; a name without such
// ones counts more than one that does not exist, as in res_search. nil: nobody answered.
func (n *nslookup) ask(ctx context.Context, c *Call, typ dns.Type) (best *dns.Reply) {
	for _, name := range n.conf.Candidates(n.name) {
		q := &digQuery{servers: n.servers, name: name, typ: typ, timeout: n.timeout, tries: n.tries}
		r := q.ask(ctx, c.Sys)
		if r == nil {
			return best
		}
		if best == nil || !best.OK() || len(r.Records()) > 0 {
			best = r
		}
		if len(r.Records()) > 0 {
			break
		}
	}
	return best
}

// nslookupRecords prints the records of one type.
func (c *Call) nslookupRecords(ctx context.Context, n *nslookup) int {
	if a, err := netip.ParseAddr(n.name); err == nil && n.typ == dns.TypePTR {
		n.name = dns.ReverseName(a)
	}
	r := n.ask(ctx, c, n.typ)
	switch {
	case r != nil:
		c.Printf("%s", dns.FormatNslookupRecords(c.nslookupStyle(), strings.TrimSuffix(n.name, "."), r))
		if r.OK() {
			return 0
		}
	case ended(ctx):
		return statusInterrupted
	default:
		c.Printf(";; connection timed out; no servers could be reached\n\n")
	}
	return 1
}

func (c *Call) nslookupStyle() dns.NslookupStyle {
	if c.busybox() {
		return dns.NslookupBusybox
	}
	return dns.NslookupBind
}

// nslookupAddrs prints the addresses of a name.
func (c *Call) nslookupAddrs(ctx context.Context, n *nslookup) int {
	r := n.ask(ctx, c, dns.TypeA)
	if r == nil && ended(ctx) {
		return statusInterrupted
	}
	if r == nil && !c.busybox() {
		c.Printf(";; connection timed out; no servers could be reached\n\n")
		return 1
	}
	server, status, hosts := n.servers[0], "", []dns.NslookupHost(nil)
	if r != nil {
		server, status = r.Server, r.Status()
		for _, a := range r.Addrs() {
			h := dns.NslookupHost{Addr: a}
			if c.busybox() {
				h.Name = c.Sys.reverse(ctx, a)
			}
			hosts = append(hosts, h)
		}
	}
	c.Printf("%s", dns.FormatNslookup(c.nslookupStyle(), server, n.name, status, hosts))
	if len(hosts) == 0 && (c.busybox() || !r.OK()) {
		return 1
	}
	return 0
}

// nslookupReverse prints the name of an address in busybox's style, which has no word for there being none.
func (c *Call) nslookupReverse(ctx context.Context, n *nslookup, a netip.Addr) int {
	text := n.name
	n.name = dns.ReverseName(a)
	server, host := n.servers[0], dns.NslookupHost{Addr: a}
	r := n.ask(ctx, c, dns.TypePTR)
	switch {
	case r == nil && ended(ctx):
		return statusInterrupted
	case r != nil:
		server = r.Server
		if names := r.Pointers(); len(names) > 0 {
			host.Name = strings.TrimSuffix(names[0], ".")
		}
	}
	c.Printf("%s", dns.FormatNslookup(dns.NslookupBusybox, server, text, "", []dns.NslookupHost{host}))
	return 0
}

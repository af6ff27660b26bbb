package shell

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/dns"
)

// digQuery is what dig was asked.
type digQuery struct {
	servers []netip.AddrPort
	name    string
	typ     dns.Type
	tcp     bool
	norec   bool
	timeout time.Duration
	tries   int
	options dns.DigOptions
}

// Exit statuses of dig.
const (
	digUsage    = 1
	digNoAnswer = 9
)

// runDig is dig: [@SERVER] [-p PORT] [-x ADDR | NAME] [-t TYPE | TYPE] [+short +tcp ...].
func runDig(ctx context.Context, c *Call) int {
	q, server, err := c.parseDig()
	if err != nil {
		c.say("%v", err)
		if strings.HasPrefix(err.Error(), "Invalid option: ") {
			return c.usage(digUsage)
		}
		return digUsage
	}
	port := uint16(53)
	if len(q.servers) > 0 {
		port = q.servers[0].Port()
	}
	if server == "" {
		q.servers = c.Sys.resolvConf().Servers()
		for i := range q.servers {
			q.servers[i] = netip.AddrPortFrom(q.servers[i].Addr(), port)
		}
	} else {
		addr, err := c.Sys.lookup(ctx, server)
		if err != nil {
			c.Printf("dig: couldn't get address for '%s': not found\n", server)
			return 10
		}
		q.servers = []netip.AddrPort{netip.AddrPortFrom(addr, port)}
	}
	reply := q.ask(ctx, c.Sys)
	if reply == nil {
		if ended(ctx) {
			return statusInterrupted
		}
		if !q.options.Short && q.options.Hide&dns.DigCmd == 0 {
			c.Printf("%s", dns.DigBanner(c.Args[1:]))
		}
		c.Printf("%s", dns.DigNoServers)
		return digNoAnswer
	}
	q.options.When = time.Now()
	c.Printf("%s", dns.FormatDig(reply, q.options))
	return 0
}

// ask puts the question to each server, as often as it should.
func (q *digQuery) ask(ctx context.Context, s *System) *dns.Reply {
	for range q.tries {
		for _, server := range q.servers {
			r, err := dns.Query(ctx, s.NS.Dial, server, dns.Question{Name: q.name, Type: q.typ, TCP: q.tcp, NoRecurse: q.norec, Timeout: q.timeout})
			if err == nil {
				return r
			}
			if ended(ctx) {
				return nil
			}
			if !timeout(err) { // an ICMP error: do not ask again at once
				pause(ctx, min(q.timeout, 100*time.Millisecond))
			}
		}
	}
	return nil
}

func (c *Call) parseDig() (q *digQuery, server string, err error) {
	q = &digQuery{typ: dns.TypeA, timeout: 5 * time.Second, tries: 3, options: dns.DigOptions{Args: c.Args[1:]}}
	args := c.Args[1:]
	var plain []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := ""
		if len(a) == 2 && a[0] == '-' && strings.Contains("xptqcbfk", a[1:]) {
			if i++; i == len(args) {
				return nil, "", errors.New("Invalid option: " + a)
			}
			value = args[i]
		}
		switch {
		case strings.HasPrefix(a, "@"):
			server = a[1:]
		case strings.HasPrefix(a, "+"):
			if err := q.plus(a[1:]); err != nil {
				return nil, "", err
			}
		case a == "-x", a == "-p", a == "-t", a == "-q":
			if err := q.flag(a, value); err != nil {
				return nil, "", err
			}
		case a == "-4", a == "-6", a == "-c", a == "IN", a == "in":
		case strings.HasPrefix(a, "-"):
			return nil, "", errors.New("Invalid option: " + a)
		default:
			plain = append(plain, a)
		}
	}
	q.subject(plain)
	return q, server, nil
}

// flag takes an option that has a value.
func (q *digQuery) flag(name, value string) error {
	switch name {
	case "-x":
		addr, err := netip.ParseAddr(value)
		if err != nil {
			return errors.New("Invalid IP address " + value)
		}
		q.name, q.typ = dns.ReverseName(addr), dns.TypePTR
	case "-p":
		p, err := number(value, 1, 65535)
		if err != nil {
			return err
		}
		q.servers = []netip.AddrPort{netip.AddrPortFrom(netip.Addr{}, uint16(p))}
	case "-t":
		typ, err := dns.ParseType(value)
		if err != nil {
			return errors.New("invalid type " + value)
		}
		q.typ = typ
	case "-q":
		q.name = value
	}
	return nil
}

// subject takes the arguments that are no options: a name and a type, in either order.
func (q *digQuery) subject(plain []string) {
	for i, a := range plain {
		t, err := dns.ParseType(a)
		switch {
		case err == nil && (q.name != "" || i < len(plain)-1):
			q.typ = t
		default:
			q.name = a
		}
	}
	if q.name == "" {
		q.name = "."
	}
}

// plus reads an option of dig's that begins with a plus.
func (q *digQuery) plus(o string) error {
	parts := map[string]dns.DigParts{"cmd": dns.DigCmd, "comments": dns.DigComments, "question": dns.DigQuestion, "answer": dns.DigAnswer,
		"authority": dns.DigAuthority, "additional": dns.DigAdditional, "stats": dns.DigStats,
		"all": dns.DigCmd | dns.DigComments | dns.DigQuestion | dns.DigAnswer | dns.DigAuthority | dns.DigAdditional | dns.DigStats}
	name, value, _ := strings.Cut(o, "=")
	plain, no := strings.CutPrefix(name, "no")
	switch name {
	case "short":
		q.options.Short = true
		return nil
	case "tcp", "vc":
		q.tcp = true
		return nil
	case "norecurse", "norec":
		q.norec = true
		return nil
	case "recurse", "search", "nosearch", "edns", "noedns", "notcp", "noshort", "dnssec", "nodnssec", "multiline":
		return nil
	case "time", "timeout", "tries", "retry":
		n, err := number(value, 0, 1000)
		switch {
		case err != nil:
			return err
		case name == "tries":
			q.tries = max(n, 1)
		case name == "retry":
			q.tries = n + 1
		default:
			q.timeout = time.Duration(max(n, 1)) * time.Second
		}
		return nil
	}
	part, ok := parts[plain]
	switch {
	case !ok:
		return errors.New("Invalid option: +" + o)
	case no:
		q.options.Hide |= part
	default:
		q.options.Hide &^= part
	}
	return nil
}

// runHost is host [-t TYPE] NAME [SERVER].
func runHost(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "t: v a W: R:")
	switch {
	case err != nil:
		return c.badOption(err)
	case len(rest) == 0:
		return c.usage(1)
	}
	conf := c.Sys.resolvConf()
	q := &digQuery{servers: conf.Servers(), typ: dns.TypeA, timeout: conf.Timeout(), tries: conf.Attempts()}
	typ, typed := opts.last("t")
	if typed {
		if q.typ, err = dns.ParseType(typ); err != nil {
			return c.say1("host: invalid type: "+typ, 2)
		}
	}
	if len(rest) > 1 {
		a, err := c.Sys.lookup(ctx, rest[1])
		if err != nil {
			return c.say1("host: couldn't get address for '"+rest[1]+"': not found", 1)
		}
		q.servers = []netip.AddrPort{netip.AddrPortFrom(a, 53)}
	}
	names := conf.Candidates(rest[0])
	if a, err := netip.ParseAddr(rest[0]); err == nil && (!typed || q.typ == dns.TypePTR) {
		names, q.typ = []string{dns.ReverseName(a)}, dns.TypePTR
	}
	return c.hostRecords(ctx, q, rest[0], names, typed)
}

// hostRecords prints what the first of names that exists has; given is what the user wrote, and typed says that it was with a type.
func (c *Call) hostRecords(ctx context.Context, q *digQuery, given string, names []string, typed bool) int {
	status := "3(NXDOMAIN)"
	for _, q.name = range names {
		r := q.ask(ctx, c.Sys)
		switch {
		case r == nil && ended(ctx):
			return statusInterrupted
		case r == nil:
			c.Printf(";; connection timed out; no servers could be reached\n")
			return 1
		case len(r.Records()) > 0:
			for _, rec := range r.Records() {
				c.Printf("%s", dns.FormatHost(rec))
			}
			return 0
		case r.OK():
			if typed {
				c.Printf("%s has no %s record\n", strings.TrimSuffix(q.name, "."), q.typ)
			}
			return 0
		case r.Status() == "SERVFAIL":
			status = "2(SERVFAIL)"
		case r.Status() == "REFUSED":
			status = "5(REFUSED)"
		}
	}
	c.Printf("Host %s not found: %s\n", given, status)
	return 1
}

// runGetent is getent hosts|ahosts|ahostsv4 NAME, and services NAME.
func runGetent(ctx context.Context, c *Call) int {
	if len(c.Args) < 2 {
		return c.say1("getent: wrong number of arguments", 1)
	}
	code := 0
	for _, name := range c.Args[2:] {
		switch c.Args[1] {
		case "hosts", "ahosts", "ahostsv4":
			if !c.getentHost(ctx, name) {
				code = 2
			}
		case "services":
			found := false
			for port, service := range services {
				if service == name || strconv.Itoa(port) == name {
					c.Printf("%-21s %d/tcp\n", service, port)
					found = true
				}
			}
			if !found {
				code = 2
			}
		default:
			return c.say1("Unknown database: "+c.Args[1], 1)
		}
	}
	return code
}

func (c *Call) getentHost(ctx context.Context, name string) bool {
	if a, err := netip.ParseAddr(name); err == nil && c.Args[1] == "hosts" {
		if name = c.Sys.reverse(ctx, a); name != "" {
			c.Printf("%-15s %s\n", a, name)
		}
		return name != ""
	}
	addrs, err := c.Sys.lookupAll(ctx, name)
	if err != nil {
		return false
	}
	if c.Args[1] == "hosts" {
		for _, a := range addrs {
			c.Printf("%-15s %s\n", a, name)
		}
		return true
	}
	for _, a := range slices.Compact(addrs) {
		c.Printf("%-15s STREAM %s\n%-15s DGRAM  \n%-15s RAW    \n", a, name, a, a)
	}
	return true
}

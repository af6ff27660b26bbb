package dns

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds and defaults of resolv.conf(5).
const (
	maxServers      = 3
	maxNdots        = 15
	maxTimeout      = 30
	maxAttempts     = 5
	defaultAttempts = 2
	dnsPort         = 53
)

// Embedded is the address at which a container finds its embedded resolver.
var Embedded = netip.AddrFrom4([4]byte{127, 0, 0, 11})

// fallback are the servers of a container whose host has none that it could use.
var fallback = []netip.Addr{netip.AddrFrom4([4]byte{8, 8, 8, 8}), netip.AddrFrom4([4]byte{8, 8, 4, 4})}

// ResolvConf is what an /etc/resolv.conf says. The zero value is that of an empty file.
type ResolvConf struct {
	Nameservers []netip.Addr // all at port 53; empty: 127.0.0.1
	Search      []string
	Options     []string // as written: "ndots:0", "timeout:2", "attempts:3"
}

// ParseResolvConf reads an /etc/resolv.conf. As the C library does, it passes over what it does not understand.
func ParseResolvConf(text string) ResolvConf {
	var conf ResolvConf
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, ";")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(fields[1]); err == nil {
				conf.Nameservers = append(conf.Nameservers, addr)
			}
		case "search":
			conf.Search = fields[1:]
		case "domain":
			conf.Search = fields[1:2]
		case "options":
			conf.Options = append(conf.Options, fields[1:]...)
		}
	}
	return conf
}

// String returns the file's text: search, nameservers, options, each on lines of its own.
func (c ResolvConf) String() string {
	var b strings.Builder
	if len(c.Search) > 0 {
		b.WriteString("search " + strings.Join(c.Search, " ") + "\n")
	}
	for _, addr := range c.Nameservers {
		b.WriteString("nameserver " + addr.String() + "\n")
	}
	if len(c.Options) > 0 {
		b.WriteString("options " + strings.Join(c.Options, " ") + "\n")
	}
	return b.String()
}

// ForEmbedded returns the file of a container with an embedded resolver, given its host's: the resolver's address for
// the host's servers, and ndots:0 unless ndots is set.
func (c ResolvConf) ForEmbedded() ResolvConf {
	options := slices.Clone(c.Options)
	if _, set := c.option("ndots"); !set {
		options = append(options, "ndots:0")
	}
	return ResolvConf{Nameservers: []netip.Addr{Embedded}, Search: slices.Clone(c.Search), Options: options}
}

// ForDefaultBridge returns the file of a container on the default bridge, given its host's: the host's servers without
// loopback ones, and 8.8.8.8 and 8.8.4.4 if none is left.
func (c ResolvConf) ForDefaultBridge() ResolvConf {
	servers := slices.DeleteFunc(slices.Clone(c.Nameservers), netip.Addr.IsLoopback)
	if len(servers) == 0 {
		servers = slices.Clone(fallback)
	}
	return ResolvConf{Nameservers: servers, Search: slices.Clone(c.Search), Options: slices.Clone(c.Options)}
}

// Servers returns the servers to ask: the first three, or that of this host if there are none.
func (c ResolvConf) Servers() []netip.AddrPort {
	if len(c.Nameservers) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)}
	}
	servers := make([]netip.AddrPort, 0, maxServers)
	for _, addr := range c.Nameservers[:min(len(c.Nameservers), maxServers)] {
		servers = append(servers, netip.AddrPortFrom(addr, dnsPort))
	}
	return servers
}

// Ndots returns how many dots make a name one to try as it is before the search list, 1 unless it is set.
func (c ResolvConf) Ndots() int { return c.number("ndots", 0, maxNdots, 1) }

// NdotsSet reports whether ndots is set to more than 0, which Config wants to know.
func (c ResolvConf) NdotsSet() bool {
	_, set := c.option("ndots")
	return set && c.Ndots() > 0
}

// Timeout returns how long to wait for one server.
func (c ResolvConf) Timeout() time.Duration {
	seconds := c.number("timeout", 1, maxTimeout, int(defaultQueryTimeout/time.Second))
	return time.Duration(seconds) * time.Second
}

// Attempts returns how often to go through the servers.
func (c ResolvConf) Attempts() int { return c.number("attempts", 1, maxAttempts, defaultAttempts) }

// Candidates returns the full names to try for name, in order, with their final dots.
func (c ResolvConf) Candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	if name == "" {
		return nil
	}
	full := name + "."
	names := make([]string, 0, len(c.Search)+1)
	asItIsFirst := strings.Count(name, ".") >= c.Ndots()
	if asItIsFirst {
		names = append(names, full)
	}
	for _, domain := range c.Search {
		if domain = strings.Trim(domain, "."); domain != "" {
			names = append(names, full+domain+".")
		}
	}
	if !asItIsFirst {
		names = append(names, full)
	}
	return names
}

// option returns the value of the last option of that name.
func (c ResolvConf) option(name string) (value string, set bool) {
	for _, option := range c.Options {
		if v, ok := strings.CutPrefix(option, name+":"); ok {
			value, set = v, true
		}
	}
	return value, set
}

// number returns the value of a numeric option, kept between least and most, or the default.
func (c ResolvConf) number(name string, least, most, byDefault int) int {
	value, set := c.option(name)
	n, err := strconv.Atoi(value)
	if !set || err != nil {
		return byDefault
	}
	return min(max(n, least), most)
}

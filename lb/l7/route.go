package l7

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Kind is what a route carries.
type Kind uint8

// The kinds of routes.
const (
	HTTP Kind = iota // requests, by their Host header and path
	TLS              // whole connections, by the server name that the client asks for; they are not opened
	TCP              // whole connections, all of them
)

// String returns the kind as the scheme of an address has it.
func (k Kind) String() string {
	switch k {
	case TLS:
		return "sni"
	case TCP:
		return "tcp"
	}
	return "http"
}

// Balance says which backend is next.
type Balance uint8

// The balances.
const (
	RoundRobin Balance = iota // the one after the last
	LeastConn                 // the one with the fewest requests or connections under way
)

// String returns the balance as configuration files name it.
func (b Balance) String() string {
	if b == LeastConn {
		return "leastconn"
	}
	return "roundrobin"
}

// Backend is a server that a route leads to.
type Backend struct {
	Name string // for people; empty: the address
	Addr netip.AddrPort
}

// String returns the backend's name, or its address if it has none.
func (b Backend) String() string {
	if b.Name != "" {
		return b.Name
	}
	return b.Addr.String()
}

// Route says where requests or connections go. It is never changed once a Router has it.
type Route struct {
	Name      string // of whose it is, for people
	Kind      Kind
	Host      string // lower case, without port; "*.example.com" is every name below example.com; empty: any that no other route has
	Path      string // requests for it and what is below it; empty: all
	Strip     bool   // backends see paths without Path in front
	Sticky    string // name of the cookie that keeps a client with a backend; empty: none does
	Redirect  string // address that requests are sent to instead, by status 301; empty: they go to a backend
	Forwarded bool   // backends are told of the client by X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto
	Balance   Balance
	Backends  []Backend

	key string // its pattern, in a table
}

// Pattern returns what the route fits as an address: http://*.example.com/app.
func (r *Route) Pattern() string { return r.Kind.String() + "://" + r.Host + r.Path }

// parsePattern reads http://HOST[:PORT][/PATH] or sni://HOST. The port is of no account (G5).
func parsePattern(text string) (Route, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return Route{}, fmt.Errorf("%q is no address: write http://HOST or sni://HOST", text)
	}
	var r Route
	switch strings.ToLower(scheme) {
	case "http":
	case "sni":
		r.Kind = TLS
	case "https":
		return Route{}, fmt.Errorf("%q: TLS is passed on unopened: write sni://%s", text, rest)
	default:
		return Route{}, fmt.Errorf("%q: no scheme %q; there are http and sni", text, scheme)
	}
	if strings.ContainsAny(rest, "?#@") {
		return Route{}, fmt.Errorf("%q: only a host and a path can be matched", text)
	}
	host, path, _ := strings.Cut(rest, "/")
	r.Host = CanonicalHost(host)
	if path = strings.TrimRight(path, "/"); path != "" {
		r.Path = "/" + path
	}
	switch {
	case r.Kind == TLS && r.Path != "":
		return Route{}, fmt.Errorf("%q: a TLS connection has no path that can be seen", text)
	case r.Kind == TLS && r.Host == "":
		return Route{}, fmt.Errorf("%q: name the host that clients ask for", text)
	case r.Host == "" && host != "":
		return Route{}, fmt.Errorf("%q has no host before its port", text)
	}
	if err := checkHost(r.Host); err != nil {
		return Route{}, fmt.Errorf("%q: %w", text, err)
	}
	return r, nil
}

// checkHost refuses what no Host header can be.
func checkHost(host string) error {
	name := strings.TrimPrefix(host, "*.")
	switch {
	case host == "":
		return nil
	case strings.Contains(name, "*"):
		return errors.New("a * stands for the first part of a name only, as in *.example.com")
	case len(host) > 253:
		return errors.New("the host is longer than 253 characters")
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.IsValid() && name == host {
		return nil
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || len(part) > 63 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("%q is no host name", host)
		}
	}
	return nil
}

// checkRedirect refuses what no browser could be sent to.
func checkRedirect(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("redirect to %q: write http://HOST or https://HOST", text)
	}
	return nil
}

// CanonicalHost returns the host of a Host header or a server name as routes have it: without the port, in lower case
// and without a dot at the end.
func CanonicalHost(host string) string {
	if rest, ok := strings.CutPrefix(host, "["); ok { // an IPv6 address, with or without a port
		host, _, _ = strings.Cut(rest, "]")
	} else if i := strings.IndexByte(host, ':'); i >= 0 && i == strings.LastIndexByte(host, ':') {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

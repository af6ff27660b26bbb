package l7

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Label is the key of the labels that ask for routes. One that asks for several may have a dot and a number behind it.
const Label = "com.docker.ucp.mesh.http"

// Claim is a route that a label asks for, without its backends.
type Claim struct {
	Route   Route
	Port    uint16 // of the backends
	Network string // that leads to the backends; empty: the mesh's
	VIP     bool   // the backend is the service's virtual address, not its tasks
}

// labelKeys are the words of UCP 2.1's grammar (G4).
var labelKeys = []string{"external_route", "internal_port", "sticky_sessions", "redirect", "include_forwarded_for"}

// Claims returns the routes that the labels of a service ask for, in any grammar: that of UCP 2.0, PORT=http://HOST
// with several after commas (G2), that of UCP 2.1, external_route=http://HOST,internal_port=PORT (G4), and the labels
// com.docker.lb.hosts, com.docker.lb.port and so on of UCP 3's Interlock (G11). ports are
// those that the service publishes, as its containers have them: where a label names no port it is the only one there
// is. The error tells of every label that cannot be read; the claims of the others are good all the same.
func Claims(service string, labels map[string]string, ports []uint16) ([]Claim, error) {
	var all []Claim
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		suffix, ok := strings.CutPrefix(key, Label)
		if !ok || suffix != "" && suffix[0] != '.' {
			continue
		}
		claims, err := parseLabel(suffix, labels[key], ports)
		if err != nil {
			errs = append(errs, fmt.Errorf("service %s: label %s=%s: %w", service, key, labels[key], err))
			continue
		}
		for _, c := range claims {
			c.Route.Name = service
			all = append(all, c)
		}
	}
	claims, err := interlockClaims(labels, ports)
	if err != nil {
		errs = append(errs, fmt.Errorf("service %s: %w", service, err))
	}
	for _, c := range claims {
		c.Route.Name = service
		all = append(all, c)
	}
	return all, errors.Join(errs...)
}

func parseLabel(suffix, value string, ports []uint16) ([]Claim, error) {
	if suffix != "" {
		if _, err := strconv.ParseUint(suffix[1:], 10, 31); err != nil {
			return nil, fmt.Errorf("what follows the dot must be a number, as in %s.1", Label)
		}
	}
	if len(ports) == 0 {
		return nil, errors.New("the service publishes no port") // G3
	}
	items := strings.Split(value, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	key, _, _ := strings.Cut(items[0], "=")
	if _, err := strconv.Atoi(key); err == nil || strings.Contains(key, "://") {
		return parseOld(items, ports)
	}
	return parseNew(items, ports)
}

// parseOld reads [PORT=]http://HOST items.
func parseOld(items []string, ports []uint16) ([]Claim, error) {
	var all []Claim
	for _, item := range items {
		port, address, given := strings.Cut(item, "=")
		if !given {
			port, address = "", item
		}
		c, err := claim(address, port, ports)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// claim reads a route's address and port; an empty port is the only one that there is.
func claim(address, port string, ports []uint16) (Claim, error) {
	r, err := parsePattern(address)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{Route: r}
	switch n, err := strconv.ParseUint(port, 10, 16); {
	case port != "" && (err != nil || n == 0):
		return Claim{}, fmt.Errorf("%q is not a port number from 1 to 65535", port)
	case port != "":
		c.Port = uint16(n)
	case len(ports) > 1:
		return Claim{}, fmt.Errorf("the service publishes ports %s: say which of them serves %s", portList(ports), address)
	default:
		c.Port = ports[0]
	}
	return c, nil
}

func portList(ports []uint16) string {
	var all []string
	for _, p := range ports {
		all = append(all, strconv.Itoa(int(p)))
	}
	return strings.Join(all, ", ")
}

// parseNew reads KEY=VALUE items. Only the value of redirect may hold a comma: an item that is an address goes on with it.
func parseNew(items []string, ports []uint16) ([]Claim, error) {
	values := map[string]string{}
	var redirects []string
	last := ""
	for _, item := range items {
		key, value, ok := strings.Cut(item, "=")
		switch {
		case last == "redirect" && strings.Contains(key, "://"):
			redirects = append(redirects, item)
			continue
		case !slices.Contains(labelKeys, key):
			return nil, fmt.Errorf("no key %q; there are %s, or write PORT=http://HOST", key, strings.Join(labelKeys, ", "))
		case !ok || value == "":
			return nil, fmt.Errorf("%s has no value", key)
		case values[key] != "":
			return nil, fmt.Errorf("%s is given twice", key)
		}
		values[key], last = value, key
		if key == "redirect" {
			redirects = []string{value}
		}
	}
	if values["external_route"] == "" {
		return nil, errors.New("external_route is missing: write external_route=http://HOST")
	}
	c, err := claim(values["external_route"], values["internal_port"], ports)
	if err != nil {
		return nil, err
	}
	return c.finish(values, redirects)
}

// finish adds what is said beside a route's address and port.
func (c Claim) finish(values map[string]string, redirects []string) ([]Claim, error) {
	r := &c.Route
	r.Sticky = values["sticky_sessions"]
	if !token(r.Sticky) {
		return nil, fmt.Errorf("sticky_sessions=%s: no cookie has such a name", r.Sticky)
	}
	if text := values["include_forwarded_for"]; text != "" {
		var err error
		if r.Forwarded, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("include_forwarded_for=%s: write true or false", text)
		}
	}
	if r.Kind == TLS && (r.Sticky != "" || r.Forwarded || len(redirects) > 0) {
		return nil, fmt.Errorf("%s: TLS is not opened, so cookies, forwarded addresses and redirects are for http routes only", r.Pattern()) // G7
	}
	switch len(redirects) {
	case 0:
		return []Claim{c}, nil
	case 1: // all of the route goes there
		r.Redirect = redirects[0]
		return []Claim{c}, checkRedirect(r.Redirect)
	case 2: // from one address to another, beside the route
		from, err := parsePattern(redirects[0])
		if err != nil {
			return nil, err
		}
		if from.Kind != HTTP {
			return nil, fmt.Errorf("redirect from %s: only http can be redirected", redirects[0])
		}
		from.Redirect = redirects[1]
		return []Claim{c, {Route: from, Port: c.Port}}, checkRedirect(from.Redirect)
	}
	return nil, fmt.Errorf("redirect has %d addresses: write one, where the route's requests go, or two, from and to", len(redirects))
}

// token tells whether a text is empty or a token, as names of cookies are (RFC 6265 section 4.1.1).
func token(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return true
}

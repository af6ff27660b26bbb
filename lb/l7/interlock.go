package l7

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// LabelInterlock is what the labels of Interlock begin with, the routing mesh of UCP 3 (G11).
const LabelInterlock = "com.docker.lb."

// interlockKeys are its labels. websocket_endpoints is of no account, for every path may change to another protocol, and so is
// service_cluster, for there is one.
var interlockKeys = []string{
	"hosts", "port", "network", "context_root", "context_root_rewrite", "sticky_session_cookie", "redirects", "ssl_passthrough",
	"backend_mode", "default_backend", "websocket_endpoints", "service_cluster",
}

// interlockSecrets are labels that name secrets, with which Interlock opens TLS.
var interlockSecrets = []string{"ssl_cert", "ssl_key", "ssl_only", "ssl_backend", "ssl_backend_tls_verify"}

// interlockClaims reads the labels of Interlock: a route for each of the hosts, and one for each redirect.
func interlockClaims(labels map[string]string, ports []uint16) ([]Claim, error) {
	values, err := interlockValues(labels)
	if len(values) == 0 || err != nil {
		return nil, err
	}
	c := Claim{Network: values["network"]}
	if err := c.interlockBackends(values, ports); err != nil {
		return nil, err
	}
	if err := c.interlockRoute(values); err != nil {
		return nil, err
	}
	all, err := c.interlockHosts(values)
	if err != nil {
		return nil, err
	}
	redirects, err := c.interlockRedirects(values["redirects"])
	return append(all, redirects...), err
}

// interlockValues returns the values of Interlock's labels by what follows the common beginning.
func interlockValues(labels map[string]string) (map[string]string, error) {
	values := map[string]string{}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		key, ok := strings.CutPrefix(label, LabelInterlock)
		switch {
		case !ok:
			continue
		case slices.Contains(interlockSecrets, key):
			return nil, fmt.Errorf("label %s: TLS is not opened here: let the service open it, with %sssl_passthrough=true", label, LabelInterlock)
		case !slices.Contains(interlockKeys, key):
			return nil, fmt.Errorf("no label %s; there are %s", label, strings.Join(interlockKeys, ", "))
		}
		values[key] = strings.TrimSpace(labels[label])
	}
	return values, nil
}

// interlockBackends reads which port and what of the service is asked.
func (c *Claim) interlockBackends(values map[string]string, ports []uint16) error {
	switch text := values["port"]; {
	case text != "":
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("label %sport=%s: write a port number from 1 to 65535", LabelInterlock, text)
		}
		c.Port = uint16(n)
	case len(ports) == 1:
		c.Port = ports[0]
	default:
		return fmt.Errorf("label %sport is missing: say which port of the containers is asked", LabelInterlock)
	}
	switch mode := values["backend_mode"]; mode {
	case "", "task":
	case "vip":
		c.VIP = true
	default:
		return fmt.Errorf("label %sbackend_mode=%s: write task or vip", LabelInterlock, mode)
	}
	return nil
}

// interlockRoute reads what is said of all hosts.
func (c *Claim) interlockRoute(values map[string]string) error {
	r := &c.Route
	var pass bool
	for _, flag := range []struct {
		key string
		to  *bool
	}{{"context_root_rewrite", &r.Strip}, {"ssl_passthrough", &pass}} {
		if text := values[flag.key]; text != "" {
			on, err := strconv.ParseBool(text)
			if err != nil {
				return fmt.Errorf("label %s%s=%s: write true or false", LabelInterlock, flag.key, text)
			}
			*flag.to = on
		}
	}
	if pass {
		r.Kind = TLS
	}
	if root := strings.Trim(values["context_root"], "/"); root != "" {
		r.Path = "/" + root
	}
	if strings.ContainsAny(r.Path, "?#") {
		return fmt.Errorf("label %scontext_root=%s: only a path can be matched", LabelInterlock, values["context_root"])
	}
	r.Strip = r.Strip && r.Path != ""
	if r.Sticky = values["sticky_session_cookie"]; !token(r.Sticky) {
		return fmt.Errorf("label %ssticky_session_cookie=%s: no cookie has such a name", LabelInterlock, r.Sticky)
	}
	if r.Kind == TLS && (r.Sticky != "" || r.Path != "" || values["redirects"] != "") {
		return fmt.Errorf("label %sssl_passthrough: TLS is not opened, so cookies, paths and redirects are for http only", LabelInterlock)
	}
	return nil
}

// interlockHosts makes a claim for each host, and one for all hosts that nobody has if the service is the default.
func (c Claim) interlockHosts(values map[string]string) (all []Claim, err error) {
	for host := range strings.SplitSeq(values["hosts"], ",") {
		host = CanonicalHost(strings.TrimSpace(host))
		if host == "" {
			continue
		}
		if err := checkHost(host); err != nil {
			return nil, fmt.Errorf("label %shosts=%s: %w", LabelInterlock, values["hosts"], err)
		}
		one := c
		one.Route.Host = host
		all = append(all, one)
	}
	if text := values["default_backend"]; text != "" {
		on, err := strconv.ParseBool(text)
		if err != nil || on && c.Route.Kind == TLS {
			return nil, fmt.Errorf("label %sdefault_backend=%s: write true or false; it is for http only", LabelInterlock, text)
		}
		if on {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("label %shosts is missing: name the hosts, with commas between them", LabelInterlock)
	}
	return all, nil
}

// interlockRedirects reads http://OLD,http://NEW;http://OLD,http://NEW.
func (c Claim) interlockRedirects(text string) (all []Claim, err error) {
	for pair := range strings.SplitSeq(text, ";") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		from, to, _ := strings.Cut(pair, ",")
		r, err := parsePattern(strings.TrimSpace(from))
		if err == nil && r.Kind != HTTP {
			err = errors.New("only http can be redirected")
		}
		r.Redirect = strings.TrimSpace(to)
		if err = errors.Join(err, checkRedirect(r.Redirect)); err != nil {
			return nil, fmt.Errorf("label %sredirects=%s: %w", LabelInterlock, text, err)
		}
		all = append(all, Claim{Route: r, Port: c.Port, Network: c.Network})
	}
	return all, nil
}

package l7

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Table finds the route of a request or connection. It is never changed, and may be used by any number of goroutines.
type Table struct {
	exact map[Kind]map[string][]*Route // by host, the longest path first; what is for any host is under ""
	below map[Kind]map[string][]*Route // by what is behind "*."
	size  int
}

// NewTable returns the table of the routes. Of several for the same host and path the first one counts; the error tells
// of the others, and the table is good all the same.
func NewTable(routes []Route) (*Table, error) {
	t := &Table{exact: map[Kind]map[string][]*Route{}, below: map[Kind]map[string][]*Route{}, size: len(routes)}
	var errs []error
	routes = slices.Clone(routes)
	for i := range routes {
		r := &routes[i]
		r.key = r.Pattern()
		in, host := t.exact, r.Host
		if suffix, ok := strings.CutPrefix(host, "*."); ok {
			in, host = t.below, suffix
		}
		if in[r.Kind] == nil {
			in[r.Kind] = map[string][]*Route{}
		}
		all := in[r.Kind][host]
		if n := slices.IndexFunc(all, func(o *Route) bool { return o.Path == r.Path }); n >= 0 {
			errs = append(errs, fmt.Errorf("route %s of %s: %s has it already", r.key, r.Name, all[n].Name))
			t.size--
			continue
		}
		in[r.Kind][host] = append(all, r)
	}
	for _, in := range []map[Kind]map[string][]*Route{t.exact, t.below} {
		for _, hosts := range in {
			for _, all := range hosts {
				slices.SortStableFunc(all, func(a, b *Route) int { return len(b.Path) - len(a.Path) })
			}
		}
	}
	return t, errors.Join(errs...)
}

// Len returns how many routes there are.
func (t *Table) Len() int { return t.size }

// Match returns the route of a request for a host and path, or of a connection, whose path is empty: that of the very
// host before that of all names below a domain, the nearest domain first, before that of any host; of one host's, that
// with the longest path. It is nil if there is none (G5). The host is as CanonicalHost returns it.
func (t *Table) Match(kind Kind, host, path string) *Route {
	if host != "" {
		if r := longest(t.exact[kind][host], path); r != nil {
			return r
		}
	}
	if below := t.below[kind]; len(below) > 0 {
		for domain := host; ; {
			var ok bool
			if _, domain, ok = strings.Cut(domain, "."); !ok {
				break
			}
			if r := longest(below[domain], path); r != nil {
				return r
			}
		}
	}
	return longest(t.exact[kind][""], path)
}

func longest(routes []*Route, path string) *Route {
	for _, r := range routes {
		if rest, ok := strings.CutPrefix(path, r.Path); r.Path == "" || ok && (rest == "" || rest[0] == '/') {
			return r
		}
	}
	return nil
}

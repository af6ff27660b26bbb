package topology

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Limits that keep a hostile file from costing more than its size suggests.
const (
	maxBytes   = 1 << 20
	maxDepth   = 64
	maxValues  = 200_000
	maxEntries = 4096
	maxErrors  = 1000
	maxPorts   = 1 << 16
)

// reader walks the YAML nodes of one file and collects what is wrong.
type reader struct {
	file   string
	errs   Errors
	images []string // that the lab has
	ports  int      // published ports so far, ranges counted out
}

// entry is one key of a mapping with its value, aliases followed.
type entry struct {
	key   *yaml.Node
	value *yaml.Node
}

// fields says which keys an object has and what reads each one's value.
type fields map[string]func(*yaml.Node)

func (r *reader) pos(n *yaml.Node) Pos {
	return Pos{File: r.file, Line: n.Line, Col: n.Column}
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.failAt(r.pos(n), format, args...)
}

func (r *reader) failAt(p Pos, format string, args ...any) {
	switch {
	case len(r.errs) < maxErrors:
		r.errs = append(r.errs, Error{Pos: p, Msg: fmt.Sprintf(format, args...)})
	case len(r.errs) == maxErrors:
		last := r.errs[maxErrors-1].Pos
		r.errs = append(r.errs, Error{Pos: last, Msg: "too many errors; the rest is not shown"})
	}
}

// near returns a suggestion for name, unless there are so many errors that
// nobody would read it.
func (r *reader) near(name string, candidates []string) string {
	if len(r.errs) >= maxErrors {
		return ""
	}
	return didYouMean(Nearest(name, candidates))
}

// at wraps a reading function so that it keeps the value's place too.
func (r *reader) at(p *Pos, read func(*yaml.Node)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		*p = r.pos(n)
		read(n)
	}
}

// nearOr is near, but names all candidates if none is near.
func (r *reader) nearOr(name string, candidates []string) string {
	if hint := r.near(name, candidates); hint != "" {
		return hint
	}
	return "; it can be " + strings.Join(candidates, " or ")
}

// deref follows an alias to the value it stands for.
func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// kindOf names what a node is, for messages.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "empty"
	case n.Kind == yaml.ScalarNode && len(n.Value) <= 80:
		return fmt.Sprintf("%q", n.Value)
	}
	return "a long text"
}

// measure bounds depth and the number of values that following every alias
// would visit, so that the code after it may follow them without care.
func (r *reader) measure(n *yaml.Node) bool {
	budget := maxValues
	open := map[*yaml.Node]bool{}
	var walk func(n *yaml.Node, depth int) bool
	walk = func(n *yaml.Node, depth int) bool {
		budget--
		switch {
		case budget < 0:
			r.fail(n, "the file has more than %d values once its aliases are followed", maxValues)
			return false
		case depth > maxDepth:
			r.fail(n, "values are nested more than %d levels deep", maxDepth)
			return false
		case n.Kind == yaml.AliasNode:
			if n.Alias == nil || open[n.Alias] {
				r.fail(n, "alias %q contains itself", n.Value)
				return false
			}
			return walk(n.Alias, depth+1)
		}
		open[n] = true
		defer delete(open, n)
		for _, c := range n.Content {
			if !walk(c, depth+1) {
				return false
			}
		}
		return true
	}
	return walk(n, 0)
}

// entries returns the entries of a mapping in order, merge keys expanded. A
// null value is an empty mapping. what names it in messages.
func (r *reader) entries(n *yaml.Node, what string) []entry {
	n = deref(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s must be a mapping, not %s", what, kindOf(n))
		return nil
	}
	if len(n.Content)/2 > maxEntries {
		r.fail(n, "%s has more than %d entries", what, maxEntries)
		return nil
	}
	var own, merged []entry
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := deref(n.Content[i]), deref(n.Content[i+1])
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			merged = append(merged, r.mergeEntries(value)...)
		case key.Kind != yaml.ScalarNode:
			r.fail(n.Content[i], "a key of %s must be a plain name, not %s", what, kindOf(key))
		case seen[key.Value] != nil:
			r.fail(n.Content[i], "key %q of %s is defined twice; the first is at %s", key.Value, what, r.pos(seen[key.Value]))
		default:
			seen[key.Value] = n.Content[i]
			own = append(own, entry{key, value})
		}
	}
	for _, e := range merged {
		if seen[e.key.Value] == nil {
			seen[e.key.Value] = e.key
			own = append(own, e)
		}
	}
	return own
}

// mergeEntries returns what a "<<" key brings in.
func (r *reader) mergeEntries(n *yaml.Node) []entry {
	if n.Kind != yaml.SequenceNode {
		return r.entries(n, "a merge")
	}
	var all []entry
	for _, c := range n.Content {
		all = append(all, r.entries(c, "a merge")...)
		if len(all) > maxEntries {
			r.fail(n, "a merge has more than %d entries", maxEntries)
			return nil
		}
	}
	return all
}

// object reads a mapping with fixed keys. An unknown key is an error, and so
// is a required one that is missing; one may be written "key: value" to show in
// the message what to write.
func (r *reader) object(n *yaml.Node, what string, f fields, required ...string) {
	entries := r.entries(n, what)
	present := map[string]bool{}
	for _, e := range entries {
		present[e.key.Value] = true
		if read := f[e.key.Value]; read != nil {
			read(e.value)
			continue
		}
		known := make([]string, 0, len(f))
		for k := range f {
			known = append(known, k)
		}
		slices.Sort(known)
		hint := r.near(e.key.Value, known)
		if hint == "" {
			hint = "; it knows " + strings.Join(known, ", ")
		} else {
			present[Nearest(e.key.Value, known)] = true // one message is enough
		}
		r.fail(e.key, "%s has no key %q%s", what, e.key.Value, hint)
	}
	if at := deref(n); at.Kind == yaml.MappingNode || isNull(at) {
		for _, k := range required {
			if key, _, _ := strings.Cut(k, ":"); !present[key] {
				r.fail(at, "%s needs %q", what, k)
			}
		}
	}
}

// list returns the items of a sequence, aliases followed. A null value is an
// empty list.
func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	n = deref(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "%s must be a list, not %s", what, kindOf(n))
		return nil
	}
	if len(n.Content) > maxEntries {
		r.fail(n, "%s has more than %d entries", what, maxEntries)
		return nil
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		items[i] = deref(c)
	}
	return items
}

// oneOrMore returns the items of a sequence, or the node itself when it is a
// single value.
func (r *reader) oneOrMore(n *yaml.Node, what string) []*yaml.Node {
	if n = deref(n); n.Kind == yaml.SequenceNode || isNull(n) {
		return r.list(n, what)
	}
	return []*yaml.Node{n}
}

// scalar returns the text of a single value.
func (r *reader) scalar(n *yaml.Node, what string) (string, bool) {
	n = deref(n)
	if n.Kind != yaml.ScalarNode || isNull(n) {
		r.fail(n, "%s must be a single value, not %s", what, kindOf(n))
		return "", false
	}
	return n.Value, true
}

package topology

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Change is what a step changes of the fabric, merged with what was set before. It happens in this order, once, before
// the step's command is first tried.
type Change struct {
	Heal      bool // end all partitions
	Links     []LinkChange
	Partition [][]Ref // groups of hosts that get nothing from each other any more; of one group, from all other hosts
}

// Any tells whether there is something to change.
func (c *Change) Any() bool { return c.Heal || len(c.Links) > 0 || len(c.Partition) > 0 }

// LinkChange changes what the cables between two nodes do to frames.
type LinkChange struct {
	Pos     Pos
	Between [2]Ref
	Reset   bool           // first make them perfect cables
	Forward ImpairmentPart // from Between[0] to Between[1]
	Reverse ImpairmentPart
}

// ImpairmentPart is an Impairment of which only some keys are given; the others stay as they are.
type ImpairmentPart struct {
	Impairment
	Given map[string]bool // by the key in the file
}

// links reads what a step changes of cables: one or a list of {between: [A, B], down: true}, with the keys of an
// impairment for both directions, or below forward and reverse for one.
func (c *Change) links(r *reader) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, item := range r.oneOrMore(n, "link") {
			l := LinkChange{Pos: r.pos(item)}
			all := r.part(&l.Forward)
			all["between"] = func(n *yaml.Node) { r.between(n, &l.Between) }
			all["reset"] = r.boolean(&l.Reset, "reset")
			var forward, reverse *yaml.Node
			all["forward"] = func(n *yaml.Node) { forward = n }
			all["reverse"] = func(n *yaml.Node) { reverse = n }
			r.object(item, "link", all, "between")
			l.Reverse = l.Forward.clone()
			if forward != nil {
				r.object(forward, "forward", r.part(&l.Forward))
			}
			if reverse != nil {
				r.object(reverse, "reverse", r.part(&l.Reverse))
			}
			if len(l.Forward.Given)+len(l.Reverse.Given) == 0 && !l.Reset {
				r.fail(item, "link changes nothing: say what, such as down: true, loss: 1%% or reset: true")
			}
			c.Links = append(c.Links, l)
		}
	}
}

func (p ImpairmentPart) clone() ImpairmentPart {
	given := map[string]bool{}
	for k := range p.Given {
		given[k] = true
	}
	p.Given = given
	return p
}

// part reads the keys of an impairment and notes which there are.
func (r *reader) part(p *ImpairmentPart) fields {
	if p.Given == nil {
		p.Given = map[string]bool{}
	}
	all := r.impairment(&p.Impairment)
	all["mtu"] = r.integer(&p.MTU, "mtu", 68, 65535)
	for key, read := range all {
		all[key] = func(n *yaml.Node) {
			p.Given[key] = true
			read(n)
		}
	}
	return all
}

// partition reads [[a, b], [c]], groups that are parted from each other, or [a, b], one that is parted from the rest.
func (c *Change) partition(r *reader) func(*yaml.Node) {
	return func(n *yaml.Node) {
		items := r.list(n, "partition")
		nested := len(items) > 0 && items[0].Kind == yaml.SequenceNode
		if !nested {
			items = []*yaml.Node{n}
		}
		for _, item := range items {
			var group []Ref
			r.refs(&group, "partition")(item)
			if item.Kind == yaml.SequenceNode && len(group) == 0 {
				r.fail(item, "partition has an empty group: name hosts, like [[host-a], [host-b, host-c]]")
				continue
			}
			c.Partition = append(c.Partition, group)
		}
	}
}

// checkChange checks that what a step changes is there.
func (c *checker) checkChange(s *Step) {
	joined := func(a, b string) bool {
		for _, x := range c.spec.Fabric.Cables() {
			if x.A.Node == a && x.B.Node == b || x.A.Node == b && x.B.Node == a {
				return true
			}
		}
		return false
	}
	for _, l := range s.Change.Links {
		a, b := l.Between[0], l.Between[1]
		if c.known(a.Name, a.Pos) && c.known(b.Name, b.Pos) && !joined(a.Name, b.Name) {
			c.failAt(l.Pos, "no cable runs between %q and %q", a.Name, b.Name)
		}
	}
	seen := map[string]bool{}
	for _, group := range s.Change.Partition {
		for _, ref := range group {
			switch _, host := c.hosts[ref.Name]; {
			case !c.known(ref.Name, ref.Pos):
			case !host:
				c.failAt(ref.Pos, "%q is a %s; a partition is of hosts, and a %s is cut off by taking its links down", ref.Name, c.nodes[ref.Name].kind, c.nodes[ref.Name].kind)
			case seen[ref.Name]:
				c.failAt(ref.Pos, "host %q is in the partition twice", ref.Name)
			}
			seen[ref.Name] = true
		}
	}
}

// onlyChanges tells whether a step changes the fabric and neither runs nor expects anything.
func (r *reader) onlyChanges(n *yaml.Node) bool {
	changes := false
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		switch n.Content[i].Value {
		case "link", "partition", "heal":
			changes = true
		case "run", "expect":
			return false
		}
	}
	return changes
}

// Lines returns what is changed in words, a line each.
func (c *Change) Lines() []string {
	var all []string
	if c.Heal {
		all = append(all, "heal")
	}
	for i := range c.Links {
		l := &c.Links[i]
		all = append(all, fmt.Sprintf("link %s %s: %s", l.Between[0].Name, l.Between[1].Name, l.text()))
	}
	if len(c.Partition) > 0 {
		var groups []string
		for _, g := range c.Partition {
			var names []string
			for _, ref := range g {
				names = append(names, ref.Name)
			}
			groups = append(groups, strings.Join(names, ", "))
		}
		all = append(all, "partition "+strings.Join(groups, " | "))
	}
	return all
}

// String returns what is changed in one line.
func (c *Change) String() string { return strings.Join(c.Lines(), "; ") }

func (l *LinkChange) text() string {
	var parts []string
	if l.Reset {
		parts = append(parts, "reset")
	}
	forward, reverse := l.Forward.text(), l.Reverse.text()
	switch {
	case forward == reverse && forward != "":
		parts = append(parts, forward)
	default:
		if forward != "" {
			parts = append(parts, "forward "+forward)
		}
		if reverse != "" {
			parts = append(parts, "reverse "+reverse)
		}
	}
	return strings.Join(parts, ", ")
}

func (p *ImpairmentPart) text() string {
	var words []string
	for _, x := range []struct {
		key   string
		value any
	}{
		{"delay", p.Delay}, {"jitter", p.Jitter}, {"overtake", p.Overtake}, {"loss", share(p.Loss)}, {"burst", share(p.Burst.P)},
		{"duplicate", share(p.Duplicate)}, {"reorder", share(p.Reorder)}, {"corrupt", share(p.Corrupt)}, {"rate", fmt.Sprintf("%dbit", p.Rate)},
		{"queue", p.Queue}, {"mtu", p.MTU},
	} {
		if p.Given[x.key] {
			words = append(words, fmt.Sprintf("%s %v", x.key, x.value))
		}
	}
	if p.Given["down"] {
		words = append([]string{map[bool]string{true: "down", false: "up"}[p.Down]}, words...)
	}
	return strings.Join(words, " ")
}

func share(v float64) string { return strconv.FormatFloat(v*100, 'g', 6, 64) + "%" }

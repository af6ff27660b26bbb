package topology

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// defaultRetry is the pause between tries of a step with "within".
const defaultRetry = 250 * time.Millisecond

func (r *reader) steps(n *yaml.Node) []Step {
	var all []Step
	for _, c := range r.list(n, "steps") {
		all = append(all, r.step(c))
	}
	return all
}

func (r *reader) step(n *yaml.Node) Step {
	s := Step{Pos: r.pos(n), Retry: defaultRetry}
	s.Expect.Pos = s.Pos
	runs := false
	var needs []string
	if !r.onlyChanges(n) {
		needs = []string{"on"}
	}
	r.object(n, "a step", fields{
		"name":   r.text(&s.Name, "name"),
		"on":     func(n *yaml.Node) { s.On = r.node(n, "on") },
		"expect": func(n *yaml.Node) { r.expect(n, &s.Expect) },
		"within": r.duration(&s.Within, "within"),
		"retry":  r.duration(&s.Retry, "retry"),

		"link":      s.Change.links(r),
		"partition": s.Change.partition(r),
		"heal":      r.boolean(&s.Change.Heal, "heal"),

		"run": func(n *yaml.Node) {
			runs = true
			r.text(&s.Run, "run")(n)
		},
	}, needs...)
	if s.Within == 0 {
		s.Retry = 0
	} else if s.Retry == 0 {
		s.Retry = defaultRetry
	}
	r.checkStep(n, &s, runs)
	return s
}

// checkStep fills in what depends on whether the step runs a command.
func (r *reader) checkStep(n *yaml.Node, s *Step, runs bool) {
	e := &s.Expect
	if runs && e.Status == nil {
		e.Status = &Status{Pos: s.Pos, Codes: []int{0}}
	}
	if s.Name == "" {
		s.Name = strings.TrimSpace(s.Run)
	}
	if s.Name == "" && s.Change.Any() {
		s.Name = s.Change.String()
	}
	if s.Name == "" {
		s.Name = "expect on " + s.On.Text
	}
	probes := len(e.Reachable) + len(e.Refused) + len(e.Timeout) + len(e.DNS) + len(e.LBSpread)
	reads := len(e.DroppedBecause) + len(e.PathIncludes) + len(e.SourceSeen)
	switch {
	case n.Kind != yaml.MappingNode || runs:
	case e.Status != nil || len(e.Stdout)+len(e.Stderr) > 0 || reads > 0:
		r.failAt(e.Pos, "this step expects something of a command but has no \"run\"")
	case probes == 0 && !s.Change.Any():
		r.fail(n, "a step needs \"run\" or a network verb in \"expect\", such as reachable or dns")
	}
}

// taskForm is a service's name and the slot of one of its tasks.
var taskForm = regexp.MustCompile(`^(.+)\.([0-9]{1,5})$`)

// node reads HOST, HOST/CONTAINER, SERVICE.SLOT or HOST/SERVICE.SLOT. Which of
// them it is depends on the names that exist and is settled by the checker.
func (r *reader) node(n *yaml.Node, what string) Node {
	s, ok := r.scalar(n, what)
	if !ok {
		return Node{}
	}
	return Node{Pos: r.pos(n), Text: s}
}

func (r *reader) expect(n *yaml.Node, e *Expect) {
	e.Pos = r.pos(n)
	r.object(n, "expect", fields{
		"status":           func(n *yaml.Node) { e.Status = r.status(n) },
		"stdout":           r.matches(&e.Stdout, "stdout", false),
		"stderr":           r.matches(&e.Stderr, "stderr", false),
		"not":              func(n *yaml.Node) { r.expectNot(n, e) },
		"reachable":        r.probes(&e.Reachable, "reachable"),
		"refused":          r.probes(&e.Refused, "refused"),
		"timeout":          r.probes(&e.Timeout, "timeout"),
		"resolves":         func(n *yaml.Node) { r.resolves(n, &e.DNS) },
		"dns":              func(n *yaml.Node) { r.lookups(n, &e.DNS) },
		"dropped_because":  func(n *yaml.Node) { r.drops(n, &e.DroppedBecause) },
		"path_includes":    r.refs(&e.PathIncludes, "path_includes"),
		"source_seen":      func(n *yaml.Node) { r.sources(n, &e.SourceSeen) },
		"lb_spread":        func(n *yaml.Node) { r.spreads(n, &e.LBSpread) },
		"converges_within": r.duration(&e.ConvergesWithin, "converges_within"),
	})
}

func (r *reader) expectNot(n *yaml.Node, e *Expect) {
	r.object(n, "not", fields{
		"stdout": r.matches(&e.Stdout, "stdout", true),
		"stderr": r.matches(&e.Stderr, "stderr", true),
	})
}

// status reads a number, a list of them, or "not 0".
func (r *reader) status(n *yaml.Node) *Status {
	s := &Status{Pos: r.pos(n)}
	if n.Kind == yaml.ScalarNode && (n.Value == "not 0" || n.Value == "nonzero") {
		s.NonZero = true
		return s
	}
	for _, c := range r.oneOrMore(n, "status") {
		code := 0
		r.integer(&code, "status", 0, 255)(c)
		s.Codes = append(s.Codes, code)
	}
	return s
}

// matches reads a substring, a /regexp/, {not: ...}, or a list of these.
func (r *reader) matches(to *[]Match, what string, not bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.oneOrMore(n, what) {
			if c.Kind == yaml.MappingNode {
				r.object(c, what, fields{"not": r.matches(to, what, !not)}, "not")
				continue
			}
			if s, ok := r.scalar(c, what); ok {
				*to = append(*to, r.match(c, s, not))
			}
		}
	}
}

func (r *reader) match(n *yaml.Node, s string, not bool) Match {
	m := Match{Pos: r.pos(n), Not: not, Text: s}
	if len(s) < 3 || s[0] != '/' || s[len(s)-1] != '/' {
		return m
	}
	re, err := regexp.Compile("(?m)" + s[1:len(s)-1])
	if err != nil {
		r.fail(n, "%s is not a regular expression: %s", clip(s), strings.Replace(strings.TrimPrefix(err.Error(), "error parsing regexp: "), "(?m)", "", 1))
		return m
	}
	m.Text, m.Regexp = s[1:len(s)-1], re
	return m
}

// probes reads one or a list of HOST, HOST:PORT or HOST:PORT/udp.
func (r *reader) probes(to *[]Probe, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.oneOrMore(n, what) {
			s, ok := r.scalar(c, what)
			if !ok {
				continue
			}
			p, err := parseProbe(s)
			if err != nil {
				r.fail(c, "%s: %v; write host-a, host-a:80 or 10.1.0.2:53/udp", what, err)
				continue
			}
			p.Pos = r.pos(c)
			*to = append(*to, p)
		}
	}
}

func parseProbe(s string) (Probe, error) {
	p := Probe{Proto: "icmp"}
	host, port, ported := strings.Cut(s, ":")
	if p.Host = host; !nameForm.MatchString(host) {
		return p, fmt.Errorf("%q is neither an address nor a name", clip(host))
	}
	if !ported {
		return p, nil
	}
	number, proto, given := strings.Cut(port, "/")
	if p.Proto = "tcp"; given {
		p.Proto = proto
	}
	if p.Proto != "tcp" && p.Proto != "udp" {
		return p, fmt.Errorf("protocol %q is neither tcp nor udp", clip(proto))
	}
	v, err := portNumber(number)
	p.Port = uint16(v)
	return p, err
}

// resolves reads names that must have an address.
func (r *reader) resolves(n *yaml.Node, to *[]Lookup) {
	for _, c := range r.oneOrMore(n, "resolves") {
		if s, ok := r.scalar(c, "resolves"); ok {
			*to = append(*to, Lookup{Pos: r.pos(c), Name: s, Any: true})
		}
	}
}

// lookups reads {name: address}, {name: [addresses]}, {name: any} and
// {name: none}.
func (r *reader) lookups(n *yaml.Node, to *[]Lookup) {
	for _, e := range r.entries(n, "dns") {
		l := Lookup{Pos: r.pos(e.key), Name: e.key.Value}
		switch {
		case e.value.Value == "none" || e.value.Kind == yaml.SequenceNode && len(e.value.Content) == 0:
			l.None = true
		case e.value.Value == "any":
			l.Any = true
		case isNull(e.value):
			r.fail(e.key, "dns: say what %q must resolve to: an address, a list of addresses, any or none", clip(l.Name))
		default:
			r.addrs(&l.Want, "an address (or any, or none)")(e.value)
		}
		*to = append(*to, l)
	}
}

// drops reads REASON or {reason: REASON, at: PLACE}, or a list.
func (r *reader) drops(n *yaml.Node, to *[]Drop) {
	for _, c := range r.oneOrMore(n, "dropped_because") {
		d := Drop{Pos: r.pos(c)}
		if c.Kind == yaml.MappingNode {
			r.object(c, "dropped_because", fields{
				"reason": r.text(&d.Reason, "reason"),
				"at":     r.text(&d.At, "at"),
			}, "reason")
		} else {
			r.text(&d.Reason, "dropped_because")(c)
		}
		*to = append(*to, d)
	}
}

// sources reads an address or network, or {addr: ADDRESS, at: NODE}, or a list.
func (r *reader) sources(n *yaml.Node, to *[]Source) {
	for _, c := range r.oneOrMore(n, "source_seen") {
		s := Source{Pos: r.pos(c)}
		addr := func(n *yaml.Node) {
			text, ok := r.scalar(n, "addr")
			if !ok {
				return
			}
			if !strings.Contains(text, "/") {
				text += "/32"
			}
			copied := *n
			copied.Value = text
			r.subnet(&s.Addr, "the source")(&copied)
		}
		if c.Kind == yaml.MappingNode {
			r.object(c, "source_seen", fields{
				"addr": addr,
				"at": func(n *yaml.Node) {
					at := r.node(n, "at")
					s.At = &at
				},
			}, "addr")
		} else {
			addr(c)
		}
		*to = append(*to, s)
	}
}

// spreads reads {to: HOST:PORT, requests: 10, backends: 2}, or a list.
func (r *reader) spreads(n *yaml.Node, to *[]Spread) {
	for _, c := range r.oneOrMore(n, "lb_spread") {
		s := Spread{Pos: r.pos(c), Requests: 10, Backends: 2}
		var targets []Probe
		r.object(c, "lb_spread", fields{
			"to":       r.probes(&targets, "to"),
			"requests": r.integer(&s.Requests, "requests", 1, 100_000),
			"backends": r.integer(&s.Backends, "backends", 1, maxReplicas),
		}, "to")
		if len(targets) > 1 {
			r.failAt(targets[1].Pos, "to names one target only")
		} else if len(targets) == 1 {
			s.To = targets[0]
		}
		if s.Requests < s.Backends {
			r.fail(c, "%d requests cannot reach %d backends", s.Requests, s.Backends)
		}
		*to = append(*to, s)
	}
}

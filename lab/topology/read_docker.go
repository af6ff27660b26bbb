package topology

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// maxReplicas bounds a service to what one process can show.
const maxReplicas = 10_000

func (r *reader) swarm(n *yaml.Node) *Swarm {
	if isNull(n) {
		return nil
	}
	s := &Swarm{Pos: r.pos(n)}
	r.object(n, "swarm", fields{
		"managers": func(n *yaml.Node) {
			if r.refs(&s.Managers, "managers")(n); len(n.Content) == 0 && n.Kind != yaml.ScalarNode || isNull(n) {
				r.fail(n, "a swarm needs at least one manager")
			}
		},
		"workers":      r.refs(&s.Workers, "workers"),
		"key_rotation": r.keyRotation(&s.KeyRotation),
	}, "managers")
	return s
}

// minKeyRotation keeps rotations apart, so that packets of the one before have arrived.
const minKeyRotation = 100 * time.Millisecond

func (r *reader) keyRotation(to *time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		d := minKeyRotation
		if r.duration(&d, "key_rotation")(n); d < minKeyRotation {
			r.fail(n, "key_rotation must be %v or more, not %v; Docker's is 12h", minKeyRotation, d)
		}
		*to = d
	}
}

func (r *reader) networks(n *yaml.Node) []Network {
	var all []Network
	for _, e := range r.entries(n, "networks") {
		w := Network{Pos: r.pos(e.key), Name: r.name(e.key, "network"), Driver: DriverBridge}
		r.object(e.value, "a network", fields{
			"driver":     r.at(&w.driverPos, r.text((*string)(&w.Driver), "driver")),
			"subnet":     r.at(&w.subnetPos, r.subnet(&w.Subnet, "subnet")),
			"gateway":    r.at(&w.gatewayPos, r.addr(&w.Gateway, "gateway")),
			"ip_range":   r.at(&w.ipRangePos, r.subnet(&w.IPRange, "ip_range")),
			"parent":     r.at(&w.parentPos, r.text(&w.Parent, "parent")),
			"mode":       r.at(&w.modePos, r.text(&w.Mode, "mode")),
			"ipam":       func(n *yaml.Node) { w.IPAM = r.ipam(n) },
			"internal":   r.boolean(&w.Internal, "internal"),
			"attachable": r.boolean(&w.Attachable, "attachable"),
			"options":    r.settings(&w.Options, "options"),
			"labels":     r.settings(&w.Labels, "labels"),
			"host":       r.refs(&w.Hosts, "host"),
		})
		all = append(all, w)
	}
	return all
}

// ipam reads {driver: corp, options: {zone: east}}.
func (r *reader) ipam(n *yaml.Node) IPAM {
	p := IPAM{Pos: r.pos(n)}
	r.object(n, "ipam", fields{
		"driver":  r.at(&p.driverPos, r.text(&p.Driver, "driver")),
		"options": r.settings(&p.Options, "options"),
	})
	return p
}

func (r *reader) services(n *yaml.Node) []Service {
	var all []Service
	for _, e := range r.entries(n, "services") {
		s := Service{
			Pos: r.pos(e.key), Name: r.name(e.key, "service"),
			Mode: ModeReplicated, Replicas: 1, EndpointMode: EndpointVIP,
		}
		r.object(e.value, "a service", fields{
			"image":         r.image(&s.Image),
			"networks":      r.refs(&s.Networks, "networks"),
			"ports":         r.portList(&s.Ports),
			"environment":   r.settings(&s.Environment, "environment"),
			"mode":          choice(r, &s.Mode, "mode", ModeReplicated, ModeGlobal),
			"replicas":      r.integer(&s.Replicas, "replicas", 0, maxReplicas),
			"endpoint_mode": choice(r, &s.EndpointMode, "endpoint_mode", EndpointVIP, EndpointDNSRR),
			"constraints":   func(n *yaml.Node) { s.Constraints = r.constraints(n) },
			"command":       r.command(&s.Command),
			"hostname":      r.text(&s.Hostname, "hostname"),
			"labels":        r.settings(&s.Labels, "labels"),
		}, "image")
		all = append(all, s)
	}
	return all
}

var constraintForm = regexp.MustCompile(`^\s*(node\.(?:id|hostname|role|platform\.os|platform\.arch|labels\.[\w.-]+)|engine\.labels\.[\w.-]+)\s*(==|!=)\s*(\S+)\s*$`)

func (r *reader) constraints(n *yaml.Node) []Constraint {
	var all []Constraint
	for _, c := range r.oneOrMore(n, "constraints") {
		s, ok := r.scalar(c, "a constraint")
		if !ok {
			continue
		}
		m := constraintForm.FindStringSubmatch(s)
		if m == nil {
			r.fail(c, "constraint %q is not understood: write node.role==worker, node.hostname!=host-a or node.labels.zone==east", clip(s))
			continue
		}
		all = append(all, Constraint{Pos: r.pos(c), Key: m[1], Not: m[2] == "!=", Value: m[3]})
	}
	return all
}

func (r *reader) containers(n *yaml.Node) []Container {
	var all []Container
	for _, e := range r.entries(n, "containers") {
		c := Container{Pos: r.pos(e.key)}
		host, name, split := strings.Cut(e.key.Value, "/")
		need := []string{"image", "host"}
		if split {
			c.Host = Ref{Pos: c.Pos, Name: host}
			need = need[:1]
		} else {
			name = host
		}
		key := *e.key
		key.Value = name
		c.Name = r.name(&key, "container")
		r.object(e.value, "a container", r.containerFields(&c, split), need...)
		if len(c.Networks) == 0 {
			c.Networks = []Endpoint{{Pos: c.Pos, Network: string(DriverBridge)}}
		}
		all = append(all, c)
	}
	return all
}

func (r *reader) containerFields(c *Container, hostInName bool) fields {
	return fields{
		"image":       r.image(&c.Image),
		"command":     r.command(&c.Command),
		"networks":    func(n *yaml.Node) { c.Networks = r.endpoints(n) },
		"ports":       r.portList(&c.Ports),
		"environment": r.settings(&c.Environment, "environment"),
		"hostname":    r.text(&c.Hostname, "hostname"),
		"dns":         r.addrs(&c.DNS, "dns"),
		"extra_hosts": r.hostNames(&c.ExtraHosts, "extra_hosts"),
		"labels":      r.settings(&c.Labels, "labels"),
		"host": func(n *yaml.Node) {
			s, ok := r.scalar(n, "host")
			if ok && hostInName && s != c.Host.Name {
				r.fail(n, "host %q contradicts the container's name, which puts it on %q", clip(s), c.Host.Name)
			} else if ok {
				c.Host = Ref{Pos: r.pos(n), Name: s}
			}
		},
	}
}

// endpoints reads [catnet, dognet] or {catnet: {ip: 10.2.0.9, aliases: [db]}}.
func (r *reader) endpoints(n *yaml.Node) []Endpoint {
	var all []Endpoint
	if n.Kind == yaml.MappingNode {
		for _, e := range r.entries(n, "networks") {
			p := Endpoint{Pos: r.pos(e.key), Network: e.key.Value}
			r.object(e.value, "a network of a container", fields{
				"ip":      r.at(&p.ipPos, r.addr(&p.IP, "ip")),
				"aliases": r.texts(&p.Aliases, "aliases"),
			})
			all = append(all, p)
		}
		return all
	}
	for _, c := range r.oneOrMore(n, "networks") {
		if s, ok := r.scalar(c, "networks"); ok {
			all = append(all, Endpoint{Pos: r.pos(c), Network: s})
		}
	}
	return all
}

func (r *reader) image(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "image")
		if *to = s; !ok || slices.Contains(r.images, plainImage(s)) {
			return
		}
		hint := r.near(plainImage(s), r.images)
		if hint == "" {
			hint = "; it has " + strings.Join(r.images, ", ")
		}
		r.fail(n, "the lab has no image %q%s", clip(s), hint)
	}
}

// plainImage removes Docker Hub's prefix, the tag and the digest.
func plainImage(image string) string {
	image = strings.TrimPrefix(image, "docker.io/")
	image = strings.TrimPrefix(image, "library/")
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		image = image[:colon]
	}
	return image
}

// settings reads {KEY: value} or ["KEY=value"].
func (r *reader) settings(to *[]Setting, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			for _, e := range r.entries(n, what) {
				s := Setting{Pos: r.pos(e.key), Name: e.key.Value}
				if isNull(e.value) {
					r.fail(e.key, "%s: %q has no value; write %s: \"\" for an empty one", what, clip(s.Name), clip(s.Name))
				} else {
					r.text(&s.Value, what)(e.value)
				}
				*to = append(*to, s)
			}
			return
		}
		first := map[string]Pos{}
		for _, c := range r.list(n, what) {
			text, ok := r.scalar(c, what)
			if !ok {
				continue
			}
			name, value, set := strings.Cut(text, "=")
			if !set || name == "" {
				r.fail(c, "%s: %q is not of the form NAME=value", what, clip(text))
				continue
			}
			if p, twice := first[name]; twice {
				r.fail(c, "%s: %q is set twice; the first is at %s", what, clip(name), p)
			}
			first[name] = r.pos(c)
			*to = append(*to, Setting{Pos: r.pos(c), Name: name, Value: value})
		}
	}
}

// command reads a list of arguments, or one line that is split like a shell
// splits words.
func (r *reader) command(to *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode {
			r.texts(to, "command")(n)
			return
		}
		s, ok := r.scalar(n, "command")
		if !ok {
			return
		}
		words, closed := splitWords(s)
		if !closed {
			r.fail(n, "command has a quote that is not closed: %s", clip(s))
			return
		}
		*to = words
	}
}

// splitWords splits at blanks outside quotes and removes quotes and
// backslashes. closed is false when a quote has no end.
func splitWords(s string) (words []string, closed bool) {
	var word strings.Builder
	inWord, escaped := false, false
	quote := rune(0)
	for _, c := range s {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			inWord, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			inWord, quote = true, c
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			inWord = true
			word.WriteRune(c)
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, quote == 0 && !escaped
}

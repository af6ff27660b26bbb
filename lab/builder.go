package lab

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/lab/topology"
)

// Builder describes a topology in Go, as a topology file does in YAML: switches, routers, hosts, and the cables between
// them. Mistakes are not reported one by one: Spec reports all, each with the line of Go code that made it. A Builder
// belongs to one goroutine.
type Builder struct {
	name  string
	nodes []*BuilderNode
	links []builtLink
	names []builtName
	errs  []error
}

// BuilderNode is a switch, router or host of a Builder.
type BuilderNode struct {
	b       *Builder
	kind    string // the key in the topology: switches, routers, hosts
	name    string
	at      string // file:line that made it
	addrs   []string
	links   []attachment
	gateway string
	routes  [][]string // a subnet and its gateways
	docker  bool
}

// attachment is one cable of a router or host.
type attachment struct{ to, addr, at string }

// builtLink is a cable between switches, or what an option says of a cable.
type builtLink struct {
	a, b, at string
	options  []string
}

type builtName struct{ name, addr, at string }

// NewBuilder returns a Builder of an empty topology.
func NewBuilder() *Builder { return &Builder{name: "lab"} }

// caller is the line of Go code that called an exported method.
func caller() string {
	_, file, line, ok := runtime.Caller(2)
	if !ok {
		return "builder"
	}
	return fmt.Sprintf("%s:%d", filepath.Base(file), line)
}

// Name names the lab; it is "lab" otherwise.
func (b *Builder) Name(name string) { b.name = name }

func (b *Builder) node(kind, name, at string, addrs []string) *BuilderNode {
	n := &BuilderNode{b: b, kind: kind, name: name, at: at, addrs: addrs}
	b.nodes = append(b.nodes, n)
	return n
}

// Switch adds a learning switch.
func (b *Builder) Switch(name string) *BuilderNode { return b.node("switches", name, caller(), nil) }

// Router adds a router. Its first cable is eth0 with the first address, and so on; addresses have a prefix length.
func (b *Builder) Router(name string, addrs ...string) *BuilderNode {
	return b.node("routers", name, caller(), addrs)
}

// Host adds a host. Its first cable is eth0 with the first address, and so on; addresses have a prefix length.
func (b *Builder) Host(name string, addrs ...string) *BuilderNode {
	return b.node("hosts", name, caller(), addrs)
}

// LinkOption says how a cable behaves.
type LinkOption func() string

// LinkMTU is the largest packet that a cable carries; it is 1500 otherwise.
func LinkMTU(bytes int) LinkOption { return func() string { return "mtu: " + strconv.Itoa(bytes) } }

// LinkDown is a cable that is pulled out.
func LinkDown() LinkOption { return func() string { return "down: true" } }

// Link cables two nodes.
func (b *Builder) Link(x, y *BuilderNode, options ...LinkOption) {
	at := caller()
	if x == nil || y == nil || x.b != b || y.b != b {
		b.errs = append(b.errs, fmt.Errorf("%s: link: both ends must be nodes of this builder", at))
		return
	}
	x.plug(y, at)
	y.plug(x, at)
	if len(options) == 0 && (x.kind != "switches" || y.kind != "switches") {
		return
	}
	l := builtLink{a: x.name, b: y.name, at: at}
	for _, o := range options {
		l.options = append(l.options, o())
	}
	b.links = append(b.links, l)
}

// plug gives a router or host its next interface.
func (n *BuilderNode) plug(peer *BuilderNode, at string) {
	if n.kind == "switches" {
		return
	}
	a := attachment{to: peer.name, at: at}
	if len(n.links) < len(n.addrs) {
		a.addr = n.addrs[len(n.links)]
	}
	n.links = append(n.links, a)
}

// Internet gives a name outside of the lab an address, which answers to ping.
func (b *Builder) Internet(name, addr string) {
	b.names = append(b.names, builtName{name, addr, caller()})
}

// Gateway sets a host's default route. It returns the node.
func (n *BuilderNode) Gateway(addr string) *BuilderNode {
	n.gateway = addr
	return n
}

// Route adds a static route to a host or router, by a gateway or by several that share the flows. It returns the node.
func (n *BuilderNode) Route(to string, via ...string) *BuilderNode {
	n.routes = append(n.routes, append([]string{to}, via...))
	return n
}

// Docker gives a host a Docker engine. It returns the node.
func (n *BuilderNode) Docker() *BuilderNode {
	n.docker = true
	return n
}

// Spec returns the topology, or all mistakes.
func (b *Builder) Spec() (*topology.Spec, error) {
	w := &specWriter{}
	w.line("", "netsim: 1")
	w.line("", "name: %s", strconv.Quote(b.name))
	w.line("", "fabric:")
	for _, kind := range []string{"switches", "routers", "hosts"} {
		w.nodes(b, kind)
	}
	w.cables(b)
	if len(b.names) > 0 {
		w.line("", "  internet:")
		w.line("", "    names:")
		for _, n := range b.names {
			w.line(n.at, "      %s: %s", strconv.Quote(n.name), strconv.Quote(n.addr))
		}
	}
	errs := b.errs
	for _, n := range b.nodes {
		if len(n.addrs) > len(n.links) {
			errs = append(errs, fmt.Errorf("%s: %s has %d addresses and %d cables", n.at, n.name, len(n.addrs), len(n.links)))
		}
	}
	spec, err := topology.Parse("builder", []byte(w.text.String()))
	return spec, errors.Join(append(errs, w.located(err)...)...)
}

// specWriter writes a topology file and keeps which line of Go each of its lines comes from.
type specWriter struct {
	text strings.Builder
	at   []string
}

func (w *specWriter) line(at, format string, args ...any) {
	fmt.Fprintf(&w.text, format+"\n", args...)
	w.at = append(w.at, at)
}

func (w *specWriter) nodes(b *Builder, kind string) {
	first := true
	for _, n := range b.nodes {
		if n.kind != kind {
			continue
		}
		if first {
			w.line("", "  %s:", kind)
			first = false
		}
		if kind == "switches" {
			w.line(n.at, "    %s: {}", strconv.Quote(n.name))
			continue
		}
		w.machine(n)
	}
}

func (w *specWriter) machine(n *BuilderNode) {
	w.line(n.at, "    %s:", strconv.Quote(n.name))
	if len(n.links) == 0 {
		w.line(n.at, "      links: {}")
	} else {
		w.line(n.at, "      links:")
	}
	for _, l := range n.links {
		if l.addr == "" {
			w.line(l.at, "        %s:", strconv.Quote(l.to))
		} else {
			w.line(l.at, "        %s: %s", strconv.Quote(l.to), strconv.Quote(l.addr))
		}
	}
	if n.gateway != "" {
		w.line(n.at, "      gateway: %s", strconv.Quote(n.gateway))
	}
	if n.docker {
		w.line(n.at, "      engine: %s", topology.EngineDocker)
	}
	for i, r := range n.routes {
		if i == 0 {
			w.line(n.at, "      routes:")
		}
		vias := make([]string, len(r)-1)
		for i, via := range r[1:] {
			vias[i] = strconv.Quote(via)
		}
		w.line(n.at, "        - {to: %s, via: [%s]}", strconv.Quote(r[0]), strings.Join(vias, ", "))
	}
}

func (w *specWriter) cables(b *Builder) {
	for i, l := range b.links {
		if i == 0 {
			w.line("", "  links:")
		}
		fields := append([]string{fmt.Sprintf("between: [%s, %s]", strconv.Quote(l.a), strconv.Quote(l.b))}, l.options...)
		w.line(l.at, "    - {%s}", strings.Join(fields, ", "))
	}
}

// located puts the lines of Go code in the place of those of the text.
func (w *specWriter) located(err error) []error {
	var all topology.Errors
	if !errors.As(err, &all) {
		return []error{err}
	}
	var out []error
	for _, e := range all {
		msg := textPlace.ReplaceAllStringFunc(e.Msg, func(place string) string {
			line, _ := strconv.Atoi(textPlace.FindStringSubmatch(place)[1]) // too long a number is of no line
			return w.goLine(line)
		})
		out = append(out, fmt.Errorf("%s: %s", w.goLine(e.Pos.Line), msg))
	}
	return out
}

// textPlace is a place in the text that a Builder writes.
var textPlace = regexp.MustCompile(`\bbuilder:([0-9]+):[0-9]+`)

func (w *specWriter) goLine(line int) string {
	if line < 1 || line > len(w.at) || w.at[line-1] == "" {
		return "builder"
	}
	return w.at[line-1]
}

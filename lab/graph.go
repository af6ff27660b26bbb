package lab

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/netsim-lab/netsim/lab/topology"
)

// Graph formats.
const (
	GraphMermaid = "mermaid"
	GraphDOT     = "dot"
)

// Graph draws a topology: its cables, the TAP devices in it, and which networks its containers and services are on. The format is
// GraphMermaid or GraphDOT.
func Graph(spec *topology.Spec, format string) (string, error) {
	d := &drawing{ids: map[string]string{}}
	switch format {
	case GraphMermaid:
		d.style = mermaid{}
	case GraphDOT:
		d.style = dot{}
	default:
		return "", fmt.Errorf("draw lab %s: no format %q; there are %s and %s", spec.Name, format, GraphMermaid, GraphDOT)
	}
	d.b.WriteString(d.style.open(spec.Name))
	d.fabric(spec)
	d.docker(spec)
	d.b.WriteString(d.style.close())
	return d.b.String(), nil
}

// graphStyle writes the lines of one format.
type graphStyle interface {
	open(title string) string
	node(id, shape, label string) string
	edge(a, b, label string, dashed bool) string
	close() string
}

// drawing is a graph in the making. Ids are short and made here: a name may hold what a format cannot take.
type drawing struct {
	style graphStyle
	b     strings.Builder
	ids   map[string]string
}

// node draws a node once; key is unique over all kinds.
func (d *drawing) node(key, shape, label string) {
	id := fmt.Sprintf("n%d", len(d.ids)+1)
	d.ids[key] = id
	d.b.WriteString(d.style.node(id, shape, label))
}

func (d *drawing) edge(a, b, label string, dashed bool) {
	if d.ids[a] != "" && d.ids[b] != "" {
		d.b.WriteString(d.style.edge(d.ids[a], d.ids[b], label, dashed))
	}
}

func (d *drawing) fabric(spec *topology.Spec) {
	f := &spec.Fabric
	for _, s := range f.Switches {
		d.node("node "+s.Name, "switch", s.Name+remote(s.Remote))
		d.taps(s.Name, s.TAPs)
	}
	for _, r := range f.Routers {
		d.node("node "+r.Name, "router", r.Name+remote(r.Remote))
	}
	for _, h := range f.Hosts {
		label := h.Name
		if h.Engine != "" {
			label += "\nengine: " + h.Engine
		}
		if h.Kernel {
			label += "\na namespace of the kernel"
		}
		shape := "host"
		if len(h.Frontends) > 0 {
			shape = "balancer"
			label += frontends(h.Frontends)
		}
		d.node("node "+h.Name, shape, label+remote(h.Remote))
		d.taps(h.Name, h.TAPs)
	}
	for _, h := range f.Hosts {
		d.backends(h)
	}
	for _, c := range f.Cables() {
		d.edge("node "+c.A.Node, "node "+c.B.Node, cableLabel(c), c.Forward.Down && c.Reverse.Down)
	}
	d.internet(f)
}

// frontends are lines that say on which ports a balancer listens.
func frontends(all []topology.Frontend) string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "\n%s %s %s", f.Address(), f.Mode, f.Balance)
	}
	return b.String()
}

// backends draws where the ports of a balancer lead to, once for each node.
func (d *drawing) backends(h topology.Host) {
	ports := map[string][]string{}
	var order []string
	for _, f := range h.Frontends {
		for _, b := range f.Backends {
			if b.Node == "" {
				continue
			}
			if ports[b.Node] == nil {
				order = append(order, b.Node)
			}
			ports[b.Node] = append(ports[b.Node], fmt.Sprintf("%s to :%d", f.Address(), b.Addr.Port()))
		}
	}
	for _, node := range order {
		d.edge("node "+h.Name, "node "+node, strings.Join(ports[node], ", "), true)
	}
}

// internet draws what is beyond the lab, at the switches where the way out is.
func (d *drawing) internet(f *topology.Fabric) {
	if f.Internet == nil {
		return
	}
	label := "internet"
	for _, s := range f.Internet.Names {
		label += "\n" + s.Name
		if s.Delay > 0 {
			label += " " + s.Delay.String()
		}
	}
	d.node("internet", "network", label)
	for _, g := range f.Internet.Gateway {
		d.edge("internet", "node "+g.To, g.Addr.String(), true)
	}
	if len(f.Internet.Gateway) > 0 {
		return
	}
	drawn := map[string]bool{}
	for _, s := range f.Switches {
		drawn[s.Name] = true
	}
	for _, h := range f.Hosts {
		for _, a := range h.Links {
			if drawn[a.To] && a.Addr.IsValid() {
				drawn[a.To] = false // once
				d.edge("internet", "node "+a.To, "", true)
			}
		}
	}
}

// taps draws the devices of the kernel that are plugged into a node.
func (d *drawing) taps(node string, all []topology.TAP) {
	for i, t := range all {
		label := cmp.Or(t.Name, "tap")
		if t.Netns != "" {
			label += "\nnetns " + t.Netns
		}
		if t.Address.IsValid() {
			label += "\n" + t.Address.String()
		}
		key := fmt.Sprintf("tap %s %d", node, i)
		d.node(key, "tap", label+"\nthe machine's kernel")
		host := ""
		if t.HostAddress.IsValid() {
			host = t.HostAddress.String()
		}
		d.edge("node "+node, key, host, false)
	}
}

// remote is a line that says which process runs a node; empty if it is this one.
func remote(at netip.AddrPort) string {
	if !at.IsValid() {
		return ""
	}
	return "\nremote: " + at.String()
}

func cableLabel(c topology.Cable) string {
	var parts []string
	for _, e := range []topology.End{c.A, c.B} {
		if e.Addr.IsValid() {
			parts = append(parts, e.Addr.String())
		}
	}
	if c.Forward.Delay > 0 {
		parts = append(parts, c.Forward.Delay.String())
	}
	if c.Forward.Loss > 0 {
		parts = append(parts, fmt.Sprintf("loss %g%%", c.Forward.Loss*100))
	}
	if c.Forward.Down && c.Reverse.Down {
		parts = append(parts, "down")
	}
	return strings.Join(parts, " - ")
}

func (d *drawing) docker(spec *topology.Spec) {
	for _, n := range spec.Networks {
		label := fmt.Sprintf("%s\n%s", n.Name, n.Driver)
		if n.Subnet.IsValid() {
			label += " " + n.Subnet.String()
		}
		d.node("network "+n.Name, "network", label)
	}
	for _, s := range spec.Services {
		label := fmt.Sprintf("%s\n%s x%d", s.Name, s.Image, s.Replicas)
		if s.Mode == topology.ModeGlobal {
			label = fmt.Sprintf("%s\n%s on every node", s.Name, s.Image)
		}
		d.node("service "+s.Name, "guest", label+ports(s.Ports))
		for _, n := range s.Networks {
			d.edge("service "+s.Name, "network "+n.Name, "", false)
		}
	}
	for _, c := range spec.Containers {
		key := "container " + c.Host.Name + "/" + c.Name
		d.node(key, "guest", fmt.Sprintf("%s\n%s", c.Name, c.Image)+ports(c.Ports))
		d.edge("node "+c.Host.Name, key, "", true)
		for _, e := range c.Networks {
			d.edge(key, "network "+e.Network, "", false)
		}
	}
}

func ports(all []topology.Port) string {
	var b strings.Builder
	for _, p := range all {
		fmt.Fprintf(&b, "\n%d -> %d/%s", p.Published, p.Target, p.Protocol)
	}
	return b.String()
}

type mermaid struct{}

func (mermaid) open(title string) string { return "---\ntitle: " + title + "\n---\nflowchart TB\n" }
func (mermaid) close() string            { return "" }

func (mermaid) node(id, shape, label string) string {
	brackets := map[string][2]string{"switch": {"[[", "]]"}, "router": {"{{", "}}"}, "network": {"([", "])"}, "guest": {"(", ")"}, "balancer": {"[\\", "/]"}, "tap": {"[/", "/]"}}
	b, ok := brackets[shape]
	if !ok {
		b = [2]string{"[", "]"}
	}
	return fmt.Sprintf("  %s%s\"%s\"%s\n", id, b[0], mermaidText(label), b[1])
}

func (mermaid) edge(a, b, label string, dashed bool) string {
	line := "---"
	if dashed {
		line = "-.-"
	}
	if label != "" {
		line += "|\"" + mermaidText(label) + "\"|"
	}
	return fmt.Sprintf("  %s %s %s\n", a, line, b)
}

func mermaidText(s string) string {
	return strings.NewReplacer("\n", "<br/>", `"`, "#quot;", "<", "&lt;", ">", "&gt;").Replace(s)
}

type dot struct{}

func (dot) open(title string) string {
	return fmt.Sprintf("graph %s {\n  node [fontname=\"sans-serif\"];\n", dotText(title))
}
func (dot) close() string { return "}\n" }

func (dot) node(id, shape, label string) string {
	shapes := map[string]string{"switch": "box3d", "router": "hexagon", "host": "box", "network": "ellipse", "guest": "component", "balancer": "invtrapezium", "tap": "cds"}
	return fmt.Sprintf("  %s [shape=%s, label=%s];\n", id, shapes[shape], dotText(label))
}

func (dot) edge(a, b, label string, dashed bool) string {
	var attrs []string
	if label != "" {
		attrs = append(attrs, "label="+dotText(label))
	}
	if dashed {
		attrs = append(attrs, "style=dashed")
	}
	if len(attrs) == 0 {
		return fmt.Sprintf("  %s -- %s;\n", a, b)
	}
	return fmt.Sprintf("  %s -- %s [%s];\n", a, b, strings.Join(attrs, ", "))
}

func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

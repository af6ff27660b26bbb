package topology

import (
	"net/netip"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// TAP is a device of the machine's kernel that is plugged into a switch or host.
type TAP struct {
	Pos         Pos
	Name        string       // of the device; empty: the kernel's next, tap0 and so on
	Netns       string       // network namespace of the device, by ip netns's name or as a path; empty: netsim's own
	Address     netip.Prefix // of the kernel's end; zero: none
	HostAddress netip.Prefix // of the host's end; zero on a switch

	addressPos, hostPos Pos
}

// NeedRoot is the Need of a lab that makes devices and namespaces of the kernel.
const NeedRoot = "root"

// Need is something of the machine that a lab cannot be without: NeedRoot, or a
// command's name.
type Need struct {
	Pos  Pos
	What string
}

// deviceForm is what names of devices look like here; the kernel takes a few more.
var deviceForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$`)

// ownNames are the interfaces that a host has or may get by itself.
var ownNames = regexp.MustCompile(`^(lo|eth[0-9]+|docker0|docker_gwbridge|br-.*|veth.*|vxlan.*|vx-.*)$`)

// taps reads one TAP device or a list of them; host tells that they are a host's.
func (r *reader) taps(to *[]TAP, host bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.oneOrMore(n, "tap") {
			t := TAP{Pos: r.pos(c)}
			f := fields{
				"name":    func(n *yaml.Node) { r.device(n, &t.Name) },
				"netns":   r.netns(&t.Netns),
				"address": func(n *yaml.Node) { t.addressPos, t.Address = r.pos(n), r.interfaceAddr(n, "address") },
			}
			if host {
				f["host_address"] = func(n *yaml.Node) { t.hostPos, t.HostAddress = r.pos(n), r.interfaceAddr(n, "host_address") }
				r.object(c, "the tap of a host", f, "host_address: 10.9.0.1/24")
			} else {
				r.object(c, "the tap of a switch", f)
			}
			*to = append(*to, t)
		}
	}
}

func (r *reader) device(n *yaml.Node, to *string) {
	s, ok := r.scalar(n, "name")
	switch {
	case !ok:
	case !deviceForm.MatchString(s):
		r.fail(n, "%q cannot name a device: use up to 15 letters, digits, \"_\", \".\" and \"-\", starting with a letter or digit", clip(s))
	default:
		*to = s
	}
}

func (r *reader) netns(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "netns")
		if ok && (s == "" || strings.ContainsRune(s, 0)) {
			r.fail(n, "netns must be a name as ip netns lists it, or the path of a namespace such as /proc/1234/ns/net")
			return
		}
		*to = s
	}
}

// needs reads one or a list of: root, or a command's name.
func (r *reader) needs(to *[]Need) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.oneOrMore(n, "needs") {
			s, ok := r.scalar(c, "needs")
			if ok && !nameForm.MatchString(s) {
				r.fail(c, "needs cannot be %q: write root, or the name of a command of the machine such as ping", clip(s))
			} else if ok {
				*to = append(*to, Need{r.pos(c), s})
			}
		}
	}
}

// checkTAPs checks the devices of switches and hosts, and the hosts of the kernel.
func (c *checker) checkTAPs() {
	seen := map[[2]string]Pos{}
	for i := range c.spec.Fabric.Switches {
		c.checkTAPNames(c.spec.Fabric.Switches[i].TAPs, seen)
	}
	for i := range c.spec.Fabric.Hosts {
		h := &c.spec.Fabric.Hosts[i]
		c.checkTAPNames(h.TAPs, seen)
		c.checkHostTAPs(h)
		if h.Kernel {
			c.checkKernelHost(h)
		}
	}
}

// checkTAPNames reports two devices of one name in one namespace.
func (c *checker) checkTAPNames(all []TAP, seen map[[2]string]Pos) {
	for _, t := range all {
		at := [2]string{t.Netns, t.Name}
		if first, twice := seen[at]; twice && t.Name != "" {
			c.failAt(t.Pos, "a tap is called %q already, at %s", t.Name, first)
			continue
		}
		seen[at] = t.Pos
	}
}

func (c *checker) checkHostTAPs(h *Host) {
	for _, t := range h.TAPs {
		a, b := t.HostAddress, t.Address
		switch {
		case ownNames.MatchString(t.Name):
			c.failAt(t.Pos, "the tap of host %q cannot be called %q, as interfaces of its own are; try tap0", h.Name, t.Name)
		case !a.IsValid() || !b.IsValid():
		case a.Masked() != b.Masked():
			c.failAt(t.addressPos, "the ends of this tap are in different subnets: %s here, %s of the host", b, a)
		case a.Addr() == b.Addr():
			c.failAt(t.addressPos, "both ends of this tap have the address %s", a.Addr())
		}
	}
}

// checkKernelHost reports what a host of the kernel cannot have.
func (c *checker) checkKernelHost(h *Host) {
	bad := func(what, why string) {
		c.failAt(h.Pos, "host %q is one of the kernel and cannot have %s: %s", h.Name, what, why)
	}
	if h.Engine != "" {
		bad("an engine", "engines run on simulated hosts")
	}
	if len(h.TAPs) > 0 {
		bad("a tap", "its links are taps already")
	}
	if len(h.DNS) > 0 || len(h.ExtraHosts) > 0 {
		bad("dns or extra_hosts", "its commands read the machine's own files; write addresses")
	}
}

// kernelHost tells whether a step's node is a host of the kernel.
func (c *checker) kernelHost(n *Node) bool {
	h := c.hosts[n.Host]
	return h != nil && h.Kernel && n.Container == "" && n.Service == ""
}

// checkKernelStep reports what cannot be looked at on a host of the kernel: only commands run there.
func (c *checker) checkKernelStep(s *Step) {
	e := &s.Expect
	if c.kernelHost(&s.On) && len(e.Reachable)+len(e.Refused)+len(e.Timeout)+len(e.DNS)+len(e.LBSpread) > 0 {
		c.failAt(e.Pos, "host %q is one of the kernel, from where nothing but commands is run: use ping or curl and what they print", s.On.Host)
	}
	for _, seen := range e.SourceSeen {
		if seen.At != nil && c.kernelHost(seen.At) {
			c.failAt(seen.Pos, "source_seen: host %q is one of the kernel, where nobody looks; name a simulated node", seen.At.Host)
		}
	}
}

package lab

import (
	"strings"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

// System returns the node as its command line sees it.
func (n *Node) System() *shell.System {
	if n.container != nil {
		return n.container.System()
	}
	return n.machine.system(n.lab)
}

// system returns a machine's command line, the same at each call: it keeps the files that commands write.
func (m *machine) system(l *Lab) *shell.System {
	m.once.Do(func() {
		m.sys = &shell.System{
			NS: m.ns, Hostname: m.name, Flavour: shell.Host, Files: func(path string) ([]byte, bool) { return l.hostFile(m, path) }, Switch: m.sw,
			Paths:      func() []string { return l.hostPaths(m) },
			Sandboxes:  func() map[string]*netns.Namespace { return l.sandboxes(m.name) },
			Namespaces: &m.named, ProcessNS: func(pid int) (*netns.Namespace, bool) { return l.processNS(m, pid) },
			Processes: func() []shell.Process { return l.processes(m.name) },
			Signal:    func(pid, sig int) error { return l.signal(m.name, pid, sig) },
			Extra:     l.hostTools(m),
		}
	})
	return m.sys
}

// sandboxes returns the namespaces on a host under the names that they have below /var/run/docker/netns.
func (l *Lab) sandboxes(host string) map[string]*netns.Namespace {
	all := map[string]*netns.Namespace{}
	eng := l.engine(host)
	if eng == nil {
		return all
	}
	for _, s := range eng.Controller().Sandboxes() {
		all[sandboxName(s)] = s.NS()
	}
	for _, n := range eng.Controller().Networks() {
		if ns := n.Sandbox(); ns != nil {
			name := ns.Name()
			all[name[strings.LastIndexByte(name, '/')+1:]] = ns
		}
	}
	return all
}

// sandboxName is the name of a sandbox's namespace file: the start of its id, or that of the routing mesh (R1), or of a network's
// balancer (S9).
func sandboxName(s *cnm.Sandbox) string {
	if s.Name() == "ingress-sbox" {
		return "ingress_sbox"
	}
	for _, ep := range s.Endpoints() {
		if ep.Balances() {
			return "lb_" + ep.Network().ID()[:9]
		}
	}
	return s.ID()[:12]
}

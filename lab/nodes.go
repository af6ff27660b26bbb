package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// NodeKind is what a Node is.
type NodeKind string

// The kinds of nodes.
const (
	KindHost       NodeKind = "host"
	KindKernelHost NodeKind = "kernel host" // a network namespace of the machine's kernel
	KindRouter     NodeKind = "router"
	KindBalancer   NodeKind = "balancer"
	KindSwitch     NodeKind = "switch"
	KindNameServer NodeKind = "name server"
	KindInternet   NodeKind = "internet"
	KindContainer  NodeKind = "container"
	KindTask       NodeKind = "task"
)

// Node is a place in a running lab where commands run and sockets are: a host, a router, a container. It stays valid
// until what it stands for ends.
type Node struct {
	lab       *Lab
	name      string
	kind      NodeKind
	host      string
	ns        *netns.Namespace
	machine   *machine          // nil: it is a container
	container *engine.Container // nil: it is none
}

// Name returns the node's name, as Lookup takes it.
func (n *Node) Name() string { return n.name }

// Kind returns what the node is.
func (n *Node) Kind() NodeKind { return n.kind }

// Host returns the name of the machine that the node is, or is on.
func (n *Node) Host() string { return n.host }

// NS returns the node's namespace.
func (n *Node) NS() *netns.Namespace { return n.ns }

// Container returns the container that the node is; nil: it is none.
func (n *Node) Container() *engine.Container { return n.container }

// Nodes returns all nodes: the machines in the order of the topology, each followed by the containers that run on it.
func (l *Lab) Nodes() []*Node {
	tasks := l.taskNames()
	var all []*Node
	for _, m := range l.phys.order {
		all = append(all, l.machineNode(m))
		eng := l.engine(m.name)
		if eng == nil {
			continue
		}
		for _, c := range eng.Containers() {
			if n := l.containerNode(m.name, c, tasks); n != nil {
				all = append(all, n)
			}
		}
	}
	return all
}

func (l *Lab) machineNode(m *machine) *Node {
	n := &Node{lab: l, name: m.name, kind: m.kind, host: m.name, ns: m.ns, machine: m}
	switch {
	case m.kernel != nil:
		n.kind = KindKernelHost
	case m.host != nil && len(m.host.Frontends) > 0:
		n.kind = KindBalancer
	case m.host != nil:
		n.kind = KindHost
	case m.router != nil:
		n.kind = KindRouter
	}
	return n
}

// containerNode returns a container as a node; nil if it does not run.
func (l *Lab) containerNode(host string, c *engine.Container, tasks map[string]string) *Node {
	ns := c.NS()
	if ns == nil {
		return nil
	}
	n := &Node{lab: l, name: host + "/" + c.Name(), kind: KindContainer, host: host, ns: ns, container: c}
	if task := tasks[c.Name()]; task != "" {
		n.name, n.kind = task, KindTask
	}
	return n
}

// taskNames returns SERVICE.SLOT by the name of the container of each running task, of two in one slot the newer. The tasks of a
// global service are numbered in the order of the topology's nodes.
func (l *Lab) taskNames() map[string]string {
	names := map[string]string{}
	newest := map[string]*engine.Container{} // by what it is to be called
	global := map[string][]*engine.Container{}
	for _, host := range l.nodeOrder() {
		for _, c := range l.engine(host).Containers() {
			service, slot, ok := taskSlot(c)
			if !ok || c.State() != engine.Running {
				continue
			}
			if _, err := strconv.Atoi(slot); err != nil || slot == c.Config().Labels[nodeLabel] {
				global[service] = append(global[service], c)
				continue
			}
			name := service + "." + slot
			if old := newest[name]; old == nil || c.Created().After(old.Created()) {
				newest[name] = c
			}
		}
	}
	for name, c := range newest {
		names[c.Name()] = name
	}
	for service, tasks := range global {
		for i, c := range tasks {
			names[c.Name()] = fmt.Sprintf("%s.%d", service, i+1)
		}
	}
	return names
}

// nodeOrder returns the hosts with engines, those of the topology's swarm first, in its order.
func (l *Lab) nodeOrder() []string {
	var all []string
	for _, ref := range l.swarmMembers() {
		if l.engine(ref.Name) != nil {
			all = append(all, ref.Name)
		}
	}
	for _, host := range l.engineHosts() {
		if !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	return all
}

// ErrNoNode is what errors about a node that is not there wrap.
var ErrNoNode = errors.New("no such node")

// Lookup returns the node of that name: a host, a router, a switch (where brctl and bridge show what it does) or "dns", HOST/CONTAINER, SERVICE.SLOT, HOST/SERVICE.SLOT, or a
// container's bare name where one host has it. In place of a container's name the beginning of its id does, too. The
// error wraps ErrNoNode and names the node that was most likely meant, or says that several fit.
func (l *Lab) Lookup(name string) (*Node, error) {
	if m := l.phys.consoles[name]; m != nil {
		return &Node{lab: l, name: name, kind: KindSwitch, host: name, ns: m.ns, machine: m}, nil
	}
	all := l.Nodes()
	host, guest, split := strings.Cut(name, "/")
	if !split {
		host, guest = "", name
	}
	if m := l.phys.machines[host]; split && !l.phys.away[host].IsValid() && (m == nil || l.engine(host) == nil) {
		return nil, fmt.Errorf("%w: %q: there is no host %q with an engine%s", ErrNoNode, name, host, near(host, l.engineHosts()))
	}
	exact, prefix := matches(all, host, guest)
	found := exact
	if len(found) == 0 {
		found = prefix
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("node %q may be %s: say which", name, strings.Join(fullNames(found), " or "))
	}
	return nil, fmt.Errorf("%w: %q%s", ErrNoNode, name, l.unknown(name, all))
}

// matches returns the nodes that a name fits, and those whose id begins so. An empty host is any.
func matches(all []*Node, host, guest string) (exact, prefix []*Node) {
	for _, n := range all {
		switch {
		case host == "" && n.name == guest:
			return []*Node{n}, nil // a full name is never ambiguous
		case n.container == nil || host != "" && n.host != host:
		case n.name == guest || n.container.Name() == guest:
			exact = append(exact, n)
		case len(guest) >= 4 && strings.HasPrefix(n.container.ID(), guest):
			prefix = append(prefix, n)
		}
	}
	return exact, prefix
}

func fullNames(nodes []*Node) []string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.FullName())
	}
	return names
}

// FullName returns the name with the host: host-a/web1, host-b/dog-web.1.
func (n *Node) FullName() string {
	if n.kind == KindTask {
		return n.host + "/" + n.name
	}
	return n.name
}

func (l *Lab) engineHosts() []string {
	var names []string
	for _, m := range l.phys.order {
		if l.engine(m.name) != nil {
			names = append(names, m.name)
		}
	}
	return names
}

// unknown ends the message about a name that fits nothing.
func (l *Lab) unknown(name string, all []*Node) string {
	machine, _, _ := strings.Cut(name, "/")
	if text := l.phys.elsewhere(machine); text != "" {
		return text
	}
	var known []string
	for _, n := range all {
		known = append(known, n.name)
		if n.container != nil {
			known = append(known, n.FullName(), n.host+"/"+n.container.Name(), n.container.Name())
		}
	}
	if text := l.idle(name); text != "" {
		return text
	}
	for _, s := range l.spec.Services {
		if s.Name == name {
			return fmt.Sprintf(" is a service; name one of its tasks, such as %s.1", name)
		}
	}
	if text := near(name, known); text != "" {
		return text
	}
	var names []string
	for _, n := range all {
		names = append(names, n.name)
	}
	return "; there are " + strings.Join(names, ", ")
}

// idle says of a container that it does not run; empty if it is none.
func (l *Lab) idle(name string) string {
	host, guest, split := strings.Cut(name, "/")
	if !split {
		host, guest = "", name
	}
	for _, h := range l.engineHosts() {
		if host != "" && host != h {
			continue
		}
		switch c, err := l.engine(h).Container(guest); {
		case err != nil:
		case c.State() == engine.Exited:
			return fmt.Sprintf(" is a container of %s that has exited with status %d", h, c.ExitCode())
		case c.State() == engine.Created:
			return fmt.Sprintf(" is a container of %s that does not run", h)
		}
	}
	return ""
}

// node returns the node that a step names.
func (l *Lab) node(n topology.Node) (*Node, error) {
	name := n.Text
	if n.Service != "" {
		name = n.Service + "." + strconv.Itoa(n.Slot)
	}
	if eng := l.engine(n.Host); n.Container != "" && eng != nil {
		if _, err := eng.Container(n.Container); err != nil {
			return nil, fmt.Errorf("%w: host %s has no container %q: it was not made, or it is removed", ErrNoNode, n.Host, n.Container)
		}
	}
	found, err := l.Lookup(name)
	if err == nil && n.Service != "" && n.Host != "" && found.host != n.Host {
		return nil, fmt.Errorf("task %s runs on %s, not on %s", name, found.host, n.Host)
	}
	return found, err
}

// MustNode is Lookup for Go code that knows its topology; it panics if there is no such node.
func (l *Lab) MustNode(name string) *Node {
	n, err := l.Lookup(name)
	if err != nil {
		panic(err)
	}
	return n
}

// Exec runs one command in the node, without a shell, and returns its exit status. It ends with ctx and with the lab.
// That the command fails is no error; that there is no such command is, with status 127.
func (n *Node) Exec(ctx context.Context, argv []string, stdio shell.Stdio) (exit int, err error) {
	if n.container != nil {
		return n.container.Exec(ctx, argv, stdio)
	}
	ctx, cancel := n.lab.within(ctx)
	defer cancel()
	if k := n.kernel(); k != nil {
		return k.run(ctx, argv, stdio)
	}
	return shell.RunArgs(ctx, n.System(), argv, stdio)
}

// Run runs a line, or several, of POSIX shell in the node and returns its exit status; see Exec.
func (n *Node) Run(ctx context.Context, line string, stdio shell.Stdio) (exit int, err error) {
	if n.container != nil {
		return n.container.Run(ctx, line, stdio)
	}
	ctx, cancel := n.lab.within(ctx)
	defer cancel()
	if k := n.kernel(); k != nil {
		return k.run(ctx, []string{"/bin/sh", "-c", line}, stdio)
	}
	return shell.Run(ctx, n.System(), line, stdio)
}

// Shell is an interactive shell in the node; see shell.Interact.
func (n *Node) Shell(ctx context.Context, stdio shell.Stdio) (exit int, err error) {
	if n.container != nil {
		return n.container.Shell(ctx, stdio)
	}
	if k := n.kernel(); k != nil {
		return 1, k.shell()
	}
	ctx, cancel := n.lab.within(ctx)
	defer cancel()
	return shell.Interact(ctx, n.System(), stdio)
}

// within returns a context that ends with the lab, too.
func (l *Lab) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	g := l.running()
	if g == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(g.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Dial connects to an address from the node: network is tcp or udp, address HOST:PORT, where HOST may be a name that the
// node can resolve.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.ns.Dial(ctx, network, address)
}

// Listen opens a TCP listener in the node, at [ADDRESS]:PORT. Close it, or it is closed with the node.
func (n *Node) Listen(network, address string) (net.Listener, error) {
	return n.ns.Listen(network, address)
}

// ListenPacket opens a UDP socket in the node, at [ADDRESS]:PORT. Close it, or it is closed with the node.
func (n *Node) ListenPacket(network, address string) (net.PacketConn, error) {
	return n.ns.ListenPacket(network, address)
}

// Ping sends one echo request to an address or name and returns the round-trip time. An ICMP error, no answer before ctx
// ends, and a name that is not found are errors.
func (n *Node) Ping(ctx context.Context, host string) (time.Duration, error) {
	addr, err := n.resolve(ctx, host)
	if err != nil {
		return 0, err
	}
	return n.ns.Ping(ctx, addr)
}

// resolve returns the first IPv4 address of a host.
func (n *Node) resolve(ctx context.Context, host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, nil
	}
	addrs, err := n.ns.LookupHost(ctx, host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("lookup %s in %s: it has no IPv4 address", host, n.name)
}

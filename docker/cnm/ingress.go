package cnm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/netsim-lab/netsim/netns"
)

// ingressSandbox is what the sandbox of the routing mesh is called (R1, O12).
const ingressSandbox = "ingress-sbox"

// ingress is this host's entry into the routing mesh: a sandbox on the network ingress and on docker_gwbridge to which the
// host sends what comes to published ports.
type ingress struct {
	c       *Controller
	network *Network
	sandbox *Sandbox
	running *task

	mu     sync.Mutex
	ready  bool            // the chains are there, guarded by mu
	gate   *Endpoint       // of the sandbox on docker_gwbridge, guarded by mu
	opened []publishedPort // guarded by mu
}

// publishedPort is a port that the host answers.
type publishedPort struct {
	PortConfig
	users  int // pools of backends with that port
	rules  []rule
	holder io.Closer // the socket that keeps others from the port (R4); nil: somebody has it
}

// find returns which of the opened ports is p, whatever it leads to; -1: none.
func (in *ingress) find(p PortConfig) int {
	return slices.IndexFunc(in.opened, func(o publishedPort) bool { return o.Proto == p.Proto && o.Published == p.Published })
}

// JoinIngress makes the host an entry of the routing mesh: the network ingress, whose configuration and address the swarm
// gives, and the sandbox ingress-sbox on it. The host must have joined the cluster.
func (c *Controller) JoinIngress(ctx context.Context, cfg NetworkConfig, addr netip.Addr) error {
	drv, ok := c.driver(DriverOverlay)
	d, isOverlay := drv.(*overlayDriver)
	if !ok || !isOverlay {
		return c.errNoSwarm()
	}
	n, err := c.CreateNetwork(cfg)
	if err != nil {
		return err
	}
	ns := netns.New(netns.Config{Name: c.cfg.Name + "/" + ingressSandbox, Forward: true, Seed: c.cfg.Seed, Log: c.cfg.Log,
		ExpireNoDest: c.cfg.Modern}) // L21
	sb, err := c.NewSandbox(SandboxConfig{ID: ingressSandbox, Name: ingressSandbox, NS: ns})
	if err != nil {
		return errors.Join(err, ns.Close(), c.RemoveNetwork(n.id))
	}
	in := &ingress{c: c, network: n, sandbox: sb, running: c.start(ns.Name(), ns.Run)}
	if !d.mesh.CompareAndSwap(nil, in) {
		err = fail(ErrConflict, "%s takes part in the routing mesh already", c.cfg.Name)
	} else if err = sb.Join(ctx, []EndpointConfig{{Network: n.id, IP: addr}}); err != nil {
		d.mesh.Store(nil)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("join the routing mesh: %w", err), sb.Delete())
		in.running.stop()
		return errors.Join(err, c.RemoveNetwork(n.id))
	}
	return nil
}

// LeaveIngress undoes JoinIngress; the tasks that publish ports must have left.
func (c *Controller) LeaveIngress() error {
	drv, _ := c.driver(DriverOverlay)
	d, ok := drv.(*overlayDriver)
	if !ok {
		return c.errNoSwarm()
	}
	in := d.mesh.Load()
	if in == nil {
		return fail(ErrNotFound, "%s does not take part in the routing mesh", c.cfg.Name)
	}
	err := in.sandbox.Delete()
	d.mesh.Store(nil)
	in.running.stop()
	return errors.Join(err, in.removeChains(), c.RemoveNetwork(in.network.id))
}

// Ingress returns the sandbox of the routing mesh; nil if the host takes no part in it.
func (c *Controller) Ingress() *Sandbox {
	drv, _ := c.driver(DriverOverlay)
	if d, ok := drv.(*overlayDriver); ok {
		if in := d.mesh.Load(); in != nil {
			return in.sandbox
		}
	}
	return nil
}

// open has the host answer published ports (R2, R3, R4).
func (in *ingress) open(ports []PortConfig) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	gw, ok := in.sandbox.Endpoint(NetworkGateway)
	if !ok {
		return fmt.Errorf("open published ports of %s: %s is not on %s", in.c.cfg.Name, ingressSandbox, NetworkGateway)
	}
	if err := in.addChains(gw); err != nil {
		return err
	}
	var errs []error
	for _, p := range ports {
		if i := in.find(p); i >= 0 {
			in.opened[i].users++
			continue
		}
		opened := publishedPort{PortConfig: p, users: 1, rules: portRules(p, gw.IP())}
		if err := addRules(in.c.cfg.Host.Netfilter(), opened.rules); err != nil {
			errs = append(errs, err)
			continue
		}
		var err error
		if opened.holder, err = in.hold(p); err != nil {
			in.c.log.Warn("published port is in use on the host", "host", in.c.cfg.Name, "port", p.Published, "proto", p.Proto, "err", err)
		}
		in.opened = append(in.opened, opened)
	}
	return errors.Join(errs...)
}

// hold takes the port on the host, so that no other process does.
func (in *ingress) hold(p PortConfig) (io.Closer, error) {
	address := netip.AddrPortFrom(netip.IPv4Unspecified(), p.Published).String()
	if p.Proto == "udp" {
		return closer(in.c.cfg.Host.ListenPacket("udp", address))
	}
	return closer(in.c.cfg.Host.Listen("tcp", address))
}

// closer keeps what was opened from being a nil in an interface.
func closer[T io.Closer](c T, err error) (io.Closer, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// close undoes open.
func (in *ingress) close(ports []PortConfig) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	var errs []error
	for _, p := range ports {
		i := in.find(p)
		if i < 0 {
			continue
		}
		if in.opened[i].users--; in.opened[i].users > 0 {
			continue
		}
		o := in.opened[i]
		in.opened = slices.Delete(in.opened, i, i+1)
		errs = append(errs, deleteRules(in.c.cfg.Host.Netfilter(), o.rules))
		if o.holder == nil {
			continue
		}
		if err := o.holder.Close(); !errors.Is(err, net.ErrClosed) { // the host may have ended before
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// portRules are the rules of one published port on the host (R3).
func portRules(p PortConfig, sandbox netip.Addr) []rule {
	return []rule{
		{table: "nat", chain: chainIngress, insert: true,
			spec: fmt.Sprintf("-p %s --dport %d -j DNAT --to-destination %s:%d", p.Proto, p.Published, sandbox, p.Published)},
		{table: "filter", chain: chainIngress, insert: true,
			spec: fmt.Sprintf("-p %s --sport %d -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", p.Proto, p.Published)},
		{table: "filter", chain: chainIngress, insert: true, spec: fmt.Sprintf("-p %s --dport %d -j ACCEPT", p.Proto, p.Published)},
	}
}

// meshChains are the chains of the host, and what leads into them. The last rule has what containers on this host send
// to its published ports come back through it: the kernel needs none for that, as bridged packets pass its conntrack.
func meshChains(gw *Endpoint) []chainRules {
	jump := "-m addrtype --dst-type LOCAL -j " + chainIngress
	return []chainRules{
		{"nat", chainIngress, []rule{
			{table: "nat", chain: chainIngress, spec: "-j RETURN"},
			{table: "nat", chain: "PREROUTING", spec: jump, insert: true},
			{table: "nat", chain: "OUTPUT", spec: jump, insert: true},
			{table: "nat", chain: "POSTROUTING", insert: true, spec: fmt.Sprintf("-o %s -m addrtype --src-type LOCAL -j MASQUERADE", NetworkGateway)},
			{table: "nat", chain: "POSTROUTING", spec: fmt.Sprintf("-s %s -d %s -o %s -j MASQUERADE", gw.network.subnet, gw.IP(), NetworkGateway)},
		}},
		{"filter", chainIngress, []rule{
			{table: "filter", chain: chainIngress, spec: "-j RETURN"},
			{table: "filter", chain: gw.network.c.forwardChain(), spec: "-j " + chainIngress, insert: true},
		}},
	}
}

// addChains makes the chains before the first port. The caller holds mu.
func (in *ingress) addChains(gw *Endpoint) error {
	if in.ready {
		return nil
	}
	nf := in.c.cfg.Host.Netfilter()
	for _, c := range meshChains(gw) {
		if err := c.add(nf); err != nil {
			return err
		}
	}
	if br, ok := in.c.cfg.Host.Interface(NetworkGateway); ok {
		br.SetRouteLocalnet(true) // R13
	}
	in.ready, in.gate = true, gw
	return nil
}

// removeChains undoes addChains.
func (in *ingress) removeChains() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.ready {
		return nil
	}
	in.ready = false
	var errs []error
	for _, c := range meshChains(in.gate) {
		errs = append(errs, c.remove(in.c.cfg.Host.Netfilter()))
	}
	return errors.Join(errs...)
}

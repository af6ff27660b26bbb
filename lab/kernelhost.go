package lab

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/kernel"
	"github.com/netsim-lab/netsim/lab/topology"
)

// kernelHost is a host that is no simulated one but a network namespace of the machine's kernel, which exists while the lab
// runs. At the end of each of its cables is a TAP device, and its commands are programs of the machine. Its machine has a
// simulated namespace with nothing in it.
type kernelHost struct {
	host  *topology.Host
	ports []kernelPort

	mu sync.Mutex
	ns *kernel.Namespace // guarded by mu; nil: not made yet
}

// kernelPort is an interface of a kernelHost.
type kernelPort struct {
	name string
	addr netip.Prefix
	mtu  int
	end  *fabric.LinkEnd
}

// kernel returns what the node is if it is a host of the kernel; nil if not.
func (n *Node) kernel() *kernelHost {
	if n.machine == nil {
		return nil
	}
	return n.machine.kernel
}

// startKernelHosts makes the namespaces and devices of the hosts of the kernel.
func (l *Lab) startKernelHosts() error {
	for _, m := range l.phys.order {
		if m.kernel == nil {
			continue
		}
		if err := l.startKernelHost(m.kernel); err != nil {
			return fmt.Errorf("%s: start host %s: %w", m.kernel.host.Pos, m.name, err)
		}
	}
	return nil
}

func (l *Lab) startKernelHost(k *kernelHost) error {
	ns, err := kernel.NewNamespace()
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.ns = ns
	k.mu.Unlock()
	l.running().spawn(func(ctx context.Context) error {
		<-ctx.Done()
		return ns.Close()
	})
	for _, p := range k.ports {
		if err := l.startKernelPort(k, ns, p); err != nil {
			return err
		}
	}
	return l.routeKernel(k, ns)
}

// startKernelPort makes the device at the end of a cable.
func (l *Lab) startKernelPort(k *kernelHost, ns *kernel.Namespace, p kernelPort) error {
	c := fabric.TAPConfig{Name: p.name, Place: k.host.Name + "/" + p.name}
	dev, err := l.openDevice(ns, c, kernel.Settings{Up: true, Addr: p.addr, MTU: p.mtu})
	if err != nil {
		return err
	}
	p.end.SetReceiver(fabric.ReceiverFunc(dev.Send))
	dev.SetReceiver(fabric.ReceiverFunc(p.end.Send))
	t := &tap{
		TAPInfo: TAPInfo{Node: k.host.Name, Name: p.name, Netns: ns.Path(), Whole: dev.Whole()},
		dev:     dev, gso: k.host.GSO, detach: func() { p.end.SetReceiver(nil) },
	}
	l.noteTAP(t)
	l.running().spawn(func(ctx context.Context) error {
		if err := l.runTAP(ctx, t); err != nil {
			l.log.Warn("a host of the kernel goes on without an interface", "host", t.Node, "error", err)
		}
		return nil
	})
	return nil
}

func (k *kernelHost) namespace() *kernel.Namespace {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ns
}

// routeKernel gives a host of the kernel its routes, as the simulated ones have them.
func (l *Lab) routeKernel(k *kernelHost, ns *kernel.Namespace) error {
	gateway := k.host.Gateway
	for _, p := range k.ports {
		if via, ok := l.names.exits[p.addr.Masked()]; ok && !gateway.IsValid() {
			gateway = via
		}
	}
	return ns.Do(func() error {
		for _, r := range k.host.Routes {
			if err := kernel.AddRoute(kernel.Route{To: r.To, Via: r.Via, Metric: r.Metric}); err != nil {
				return fmt.Errorf("%s: %w", r.Pos, err)
			}
		}
		if !gateway.IsValid() {
			return nil
		}
		return kernel.AddRoute(kernel.Route{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: []netip.Addr{gateway}})
	})
}

// info returns the interfaces of a host of the kernel.
func (k *kernelHost) info() []InterfaceInfo {
	var all []InterfaceInfo
	for _, p := range k.ports {
		i := InterfaceInfo{Name: p.name, MTU: p.mtu, Up: k.namespace() != nil}
		if p.addr.IsValid() {
			i.Addrs = []string{p.addr.String()}
		}
		all = append(all, i)
	}
	return all
}

// run runs a program of the machine in the namespace.
func (k *kernelHost) run(ctx context.Context, argv []string, stdio shell.Stdio) (exit int, err error) {
	ns := k.namespace()
	if ns == nil {
		return 1, fmt.Errorf("host %s is not up", k.host.Name)
	}
	return ns.Run(ctx, kernel.Command{Args: argv, Stdin: stdio.In, Stdout: stdio.Out, Stderr: stdio.Err})
}

// shell tells how to get a shell: one of the machine's own needs a terminal of the machine's own.
func (k *kernelHost) shell() error {
	ns := k.namespace()
	if ns == nil {
		return fmt.Errorf("host %s is not up", k.host.Name)
	}
	return fmt.Errorf("host %s is one of the kernel; enter it with: sudo nsenter --net=%s", k.host.Name, ns.Path())
}

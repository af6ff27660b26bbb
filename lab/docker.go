package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/swarm"
	"github.com/netsim-lab/netsim/lab/topology"
)

// convergeLimit is how long a lab waits for its services before it is up without them: a topology may ask for what
// cannot be placed.
const convergeLimit = 5 * time.Second

// startDocker starts the engines, then networks, services and containers in the order of the topology, which decides
// their addresses.
func (l *Lab) startDocker(ctx context.Context) error {
	if l.spec.Swarm != nil {
		l.mu.Lock()
		l.cluster = swarm.New(swarm.Config{Seed: derive(l.seed, "swarm"), Modern: l.modern(), Log: l.log})
		l.mu.Unlock()
		l.running().spawn(l.cluster.Run)
	}
	for _, m := range l.phys.order {
		if m.host == nil || m.host.Engine == "" {
			continue
		}
		if err := l.startEngine(m); err != nil {
			return fmt.Errorf("%s: %w", m.host.Pos, err)
		}
	}
	if err := l.startEncryption(); err != nil {
		return err
	}
	if err := l.joinSwarm(ctx); err != nil {
		return err
	}
	for i := range l.spec.Networks {
		if err := l.createNetwork(&l.spec.Networks[i]); err != nil {
			return fmt.Errorf("%s: %w", l.spec.Networks[i].Pos, err)
		}
	}
	if err := l.startServices(ctx); err != nil {
		return err
	}
	for i := range l.spec.Containers {
		if err := l.startContainer(ctx, &l.spec.Containers[i]); err != nil {
			return fmt.Errorf("%s: %w", l.spec.Containers[i].Pos, err)
		}
	}
	return nil
}

func (l *Lab) modern() bool { return l.spec.Compat == topology.CompatModern }

// startEngine makes a host's network controller and engine.
func (l *Lab) startEngine(m *machine) error {
	g := l.running()
	cfg := cnm.Config{
		Name: m.name, Host: m.ns, Spawn: g.spawn, Seed: derive(l.seed, "cnm "+m.name), Modern: l.modern(), Log: l.log,
		Search: m.names.resolv.Search, VTEP: m.addr.Addr(), NoUserlandProxy: m.host.NoUserlandProxy,
	}
	for _, a := range m.names.resolv.Nameservers {
		cfg.Nameservers = append(cfg.Nameservers, netip.AddrPortFrom(a, 53))
	}
	if l.member(m.name) {
		if !m.addr.IsValid() {
			return fmt.Errorf("host %q is in the swarm and has no address on its links", m.name)
		}
		cfg.Directory = l.cluster.Directory(m.name, m.addr.Addr())
	}
	ctl, err := cnm.New(cfg)
	if err != nil {
		return err
	}
	if err := l.addPlugins(ctl); err != nil {
		return err
	}
	eng := engine.New(engine.Config{
		Name: m.name, Controller: ctl, Host: m.ns, Spawn: g.spawn, Seed: derive(l.seed, "engine "+m.name), Log: l.log,
		HostFiles: m.names.file, Watch: l.watchContainer, Services: l.swarmServices(m.name),
		Attach: func(ctx context.Context, container string, ep cnm.EndpointConfig) (cnm.EndpointConfig, func(), error) {
			if n := l.swarmNode(m.name); n != nil {
				return n.exec.Attach(ctx, container, ep)
			}
			return l.attach(ctx, m.name, ep)
		},
	})
	l.mu.Lock()
	l.engines[m.name] = eng
	l.mu.Unlock()
	return l.startNode(m, eng)
}

// member tells whether a host is in the swarm.
func (l *Lab) member(host string) bool {
	if l.spec.Swarm == nil {
		return false
	}
	for _, refs := range [][]topology.Ref{l.spec.Swarm.Managers, l.spec.Swarm.Workers} {
		for _, r := range refs {
			if r.Name == host {
				return true
			}
		}
	}
	return false
}

func (l *Lab) joinSwarm(ctx context.Context) error {
	if l.spec.Swarm == nil {
		return nil
	}
	join := func(refs []topology.Ref, role swarm.Role) error {
		for _, r := range refs {
			m := l.phys.machines[r.Name]
			_, err := l.cluster.AddNode(ctx, swarm.NodeConfig{
				Name: r.Name, Role: role, Addr: m.addr.Addr(), Runner: clusterNode{l.engine(r.Name)},
			})
			if err != nil {
				return fmt.Errorf("%s: %w", r.Pos, err)
			}
		}
		return nil
	}
	if err := join(l.spec.Swarm.Managers, swarm.Manager); err != nil {
		return err
	}
	return join(l.spec.Swarm.Workers, swarm.Worker)
}

// Engine returns the Docker engine of a host; nil if it has none, or none yet.
func (l *Lab) Engine(host string) *engine.Engine { return l.engine(host) }

func (l *Lab) engine(host string) *engine.Engine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.engines[host]
}

// Cluster returns the swarm; nil if the topology has none.
func (l *Lab) Cluster() *swarm.Cluster {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cluster
}

func (l *Lab) createNetwork(n *topology.Network) error {
	if n.Driver == topology.DriverOverlay {
		if l.cluster == nil {
			return fmt.Errorf("network %q is an overlay, and the topology has no swarm", n.Name)
		}
		_, err := l.cluster.CreateNetwork(swarm.NetworkSpec{
			Name: n.Name, Subnet: n.Subnet, Gateway: n.Gateway, IPRange: n.IPRange, Internal: n.Internal,
			Attachable: n.Attachable, Options: settings(n.Options), Labels: settings(n.Labels),
		})
		return err
	}
	options := settings(n.Options)
	if n.Parent != "" {
		options["parent"] = n.Parent
	}
	if n.Mode != "" {
		options[string(n.Driver)+"_mode"] = n.Mode
	}
	for _, h := range n.Hosts {
		_, err := l.engine(h.Name).Controller().CreateNetwork(cnm.NetworkConfig{
			Name: n.Name, Driver: string(n.Driver), Subnet: n.Subnet, Gateway: n.Gateway, IPRange: n.IPRange,
			Internal: n.Internal, Attachable: n.Attachable, Options: options, Labels: settings(n.Labels),
			IPAMDriver: n.IPAM.Driver, IPAMOptions: settings(n.IPAM.Options),
		})
		if err != nil {
			return fmt.Errorf("network %q on host %q: %w", n.Name, h.Name, err)
		}
	}
	return nil
}

func (l *Lab) startServices(ctx context.Context) error {
	for i := range l.spec.Services {
		s := &l.spec.Services[i]
		if l.cluster == nil {
			return fmt.Errorf("%s: service %q needs a swarm, and the topology has none", s.Pos, s.Name)
		}
		if _, err := l.cluster.CreateService(serviceSpec(s)); err != nil {
			return fmt.Errorf("%s: %w", s.Pos, err)
		}
	}
	if l.cluster == nil {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, convergeLimit)
	defer cancel()
	if err := l.cluster.WaitConverged(wait); err != nil && ctx.Err() == nil {
		l.log.Warn("services do not run", "lab", l.spec.Name, "error", err)
	}
	return nil
}

// serviceSpec returns a service as the swarm takes it.
func serviceSpec(s *topology.Service) swarm.ServiceSpec {
	spec := swarm.ServiceSpec{
		Name: s.Name, Labels: settings(s.Labels), Global: s.Mode == topology.ModeGlobal,
		Container: swarm.ContainerSpec{
			Image: s.Image, Command: s.Command, Env: environment(s.Environment), Hostname: s.Hostname,
		},
	}
	if !spec.Global {
		spec.Replicas = &s.Replicas
	}
	if s.EndpointMode == topology.EndpointDNSRR {
		spec.EndpointMode = swarm.DNSRR
	}
	for _, n := range s.Networks {
		spec.Networks = append(spec.Networks, swarm.NetworkTarget{Network: n.Name})
	}
	for _, p := range s.Ports {
		spec.Ports = append(spec.Ports, swarm.PortSpec{
			Proto: p.Protocol, Published: p.Published, Target: p.Target, Host: p.Mode == topology.PublishHost,
		})
	}
	for _, c := range s.Constraints {
		spec.Constraints = append(spec.Constraints, c.String())
	}
	return spec
}

// startContainer does what docker run -d does.
func (l *Lab) startContainer(ctx context.Context, x *topology.Container) error {
	eng := l.engine(x.Host.Name)
	cfg := engine.ContainerConfig{
		Name: x.Name, Image: x.Image, Command: x.Command, Env: environment(x.Environment), Hostname: x.Hostname,
		DNS: x.DNS, Labels: settings(x.Labels),
	}
	for _, h := range x.ExtraHosts {
		cfg.ExtraHosts = append(cfg.ExtraHosts, h.Name+":"+h.Addrs[0].String())
	}
	for _, p := range x.Ports {
		cfg.Ports = append(cfg.Ports, cnm.PortBinding{
			Proto: p.Protocol, HostIP: p.HostIP, HostPort: p.Published, ContainerPort: p.Target,
		})
	}
	for _, e := range x.Networks {
		cfg.Networks = append(cfg.Networks, cnm.EndpointConfig{Network: e.Network, IP: e.IP, Aliases: e.Aliases})
	}
	c, err := eng.Create(cfg)
	if err != nil {
		return fmt.Errorf("container %q on host %q: %w", x.Name, x.Host.Name, err)
	}
	if err := c.Start(ctx); err != nil {
		return fmt.Errorf("container %q on host %q: %w", x.Name, x.Host.Name, err)
	}
	return nil
}

// attach gives a container that is no task its place on a network of the swarm's, if it is one.
func (l *Lab) attach(ctx context.Context, host string, ep cnm.EndpointConfig) (given cnm.EndpointConfig, release func(), err error) {
	cluster := l.Cluster()
	if cluster == nil {
		return ep, nil, nil
	}
	all := cluster.Networks()
	at := slices.IndexFunc(all, func(n swarm.Network) bool { return n.Spec.Name == ep.Network || n.ID == ep.Network })
	switch {
	case at < 0:
		return ep, nil, nil
	case !all[at].Spec.Attachable: // O13
		return ep, nil, engine.Errorf(engine.ErrForbidden, "Could not attach to network %s: rpc error: code = PermissionDenied "+
			"desc = network %s not manually attachable", ep.Network, ep.Network)
	}
	a, err := cluster.Attach(ctx, host, ep.Network, ep.IP)
	if err != nil {
		return ep, nil, err
	}
	ep.Network, ep.IP = a.Network.ID, a.IP.Addr()
	return ep, func() {
		if err := cluster.Detach(context.Background(), host, a); err != nil {
			l.log.Warn("swarm network was not left", "host", host, "network", a.Network.Spec.Name, "error", err)
		}
	}, nil
}

func settings(all []topology.Setting) map[string]string {
	m := make(map[string]string, len(all))
	for _, s := range all {
		m[s.Name] = s.Value
	}
	return m
}

func environment(all []topology.Setting) []string {
	env := make([]string, len(all))
	for i, s := range all {
		env[i] = s.Name + "=" + s.Value
	}
	return env
}

// clusterNode is an engine as the swarm sees it.
type clusterNode struct{ eng *engine.Engine }

// AddNetwork implements swarm.Node.
func (n clusterNode) AddNetwork(ctx context.Context, cfg cnm.NetworkConfig, address netip.Addr) error {
	if cfg.Ingress {
		return n.eng.Controller().JoinIngress(ctx, cfg, address)
	}
	_, err := n.eng.Controller().CreateNetwork(cfg)
	return err
}

// RemoveNetwork implements swarm.Node.
func (n clusterNode) RemoveNetwork(_ context.Context, id string) error {
	ctl := n.eng.Controller()
	if net, ok := ctl.Network(id); ok && net.Ingress() {
		return ctl.LeaveIngress()
	}
	return ctl.RemoveNetwork(id)
}

// RunTask implements swarm.Node.
func (n clusterNode) RunTask(ctx context.Context, t swarm.Task, ended func(error)) (func(context.Context) error, error) {
	var hosts []string
	for _, name := range slices.Sorted(maps.Keys(t.Container.Hosts)) {
		hosts = append(hosts, name+":"+t.Container.Hosts[name].String())
	}
	c, err := n.eng.Create(engine.ContainerConfig{
		Name: t.Name(), Image: t.Container.Image, Command: t.Container.Command, Env: t.Container.Env,
		Hostname: t.Container.Hostname, Networks: t.Endpoints(), DNS: t.Container.DNS, ExtraHosts: hosts, Labels: t.Labels,
		OnExit: func(code int) { ended(exitError(code)) },
	})
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		return nil, errors.Join(err, c.Remove(ctx, engine.RemoveOptions{}))
	}
	return func(ctx context.Context) error {
		if err := c.Stop(ctx, engine.StopOptions{}); err != nil && !errors.Is(err, engine.ErrNotModified) {
			return err
		}
		return c.Remove(ctx, engine.RemoveOptions{})
	}, nil
}

// exitError is a task's error for the exit status of its program; nil for 0.
func exitError(code int) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("non-zero exit (%d)", code)
}

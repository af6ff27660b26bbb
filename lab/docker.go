package lab

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/docker/api"
	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/lab/topology"
)

// startDocker starts the engines, then networks, services and containers in the order of the topology, which decides
// their addresses.
func (l *Lab) startDocker(ctx context.Context) error {
	for _, m := range l.phys.order {
		if m.host == nil || m.host.Engine == "" {
			continue
		}
		if err := l.startEngine(m); err != nil {
			return fmt.Errorf("%s: %w", m.host.Pos, err)
		}
	}
	if err := l.joinSwarm(ctx); err != nil {
		return err
	}
	for i := range l.spec.Networks {
		if err := l.createNetwork(ctx, &l.spec.Networks[i]); err != nil {
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
	if len(l.spec.Containers) > 0 {
		l.awaitHeard(ctx)
	}
	return nil
}

func (l *Lab) modern() bool { return l.spec.Compat == topology.CompatModern }

// release is the version of Docker that the lab's engines say they have.
func (l *Lab) release() api.Release {
	if l.spec.Compat == topology.Compat1703 {
		return api.Release1703
	}
	return api.ReleaseToday
}

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
			return l.attach(ctx, m.name, container, ep)
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

// Engine returns the Docker engine of a host; nil if it has none, or none yet.
func (l *Lab) Engine(host string) *engine.Engine { return l.engine(host) }

func (l *Lab) engine(host string) *engine.Engine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.engines[host]
}

func (l *Lab) createNetwork(ctx context.Context, n *topology.Network) error {
	if n.Driver == topology.DriverOverlay {
		return l.createSwarmNetwork(ctx, n)
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
		if err := l.createService(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.Pos, err)
		}
	}
	if l.spec.Swarm == nil {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, convergeLimit)
	defer cancel()
	defer l.turns.end()
	if err := l.WaitConverged(wait); err != nil && ctx.Err() == nil {
		l.log.Warn("services do not run", "lab", l.spec.Name, "error", err)
	}
	return nil
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

package swarm

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// VirtualIP is a service's virtual address on a network.
type VirtualIP struct {
	NetworkID string
	Addr      netip.Prefix // with the length of the subnet's prefix
}

// Service is a service of the cluster.
type Service struct {
	ID         string
	Spec       ServiceSpec // with every published port chosen
	VirtualIPs []VirtualIP // that of ingress first (S1)
	Created    time.Time
	Updated    time.Time
}

type service struct {
	Service
	networks []serviceNetwork
	vips     map[string]netip.Addr // by network id
}

// serviceNetwork is a network that the tasks of a service are on.
type serviceNetwork struct {
	*network
	aliases []string
}

func (s *service) names() (id, name string) { return s.ID, s.Spec.Name }

// on tells whether the tasks of the service are on a network.
func (s *service) on(id string) bool {
	return slices.ContainsFunc(s.networks, func(n serviceNetwork) bool { return n.ID == id })
}

// CreateService makes a service: it gets its ports and virtual addresses, then its tasks get theirs and are assigned to
// nodes. They start as Run gets to them.
func (c *Cluster) CreateService(spec ServiceSpec) (Service, error) {
	spec = spec.clone()
	if err := spec.normalize(); err != nil {
		return Service{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.services {
		if s.Spec.Name == spec.Name {
			return Service{}, fmt.Errorf("name conflicts with an existing object: service %s already exists", spec.Name) // I32
		}
	}
	s := &service{vips: make(map[string]netip.Addr)}
	if err := c.choosePorts(spec.Ports); err != nil {
		return Service{}, err
	}
	networks, err := c.serviceNetworks(spec)
	if err != nil {
		return Service{}, err
	}
	now := c.cfg.Now()
	s.networks = networks
	s.Service = Service{ID: newID(c.luck), Spec: spec, Created: now, Updated: now}
	if err := s.allocate(); err != nil {
		return Service{}, err
	}
	c.services = append(c.services, s)
	c.reconcile()
	return s.snapshot(), nil
}

// serviceNetworks finds the networks of a service; ingress comes first if it publishes a port there.
func (c *Cluster) serviceNetworks(spec ServiceSpec) ([]serviceNetwork, error) {
	var out []serviceNetwork
	if slices.ContainsFunc(spec.Ports, func(p PortSpec) bool { return !p.Host }) {
		ingress := c.ingress()
		if ingress == nil {
			return nil, fmt.Errorf("service %s: it publishes a port and there is no ingress network", spec.Name)
		}
		out = append(out, serviceNetwork{network: ingress})
	}
	for _, t := range spec.Networks {
		n, err := c.network(t.Network)
		if err != nil {
			return nil, err
		}
		if n.Ingress {
			return nil, fmt.Errorf("service %s: a service cannot be explicitly attached to the ingress network %q", spec.Name, n.Spec.Name)
		}
		if !slices.ContainsFunc(out, func(o serviceNetwork) bool { return o.network == n }) {
			out = append(out, serviceNetwork{n, slices.Clone(t.Aliases)})
		}
	}
	return out, nil
}

// allocate takes the service's virtual addresses.
func (s *service) allocate() error {
	if s.Spec.EndpointMode != VIP {
		return nil
	}
	for _, n := range s.networks {
		a, err := n.attach(netip.Addr{})
		if err != nil {
			s.release()
			return fmt.Errorf("service %s: %w", s.Spec.Name, err)
		}
		s.vips[n.ID] = a.IP.Addr()
		s.VirtualIPs = append(s.VirtualIPs, VirtualIP{NetworkID: n.ID, Addr: a.IP})
	}
	return nil
}

// release gives the virtual addresses back.
func (s *service) release() {
	for _, n := range s.networks {
		if vip, ok := s.vips[n.ID]; ok {
			n.pool.Release(vip)
		}
	}
	s.vips, s.VirtualIPs = map[string]netip.Addr{}, nil
}

func (s *service) snapshot() Service {
	out := s.Service
	out.Spec, out.VirtualIPs = out.Spec.clone(), slices.Clone(out.VirtualIPs)
	return out
}

// choosePorts gives every port that has none a published one, and refuses those that another service has (R10, R11).
func (c *Cluster) choosePorts(ports []PortSpec) error {
	for i := range ports {
		p := &ports[i]
		if p.Published == 0 {
			if !p.Host {
				var ok bool
				if p.Published, ok = c.freePort(p.Proto, ports); !ok {
					return fmt.Errorf("no port from %d to %d is free", firstPort, lastPort)
				}
			}
			continue
		}
		if s, taken := c.portOwner(p.Proto, p.Published, p.Host); taken.Target != 0 {
			text := fmt.Sprintf("port '%d' is already in use by service '%s' (%s)", p.Published, s.Spec.Name, s.ID)
			switch {
			case c.cfg.Modern && taken.Host:
				text += " as a host-published port"
			case c.cfg.Modern:
				text += " as an ingress port"
			}
			return fmt.Errorf("%s", text)
		}
	}
	return nil
}

// portOwner returns the service that publishes a port so that another cannot: host ports of two services may be the
// same, for the scheduler keeps them apart.
func (c *Cluster) portOwner(proto string, port uint16, host bool) (*service, PortSpec) {
	for _, s := range c.services {
		for _, p := range s.Spec.Ports {
			if p.Proto == proto && p.Published == port && !(p.Host && host) {
				return s, p
			}
		}
	}
	return nil, PortSpec{}
}

func (c *Cluster) freePort(proto string, own []PortSpec) (uint16, bool) {
	for port := uint16(firstPort); port <= lastPort; port++ {
		if _, taken := c.portOwner(proto, port, false); taken.Target != 0 {
			continue
		}
		if !slices.ContainsFunc(own, func(p PortSpec) bool { return p.Proto == proto && p.Published == port }) {
			return port, true
		}
	}
	return 0, false
}

// Scale changes how many tasks a replicated service has.
func (c *Cluster) Scale(ref string, replicas int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.service(ref)
	if err != nil {
		return err
	}
	if s.Spec.Global {
		return fmt.Errorf("%s: scale can only be used with replicated mode", s.Spec.Name)
	}
	if replicas < 0 {
		return fmt.Errorf("%s: number of replicas must be 0 or more, not %d", s.Spec.Name, replicas)
	}
	s.Spec.Replicas = &replicas
	s.Updated = c.cfg.Now()
	c.reconcile()
	return nil
}

// RemoveService removes a service. Its addresses and ports are free at once, its tasks are shut down.
func (c *Cluster) RemoveService(ref string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.service(ref)
	if err != nil {
		return err
	}
	c.services = slices.DeleteFunc(c.services, func(o *service) bool { return o == s })
	for _, t := range c.tasks {
		if t.service == s && t.Desired == Running {
			t.shutdown(c.cfg.Now())
		}
	}
	s.release()
	c.reconcile()
	return nil
}

// service finds a service by name or id. The caller holds mu.
func (c *Cluster) service(ref string) (*service, error) {
	s, ok := find(c.services, ref)
	if !ok {
		return nil, fmt.Errorf("service %s not found", ref)
	}
	return s, nil
}

// Service returns the service of that name or id.
func (c *Cluster) Service(ref string) (Service, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.service(ref)
	if err != nil {
		return Service{}, false
	}
	return s.snapshot(), true
}

// Services returns the services in the order in which they were created.
func (c *Cluster) Services() []Service {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Service, 0, len(c.services))
	for _, s := range c.services {
		all = append(all, s.snapshot())
	}
	return all
}

// Replicas returns how many tasks of a service run, and how many there are to be (S18).
func (c *Cluster) Replicas(ref string) (running, desired int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.service(ref)
	if err != nil {
		return 0, 0
	}
	for _, t := range c.tasks {
		if t.service != s {
			continue
		}
		if t.State == Running {
			running++
		}
		if t.Desired == Running {
			desired++
		}
	}
	if !s.Spec.Global {
		desired = s.Spec.replicas()
	}
	return running, desired
}

// binding returns what a task's endpoint on a network tells the load balancers.
func (s *service) binding(n serviceNetwork, taskName string) *cnm.ServiceBinding {
	b := &cnm.ServiceBinding{ServiceID: s.ID, ServiceName: s.Spec.Name, VIP: s.vips[n.ID], Aliases: slices.Clone(n.aliases), TaskName: taskName}
	if !n.Ingress {
		return b
	}
	for _, p := range s.Spec.Ports {
		if !p.Host {
			b.IngressPorts = append(b.IngressPorts, cnm.PortConfig{Proto: p.Proto, Published: p.Published, Target: p.Target, Name: p.Name})
		}
	}
	return b
}

// hostPorts returns what the tasks publish on their own nodes.
func (s *service) hostPorts() []cnm.PortBinding {
	var out []cnm.PortBinding
	for _, p := range s.Spec.Ports {
		if p.Host {
			out = append(out, cnm.PortBinding{Proto: p.Proto, HostPort: p.Published, ContainerPort: p.Target})
		}
	}
	return out
}

// labels returns what a task's container is labelled with.
func (s *service) labels(t *task) map[string]string {
	out := maps.Clone(s.Spec.Container.Labels)
	if out == nil {
		out = make(map[string]string)
	}
	out["com.docker.swarm.node.id"] = t.NodeID
	out["com.docker.swarm.service.id"] = s.ID
	out["com.docker.swarm.service.name"] = s.Spec.Name
	out["com.docker.swarm.task"] = ""
	out["com.docker.swarm.task.id"] = t.ID
	out["com.docker.swarm.task.name"] = t.Name()
	return out
}

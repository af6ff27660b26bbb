package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/swarm/node"
	"github.com/netsim-lab/netsim/lab/topology"
)

// attach is the engine's way to the swarm's networks.
func (l *Lab) attach(ctx context.Context, host, container string, ep cnm.EndpointConfig) (cnm.EndpointConfig, func(), error) {
	n := l.swarmNode(host)
	if n == nil {
		return ep, nil, nil
	}
	return n.exec.Attach(ctx, container, ep)
}

// SwarmNode returns a host's side of a swarm; nil if it has no engine or no address, or before the lab starts its engine.
func (l *Lab) SwarmNode(host string) *node.Node {
	if n := l.swarmNode(host); n != nil {
		return n.Node
	}
	return nil
}

// swarmMembers are the hosts of the topology's swarm, managers first.
func (l *Lab) swarmMembers() []topology.Ref {
	if l.spec.Swarm == nil {
		return nil
	}
	return slices.Concat(l.spec.Swarm.Managers, l.spec.Swarm.Workers)
}

// errNoControl says that nobody can be asked about the swarm.
var errNoControl = errors.New("no manager of the swarm works")

// control returns the API of the swarm's managers, of the first manager of the topology that works.
func (l *Lab) control() (swarmapi.ControlServer, error) {
	for _, ref := range l.swarmMembers() {
		if n := l.swarmNode(ref.Name); n != nil && n.Node.Info().Control {
			return n.Control(), nil
		}
	}
	return nil, errNoControl
}

// joinSwarm makes the swarm of the topology: its first manager begins it, each of the others takes its place among the nodes once the
// one before it has, which decides the addresses that they have on the network ingress. Those next in line ask for the root already.
func (l *Lab) joinSwarm(ctx context.Context) error {
	members := l.swarmMembers()
	if len(members) == 0 {
		return nil
	}
	for _, ref := range members {
		if l.swarmNode(ref.Name) == nil {
			return fmt.Errorf("%s: host %q is in the swarm and has no address on its links", ref.Pos, ref.Name)
		}
	}
	first := l.swarmNode(members[0].Name)
	if _, err := first.Init(ctx, node.InitOptions{}); err != nil {
		return fmt.Errorf("%s: swarm init on %q: %w", members[0].Pos, members[0].Name, err)
	}
	clusters, err := first.Control().ListClusters(ctx, &swarmapi.ListClustersRequest{})
	if err != nil {
		return fmt.Errorf("%s: swarm: %w", members[0].Pos, err)
	}
	return l.joinOthers(ctx, members, first.Node.Info().Managers[0].Addr, clusters.Clusters[0].RootCA.JoinTokens)
}

// joinOthers has all members but the first join by that one's address.
func (l *Lab) joinOthers(ctx context.Context, members []topology.Ref, first string, tokens swarmapi.JoinTokens) error {
	turns := make([]chan struct{}, len(members)+1) // closed when a member may take its place
	for i := range turns {
		turns[i] = make(chan struct{})
	}
	close(turns[1])
	g, ctx := errgroup.WithContext(ctx)
	for i, ref := range members[1:] {
		i++
		token := tokens.Worker
		if i < len(l.spec.Swarm.Managers) {
			token = tokens.Manager
		}
		select {
		case <-turns[max(1, i-joinAhead)]:
		case <-ctx.Done():
		}
		g.Go(func() error {
			err := l.swarmNode(ref.Name).Node.Join(ctx, node.JoinOptions{
				Remotes: []string{first}, Token: token, Patience: joinLimit, Turn: turns[i], Enrolled: func() { close(turns[i+1]) },
			})
			if err != nil {
				return fmt.Errorf("%s: swarm join on %q: %w", ref.Pos, ref.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// createSwarmNetwork makes an overlay.
func (l *Lab) createSwarmNetwork(ctx context.Context, n *topology.Network) error {
	control, err := l.control()
	if err != nil {
		return fmt.Errorf("network %q is an overlay: %w", n.Name, err)
	}
	spec := &swarmapi.NetworkSpec{
		Annotations:  swarmapi.Annotations{Name: n.Name, Labels: settings(n.Labels)},
		DriverConfig: &swarmapi.Driver{Name: cnm.DriverOverlay, Options: settings(n.Options)}, Internal: n.Internal, Attachable: n.Attachable,
	}
	if n.Subnet.IsValid() {
		c := &swarmapi.IPAMConfig{Subnet: n.Subnet.String()}
		if n.Gateway.IsValid() {
			c.Gateway = n.Gateway.String()
		}
		if n.IPRange.IsValid() {
			c.Range = n.IPRange.String()
		}
		spec.IPAM = &swarmapi.IPAMOptions{Configs: []*swarmapi.IPAMConfig{c}}
	}
	r, err := control.CreateNetwork(ctx, &swarmapi.CreateNetworkRequest{Spec: spec})
	if err != nil {
		return fmt.Errorf("network %q: %w", n.Name, err)
	}
	l.swarmNetworks[n.Name] = r.Network.ID
	return nil
}

// createService makes a service.
func (l *Lab) createService(ctx context.Context, s *topology.Service) error {
	control, err := l.control()
	if err != nil {
		return fmt.Errorf("service %q: %w", s.Name, err)
	}
	spec, err := l.serviceSpec(s)
	if err != nil {
		return fmt.Errorf("service %q: %w", s.Name, err)
	}
	r, err := control.CreateService(ctx, &swarmapi.CreateServiceRequest{Spec: spec})
	if err != nil {
		return fmt.Errorf("service %q: %w", s.Name, err)
	}
	return awaitAddresses(ctx, control, r.Service.ID, s.Replicas)
}

// awaitAddresses waits until the tasks of a service have their addresses, so that those of the next one come behind them; but not
// for long.
func awaitAddresses(ctx context.Context, control swarmapi.ControlServer, service string, replicas int) error {
	limit := time.NewTimer(addressLimit)
	defer limit.Stop()
	tick := time.NewTicker(addressLook)
	defer tick.Stop()
	for {
		r, err := control.ListTasks(ctx, &swarmapi.ListTasksRequest{Filters: &swarmapi.ListTasksRequest_Filters{ServiceIDs: []string{service}}})
		if err != nil {
			return err
		}
		have := 0
		for _, t := range r.Tasks {
			if t.Status.State >= swarmapi.TaskStatePending {
				have++
			}
		}
		if have >= max(replicas, 1) || replicas == 0 && len(r.Tasks) == have {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const (
	addressLimit = time.Second
	addressLook  = time.Millisecond

	joinAhead = 4 // hosts that prepare to join while another does

	// joinLimit is how long a host that joins while the lab comes up may take: a hundred of them on a busy machine take longer
	// than docker swarm join waits.
	joinLimit = 3 * time.Minute
)

// serviceSpec returns a service as the swarm takes it.
func (l *Lab) serviceSpec(s *topology.Service) (*swarmapi.ServiceSpec, error) {
	spec := &swarmapi.ServiceSpec{
		Annotations: swarmapi.Annotations{Name: s.Name, Labels: settings(s.Labels)},
		Task: swarmapi.TaskSpec{Runtime: &swarmapi.TaskSpec_Container{Container: &swarmapi.ContainerSpec{
			Image: s.Image, Args: s.Command, Env: environment(s.Environment), Hostname: s.Hostname,
		}}},
		Mode:     &swarmapi.ServiceSpec_Replicated{Replicated: &swarmapi.ReplicatedService{Replicas: uint64(max(0, s.Replicas))}},
		Endpoint: &swarmapi.EndpointSpec{Mode: swarmapi.ResolutionModeVirtualIP},
	}
	if s.Mode == topology.ModeGlobal {
		spec.Mode = &swarmapi.ServiceSpec_Global{Global: &swarmapi.GlobalService{}}
	}
	if s.EndpointMode == topology.EndpointDNSRR {
		spec.Endpoint.Mode = swarmapi.ResolutionModeDNSRoundRobin
	}
	for _, n := range s.Networks {
		id, ok := l.swarmNetworks[n.Name]
		if !ok {
			return nil, fmt.Errorf("network %s is none of the swarm's", n.Name)
		}
		spec.Task.Networks = append(spec.Task.Networks, &swarmapi.NetworkAttachmentConfig{Target: id})
	}
	for _, p := range s.Ports {
		c := &swarmapi.PortConfig{PublishedPort: uint32(p.Published), TargetPort: uint32(p.Target), PublishMode: swarmapi.PublishModeIngress}
		if p.Mode == topology.PublishHost {
			c.PublishMode = swarmapi.PublishModeHost
		}
		if p.Protocol == "udp" {
			c.Protocol = swarmapi.ProtocolUDP
		}
		spec.Endpoint.Ports = append(spec.Endpoint.Ports, c)
	}
	if len(s.Constraints) > 0 {
		spec.Task.Placement = &swarmapi.Placement{}
		for _, c := range s.Constraints {
			spec.Task.Placement.Constraints = append(spec.Task.Placement.Constraints, c.String())
		}
	}
	return spec, nil
}

// taskLabels of a container name its service and its task.
const (
	serviceLabel = "com.docker.swarm.service.name"
	taskLabel    = "com.docker.swarm.task.name"
	nodeLabel    = "com.docker.swarm.node.id"
)

// taskSlot returns the service of a container and its slot, or its node for a global service; false: it is no task.
func taskSlot(c *engine.Container) (service, slot string, ok bool) {
	labels := c.Config().Labels
	service, name := labels[serviceLabel], labels[taskLabel]
	rest, ok := strings.CutPrefix(name, service+".")
	if !ok {
		return "", "", false
	}
	slot, _, ok = strings.Cut(rest, ".")
	return service, slot, ok
}

package lab

import (
	"context"
	"net/netip"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/api/naming"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/image"
)

// servicesPatience is how long a manager has to tell of services.
const servicesPatience = 5 * time.Second

// services tells the programs of containers of the swarm's services, as its managers know them.
type services struct{ lab *Lab }

// swarmServices returns what a host's containers learn of services; nil: the host is in no swarm of the topology.
func (l *Lab) swarmServices(host string) image.Services {
	if !l.member(host) {
		return nil
	}
	return services{l}
}

// Services implements image.Services; nil while no manager answers.
func (s services) Services() []image.Service {
	ctx, cancel := context.WithTimeout(context.Background(), servicesPatience)
	defer cancel()
	control, err := s.lab.control()
	if err != nil {
		return nil
	}
	known, err := control.ListServices(ctx, &swarmapi.ListServicesRequest{})
	if err != nil {
		return nil
	}
	running, err := control.ListTasks(ctx, &swarmapi.ListTasksRequest{})
	if err != nil {
		return nil
	}
	networks, err := control.ListNetworks(ctx, &swarmapi.ListNetworksRequest{})
	if err != nil {
		return nil
	}
	tasks := map[string][]image.ServiceTask{}
	for _, t := range running.Tasks {
		if t.Status.State == swarmapi.TaskStateRunning && t.DesiredState == swarmapi.TaskStateRunning {
			tasks[t.ServiceID] = append(tasks[t.ServiceID], s.task(t))
		}
	}
	var all []image.Service
	for _, x := range known.Services {
		out := image.Service{
			Name: x.Spec.Annotations.Name, Labels: x.Spec.Annotations.Labels, Tasks: tasks[x.ID], Networks: serviceNetworks(x, networks.Networks),
		}
		if x.Spec.Endpoint != nil {
			for _, p := range x.Spec.Endpoint.Ports {
				if p.Protocol == swarmapi.ProtocolTCP {
					out.Ports = append(out.Ports, uint16(p.TargetPort))
				}
			}
		}
		all = append(all, out)
	}
	return all
}

// serviceNetworks returns the networks that a service is on, in its order.
func serviceNetworks(s *swarmapi.Service, known []*swarmapi.Network) (all []image.ServiceNetwork) {
	on := s.Spec.Task.Networks
	if len(on) == 0 {
		on = s.Spec.Networks // as clients of old send them
	}
	for _, a := range on {
		for _, n := range known {
			if a.Target != n.ID && a.Target != n.Spec.Annotations.Name {
				continue
			}
			out := image.ServiceNetwork{Name: n.Spec.Annotations.Name, Labels: n.Spec.Annotations.Labels}
			if s.Endpoint != nil {
				for _, v := range s.Endpoint.VirtualIPs {
					if p, err := netip.ParsePrefix(v.Addr); v.NetworkID == n.ID && err == nil {
						out.VIP = p.Addr()
					}
				}
			}
			all = append(all, out)
		}
	}
	return all
}

// Changed implements image.Services: nobody tells.
func (s services) Changed() <-chan struct{} { return nil }

func (s services) task(t *swarmapi.Task) image.ServiceTask {
	out := image.ServiceTask{Name: naming.Task(t), Addrs: map[string]netip.Addr{}, Healthy: true}
	for _, a := range t.Networks {
		for _, text := range a.Addresses {
			if p, err := netip.ParsePrefix(text); err == nil {
				out.Addrs[a.Network.Spec.Annotations.Name] = p.Addr()
			}
		}
	}
	for _, host := range s.lab.nodeOrder() {
		if c, err := s.lab.engine(host).Container(out.Name); err == nil {
			h := c.Health()
			out.Healthy = h == nil || h.Status == engine.Healthy
		}
	}
	return out
}

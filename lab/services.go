package lab

import (
	"net/netip"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/swarm"
)

// services tells the programs of containers of the swarm's services, as its managers know them.
type services struct{ lab *Lab }

// swarmServices returns what a host's containers learn of services; nil: the host is in no swarm.
func (l *Lab) swarmServices(host string) image.Services {
	if !l.member(host) {
		return nil
	}
	return services{l}
}

// Services implements image.Services.
func (s services) Services() []image.Service {
	cluster := s.lab.Cluster()
	tasks := map[string][]image.ServiceTask{}
	for _, t := range cluster.Tasks() {
		if t.State == swarm.Running && t.Desired == swarm.Running {
			tasks[t.ServiceID] = append(tasks[t.ServiceID], s.task(&t))
		}
	}
	var all []image.Service
	for _, x := range cluster.Services() {
		out := image.Service{Name: x.Spec.Name, Labels: x.Spec.Labels, Tasks: tasks[x.ID]}
		for _, p := range x.Spec.Ports {
			if p.Proto == "tcp" {
				out.Ports = append(out.Ports, p.Target)
			}
		}
		all = append(all, out)
	}
	return all
}

// Changed implements image.Services: nobody tells.
func (s services) Changed() <-chan struct{} { return nil }

func (s services) task(t *swarm.Task) image.ServiceTask {
	out := image.ServiceTask{Name: t.Name(), Addrs: map[string]netip.Addr{}, Healthy: true}
	for _, a := range t.Attachments {
		out.Addrs[a.Network.Spec.Name] = a.IP.Addr()
	}
	if eng := s.lab.engine(t.NodeName); eng != nil {
		if c, err := eng.Container(t.Name()); err == nil {
			h := c.Health()
			out.Healthy = h == nil || h.Status == engine.Healthy
		}
	}
	return out
}

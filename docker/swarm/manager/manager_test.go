package manager

import (
	"context"
	"testing"

	"github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
)

// service creates a service by way of a manager, and returns its id.
func (h *host) service(name string, replicas uint64, change ...func(*api.ServiceSpec)) string {
	h.Helper()
	spec := &api.ServiceSpec{
		Annotations: api.Annotations{Name: name},
		Task:        api.TaskSpec{Runtime: &api.TaskSpec_Container{Container: &api.ContainerSpec{Image: "redis"}}},
		Mode:        &api.ServiceSpec_Replicated{Replicated: &api.ReplicatedService{Replicas: replicas}},
	}
	for _, f := range change {
		f(spec)
	}
	answer, err := h.Control().CreateService(h.within(patience), &api.CreateServiceRequest{Spec: spec})
	if err != nil {
		h.Fatalf("%s: CreateService(%s) = %v", h.name, name, err)
	}
	return answer.Service.ID
}

func (h *host) tasks(service string) []*api.Task {
	h.Helper()
	answer, err := h.Control().ListTasks(h.within(patience), &api.ListTasksRequest{Filters: &api.ListTasksRequest_Filters{ServiceIDs: []string{service}}})
	if err != nil {
		h.Fatalf("%s: ListTasks = %v", h.name, err)
	}
	return answer.Tasks
}

// running counts the tasks of a service that run, by node.
func (h *host) running(service string) map[string]int {
	h.Helper()
	out := make(map[string]int)
	for _, t := range h.tasks(service) {
		if t.Status.State == api.TaskStateRunning && t.DesiredState == api.TaskStateRunning {
			out[t.NodeID]++
		}
	}
	return out
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// One manager begins a swarm, a worker joins by its token, and the tasks of a service on an overlay are spread over both.
func TestSwarm(t *testing.T) {
	l := newLab(t)
	m := l.first()
	l.run(func(ctx context.Context) error { return m.work(ctx, m) })
	w := l.join(m, ca.Worker)
	l.run(func(ctx context.Context) error { return w.work(ctx, m) })
	l.eventually("two nodes are ready", func() bool { return len(m.ready()) == 2 })
	network, err := m.Control().CreateNetwork(l.within(patience), &api.CreateNetworkRequest{Spec: &api.NetworkSpec{
		Annotations: api.Annotations{Name: "overnet"}, DriverConfig: &api.Driver{Name: "overlay"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	id := m.service("web", 4, func(s *api.ServiceSpec) {
		s.Task.Networks = []*api.NetworkAttachmentConfig{{Target: network.Network.ID}}
	})
	l.eventually("four tasks run", func() bool { return sum(m.running(id)) == 4 })
	if got := m.running(id); got[m.id.Node] != 2 || got[w.id.Node] != 2 {
		t.Errorf("W24: tasks by node: %v; want 2 and 2", got)
	}
	seen := map[string]bool{}
	for _, task := range m.tasks(id) {
		seen[task.Networks[0].Addresses[0]] = true
	}
	if len(seen) != 4 || !seen["10.0.0.3/24"] || !seen["10.0.0.6/24"] {
		t.Errorf("I17: addresses %v; want 10.0.0.3 to 10.0.0.6", seen)
	}
	if _, err := m.Control().RemoveService(l.within(patience), &api.RemoveServiceRequest{ServiceID: id}); err != nil {
		t.Fatal(err)
	}
}

// ready returns the nodes that are ready.
func (h *host) ready() []string {
	h.Helper()
	answer, err := h.Control().ListNodes(h.within(patience), &api.ListNodesRequest{})
	if err != nil {
		h.Fatalf("%s: ListNodes = %v", h.name, err)
	}
	var out []string
	for _, n := range answer.Nodes {
		if n.Status.State == api.NodeStatus_READY {
			out = append(out, n.ID)
		}
	}
	return out
}

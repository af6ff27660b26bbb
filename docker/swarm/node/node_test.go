package node

import (
	"testing"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

// One host begins a swarm, another joins it, and the tasks of a service on an overlay are spread over both.
func TestSwarm(t *testing.T) {
	l := newLab(t, 2)
	m, w := l.hosts[0], l.hosts[1]
	if i := m.Info(); i.State != Inactive {
		t.Errorf("before: %+v", i)
	}
	id, err := m.Init(l.within(patience), InitOptions{})
	if i := m.Info(); err != nil || i.State != Active || i.NodeID != id || !i.Control || !i.Manager || i.Addr != "192.168.1.1" {
		t.Fatalf("Init = %s, %v; Info = %+v", id, err, i)
	}
	w.joins(m, m.tokens().Worker)
	if i := w.Info(); i.State != Active || i.Control || i.Manager || i.ClusterID != m.Info().ClusterID || len(i.Managers) != 1 {
		t.Errorf("Info of the worker = %+v", i)
	}
	network, err := m.Control().CreateNetwork(l.within(patience), &swarmapi.CreateNetworkRequest{Spec: &swarmapi.NetworkSpec{
		Annotations: swarmapi.Annotations{Name: "overnet"}, DriverConfig: &swarmapi.Driver{Name: "overlay"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	web := m.service("web", 4, func(s *swarmapi.ServiceSpec) {
		s.Task.Networks = []*swarmapi.NetworkAttachmentConfig{{Target: network.Network.ID}}
	})
	l.eventually("four tasks run", func() bool { return total(m.running(web)) == 4 })
	if got := m.running(web); got[m.Info().NodeID] != 2 || got[w.Info().NodeID] != 2 {
		t.Errorf("W24: tasks by node: %v; want 2 and 2", got)
	}
	if n := m.sees(w); n.Status.Addr != "192.168.1.2" || n.Description.Hostname != "node2" || n.ManagerStatus != nil {
		t.Errorf("W1: the worker's node is %+v", n)
	}
	if n := m.sees(m); n.ManagerStatus == nil || !n.ManagerStatus.Leader || n.ManagerStatus.Addr != "192.168.1.1:2377" {
		t.Errorf("W1: the manager's node is %+v", n)
	}
}

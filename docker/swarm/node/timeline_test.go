package node

import (
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

// TestTimeline plays what takes minutes and hours in virtual time.
func TestTimeline(t *testing.T) {
	if virtual {
		for _, row := range timelines {
			t.Run(row.name, row.play)
		}
		return
	}
	virtually(t)
}

// docker has the times of Docker.
func docker(t *Times) { *t = Times{} }

// slack is by how much a time may be off.
const slack = 0.2

// timelines are those of Docker's times (W4, W18, W28, W31, C12).
var timelines = []struct {
	name string
	play func(*testing.T)
}{
	{"17.1 a task dies", taskDies},
	{"17.2 a worker is lost", workerLost},
	{"17.3 the leader is lost", leaderLost},
	{"17.3 with other heartbeats", otherHeartbeats},
	{"W7 sessions end", sessionsEnd},
	{"17.4 a node drains", nodeDrains},
	{"17.5 the leader is cut off", leaderCutOff},
	{"17.7 keys rotate", keysRotate},
	{"a manager that is late", managerIsLate},
}

// managerIsLate: who asks to be let in five times in vain gives up, as in swarmkit, but not who has patience.
func managerIsLate(t *testing.T) {
	l := newLab(t, 3, docker)
	m, hasty, calm := l.hosts[0], l.hosts[1], l.hosts[2]
	m.begin(InitOptions{})
	token := m.tokens().Worker
	m.switchOff()
	joined := make(chan error, 1)
	go func() {
		joined <- calm.Join(l.ctx, JoinOptions{Remotes: []string{m.addr.String()}, Token: token, Patience: 10 * time.Minute})
	}()
	if err := hasty.Join(l.ctx, JoinOptions{Remotes: []string{m.addr.String()}, Token: token}); err == nil || hasty.Info().State == Active {
		t.Errorf("without a manager, Join = %v, and %+v", err, hasty.Info())
	}
	<-l.within(time.Minute).Done()
	m.switchOn()
	if err := <-joined; err != nil {
		t.Errorf("when there is a manager, Join = %v", err)
	}
	if nodes := m.nodes(); len(nodes) != 2 {
		t.Errorf("there are %d nodes; want 2", len(nodes))
	}
}

// after waits until something holds, and checks how long that took.
func (l *lab) after(began time.Time, from, to time.Duration, what string, f func() bool) {
	l.Helper()
	l.eventually(what, f)
	took := time.Since(began)
	l.Logf("%s: after %.1f s", what, took.Seconds())
	if took < time.Duration(float64(from)*(1-slack)) || took > time.Duration(float64(to)*(1+slack)) {
		l.Errorf("%s: after %v; want %v to %v", what, took, from, to)
	}
}

// spread is a swarm in virtual time with a service that has a task on each node.
func spread(t *testing.T, hosts, managers int) (l *lab, service string) {
	l = swarm(t, hosts, managers, docker)
	service = l.hosts[0].service("web", uint64(hosts))
	l.eventually("a task runs on each node", func() bool { return len(l.hosts[0].running(service)) == hosts })
	<-l.within(20 * time.Second).Done() // beyond what the time after an election allows
	return l, service
}

func taskDies(t *testing.T) {
	l, web := spread(t, 2, 1)
	m := l.hosts[0]
	began := time.Now()
	l.hosts[1].engine.kill()
	l.after(began, 0, 300*time.Millisecond, "W31: a successor is there, to be made ready", func() bool {
		for _, t := range m.tasks(web) {
			if t.DesiredState == swarmapi.TaskStateReady {
				return true
			}
		}
		return false
	})
	l.after(began, 5*time.Second, 5500*time.Millisecond, "W31: it runs", func() bool { return total(m.running(web)) == 2 })
}

func workerLost(t *testing.T) {
	l, web := spread(t, 3, 1)
	m, w := l.hosts[0], l.hosts[2]
	id := w.Info().NodeID
	began := time.Now()
	w.switchOff()
	l.after(began, 10*time.Second, 16500*time.Millisecond, "W4: the worker is down", func() bool {
		return m.seesID(id).Status.State == swarmapi.NodeStatus_DOWN
	})
	l.after(time.Now(), 0, 300*time.Millisecond, "W4: its task is assigned elsewhere", func() bool {
		n := 0
		for _, t := range m.tasks(web) {
			if t.NodeID != "" && t.NodeID != id && t.DesiredState <= swarmapi.TaskStateRunning {
				n++
			}
		}
		return n == 3
	})
	l.after(began, 15*time.Second, 22*time.Second, "W4: and runs there", func() bool { return total(m.running(web)) == 3 })
	w.switchOn()
	l.eventually("W27: it is back, and gets no task", func() bool { return m.seesID(id).Status.State == swarmapi.NodeStatus_READY })
	<-l.within(10 * time.Second).Done()
	if got := m.running(web); got[id] != 0 || total(got) != 3 {
		t.Errorf("W27: tasks by node after it is back: %v", got)
	}
}

func leaderLost(t *testing.T) {
	l, web := spread(t, 4, 3)
	old, rest := l.hosts[0], l.hosts[1:3]
	id := old.Info().NodeID
	began := time.Now()
	old.switchOff()
	l.after(began, 10*time.Second, 20*time.Second, "W18: another leads", func() bool {
		s := rest[0].Status(l.within(time.Second)).Raft
		return s.Leader.Node != "" && s.Leader.Node != id && s.State != "Candidate"
	})
	elected := time.Now()
	m := l.leader(rest...)
	l.after(elected, 0, 10*time.Second, "W4: the other nodes are ready", func() bool {
		ready := 0
		for _, n := range m.nodes() {
			if n.Status.State == swarmapi.NodeStatus_READY {
				ready++
			}
		}
		return ready == 3
	})
	l.after(elected, 20*time.Second, 33*time.Second, "W4: the old leader is down", func() bool {
		n := m.seesID(id)
		return n.Status.State == swarmapi.NodeStatus_DOWN && n.ManagerStatus.Reachability == swarmapi.RaftMemberStatus_UNREACHABLE
	})
	l.after(time.Now(), 4*time.Second, 6*time.Second, "W4: its task runs elsewhere", func() bool {
		got := m.running(web)
		return total(got)-got[id] == 4
	})
}

func nodeDrains(t *testing.T) {
	l, web := spread(t, 3, 1)
	m, w := l.hosts[0], l.hosts[2]
	id := w.Info().NodeID
	began := time.Now()
	if err := m.change(id, func(s *swarmapi.NodeSpec) { s.Availability = swarmapi.NodeAvailabilityDrain }); err != nil {
		t.Fatal(err)
	}
	l.after(began, 0, 2*time.Second, "W28: its task runs elsewhere", func() bool {
		got := m.running(web)
		return got[id] == 0 && total(got) == 3
	})
}

func leaderCutOff(t *testing.T) {
	l, web := spread(t, 4, 3)
	old := l.hosts[0]
	began := time.Now()
	old.cable.SetUp(false)
	l.after(began, 10*time.Second, 20*time.Second, "W19: it leads no more", func() bool {
		return old.Status(l.within(time.Second)).Raft.State != "Leader"
	})
	m := l.leader(l.hosts[1:3]...)
	l.after(began, 15*time.Second, 60*time.Second, "W4: its node is down, and its task runs on both sides", func() bool {
		got := m.running(web)
		return m.sees(old).Status.State == swarmapi.NodeStatus_DOWN && total(got)-got[old.Info().NodeID] == 4
	})
	began = time.Now()
	old.cable.SetUp(true)
	l.after(began, 0, 40*time.Second, "W4: it is back, and its task is told to shut down", func() bool {
		// It comes with a later term: another election may be needed.
		if _, err := m.Control().ListNodes(l.within(time.Minute), &swarmapi.ListNodesRequest{}); err != nil {
			return false
		}
		got := m.running(web)
		return m.sees(old).Status.State == swarmapi.NodeStatus_READY && total(got) == 4 && got[old.Info().NodeID] == 0
	})
}

func keysRotate(t *testing.T) {
	l := swarm(t, 2, 1, docker, func(t *Times) { t.Heartbeat, t.Describe, t.Renewal = 10*time.Minute, time.Hour, time.Hour }) // less to compute
	first := l.keys(l.hosts[1], "networking:gossip")
	began := time.Now()
	<-l.within(12*time.Hour - 10*time.Second).Done()
	l.after(began, 12*time.Hour, 12*time.Hour, "C12: a new key is there", func() bool {
		return l.keys(l.hosts[1], "networking:gossip")[2] > first[2]
	})
}

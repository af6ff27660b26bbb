package node

import (
	"maps"
	"slices"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

// otherHeartbeats: periods are those of the swarm, also for who is unknown to a new leader (W4), and stay so under it.
func otherHeartbeats(t *testing.T) {
	l := swarm(t, 4, 3, docker, func(t *Times) { t.Heartbeat = 2 * time.Second })
	old, worker := l.hosts[0], l.hosts[3]
	<-l.within(20 * time.Second).Done() // beyond what the time after an election allows
	id := worker.Info().NodeID
	began := time.Now()
	worker.switchOff()
	l.after(began, 4*time.Second, 6600*time.Millisecond, "W4: a worker is down", func() bool {
		return old.seesID(id).Status.State == swarmapi.NodeStatus_DOWN
	})
	worker.switchOn()
	l.eventually("W4: it is back", func() bool { return old.seesID(id).Status.State == swarmapi.NodeStatus_READY })
	lost := old.Info().NodeID
	old.switchOff()
	m := l.leader(l.hosts[1:3]...)
	elected := time.Now()
	l.after(elected, 8*time.Second, 13200*time.Millisecond, "W4: the old leader, which was unknown, is down", func() bool {
		return m.seesID(lost).Status.State == swarmapi.NodeStatus_DOWN
	})
	began = time.Now()
	worker.switchOff()
	l.after(began, 4*time.Second, 6600*time.Millisecond, "W4: and so is a worker", func() bool {
		return m.seesID(id).Status.State == swarmapi.NodeStatus_DOWN
	})
}

// states is which a node was seen in, in their order.
type states struct {
	seen     []swarmapi.NodeStatus_State
	messages map[string]bool
}

// see notes a node's state.
func (s *states) see(n *swarmapi.Node) swarmapi.NodeStatus_State {
	if s.messages == nil {
		s.messages = make(map[string]bool)
	}
	if n.Status.Message != "" {
		s.messages[n.Status.Message] = true
	}
	if len(s.seen) == 0 || s.seen[len(s.seen)-1] != n.Status.State {
		s.seen = append(s.seen, n.Status.State)
	}
	return n.Status.State
}

func (s *states) are(t *testing.T, what string, want ...swarmapi.NodeStatus_State) {
	t.Helper()
	if !slices.Equal(s.seen, want) {
		t.Errorf("%s: states %v; want %v", what, s.seen, want)
	}
}

// sessionsEnd: a node whose session ends is as it was until its heartbeats are missed, whether it left or was cut off, and one whose
// leader ended is unknown until it is heard (W4, W7). No node is ever Disconnected: that is what a dispatcher of swarmkit calls the
// nodes of its sessions when it ends, and by then it can write nothing any more.
func sessionsEnd(t *testing.T) {
	l := swarm(t, 4, 3, docker)
	old, leaver := l.hosts[0], l.hosts[3]
	<-l.within(40 * time.Second).Done() // beyond what the time after an election allows
	id := leaver.Info().NodeID
	began := time.Now()
	if err := leaver.Leave(l.within(time.Minute), false); err != nil {
		t.Fatal(err)
	}
	var left states
	l.after(began, 10*time.Second, 16500*time.Millisecond, "W7: who has left is down", func() bool {
		return left.see(old.seesID(id)) == swarmapi.NodeStatus_DOWN
	})
	left.are(t, "W7: who leaves", swarmapi.NodeStatus_READY, swarmapi.NodeStatus_DOWN)
	if !left.messages["heartbeat failure"] {
		t.Errorf("W4: the node says %v", slices.Collect(maps.Keys(left.messages)))
	}
	lost := old.Info().NodeID
	if err := old.Leave(l.within(time.Minute), true); err != nil {
		t.Fatal(err)
	}
	m := l.leader(l.hosts[1:3]...)
	elected := time.Now()
	l.eventually("W4: the new leader does not know how the old one's node is", func() bool {
		return m.seesID(lost).Status.State == swarmapi.NodeStatus_UNKNOWN
	})
	var gone, follower states
	l.after(elected, 27*time.Second, 33*time.Second, "W4: a leader that has left is down", func() bool {
		follower.see(m.sees(l.hosts[1]))
		return gone.see(m.seesID(lost)) == swarmapi.NodeStatus_DOWN
	})
	gone.are(t, "W4: a leader that leaves", swarmapi.NodeStatus_UNKNOWN, swarmapi.NodeStatus_DOWN)
	if !gone.messages[`Node moved to "unknown" state due to leadership change in cluster`] || !gone.messages[`heartbeat failure for node in "unknown" state`] {
		t.Errorf("W4: its node says %v", slices.Collect(maps.Keys(gone.messages)))
	}
	if s := follower.seen; s[len(s)-1] != swarmapi.NodeStatus_READY || slices.Contains(s, swarmapi.NodeStatus_DISCONNECTED) {
		t.Errorf("W4: states of a manager that stays: %v; want it to be ready, and never disconnected", s)
	}
}

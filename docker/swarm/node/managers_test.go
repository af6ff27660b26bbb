package node

import (
	"errors"
	"strings"
	"testing"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

const (
	noLeader = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. " +
		"Make sure more than half of the managers are online."
	onlyForce = "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. " +
		"Use `--force` to suppress this message."
	aManager = "You are attempting to leave the swarm on a node that is participating as a manager. "
)

// change updates a node's spec by way of a manager.
func (h *host) change(id string, f func(*swarmapi.NodeSpec)) error {
	h.Helper()
	n := h.seesID(id)
	f(&n.Spec)
	_, err := h.Control().UpdateNode(h.within(patience), &swarmapi.UpdateNodeRequest{NodeID: id, NodeVersion: &n.Meta.Version, Spec: &n.Spec})
	return err
}

// becomes has a manager give a node a role; it asks again, for on a busy machine another may be about to lead.
func (h *host) becomes(by *host, r swarmapi.NodeRole) {
	h.Helper()
	h.eventually(h.name+" is to be a "+r.String(), func() bool { return by.change(h.Info().NodeID, role(r)) == nil })
}

func role(r swarmapi.NodeRole) func(*swarmapi.NodeSpec) {
	return func(s *swarmapi.NodeSpec) { s.DesiredRole = r }
}

// A follower answers by way of the leader; when that is cut off another leads, the services are there, and the tasks of the
// lost node run elsewhere. What was cut off comes back as a follower.
func TestLeaderLost(t *testing.T) {
	if swiftly(t) {
		return
	}
	l := swarm(t, 4, 3)
	m2, worker := l.hosts[1], l.hosts[3]
	web := m2.service("web", 4)
	l.eventually("W19: tasks run", func() bool { return total(m2.running(web)) == 4 })
	old := l.leader(l.hosts[:3]...)
	rest := l.without(old, worker)
	old.cable.SetUp(false)
	next := l.leader(rest...)
	l.eventually("W19: the one that is cut off says that there is no leader", func() bool {
		_, err := old.Control().ListNodes(l.within(patience), &swarmapi.ListNodesRequest{})
		return err != nil && err.Error() == noLeader
	})
	for _, h := range rest {
		h.service("svc-"+h.name, 1)
	}
	// That its node goes down, and its tasks elsewhere, takes half a minute after a new leader has begun: see TestTimeline.
	old.cable.SetUp(true)
	l.leader(l.hosts[:3]...)
	l.eventually("it is back", func() bool {
		return next.sees(old).Status.State == swarmapi.NodeStatus_READY && total(old.running(web)) == 4
	})
}

// A worker becomes a manager, and a manager a worker; each gets a certificate for it. The leader hands over first.
func TestPromoteDemote(t *testing.T) {
	if swiftly(t) {
		return
	}
	l := swarm(t, 3, 1, lively)
	m, w := l.hosts[0], l.hosts[1]
	l.says("W10: the API on a worker", func() error {
		_, err := w.Control().ListNodes(l.within(patience), &swarmapi.ListNodesRequest{})
		return err
	}(), string(ErrNotManager))
	l.says("W9: demote the last", m.change(m.Info().NodeID, role(swarmapi.NodeRoleWorker)),
		"rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm")
	for _, h := range l.hosts[1:] {
		h.becomes(m, swarmapi.NodeRoleManager)
		l.eventually("the worker is a manager", func() bool { return h.Info().Control && h.Info().Manager })
	}
	l.eventually("three managers", func() bool { return len(m.Status(l.within(patience)).Raft.Peers) == 3 })
	l.says("W9: remove a manager", func() error {
		_, err := m.Control().RemoveNode(l.within(patience), &swarmapi.RemoveNodeRequest{NodeID: w.Info().NodeID})
		return err
	}(), "rpc error: code = FailedPrecondition desc = node "+w.Info().NodeID+
		" is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal")
	m.becomes(w, swarmapi.NodeRoleWorker)
	l.eventually("the leader is a worker", func() bool { return !m.Info().Control && !m.Info().Manager })
	next := l.leader(l.hosts[1:]...)
	l.eventually("it works as one", func() bool {
		n := next.sees(m)
		return n.ManagerStatus == nil && n.Role == swarmapi.NodeRoleWorker && n.Status.State == swarmapi.NodeStatus_READY
	})
	if got := len(next.Status(l.within(patience)).Raft.Peers); got != 2 {
		t.Errorf("%d members; want 2", got)
	}
	l.says("W9: remove a node that is up", func() error {
		_, err := next.Control().RemoveNode(l.within(patience), &swarmapi.RemoveNodeRequest{NodeID: m.Info().NodeID})
		return err
	}(), "rpc error: code = FailedPrecondition desc = node "+m.Info().NodeID+" is not down and can't be removed")
	id := m.Info().NodeID
	if err := m.Leave(l.within(patience), false); err != nil {
		t.Errorf("W7: Leave of a worker = %v", err)
	}
	if i := m.Info(); i.State != Inactive || m.engine.left != 1 {
		t.Errorf("W7: after it left: %+v", i)
	}
	l.eventually("W7: its node is down", func() bool { return next.seesID(id).Status.State == swarmapi.NodeStatus_DOWN })
	if _, err := next.Control().RemoveNode(l.within(patience), &swarmapi.RemoveNodeRequest{NodeID: id}); err != nil {
		t.Error(err)
	}
	if next.seesID(id) != nil {
		t.Error("a node that was removed is listed")
	}
}

// Managers refuse to leave in words that depend on how many there are; with force they go.
func TestManagersLeave(t *testing.T) {
	if swiftly(t) {
		return
	}
	l := swarm(t, 3, 1)
	m, m2 := l.hosts[0], l.hosts[1]
	l.says("W8: the last", m.Leave(l.within(patience), false),
		aManager+"Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ")
	m2.becomes(m, swarmapi.NodeRoleManager)
	l.eventually("two managers", func() bool { return m2.Info().Control && len(m.Status(l.within(patience)).Raft.Peers) == 2 })
	var err error
	l.eventually("W8: one of two", func() bool { // there may be an election
		err = m2.Leave(l.within(patience), false)
		return err == nil || err.Error() != aManager+onlyForce
	})
	l.says("W8: one of two", err,
		aManager+"Removing this node leaves 1 managers out of 2. Without a Raft quorum your swarm will be inaccessible. "+onlyForce)
	if err := m2.Leave(l.within(patience), true); err != nil || m2.Info().State != Inactive {
		t.Errorf("W8: Leave with force = %v, %+v", err, m2.Info())
	}
	l.says("W10: leave again", m2.Leave(l.within(patience), false), string(ErrNoSwarm))
	l.eventually("W6: no quorum", func() bool {
		_, err := m.Control().ListNodes(l.within(patience), &swarmapi.ListNodesRequest{})
		return err != nil && err.Error() == noLeader
	})
	l.says("W8: without a quorum", m.Leave(l.within(patience), false), aManager+onlyForce)
	id, err := m.Init(l.within(patience), InitOptions{ForceNewCluster: true})
	if err != nil || id != m.Info().NodeID {
		t.Fatalf("force-new-cluster = %s, %v", id, err)
	}
	if got := len(m.nodes()); got != 3 {
		t.Errorf("force-new-cluster: %d nodes are known; want 3", got)
	}
	if got := len(m.Status(l.within(patience)).Raft.Peers); got != 1 {
		t.Errorf("force-new-cluster: %d members; want 1", got)
	}
	l.eventually("the worker is there", func() bool { return m.sees(l.hosts[2]).Status.State == swarmapi.NodeStatus_READY })
	if _, err := l.hosts[2].Init(l.within(patience), InitOptions{}); !errors.Is(err, ErrSwarmExists) {
		t.Errorf("W10: Init in a swarm = %v", err)
	}
	m2.joins(m, m.tokens().Manager)
	if got := len(m2.nodes()); got != 4 { // its old node is there until somebody removes it
		t.Errorf("W20: %d nodes after it joined again; want 4", got)
	}
}

// Everything is switched off, and on again: the managers, the worker and the service are what they were.
func TestRestart(t *testing.T) {
	if swiftly(t) {
		return
	}
	l := swarm(t, 4, 3, func(t *Times) { t.SnapshotEvery, t.KeepEntries = 20, 5 })
	web := l.hosts[0].service("web", 4)
	l.eventually("tasks run", func() bool { return total(l.hosts[0].running(web)) == 4 })
	var ids []string
	for _, h := range l.hosts {
		ids = append(ids, h.Info().NodeID)
		h.switchOff()
	}
	for _, h := range l.hosts {
		h.switchOn()
	}
	m := l.leader(l.hosts[:3]...)
	l.eventually("all are what they were", func() bool {
		for i, h := range l.hosts {
			in := h.Info()
			if in.State != Active || in.NodeID != ids[i] || in.Control != (i < 3) {
				return false
			}
		}
		return total(m.running(web)) == 4
	})
	if s := m.Status(l.within(patience)).Raft; s.Snapshot == 0 {
		t.Errorf("W18: no snapshot was made: %+v", s)
	}
}

func TestRefusals(t *testing.T) {
	l := swarm(t, 3, 1)
	m, joiner := l.hosts[0], l.plug()
	joiner.switchOn()
	other := l.plug()
	other.switchOn()
	other.begin(InitOptions{})
	tokens := m.tokens()
	join := func(token, remote string) error {
		return joiner.Join(l.within(patience), JoinOptions{Remotes: []string{remote}, Token: token})
	}
	at := m.addr.String()
	wrong := tokens.Worker[:len(tokens.Worker)-1] + "x"
	if wrong == tokens.Worker {
		wrong = tokens.Worker[:len(tokens.Worker)-1] + "y"
	}
	before := m.Status(l.within(patience)).Refusals.Tokens
	l.says("W15: no token", join("SWMTKN-1-abc", at), "invalid join token")
	l.says("W15: a wrong secret", join(wrong, at), "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster")
	if got := m.Status(l.within(patience)).Refusals.Tokens; got != before+1 {
		t.Errorf("W15: %d tokens refused; want %d", got, before+1)
	}
	if err := join(other.tokens().Worker, at); err == nil || !strings.HasPrefix(err.Error(), "remote CA does not match fingerprint. Expected: ") {
		t.Errorf("W15: the token of another swarm = %v", err)
	}
	if i := joiner.Info(); i.State != Inactive {
		t.Errorf("after it was refused: %+v", i)
	}
	if _, err := joiner.Control().ListNodes(l.within(patience), &swarmapi.ListNodesRequest{}); !errors.Is(err, ErrNotInSwarm) {
		t.Errorf("W10: ListNodes outside a swarm = %v", err)
	}
	rotate := &swarmapi.UpdateClusterRequest{
		ClusterID: m.cluster().ID, ClusterVersion: &m.cluster().Meta.Version, Spec: &m.cluster().Spec, Rotation: swarmapi.KeyRotation{WorkerJoinToken: true},
	}
	if _, err := m.Control().UpdateCluster(l.within(patience), rotate); err != nil {
		t.Fatal(err)
	}
	if now := m.tokens(); now.Worker == tokens.Worker || now.Manager != tokens.Manager {
		t.Errorf("W12: tokens after the rotation: %+v; before: %+v", now, tokens)
	}
	l.eventually("W12: the old token is refused", func() bool { return join(tokens.Worker, at) != nil })
	joiner.joins(m, m.tokens().Worker)
	l.eventually("W12: the others are not touched", func() bool { return m.sees(l.hosts[1]).Status.State == swarmapi.NodeStatus_READY })
	// A manager of the other swarm shows its certificate.
	if _, err := other.current().client.Heartbeat(l.within(patience), at+":2377", &swarmapi.HeartbeatRequest{}); err == nil {
		t.Error("W16: a foreign certificate was taken")
	}
}

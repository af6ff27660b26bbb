package node

import (
	"context"
	"fmt"
	"net"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
)

// leaveTime is for how long a node that leaves waits for its tasks to end, and countTime for how long it asks how many
// managers there are.
const (
	leaveTime = 15 * time.Second
	countTime = 5 * time.Second
)

// Leave ends the membership, and forgets it. Without force a manager refuses (W8). It returns when all that ran for the
// membership has ended.
func (n *Node) Leave(ctx context.Context, force bool) error {
	return n.exclusive(ctx, func() error { return n.leave(ctx, force) })
}

func (n *Node) leave(ctx context.Context, force bool) error {
	n.mu.Lock()
	m, locked := n.member, n.locked
	n.mu.Unlock()
	if m == nil && !locked {
		return ErrNoSwarm
	}
	if !force {
		if locked {
			return Error("Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.")
		}
		if err := n.mayLeave(ctx, m); err != nil {
			return err
		}
	}
	if m != nil {
		m.endTasks(ctx)
	}
	err := n.cfg.Executor.Leave(ctx) // while gossip can say goodbye
	if m != nil {
		m.cancel()
		<-m.ended
	}
	n.disk.wipe()
	n.mu.Lock()
	n.member, n.locked = nil, false
	n.mu.Unlock()
	return err
}

// endTasks ends the tasks of a node whose agent works.
func (m *membership) endTasks(ctx context.Context) {
	select {
	case <-m.agent.Ready():
	default:
		return
	}
	if m.over() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	if err := m.agent.Leave(ctx); err != nil {
		m.log.Info("tasks were left behind", "node", m.cfg.Name, "err", err)
	}
}

// mayLeave refuses a manager, in words that depend on how many there are (W8).
func (n *Node) mayLeave(ctx context.Context, m *membership) error {
	id := m.identity()
	if id == nil || id.Role != ca.Manager {
		return nil
	}
	msg := "You are attempting to leave the swarm on a node that is participating as a manager. "
	if m.managing() {
		active, reachable, unreachable, err := n.countManagers(ctx, id.Node)
		if err == nil && active && reachable-2 <= unreachable {
			if reachable == 1 && unreachable == 0 {
				return Error(msg + "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ")
			}
			msg += fmt.Sprintf("Removing this node leaves %v managers out of %v. Without a Raft quorum your swarm will be inaccessible. ",
				reachable-1, reachable+unreachable)
		}
	} else {
		msg += "Doing so may lose the consensus of your cluster. "
	}
	return Error(msg + "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. " +
		"Use `--force` to suppress this message.")
}

// countManagers tells whether a node is a reachable manager, and how many there are.
func (n *Node) countManagers(ctx context.Context, node string) (active bool, reachable, unreachable int, err error) {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	answer, err := n.Control().ListNodes(ctx, &swarmapi.ListNodesRequest{})
	if err != nil {
		return false, 0, 0, err
	}
	for _, other := range answer.Nodes {
		switch s := other.ManagerStatus; {
		case s == nil:
		case s.Reachability == swarmapi.RaftMemberStatus_REACHABLE:
			reachable++
			active = active || other.ID == node
		case s.Reachability == swarmapi.RaftMemberStatus_UNREACHABLE:
			unreachable++
		}
	}
	return active, reachable, unreachable, nil
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

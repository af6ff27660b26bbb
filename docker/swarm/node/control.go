package node

import (
	"context"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/manager"
)

// active returns what the swarm's API needs here, or why it cannot be used (W10).
func (n *Node) active() (*membership, *manager.Manager, error) {
	n.mu.Lock()
	m, locked := n.member, n.locked
	n.mu.Unlock()
	if m == nil {
		if locked {
			return nil, nil, ErrLocked
		}
		return nil, nil, ErrNotInSwarm
	}
	if man := m.running(); man != nil {
		return m, man, nil
	}
	id := m.identity()
	switch {
	case id != nil && id.Role == ca.Worker:
		return m, nil, ErrNotManager
	case m.over():
		if m.failure() == error(ErrExpired) {
			return m, nil, ErrExpired
		}
		return m, nil, ErrNotInSwarm
	case id == nil:
		return m, nil, ErrNotManager
	}
	return m, nil, ErrPreparing
}

// over tells whether the membership has ended by itself.
func (m *membership) over() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// Control is the swarm's API. On a manager it answers, here or at the leader; a call waits for a leader for some time, and
// then fails as swarmkit does (W6). On others all methods fail with an Error.
func (n *Node) Control() swarmapi.ControlServer {
	return manager.Control(func(ctx context.Context, method string, request []byte) ([]byte, error) {
		_, man, err := n.active()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, n.cfg.Times.Request)
		defer cancel()
		return man.Call(ctx, method, request)
	})
}

// Resource attaches containers that are no tasks to networks of the swarm, for this node; on any node that is in one.
func (n *Node) Resource() swarmapi.ResourceAllocatorServer { return resource{n} }

type resource struct{ *Node }

// member returns the membership, and a manager to ask.
func (n resource) member() (*membership, string, error) {
	m := n.current()
	if m == nil || m.identity() == nil {
		return nil, "", ErrNotInSwarm
	}
	addr := m.pickManager()
	if addr == "" {
		return nil, "", errNoManagers
	}
	return m, addr, nil
}

// AttachNetwork implements swarmapi.ResourceAllocatorServer.
func (n resource) AttachNetwork(ctx context.Context, r *swarmapi.AttachNetworkRequest) (*swarmapi.AttachNetworkResponse, error) {
	m, addr, err := n.member()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Times.Request)
	defer cancel()
	return m.client.AttachNetwork(ctx, addr, r)
}

// DetachNetwork implements swarmapi.ResourceAllocatorServer.
func (n resource) DetachNetwork(ctx context.Context, r *swarmapi.DetachNetworkRequest) (*swarmapi.DetachNetworkResponse, error) {
	m, addr, err := n.member()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Times.Request)
	defer cancel()
	return m.client.DetachNetwork(ctx, addr, r)
}

// Info returns how things stand; it does not block.
func (n *Node) Info() Info {
	n.mu.Lock()
	m, locked := n.member, n.locked
	n.mu.Unlock()
	if m == nil {
		if locked {
			return Info{State: Locked, Err: ErrLocked.Error()}
		}
		return Info{State: Inactive}
	}
	i := Info{State: Pending, Control: m.managing(), Managers: m.remotes.list()}
	if id := m.identity(); id != nil {
		i.NodeID, i.ClusterID, i.Manager = id.Node, id.Cluster, id.Role == ca.Manager
	}
	i.Addr = hostOf(m.addr)
	if m.managedBefore() {
		i.State = Active
	}
	if err := m.failure(); err != nil {
		i.State, i.Err = Failed, err.Error()
	}
	return i
}

// Status returns what Info does, and more. Raft is left out if ctx ends first.
func (n *Node) Status(ctx context.Context) Status {
	s := Status{Info: n.Info()}
	m := n.current()
	if m == nil {
		return s
	}
	s.Sessions = m.sessions.Load()
	s.Gossip, s.Gossips = n.cfg.Executor.View()
	if man := m.running(); man != nil {
		s.Refusals = man.Refusals()
		if raft, err := man.Status(ctx); err == nil {
			s.Raft = raft
		}
	}
	return s
}

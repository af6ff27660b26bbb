package manager

import (
	"context"
	"slices"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/controlapi"
	"github.com/moby/swarmkit/v2/manager/state/store"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// control is swarmkit's control server, with what it would ask swarmkit's raft for: who is a manager, and whether the
// others can do without it (W9, W20).
type control struct {
	*controlapi.Server
	store  *store.MemoryStore
	raft   *consensus.Node
	reaper *reaper
}

// member finds a manager by its node.
func (c *control) member(node string) (consensus.Peer, bool) {
	all, _ := c.raft.Members()
	i := slices.IndexFunc(all, func(p consensus.Peer) bool { return p.Node == node })
	if i < 0 {
		return consensus.Peer{}, false
	}
	return all[i], true
}

// GetNode implements api.ControlServer.
func (c *control) GetNode(ctx context.Context, r *api.GetNodeRequest) (*api.GetNodeResponse, error) {
	answer, err := c.Server.GetNode(ctx, r)
	if err != nil {
		return nil, err
	}
	if p, ok := c.member(answer.Node.ID); ok {
		answer.Node.ManagerStatus = managerStatus(p)
	}
	return answer, nil
}

// ListNodes implements api.ControlServer.
func (c *control) ListNodes(ctx context.Context, r *api.ListNodesRequest) (*api.ListNodesResponse, error) {
	answer, err := c.Server.ListNodes(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, n := range answer.Nodes {
		if p, ok := c.member(n.ID); ok {
			n.ManagerStatus = managerStatus(p)
		}
	}
	return answer, nil
}

// UpdateNode implements api.ControlServer. A manager is not demoted if the others would have no quorum.
func (c *control) UpdateNode(_ context.Context, r *api.UpdateNodeRequest) (*api.UpdateNodeResponse, error) {
	if r.NodeID == "" || r.NodeVersion == nil || r.Spec == nil {
		return nil, status.Error(codes.InvalidArgument, "invalid argument")
	}
	var node *api.Node
	err := c.store.Update(func(tx store.Tx) error {
		node = store.GetNode(tx, r.NodeID)
		if node == nil {
			return status.Errorf(codes.NotFound, "node %s not found", r.NodeID)
		}
		if node.Spec.DesiredRole == api.NodeRoleManager && r.Spec.DesiredRole == api.NodeRoleWorker {
			if err := c.mayDemote(tx, node.ID); err != nil {
				return err
			}
		}
		node.Meta.Version = *r.NodeVersion
		node.Spec = *r.Spec.Copy()
		return store.UpdateNode(tx, node)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateNodeResponse{Node: node}, nil
}

// mayDemote tells whether a manager can become a worker (W9).
func (c *control) mayDemote(tx store.Tx, node string) error {
	managers, err := store.FindNodes(tx, store.ByRole(api.NodeRoleManager))
	if err != nil {
		return status.Errorf(codes.Internal, "internal store error: %v", err)
	}
	if len(managers) == 1 && managers[0].ID == node {
		return status.Error(codes.FailedPrecondition, "attempting to demote the last manager of the swarm")
	}
	all, _ := c.raft.Members()
	reachable, found := 0, false
	for _, p := range all {
		found = found || p.Node == node
		if p.Node != node && p.Reachable {
			reachable++
		}
	}
	switch {
	case !found:
		return status.Error(codes.NotFound, "can't find manager in raft memberlist")
	case reachable < (len(all)-1)/2+1:
		return status.Error(codes.FailedPrecondition, "can't remove member from the raft: this would result in a loss of quorum")
	}
	return nil
}

// RemoveNode implements api.ControlServer.
func (c *control) RemoveNode(ctx context.Context, r *api.RemoveNodeRequest) (*api.RemoveNodeResponse, error) {
	var node *api.Node
	c.store.View(func(tx store.ReadTx) { node = store.GetNode(tx, r.NodeID) })
	if node == nil || node.Spec.DesiredRole != api.NodeRoleManager {
		return c.Server.RemoveNode(ctx, r)
	}
	if _, ok := c.member(r.NodeID); ok {
		return nil, status.Errorf(codes.FailedPrecondition,
			"node %s is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal", r.NodeID)
	}
	if !r.Force && node.Status.State == api.NodeStatus_READY {
		return nil, status.Errorf(codes.FailedPrecondition, "node %s is not down and can't be removed", r.NodeID)
	}
	// swarmkit's server asks raft about every manager: one that is none there any more is a worker before it goes.
	err := c.store.Update(func(tx store.Tx) error {
		n := store.GetNode(tx, r.NodeID)
		if n == nil {
			return nil
		}
		n.Spec.DesiredRole = api.NodeRoleWorker
		return store.UpdateNode(tx, n)
	})
	if err != nil {
		return nil, err
	}
	return c.Server.RemoveNode(ctx, r)
}

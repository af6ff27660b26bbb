package manager

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/state/store"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// Times of the role manager: swarmkit's manager/role_manager.go.
const (
	roleRetry   = 5 * time.Second
	removalTime = 5 * time.Second
)

// roles makes what the nodes are to be what they are: a worker that is to be a manager gets the role at once; a manager
// that is to be a worker, or is no node any more, leaves raft first.
type roles struct {
	store *store.MemoryStore
	raft  *consensus.Node
	log   *slog.Logger

	nodes map[string]*api.Node // whose role is not what it is to be
	gone  map[string]bool      // nodes that are none any more
}

// run works until ctx ends.
func (r *roles) run(ctx context.Context) error {
	r.nodes, r.gone = make(map[string]*api.Node), make(map[string]bool)
	var all []*api.Node
	events, cancel, err := store.ViewAndWatch(r.store, func(tx store.ReadTx) (err error) {
		all, err = store.FindNodes(tx, store.All)
		return err
	}, api.EventUpdateNode{}, api.EventDeleteNode{})
	if err != nil {
		return err
	}
	defer cancel()
	for _, n := range all {
		r.nodes[n.ID] = n
	}
	members, _ := r.raft.Members()
	for _, m := range members {
		if r.nodes[m.Node] == nil {
			r.gone[m.Node] = true
		}
	}
	retry := time.NewTicker(roleRetry)
	defer retry.Stop()
	for {
		r.reconcile(ctx)
		select {
		case e := <-events:
			switch e := e.(type) {
			case api.EventUpdateNode:
				r.nodes[e.Node.ID] = e.Node
			case api.EventDeleteNode:
				delete(r.nodes, e.Node.ID)
				r.gone[e.Node.ID] = true
			}
		case <-retry.C:
			r.evict()
		case <-ctx.Done():
			return nil
		}
	}
}

// evict finds members whose nodes are workers: one that joined while its certificate was about to change.
func (r *roles) evict() {
	members, _ := r.raft.Members()
	r.store.View(func(tx store.ReadTx) {
		for _, m := range members {
			if n := store.GetNode(tx, m.Node); n != nil && n.Role == api.NodeRoleWorker && n.Spec.DesiredRole == api.NodeRoleWorker {
				r.gone[m.Node] = true
			}
		}
	})
}

// reconcile does what can be done now; the rest is tried again.
func (r *roles) reconcile(ctx context.Context) {
	for id := range r.gone {
		if r.leaves(ctx, id) {
			delete(r.gone, id)
		}
	}
	for id, n := range r.nodes {
		want := n.Spec.DesiredRole
		if n.Role == want {
			delete(r.nodes, id)
			continue
		}
		if want == api.NodeRoleWorker && !r.leaves(ctx, id) {
			continue
		}
		if err := r.set(id, want); err != nil {
			r.log.Debug("role not changed yet", "node", id, "err", err)
			continue
		}
		delete(r.nodes, id)
	}
}

// leaves has a node leave raft, and tells whether it is no member.
func (r *roles) leaves(ctx context.Context, node string) bool {
	members, _ := r.raft.Members()
	if !slices.ContainsFunc(members, func(p consensus.Peer) bool { return p.Node == node }) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, removalTime)
	defer cancel()
	if err := r.raft.Remove(ctx, node); err != nil {
		r.log.Debug("manager not removed yet", "node", node, "err", err)
		return false
	}
	return true
}

// set gives a node a role if that is still wanted.
func (r *roles) set(node string, role api.NodeRole) error {
	return r.store.Update(func(tx store.Tx) error {
		n := store.GetNode(tx, node)
		if n == nil || n.Spec.DesiredRole != role || n.Role == role {
			return nil
		}
		n.Role = role
		return store.UpdateNode(tx, n)
	})
}

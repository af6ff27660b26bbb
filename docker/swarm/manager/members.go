package manager

import (
	"context"
	"slices"

	events "github.com/docker/go-events"
	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/state/store"
	"github.com/moby/swarmkit/v2/watch"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// members is raft's members as swarmkit's dispatcher asks for them.
type members struct {
	raft  *consensus.Node
	store *store.MemoryStore
}

// MemoryStore implements dispatcher.Cluster.
func (m members) MemoryStore() *store.MemoryStore { return m.store }

// GetMemberlist implements dispatcher.Cluster.
func (m members) GetMemberlist() map[uint64]*api.RaftMember {
	all, _ := m.raft.Members()
	out := make(map[uint64]*api.RaftMember, len(all))
	for _, p := range all {
		s := managerStatus(p)
		out[p.RaftID] = &api.RaftMember{
			RaftID: p.RaftID, NodeID: p.Node, Addr: p.Addr, Status: api.RaftMemberStatus{Leader: s.Leader, Reachability: s.Reachability},
		}
	}
	return out
}

// SubscribePeers implements dispatcher.Cluster: the channel gets all members whenever they change, until the function that
// is returned has been called.
func (m members) SubscribePeers() (chan events.Event, func()) {
	q := watch.NewQueue()
	c, stop := q.Watch()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var known []consensus.Member
		for {
			all, changed := m.raft.Members()
			var now []consensus.Member
			var peers []*api.Peer
			for _, p := range all {
				now = append(now, p.Member)
				peers = append(peers, &api.Peer{NodeID: p.Node, Addr: p.Addr})
			}
			if known != nil && !slices.Equal(now, known) {
				q.Publish(peers)
			}
			known = now
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return c, func() {
		cancel()
		<-ended
		stop()
		_ = q.Close() // nobody reads it
	}
}

// managerStatus is a member as node objects show it.
func managerStatus(p consensus.Peer) *api.ManagerStatus {
	s := &api.ManagerStatus{RaftID: p.RaftID, Addr: p.Addr, Leader: p.Leader, Reachability: api.RaftMemberStatus_UNREACHABLE}
	if p.Reachable {
		s.Reachability = api.RaftMemberStatus_REACHABLE
	}
	return s
}

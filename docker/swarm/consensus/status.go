package consensus

import (
	"context"

	"go.etcd.io/etcd/raft/v3"
)

// Status is what a manager knows of the cluster, for display.
type Status struct {
	Self    Member
	State   string // Leader, Follower, Candidate
	Leader  Leader
	Term    uint64
	Vote    Member // whom it voted for in this term; zero: nobody
	Commit  uint64 // index up to which the log is agreed on
	Applied uint64 // and applied here
	First   uint64 // index of the oldest entry that is kept
	Last    uint64

	Snapshot uint64 // index of the last snapshot
	Peers    []Peer // all members, this one included, by raft id
}

// Peer is one member as another sees it.
type Peer struct {
	Member
	Leader    bool
	Reachable bool
	Match     uint64 // index up to which its log is known to be the leader's; only the leader knows
}

// Status returns how things stand. It fails when ctx ends or the manager does not run.
func (n *Node) Status(ctx context.Context) (Status, error) {
	var s Status
	var err error
	if err := n.do(ctx, func(c *core) { s, err = c.status() }); err != nil {
		return Status{}, err
	}
	return s, err
}

func (c *core) status() (Status, error) {
	r := c.raw.Status()
	s := Status{
		Self: c.n.self, State: stateName(r.RaftState), Term: r.Term, Commit: r.Commit, Applied: c.applied, Snapshot: c.snapshot,
	}
	if m, ok := c.known(r.Lead); ok {
		s.Leader = Leader{Member: m, Term: s.Term}
	}
	s.Vote, _ = c.known(r.Vote)
	for _, p := range c.seen() {
		p.Match = r.Progress[p.RaftID].Match
		s.Peers = append(s.Peers, p)
	}
	var err error
	if s.First, err = c.n.cfg.Storage.log.FirstIndex(); err != nil {
		return s, err
	}
	s.Last, err = c.n.cfg.Storage.log.LastIndex()
	return s, err
}

func stateName(t raft.StateType) string {
	switch t {
	case raft.StateLeader:
		return "Leader"
	case raft.StateFollower:
		return "Follower"
	}
	return "Candidate"
}

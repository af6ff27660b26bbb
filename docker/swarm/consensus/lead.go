package consensus

import (
	"context"
	"slices"
)

// Lead is a time for which a member leads: it begins when the member has applied all that was agreed before, and only what
// it commits itself is applied while it lasts.
type Lead struct {
	Term uint64
	lost chan struct{}
}

// Lost closes when the member leads no more.
func (l *Lead) Lost() <-chan struct{} { return l.lost }

// Leads returns the member's own lead, nil without one, and a channel that closes when that changes.
func (n *Node) Leads() (*Lead, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lead, n.changed
}

// Members returns all members as this one sees them, by raft id, and a channel that closes when that changes. Match is
// left out. It does not wait for anything that is under way.
func (n *Node) Members() ([]Peer, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.members), n.changed
}

// Applied is the index up to which the machine has seen the log.
func (n *Node) Applied() uint64 { return n.applied.Load() }

// Commit has the cluster agree on a command of this member, which must lead. Once that is so, commit is called in place of
// the machine's Apply, by the goroutine that calls the machine, and Commit returns nil; otherwise it is never called. ctx
// counts until the command is in the log. An error other than errNotLeader's does not say that the command is not going to
// be agreed on: the machine's Apply gets it then, as on the other members.
//
// A machine may hold a lock that its Apply needs while it is in Commit: Apply is not called by then as long as the member
// leads, provided that nobody uses Propose.
func (n *Node) Commit(ctx context.Context, command []byte, commit func()) error {
	if len(command) > maxCommand {
		return ErrTooLarge
	}
	lead, _ := n.Leads()
	if lead == nil {
		return ErrLostLeadership
	}
	t := n.ticket()
	done := make(chan outcome, 1)
	var err error
	taken := make(chan struct{})
	select {
	case n.inbox <- func(c *core) { err = c.propose(t, command, proposal{done, commit}); close(taken) }:
	case <-lead.lost:
		return ErrLostLeadership
	case <-ctx.Done():
		return ctx.Err()
	case <-n.stopped:
		return ErrStopped
	}
	select {
	case <-taken: // it is carried out as soon as it is received
	case <-n.stopped:
		return ErrStopped
	}
	if err != nil {
		return ErrLostLeadership
	}
	select {
	case o := <-done:
		return o.err
	case <-n.stopped:
	}
	select {
	case o := <-done:
		return o.err
	default:
		return ErrLostLeadership
	}
}

// ticket names a new proposal of this member.
func (n *Node) ticket() ticket { return ticket{n.self.RaftID, n.cfg.Storage.seq.Add(1)} }

// seen returns the members as this one sees them.
func (c *core) seen() []Peer {
	out := make([]Peer, 0, len(c.members))
	lead := c.raw.BasicStatus().Lead
	for _, m := range c.sortedMembers() {
		p := Peer{Member: m, Leader: m.RaftID == lead, Reachable: m.RaftID == c.n.self.RaftID}
		if other, ok := c.peers[m.RaftID]; ok {
			p.Reachable = other.active.Load()
		}
		out = append(out, p)
	}
	return out
}

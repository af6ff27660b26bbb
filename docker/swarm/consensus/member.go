package consensus

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.etcd.io/etcd/raft/v3"
	pb "go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// unavailable begins what may be otherwise in a moment.
const unavailable = "rpc error: code = Unavailable desc = "

// join asks to become a member until it is one, ctx ends, or the answer is no.
func (n *Node) join(ctx context.Context) ([]Member, error) {
	for {
		members, err := n.ask(ctx)
		if err == nil || refused(err) {
			return members, err
		}
		n.cfg.Log.Info("not joined yet", "node", n.self.Node, "at", n.cfg.Join, "err", err)
		if err := n.pause(ctx); err != nil {
			return nil, err
		}
	}
}

func (n *Node) ask(ctx context.Context) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, serveTimes*n.cfg.callTime())
	defer cancel()
	b, err := n.client.Call(ctx, n.cfg.Join, methodLeader, nil)
	if err != nil {
		return nil, err
	}
	var l Leader
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	self, err := json.Marshal(n.self)
	if err != nil {
		return nil, err
	}
	if b, err = n.client.Call(ctx, l.Addr, methodJoin, self); err != nil {
		return nil, err
	}
	var members []Member
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return members, nil
}

// refused tells a no from what may be otherwise in a moment.
func refused(err error) bool {
	var remote rpc.RemoteError
	if errors.As(err, &remote) {
		for _, e := range []error{ErrNoLeader, ErrLostLeadership, ErrStopped, errNotLeader, context.DeadlineExceeded, context.Canceled} {
			if errors.Is(err, e) {
				return false
			}
		}
		return !strings.HasPrefix(string(remote), unavailable)
	}
	var cert *tls.CertificateVerificationError
	var alert *net.OpError
	return errors.As(err, &cert) || errors.As(err, &alert) && alert.Op == "remote error"
}

// admit makes a member of who asks, if it can be called back. Only the leader can.
func (n *Node) admit(ctx context.Context, m Member) ([]Member, error) {
	if l, _ := n.Leader(); l.RaftID != n.self.RaftID {
		return nil, errNotLeader
	}
	call, cancel := context.WithTimeout(ctx, n.cfg.callTime())
	defer cancel()
	n.client.Forget(m.Addr) // of whoever was there before
	if _, err := n.client.Call(call, m.Addr, methodPing, nil); err != nil {
		return nil, fmt.Errorf(unavailable+"could not connect to prospective new cluster member using its advertised address: %w", err)
	}
	if err := n.change(ctx, pb.ConfChangeAddNode, m.Node, func(c *core) (Member, bool, error) { return c.mayJoin(m) }); err != nil {
		return nil, err
	}
	var members []Member
	err := n.do(ctx, func(c *core) { members = c.sortedMembers() })
	return members, err
}

func (c *core) mayJoin(m Member) (_ Member, already bool, err error) {
	if c.removed[m.RaftID] {
		return m, false, ErrRemoved
	}
	for _, old := range c.members {
		switch {
		case old == m:
			return m, true, nil
		case old.Node == m.Node:
			return m, false, fmt.Errorf("raft: node %s is a member at %s already: remove that first", m.Node, old.Addr)
		case old.RaftID == m.RaftID:
			return m, false, fmt.Errorf("raft: the id %x is taken: join with a new storage", m.RaftID)
		}
	}
	return m, false, nil
}

// change proposes one change of the members, and waits until it is applied. The library drops a change that is proposed
// while another is under way, without a word, so it is proposed again after a while.
func (n *Node) change(ctx context.Context, typ pb.ConfChangeType, node string, check func(*core) (m Member, already bool, err error)) error {
	select {
	case n.changes <- struct{}{}:
		defer func() { <-n.changes }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		t := n.ticket()
		done := make(chan outcome, 1)
		var already bool
		var err error
		if err := n.do(ctx, func(c *core) { already, err = c.proposeChange(t, typ, check, done) }); err != nil {
			return err
		}
		if already || err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, n.cfg.callTime())
		_, err = n.await(wait, t, done)
		cancel()
		if err == nil {
			n.cfg.Log.Info("managers changed", "change", typ, "node", node)
		}
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

func (c *core) proposeChange(t ticket, typ pb.ConfChangeType, check func(*core) (Member, bool, error), done chan<- outcome) (bool, error) {
	if !c.leading {
		return false, errNotLeader
	}
	m, already, err := check(c)
	if already || err != nil {
		return already, err
	}
	text, err := json.Marshal(change{Member: m, Proposer: t.member})
	if err != nil {
		return false, err
	}
	err = c.raw.ProposeConfChange(pb.ConfChange{ID: t.seq, Type: typ, NodeID: m.RaftID, Context: text})
	if err != nil {
		return false, notTaken(err)
	}
	c.proposals[t] = proposal{done: done}
	return false, nil
}

// Remove takes a manager, named by its node's id, out of the cluster: docker node demote, or docker swarm leave of a
// follower. It refuses with ErrLastManager and with ErrQuorum. A leader that is to go hands its part to another first.
// The member that is removed ends its Run with ErrRemoved.
func (n *Node) Remove(ctx context.Context, node string) error {
	asked := false // and nobody knows what came of it: a leader that is removed may end before it has answered
	for {
		leader, err := n.AwaitLeader(ctx)
		if err != nil {
			return err
		}
		switch {
		case leader.RaftID != n.self.RaftID:
			_, err = n.client.Call(ctx, leader.Addr, methodRemove, []byte(node))
		case node == n.self.Node:
			if err = n.stepAside(ctx); err == nil {
				continue
			}
		default:
			err = n.change(ctx, pb.ConfChangeRemoveNode, node, func(c *core) (Member, bool, error) {
				m, err := c.mayGo(node)
				return m, false, err
			})
		}
		switch lost := lostAnswer(err) && ctx.Err() == nil; {
		case asked && errors.Is(err, ErrUnknownMember):
			return nil // it was done
		case !again(err) && !lost:
			return err
		default:
			asked = asked || lost
		}
		if err := n.pause(ctx); err != nil {
			return err
		}
	}
}

// Leave is Remove of this manager.
func (n *Node) Leave(ctx context.Context) error { return n.Remove(ctx, n.self.Node) }

// mayGo tells whether the cluster can do without a member: those left that can be reached must be a majority of those
// left (swarmkit's CanRemoveMember).
func (c *core) mayGo(node string) (Member, error) {
	var found Member
	reachable := 0
	for id, m := range c.members {
		if m.Node == node {
			found = m
			continue
		}
		if p, ok := c.peers[id]; id == c.n.self.RaftID || ok && p.active.Load() {
			reachable++
		}
	}
	switch left := len(c.members) - 1; {
	case found.RaftID == 0:
		return found, ErrUnknownMember
	case left == 0:
		return found, ErrLastManager
	case reachable < left/2+1:
		return found, ErrQuorum
	}
	return found, nil
}

// stepAside hands leadership over if this member may go.
func (n *Node) stepAside(ctx context.Context) error {
	var err error
	if err := n.do(ctx, func(c *core) { _, err = c.mayGo(n.self.Node) }); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return n.TransferLeadership(ctx)
}

// TransferLeadership makes the member that is furthest, of those that can be reached, leader in place of this one. It
// returns when this member does not lead any more; at once if it does not lead.
func (n *Node) TransferLeadership(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(2*n.cfg.ElectionTicks)*n.cfg.Tick+n.cfg.callTime())
	defer cancel()
	for {
		leader, changed := n.Leader()
		if leader.RaftID != n.self.RaftID {
			return nil
		}
		var err error
		if err := n.do(ctx, func(c *core) { err = c.transfer() }); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-time.After(n.cfg.Tick): // one that is under way is not begun again
		case <-n.stopped:
			return ErrStopped
		case <-ctx.Done():
			return fmt.Errorf("hand over leadership: %w", ctx.Err())
		}
	}
}

func (c *core) transfer() error {
	if !c.leading {
		return nil
	}
	var best, match uint64
	for id, pr := range c.raw.Status().Progress {
		p, ok := c.peers[id]
		if ok && p.active.Load() && !pr.IsLearner && (best == raft.None || pr.Match > match) {
			best, match = id, pr.Match
		}
	}
	if best == raft.None {
		return errors.New("raft: no other manager can be reached to lead")
	}
	c.raw.TransferLeader(best)
	return nil
}

package consensus

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"go.etcd.io/etcd/raft/v3"

	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// Propose has the cluster agree on a command, and returns what the machine made of it, once it is applied here, too. A
// follower hands it to the leader. It blocks until then or until ctx ends. ErrNoLeader, ErrTooLarge and ErrStopped mean
// that the command is not and will not be applied; after any other error, also that of ctx, it may be.
func (n *Node) Propose(ctx context.Context, command []byte) (result []byte, err error) {
	if len(command) > maxCommand {
		return nil, ErrTooLarge
	}
	for {
		leader, err := n.AwaitLeader(ctx)
		if err != nil {
			return nil, err
		}
		var o outcome
		if leader.RaftID == n.self.RaftID {
			o, err = n.proposeHere(ctx, command)
		} else {
			o, err = n.proposeThere(ctx, leader, command)
		}
		if err == nil {
			return o.result, nil
		}
		if !again(err) {
			return nil, err
		}
		if err := n.pause(ctx); err != nil {
			return nil, err
		}
	}
}

// again tells whether a call to the leader did nothing and may be repeated.
func again(err error) bool { return errors.Is(err, errNotLeader) || errors.Is(err, rpc.ErrNotSent) }

// lostAnswer tells whether a call to the leader ended without its answer, and may have been done.
func lostAnswer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// AwaitLeader blocks until somebody leads, and tells who. It fails with ErrNoLeader when there has been nobody for long.
func (n *Node) AwaitLeader(ctx context.Context) (Leader, error) {
	for {
		n.mu.Lock()
		leader, lost, changed := n.leader, n.lost, n.changed
		n.mu.Unlock()
		select {
		case <-n.stopped:
			return Leader{}, ErrStopped
		default:
		}
		if leader.RaftID != 0 {
			return leader, nil
		}
		if lost {
			return Leader{}, ErrNoLeader
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Leader{}, ctx.Err()
		case <-n.stopped:
		}
	}
}

// pause waits until things may have changed.
func (n *Node) pause(ctx context.Context) error {
	_, changed := n.Leader()
	t := time.NewTimer(n.cfg.Tick)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-n.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// proposeHere proposes to this member, which must lead.
func (n *Node) proposeHere(ctx context.Context, command []byte) (outcome, error) {
	if len(command) > maxCommand {
		return outcome{}, ErrTooLarge
	}
	t := n.ticket()
	done := make(chan outcome, 1)
	var err error
	if err := n.do(ctx, func(c *core) { err = c.propose(t, command, proposal{done: done}) }); err != nil {
		return outcome{}, err
	}
	if err != nil {
		return outcome{}, err
	}
	return n.await(ctx, t, done)
}

func (c *core) propose(t ticket, command []byte, p proposal) error {
	if !c.leading {
		return errNotLeader
	}
	if err := c.raw.Propose(t.before(command)); err != nil {
		return notTaken(err)
	}
	c.proposals[t] = p
	return nil
}

// notTaken is the error of a proposal that raft did not take: it does not lead, or is about to hand that over.
func notTaken(err error) error {
	if errors.Is(err, raft.ErrProposalDropped) {
		return errNotLeader
	}
	return err
}

// await blocks until a proposal is settled.
func (n *Node) await(ctx context.Context, t ticket, done <-chan outcome) (outcome, error) {
	select {
	case o := <-done:
		return o, o.err
	case <-ctx.Done():
		n.withdraw(ctx, t)
		return outcome{}, ctx.Err()
	case <-n.stopped:
		return outcome{}, ErrLostLeadership
	}
}

// withdraw has nobody told of a proposal any more.
func (n *Node) withdraw(ctx context.Context, t ticket) {
	_ = n.do(context.WithoutCancel(ctx), func(c *core) { delete(c.proposals, t) }) // fails when nothing is left of it
}

// proposeThere hands a command to the leader, and waits until what it led to is applied here.
func (n *Node) proposeThere(ctx context.Context, leader Leader, command []byte) (outcome, error) {
	call, cancel := context.WithTimeout(ctx, 2*n.cfg.callTime())
	defer cancel()
	b, err := n.client.Call(call, leader.Addr, methodPropose, command)
	if err != nil {
		return outcome{}, err
	}
	var o outcome
	if o.index, o.result, err = decodeAccepted(b); err != nil {
		return outcome{}, err
	}
	applied := make(chan struct{})
	err = n.do(ctx, func(c *core) {
		c.reads = append(c.reads, read{index: o.index, done: applied})
		c.reach(c.applied)
	})
	if err != nil {
		return outcome{}, err
	}
	select {
	case <-applied:
		return o, nil
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-n.stopped:
		return outcome{}, ErrLostLeadership
	}
}

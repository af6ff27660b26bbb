package consensus

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/raft/v3"
	pb "go.etcd.io/etcd/raft/v3/raftpb"
)

// Bounds on what waits for a peer.
const (
	peerQueue    = 256 // messages; more are dropped, and raft sends again
	letterSize   = 64  // messages sent at once
	maxPeers     = 64
	snapshotTime = 10 // times as long as another call a snapshot may take
)

// peer is another member, or one that wrote to us before we heard that it is one.
type peer struct {
	Member
	queue  chan pb.Message
	stop   context.CancelFunc
	active atomic.Bool // the last call went through
}

// meetMembers keeps a sender for each member, and none for those that were removed. Who wrote without being a member
// keeps its own: this member may be behind.
func (c *core) meetMembers() {
	for _, m := range c.members {
		c.meet(m)
	}
	for id, p := range c.peers {
		if c.removed[id] {
			p.stop()
			delete(c.peers, id)
		}
	}
}

func (c *core) meet(m Member) {
	if _, ok := c.peers[m.RaftID]; ok || m.RaftID == c.n.self.RaftID || len(c.peers) >= maxPeers {
		return
	}
	ctx, stop := context.WithCancel(c.ctx)
	p := &peer{Member: m, queue: make(chan pb.Message, peerQueue), stop: stop}
	p.active.Store(true) // until a call fails
	c.peers[m.RaftID] = p
	c.group.Go(func() error {
		defer stop()
		c.n.feed(ctx, p)
		return nil
	})
}

// send hands messages to the senders, and never blocks.
func (c *core) send(messages []pb.Message) {
	for _, m := range messages {
		p, ok := c.peers[m.To]
		if ok {
			select {
			case p.queue <- m:
				continue
			default:
			}
		}
		c.undelivered(m.To, m.Type == pb.MsgSnap)
	}
}

func (c *core) undelivered(to uint64, snapshot bool) {
	c.raw.ReportUnreachable(to)
	if snapshot {
		c.raw.ReportSnapshot(to, raft.SnapshotFailure)
	}
}

// feed sends a peer what waits for it, and something now and then, which tells whether it is there.
func (n *Node) feed(ctx context.Context, p *peer) {
	every := n.cfg.Tick * time.Duration(max(1, n.cfg.ElectionTicks/3))
	timer := time.NewTicker(every)
	defer timer.Stop()
	for {
		l := letter{From: n.self}
		select {
		case <-ctx.Done():
			return
		case m := <-p.queue:
			l.messages = gather(p.queue, m)
		case <-timer.C:
		}
		n.deliver(ctx, p, l)
		timer.Reset(every)
	}
}

// gather takes what else waits.
func gather(queue <-chan pb.Message, first pb.Message) []pb.Message {
	out := []pb.Message{first}
	for len(out) < letterSize {
		select {
		case m := <-queue:
			out = append(out, m)
		default:
			return out
		}
	}
	return out
}

// deliver sends one letter, and tells raft how that went.
func (n *Node) deliver(ctx context.Context, p *peer, l letter) {
	snapshot := false
	for _, m := range l.messages {
		snapshot = snapshot || m.Type == pb.MsgSnap
	}
	patience := n.cfg.callTime()
	if snapshot {
		patience *= snapshotTime
	}
	call, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := l.encode()
	if err == nil {
		_, err = n.client.Call(call, p.Addr, methodStep, body)
	}
	if ctx.Err() != nil {
		return
	}
	if was := p.active.Swap(err == nil); was && err != nil {
		n.client.Forget(p.Addr)
		n.cfg.Log.Info("manager unreachable", "node", n.self.Node, "peer", p.Node, "err", err)
	}
	if err == nil && !snapshot {
		return
	}
	_ = n.do(ctx, func(c *core) { // fails when there is nobody left to tell
		switch {
		case errors.Is(err, ErrRemoved):
			c.gone = true
		case err != nil:
			c.undelivered(p.RaftID, snapshot)
		default:
			c.raw.ReportSnapshot(p.RaftID, raft.SnapshotFinish)
		}
	})
}

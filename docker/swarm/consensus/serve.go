package consensus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/etcd/raft/v3"
	pb "go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// The methods that managers call each other.
const (
	methodStep    = "raft.step"
	methodPing    = "raft.ping"
	methodLeader  = "raft.leader"
	methodJoin    = "raft.join"
	methodRemove  = "raft.remove"
	methodPropose = "raft.propose"
)

// serveTimes is how many times as long as a call to another member a request may take here.
const serveTimes = 8

func (n *Node) handle() {
	for name, h := range map[string]rpc.Handler{
		methodStep:    n.serveStep,
		methodPing:    func(context.Context, rpc.Request) ([]byte, error) { return nil, nil },
		methodLeader:  n.serveLeader,
		methodJoin:    n.serveJoin,
		methodRemove:  n.serveRemove,
		methodPropose: n.servePropose,
	} {
		n.server.Handle(name, func(ctx context.Context, r rpc.Request) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, serveTimes*n.cfg.callTime())
			defer cancel()
			answer, err := h(ctx, r)
			if errors.Is(err, errMalformed) {
				n.server.Malformed(ctx, r, err)
			}
			return answer, err
		}, managers...)
	}
}

func (n *Node) serveStep(ctx context.Context, r rpc.Request) ([]byte, error) {
	l, err := decodeLetter(r.Body)
	if err != nil {
		return nil, err
	}
	if l.From.RaftID == 0 || l.From.Node != r.Peer.Node {
		return nil, fmt.Errorf("%w: it is not of who sent it", errMalformed)
	}
	if err := n.do(ctx, func(c *core) { err = c.receive(l) }); err != nil {
		return nil, err
	}
	return nil, err
}

// receive hands raft what a peer sent.
func (c *core) receive(l letter) error {
	id := l.From.RaftID
	if c.removed[id] {
		return ErrRemoved
	}
	if m, ok := c.members[id]; ok && m.Node != l.From.Node {
		return fmt.Errorf("%w: the id is another member's", errMalformed)
	}
	c.meet(l.From)
	for _, m := range l.messages {
		if m.From != id || m.To != c.n.self.RaftID || !fromPeers(m.Type) {
			return errMalformed
		}
		if err := c.raw.Step(m); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) {
			return err
		}
	}
	return nil
}

// fromPeers tells what members may send each other; the rest of raft's messages are a member's to itself.
func fromPeers(t pb.MessageType) bool {
	switch t {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp, pb.MsgSnap,
		pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow:
		return true
	}
	return false
}

func (n *Node) serveLeader(context.Context, rpc.Request) ([]byte, error) {
	l, _ := n.Leader()
	if l.RaftID == 0 {
		return nil, ErrNoLeader
	}
	return json.Marshal(l)
}

func (n *Node) serveJoin(ctx context.Context, r rpc.Request) ([]byte, error) {
	var m Member
	if err := json.Unmarshal(r.Body, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if m.RaftID == 0 || m.Node != r.Peer.Node || m.Addr == "" {
		return nil, fmt.Errorf("%w: it is not of who sent it", errMalformed)
	}
	members, err := n.admit(ctx, m)
	if err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

func (n *Node) serveRemove(ctx context.Context, r rpc.Request) ([]byte, error) {
	return nil, n.Remove(ctx, string(r.Body))
}

func (n *Node) servePropose(ctx context.Context, r rpc.Request) ([]byte, error) {
	o, err := n.proposeHere(ctx, r.Body)
	if err != nil {
		return nil, err
	}
	return encodeAccepted(o.index, o.result), nil
}

package gossip

import (
	"context"
	"log/slog"
	"math/bits"
	"sync/atomic"
)

// Reason is why something that came from the wire was refused.
type Reason uint8

// The reasons.
const (
	Forged       Reason = iota // not sealed with a key of the ring, or not sealed at all
	Replayed                   // a packet that has been here before, or is older than what can be told apart
	Oversized                  // larger than any node sends
	Malformed                  // not a message of ours
	Foreign                    // of a network that this node or the sender is not on
	UnknownOwner               // an entry whose owner is not a live member of its network
	TooMany                    // beyond what a node keeps
	reasons
)

// String returns the reason in words.
func (r Reason) String() string {
	return [...]string{"forged", "replayed", "oversized", "malformed", "foreign network", "unknown owner", "too many"}[r]
}

// refusals counts by reason.
type refusals [reasons]atomic.Uint64

// refuse counts, and logs the first of a kind, and then each time that their number has doubled.
func (n *Node) refuse(r Reason, from string) {
	c := n.refused[r].Add(1)
	if bits.OnesCount64(c) == 1 {
		level := slog.LevelWarn
		switch r {
		case Foreign, UnknownOwner:
			level = slog.LevelDebug // as happens while news of a member and of its entries overtake each other
		case Forged:
			level = slog.LevelInfo // as happens when a node has gone over to another swarm, whose keys are others
		}
		n.log.Log(context.Background(), level, "gossip refused", "node", n.cfg.Name, "reason", r, "from", from, "count", c)
	}
}

// Refused returns how much was refused, by reason.
func (n *Node) Refused() map[Reason]uint64 {
	all := make(map[Reason]uint64)
	for r := range reasons {
		if c := n.refused[r].Load(); c > 0 {
			all[r] = c
		}
	}
	return all
}

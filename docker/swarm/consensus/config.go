package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// Docker's times and sizes (W18): swarmkit's manager/state/raft/raft.go. Docker 17.03 has 3 election ticks.
const (
	DefaultTick           = time.Second
	DefaultHeartbeatTicks = 1
	DefaultElectionTicks  = 10
	DefaultSnapshotEvery  = 10_000
	DefaultKeepEntries    = 500

	lostQuorumTicks = 10      // without a leader, before it is said that there is none
	maxCommand      = 3 << 19 // 1.5 MB, of a proposal
	maxEntries      = 65535   // bytes of entries in a message
	maxInflight     = 256     // messages to a follower
	minCallTime     = 500 * time.Millisecond
)

// What a Node answers, in Docker's words.
var (
	//lint:ignore ST1005 the text is swarmkit's
	// ErrNoLeader says that there is no quorum, or no election has been won for ten ticks (W6).
	ErrNoLeader = errors.New("rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers " +
		"are online. Make sure more than half of the managers are online.")
	// ErrLastManager refuses to remove the only manager (W9).
	ErrLastManager = errors.New("rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm")
	// ErrQuorum refuses to remove a manager when too few of those left can be reached (W9).
	ErrQuorum = errors.New("rpc error: code = FailedPrecondition desc = can't remove member from the raft: this would result in a loss of quorum")
	// ErrLostLeadership says that a proposal may or may not have been accepted.
	ErrLostLeadership = errors.New("raft: failed to process the request: node lost leader status")
	// ErrStopped says that the node does not run any more.
	ErrStopped = errors.New("raft: failed to process the request: node is stopped")
	// ErrRemoved ends Run: this node was demoted, or a cluster was made anew without it.
	ErrRemoved = errors.New("raft: member was removed")
	// ErrUnknownMember says that no manager has the name.
	ErrUnknownMember = errors.New("raft: member unknown")
	// ErrTooLarge refuses a command beyond 1.5 MB.
	ErrTooLarge = errors.New("raft: raft message is too large and can't be sent")

	errNotLeader = errors.New("raft: node is not the leader")
)

// Network is where a manager listens and calls: the namespace of its host.
type Network interface {
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Listen(network, address string) (net.Listener, error)
}

// Machine is what the members agree on. Its methods are called one at a time, and must not block; the same commands must
// lead to the same state on every member.
type Machine interface {
	// Apply carries out the command that is at an index of the log, and returns what its proposer is told.
	Apply(index uint64, command []byte) (result []byte)
	// Snapshot returns all of the state.
	Snapshot() ([]byte, error)
	// Restore replaces the state by that of a snapshot; by the initial one if there are no bytes.
	Restore(snapshot []byte) error
}

// Member is a manager as raft knows it.
type Member struct {
	RaftID uint64
	Node   string // the swarm's id, and the CN of its certificate
	Addr   string // host:port where it listens
}

// Config says what a Node is to be.
type Config struct {
	Addr     string              // what others call: host:port; must be set
	Listen   string              // where to listen: host:port; empty: Addr
	Network  Network             // must be set
	Identity func() *ca.Identity // the certificate of the moment; must be set
	Storage  *Storage            // must be set
	Machine  Machine             // must be set

	Join            string // address of a manager to join, while the storage is empty; empty: begin a new cluster
	ForceNewCluster bool   // go on alone with what the storage holds as agreed, and forget the other members

	Tick           time.Duration         // zero: DefaultTick
	HeartbeatTicks int                   // zero: DefaultHeartbeatTicks
	ElectionTicks  int                   // zero: DefaultElectionTicks; an election begins after one to two times as many
	SnapshotEvery  uint64                // entries; zero: DefaultSnapshotEvery
	KeepEntries    uint64                // in the log after a snapshot; zero: DefaultKeepEntries
	Now            func() time.Time      // for certificates; nil: time.Now
	Log            *slog.Logger          // nil: silent
	Methods        func(srv *rpc.Server) // adds methods of others to the port; nil: none
}

func (c Config) complete() (Config, error) {
	switch {
	case c.Addr == "", c.Network == nil, c.Identity == nil, c.Storage == nil, c.Machine == nil:
		return c, errors.New("new manager: an address, network, identity, storage and machine are needed")
	case c.Identity() == nil || c.Identity().Role != ca.Manager:
		return c, errors.New("new manager: the certificate is not one of a manager")
	}
	c.Listen = orDefault(c.Listen, c.Addr)
	c.Tick = orDefault(c.Tick, DefaultTick)
	c.HeartbeatTicks = orDefault(c.HeartbeatTicks, DefaultHeartbeatTicks)
	c.ElectionTicks = orDefault(c.ElectionTicks, DefaultElectionTicks)
	c.SnapshotEvery = orDefault(c.SnapshotEvery, DefaultSnapshotEvery)
	c.KeepEntries = orDefault(c.KeepEntries, DefaultKeepEntries)
	if c.Tick < 0 || c.HeartbeatTicks < 1 || c.ElectionTicks <= c.HeartbeatTicks {
		return c, fmt.Errorf("new manager: %d election ticks and %d heartbeat ticks of %v: an election must take more than a heartbeat",
			c.ElectionTicks, c.HeartbeatTicks, c.Tick)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// callTime is how long a call to another member may take.
func (c Config) callTime() time.Duration {
	return max(minCallTime, time.Duration(c.ElectionTicks)*c.Tick/2)
}

package manager

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/swarmkit/v2/api"
	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/swarm/allocate"
	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/docker/swarm/quiet"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
	"github.com/netsim-lab/netsim/docker/swarm/state"
)

// Manager is one manager. Its methods are safe to call at once. It runs once: one that is restarted is a new Manager with
// the same Storage.
type Manager struct {
	cfg   Config
	state *state.State
	raft  *consensus.Node

	tokens, removed, denied atomic.Uint64 // requests that were refused

	mu      sync.Mutex
	office  *office       // what works while this manager leads; guarded by mu
	changed chan struct{} // closes when office changes; guarded by mu
}

// New returns a manager. It starts nothing and opens nothing.
func New(cfg Config) (*Manager, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, state: state.New(cfg.Log), changed: make(chan struct{})}
	m.raft, err = consensus.New(consensus.Config{
		Addr: cfg.Addr, Listen: cfg.Listen, Network: cfg.Network, Identity: cfg.Identity, Storage: cfg.Storage, Machine: m.state,
		Join: cfg.Join, ForceNewCluster: cfg.ForceNewCluster, Tick: cfg.Tick, ElectionTicks: cfg.ElectionTicks,
		SnapshotEvery: cfg.SnapshotEvery, KeepEntries: cfg.KeepEntries, Now: cfg.Now, Log: cfg.Log, Methods: m.methods,
	})
	if err != nil {
		return nil, errors.Join(err, m.state.Close())
	}
	m.state.Bind(m.raft)
	return m, nil
}

func (m *Manager) provider() allocate.Provider { return allocate.Provider{Modern: m.cfg.Modern} }

// Run is the manager's process, until ctx ends (nil), or it is removed from raft (consensus.ErrRemoved).
func (m *Manager) Run(ctx context.Context) error {
	defer m.state.Close() //nolint:errcheck // nobody watches any more
	g, ctx := errgroup.WithContext(quiet.Context(ctx, m.cfg.Log))
	g.Go(func() error {
		if err := m.raft.Run(ctx); err != nil {
			return err
		}
		return context.Canceled
	})
	g.Go(func() error { return m.reign(ctx) })
	g.Go(func() error { m.watchLock(ctx); return nil })
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// reign works as leader whenever this manager is.
func (m *Manager) reign(ctx context.Context) error {
	for {
		lead, changed := m.raft.Leads()
		if lead == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if err := m.lead(ctx, lead); err != nil && ctx.Err() == nil && !errors.Is(err, consensus.ErrLostLeadership) {
			m.cfg.Log.Error("a manager cannot lead", "node", m.cfg.Identity().Node, "err", err)
			m.await(ctx, time.Second, func() bool { return false })
			continue
		}
		m.await(ctx, 0, func() bool { l, _ := m.raft.Leads(); return l != lead })
		if ctx.Err() != nil {
			return nil
		}
	}
}

// await waits until f holds, asking again whenever the leader or the members change, and no longer than for some time; 0:
// for ever.
func (m *Manager) await(ctx context.Context, patience time.Duration, f func() bool) {
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	for {
		_, changed := m.raft.Leads()
		if f() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// post announces that this manager works as leader, or no longer does.
func (m *Manager) post(o *office) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.office = o
	close(m.changed)
	m.changed = make(chan struct{})
}

// current returns what works here while this manager leads; nil otherwise.
func (m *Manager) current() (*office, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.office, m.changed
}

// Ready closes once the manager is a member and knows a leader.
func (m *Manager) Ready() <-chan struct{} { return m.raft.Ready() }

// WaitForLeader blocks until the swarm's API can be used by way of this manager: somebody leads, and if that is this
// manager, works. The error is consensus.ErrNoLeader, or that of ctx.
func (m *Manager) WaitForLeader(ctx context.Context) error {
	_, _, err := m.where(ctx)
	return err
}

// Status is raft's.
func (m *Manager) Status(ctx context.Context) (consensus.Status, error) { return m.raft.Status(ctx) }

// Members returns the managers as this one sees them.
func (m *Manager) Members() []consensus.Peer {
	members, _ := m.raft.Members()
	return members
}

// Refusals counts what a manager did not serve.
type Refusals struct {
	rpc.Refusals
	Tokens  uint64 // nodes that wanted to join with a token of another swarm, or with one that was rotated away (W15)
	Removed uint64 // requests of nodes that were removed from the swarm
}

// Refusals returns the counts so far. Tokens and removed nodes are refused by the leader.
func (m *Manager) Refusals() Refusals {
	r := Refusals{Refusals: m.raft.Refusals(), Tokens: m.tokens.Load(), Removed: m.removed.Load()}
	r.Denied += m.denied.Load() // by way of other managers
	return r
}

// Leave takes this manager out of raft, if the others can do without it. Run then ends with consensus.ErrRemoved.
func (m *Manager) Leave(ctx context.Context) error { return m.raft.Leave(ctx) }

// Control is the swarm's API, here or at the leader.
func (m *Manager) Control() api.ControlServer { return Control(m.Call) }

// Call is a Call of the swarm's API, here or at the leader.
func (m *Manager) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	return m.perform(ctx, m.self(), methodControl, headed(method, request))
}

// self is this manager as a caller.
func (m *Manager) self() caller {
	id := m.cfg.Identity()
	return caller{Subject: ca.Subject{Node: id.Node, Role: id.Role, Cluster: id.Cluster}, Remote: m.cfg.Addr}
}

package node

import (
	"context"
	"errors"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/docker/swarm/manager"
)

// How long a manager that ended stays away, unless the node's role changes: dockerd's daemon/cluster, and swarmkit's
// node/node.go for one that was removed from raft.
const (
	firstPause  = 100 * time.Millisecond
	lastPause   = 30 * time.Second
	removedTime = 16 * time.Second
)

// manage runs a manager whenever the certificate is one of a manager.
func (m *membership) manage(ctx context.Context) error {
	pause := firstPause
	for {
		id, swapped := m.observe()
		if id.Role == ca.Manager {
			began := time.Now()
			err := m.runManager(ctx)
			if time.Since(began) > lastPause {
				pause = firstPause
			}
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, consensus.ErrRemoved):
				m.node.disk.change(func(r *record) { r.storage = nil })
				m.wantCertificate() // of a worker, as it seems
				pause = max(pause, removedTime)
			case err != nil && !m.managedBefore():
				return err // nobody has begun to rely on it
			}
			if id, swapped = m.observe(); id.Role == ca.Manager {
				wait, cancel := context.WithTimeout(ctx, pause)
				waitFor(wait, swapped)
				cancel()
				pause = min(2*pause, lastPause)
			}
			continue
		}
		pause = firstPause
		waitFor(ctx, swapped)
		if ctx.Err() != nil {
			return nil
		}
	}
}

func waitFor(ctx context.Context, c <-chan struct{}) {
	select {
	case <-c:
	case <-ctx.Done():
	}
}

// managedBefore tells whether the node took part before a manager of its failed.
func (m *membership) managedBefore() bool {
	select {
	case <-m.ready:
		return true
	default:
		return false
	}
}

// runManager runs a manager until ctx ends, it fails, or the node is one no more.
func (m *membership) runManager(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, ok := m.node.disk.read()
	if !ok {
		return ErrNoSwarm
	}
	t := m.cfg.Times
	cfg := manager.Config{
		Addr: r.addr, Listen: r.listen, Network: m.cfg.Network, Identity: m.identity, Storage: m.node.storage(),
		Genesis: m.genesis, ForceNewCluster: m.forceNew, Modern: m.cfg.Modern, Tick: t.Tick, ElectionTicks: t.ElectionTicks,
		SnapshotEvery: t.SnapshotEvery, KeepEntries: t.KeepEntries, KeyRotation: t.KeyRotation, Now: m.cfg.Now, Log: m.cfg.Log,
		OnLock: m.node.lock,
	}
	if m.genesis == nil {
		cfg.Join = m.remotes.pick(r.addr)
	}
	man, err := manager.New(cfg)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- man.Run(ctx) }()
	m.watchRole(ctx, man, ended, cancel)
	m.setManager(nil)
	err = <-ended
	m.genesis, m.forceNew = nil, false
	return err
}

// watchRole lets the manager be used once it is one, and ends it when the node is none any more. It returns when the
// manager has ended, or is about to.
func (m *membership) watchRole(ctx context.Context, man *manager.Manager, ended chan error, cancel func()) {
	ready := man.Ready()
	for {
		id, swapped := m.observe()
		if id.Role != ca.Manager {
			cancel()
			return
		}
		select {
		case <-ready:
			ready = nil
			m.setManager(man)
		case <-swapped:
		case <-ctx.Done():
			return
		case err := <-ended:
			ended <- err
			return
		}
	}
}

// setManager says which manager runs here; nil: none.
func (m *membership) setManager(man *manager.Manager) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.manager != man {
		m.manager = man
		m.wake()
	}
}

// managing tells whether a manager runs here and is one of raft's members.
func (m *membership) managing() bool { return m.running() != nil }

// running returns the manager that runs here.
func (m *membership) running() *manager.Manager {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.manager
}

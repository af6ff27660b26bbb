package manager

import (
	"bytes"
	"context"

	"github.com/moby/swarmkit/v2/api"
	swarmca "github.com/moby/swarmkit/v2/ca"
	"github.com/moby/swarmkit/v2/manager/state/store"
)

// unlockKey is what managers of a swarm are locked with; nil: they are not (W17).
func unlockKey(c *api.Cluster) []byte {
	if c == nil || !c.Spec.EncryptionConfig.AutoLockManagers {
		return nil
	}
	for _, k := range c.UnlockKeys {
		if k.Subsystem == swarmca.ManagerRole {
			return k.Key
		}
	}
	return nil
}

// watchLock tells OnLock of the key, at first and whenever it changes, until ctx ends.
func (m *Manager) watchLock(ctx context.Context) {
	if m.cfg.OnLock == nil {
		return
	}
	select {
	case <-m.raft.Ready():
	case <-ctx.Done():
		return
	}
	events, cancel, err := store.ViewAndWatch(m.state.Store(), func(store.ReadTx) error { return nil }, api.EventCreateCluster{}, api.EventUpdateCluster{})
	if err != nil {
		return
	}
	defer cancel()
	var last []byte
	for {
		var c *api.Cluster
		m.state.Store().View(func(tx store.ReadTx) { c = store.GetCluster(tx, m.cfg.Identity().Cluster) })
		if key := unlockKey(c); c != nil && !bytes.Equal(key, last) {
			m.cfg.OnLock(key)
			last = key
		}
		select {
		case <-events:
		case <-ctx.Done():
			return
		}
	}
}

package node

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

// update changes the swarm's object by way of a manager.
func (h *host) update(f func(*swarmapi.ClusterSpec), rotate swarmapi.KeyRotation) {
	h.Helper()
	h.eventually("the swarm's object is changed", func() bool {
		c := h.cluster()
		f(&c.Spec)
		_, err := h.Control().UpdateCluster(h.within(patience), &swarmapi.UpdateClusterRequest{
			ClusterID: c.ID, ClusterVersion: &c.Meta.Version, Spec: &c.Spec, Rotation: rotate,
		})
		return err == nil // somebody else may have changed it in between
	})
}

// docker swarm ca --rotate: every node gets a certificate of the new root, and then trusts that only; tokens are new.
func TestRootRotation(t *testing.T) {
	if swiftly(t) {
		return
	}
	l := swarm(t, 3, 2, func(t *Times) { t.Renewal, t.Describe = 300*time.Millisecond, 300*time.Millisecond })
	m := l.hosts[0]
	before := m.cluster().RootCA
	m.update(func(s *swarmapi.ClusterSpec) { s.CAConfig.ForceRotate++ }, swarmapi.KeyRotation{})
	if r := m.cluster().RootCA.RootRotation; r == nil || len(r.CrossSignedCACert) == 0 {
		t.Fatalf("W17: no rotation began: %+v", r)
	}
	l.eventually("W17: the rotation has come to its end", func() bool {
		r := m.cluster().RootCA
		return r.RootRotation == nil && !bytes.Equal(r.CACert, before.CACert)
	})
	after := m.cluster().RootCA
	if after.JoinTokens.Worker == before.JoinTokens.Worker {
		t.Error("W17: tokens name the old root")
	}
	l.eventually("W17: all nodes trust the new root", func() bool {
		for _, h := range l.hosts {
			if !bytes.Equal(h.current().identity().Root(), after.CACert) {
				return false
			}
		}
		return true
	})
	joiner := l.plug()
	joiner.switchOn()
	joiner.joins(l.hosts[1], after.JoinTokens.Worker)
	l.hosts[1].switchOff()
	l.hosts[1].switchOn()
	l.eventually("W17: managers trust each other, with connections that are new", func() bool {
		return l.hosts[1].Info().Control && l.hosts[1].sees(joiner).Status.State == swarmapi.NodeStatus_READY
	})
}

// Certificates are renewed before they expire; a host that was off for too long finds its own expired.
func TestRenewal(t *testing.T) {
	t.Parallel()
	l := newLab(t, 0, func(t *Times) { t.CertLife, t.Renewal = time.Hour, 50*time.Millisecond })
	l.plug().switchOn()
	l.plug().switchOn()
	m, w := l.hosts[0], l.hosts[1]
	m.begin(InitOptions{})
	w.joins(m, m.tokens().Worker)
	old := w.current().identity()
	if got := old.NotAfter.Sub(old.NotBefore); got != 2*time.Hour {
		t.Errorf("W16: a certificate lives %v; want 1h, backdated by 1h", got)
	}
	id := w.Info().NodeID
	w.switchOff()
	before, _ := w.disk.read()
	w.now = func() time.Time { // past 80 % of the life of the old one, by whose manager's clock the new one begins
		if r, _ := w.disk.read(); bytes.Equal(r.chain, before.chain) {
			return time.Now().Add(46 * time.Minute)
		}
		return time.Now()
	}
	w.switchOn()
	l.eventually("W16: the certificate is renewed", func() bool {
		r, _ := w.disk.read()
		return !bytes.Equal(r.chain, before.chain) && m.seesID(id).Status.State == swarmapi.NodeStatus_READY
	})
	if end := w.current().identity().NotAfter; end.Before(old.NotAfter) {
		t.Errorf("W16: it ends at %v, before the old one, %v", end, old.NotAfter)
	}
	w.switchOff()
	w.now = func() time.Time { return time.Now().Add(3 * time.Hour) }
	w.switchOn()
	l.eventually("W16: it has expired", func() bool { return w.Info().State == Failed })
	if i := w.Info(); i.Err != string(ErrExpired) || i.NodeID != id {
		t.Errorf("W16: Info = %+v", i)
	}
	if _, err := w.Init(l.within(patience), InitOptions{}); !errors.Is(err, ErrSwarmExists) {
		t.Errorf("Init with an expired certificate = %v", err)
	}
	if err := w.Leave(l.within(patience), false); err != nil || w.Info().State != Inactive {
		t.Errorf("Leave with an expired certificate = %v, %+v", err, w.Info())
	}
}

// A manager of a swarm with --autolock waits for the key when it is started again.
func TestLock(t *testing.T) {
	l := newLab(t, 1)
	m := l.hosts[0]
	m.begin(InitOptions{AutoLock: true})
	key, err := m.UnlockKey(l.within(patience))
	if err != nil || !strings.HasPrefix(key, "SWMKEY-1-") {
		t.Fatalf("W17: UnlockKey = %s, %v", key, err)
	}
	l.says("W17: unlock what is not locked", m.Unlock(l.within(patience), key), "swarm is not locked")
	restart := func() { m.switchOff(); m.switchOn() }
	l.eventually("the disk is locked", func() bool { r, _ := m.disk.read(); return r.lock != nil })
	restart()
	if i := m.Info(); i.State != Locked {
		t.Fatalf("W17: Info = %+v", i)
	}
	_, err = m.Control().ListNodes(l.within(patience), &swarmapi.ListNodesRequest{})
	l.says("W17: ListNodes", err, string(ErrLocked))
	l.says("W17: leave", m.Leave(l.within(patience), false),
		"Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.")
	l.says("W17: a wrong key", m.Unlock(l.within(patience), "SWMKEY-1-"+strings.Repeat("A", 43)), "swarm could not be unlocked: invalid key provided")
	if err := m.Unlock(l.within(patience), key); err != nil {
		t.Fatalf("W17: Unlock = %v", err)
	}
	if got := len(m.nodes()); got != 1 {
		t.Errorf("W17: %d nodes after it was unlocked", got)
	}
	m.update(func(*swarmapi.ClusterSpec) {}, swarmapi.KeyRotation{ManagerUnlockKey: true})
	if again, err := m.UnlockKey(l.within(patience)); err != nil || again == key {
		t.Errorf("W17: the key after its rotation = %s, %v", again, err)
	}
	m.update(func(s *swarmapi.ClusterSpec) { s.EncryptionConfig.AutoLockManagers = false }, swarmapi.KeyRotation{})
	l.eventually("the disk is not locked", func() bool { r, _ := m.disk.read(); return r.lock == nil })
	restart()
	l.eventually("W17: it comes back by itself", func() bool { return m.Info().State == Active })
}

// The leader's key manager makes three keys for gossip and for IPsec each, and rotates them: the newest is added, the one
// in the middle seals, the oldest goes.
func TestKeyRotation(t *testing.T) {
	if swiftly(t) {
		return
	}
	l := swarm(t, 2, 1, func(t *Times) { t.KeyRotation = 500 * time.Millisecond })
	first := l.keys(l.hosts[1], "networking:gossip")
	if len(first) != 3 || len(l.keys(l.hosts[1], "networking:ipsec")) != 3 {
		t.Fatalf("C12: %d keys for gossip; want 3", len(first))
	}
	l.eventually("C12: the keys have rotated on all nodes", func() bool {
		for _, h := range l.hosts {
			now := l.keys(h, "networking:gossip")
			if len(now) != 3 || now[2] <= first[2] {
				return false
			}
		}
		return true
	})
}

// keys returns the times of a node's keys for something, in their order.
func (l *lab) keys(h *host, subsystem string) (times []uint64) {
	l.Helper()
	l.eventually("there are keys", func() bool {
		h.engine.mu.Lock()
		defer h.engine.mu.Unlock()
		times = nil
		for _, k := range h.engine.keys {
			if k.Subsystem == subsystem {
				times = append(times, k.LamportTime)
			}
		}
		return times != nil
	})
	return times
}

func TestRemotes(t *testing.T) {
	l := newLab(t, 0)
	r := newRemotes(l.luck, "a", "b")
	if r.set(nil); len(r.list()) != 2 {
		t.Errorf("an empty list leaves %v", r.list())
	}
	r.observe("a", ErrNoSwarm)
	for range 10 {
		if got := r.pick(); got != "b" {
			t.Fatalf("pick = %s; want b, for a has failed", got)
		}
		if got := r.pick("b"); got != "a" {
			t.Fatalf("pick without b = %s; want a", got)
		}
	}
	if r.observe("a", nil); r.pick("b") != "a" {
		t.Error("a manager that is back is not picked")
	}
	if got := newRemotes(l.luck).pick(); got != "" {
		t.Errorf("pick of none = %q", got)
	}
}

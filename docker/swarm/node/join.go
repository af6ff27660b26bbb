package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/moby/swarmkit/v2/manager/encryption"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/docker/swarm/manager"
)

// Init makes a swarm whose first manager is this node, and returns the node's id. It blocks until the manager leads. Run
// must be running. The errors are ErrSwarmExists, and for ForceNewCluster ErrNotManager.
func (n *Node) Init(ctx context.Context, o InitOptions) (nodeID string, err error) {
	err = n.exclusive(ctx, func() error { nodeID, err = n.init(ctx, o); return err })
	return nodeID, err
}

func (n *Node) init(ctx context.Context, o InitOptions) (string, error) {
	if old := n.current(); old != nil {
		if !o.ForceNewCluster {
			return "", ErrSwarmExists
		}
		return n.forceNew(ctx, old, o)
	}
	r, g, err := n.genesis(o)
	if err != nil {
		return "", err
	}
	n.disk.write(r)
	m := n.newMembership(r)
	m.genesis = g
	if err := n.live(ctx, m); err != nil {
		n.disk.wipe()
		return "", err
	}
	return m.identity().Node, nil
}

// genesis makes a swarm: its root, its tokens, and the certificate of the first node.
func (n *Node) genesis(o InitOptions) (record, *manager.Genesis, error) {
	addr, err := n.address(o.AdvertiseAddr)
	if err != nil {
		return record{}, nil, fmt.Errorf("invalid AdvertiseAddr %q: %w", o.AdvertiseAddr, err)
	}
	listen := addr
	if o.ListenAddr != "" {
		if listen, err = withPort(o.ListenAddr); err != nil {
			return record{}, nil, fmt.Errorf("invalid ListenAddr %q: %w", o.ListenAddr, err)
		}
	}
	luck, now := n.newLuck(), n.cfg.Now()
	a, err := ca.New(ca.Config{Cluster: newID(luck), Life: n.cfg.Times.CertLife}, now, luck)
	if err != nil {
		return record{}, nil, err
	}
	key, request, err := ca.NewRequest(luck)
	if err != nil {
		return record{}, nil, err
	}
	chain, err := a.Issue(request, newID(luck), ca.Manager, now, luck)
	if err != nil {
		return record{}, nil, err
	}
	rootKey, err := a.Key()
	if err != nil {
		return record{}, nil, err
	}
	g := &manager.Genesis{
		Root: a.Root(), RootKey: rootKey, WorkerToken: a.Token(ca.Worker).String(), ManagerToken: a.Token(ca.Manager).String(),
		Availability: o.Availability, Heartbeat: n.cfg.Times.Heartbeat, CertLife: n.cfg.Times.CertLife,
		DefaultAddrPool: o.DefaultAddrPool, SubnetSize: o.SubnetSize, DataPathPort: o.DataPathPort,
	}
	if o.AutoLock {
		g.UnlockKey = encryption.GenerateSecretKey()
	}
	return record{listen: listen, addr: addr, dataPath: o.DataPathAddr, remotes: []string{addr}, key: key, chain: chain, root: a.Root()}, g, nil
}

// live has a membership run, and waits until the node is what it is to be.
func (n *Node) live(ctx context.Context, m *membership) error {
	if err := n.start(ctx, m); err != nil {
		n.forget(m)
		return err
	}
	select {
	case <-m.ready:
		return nil
	case <-m.ended:
	case <-n.ended:
	case <-ctx.Done():
		m.cancel()
		<-m.ended
	}
	n.forget(m)
	return errors.Join(m.failure(), ctx.Err())
}

// forceNew has a manager go on alone, with what it knows.
func (n *Node) forceNew(ctx context.Context, old *membership, o InitOptions) (string, error) {
	id := old.identity()
	if id == nil || id.Role != ca.Manager {
		return "", ErrNotManager
	}
	old.cancel()
	<-old.ended
	r, ok := n.disk.read()
	if !ok {
		return "", ErrNotManager
	}
	var err error
	if o.AdvertiseAddr != "" {
		if r.addr, err = n.address(o.AdvertiseAddr); err != nil {
			return "", fmt.Errorf("invalid AdvertiseAddr %q: %w", o.AdvertiseAddr, err)
		}
		r.listen = r.addr
	}
	r.remotes = []string{r.addr}
	n.disk.write(r)
	m := n.newMembership(r)
	m.forceNew = true
	if err := n.live(ctx, m); err != nil {
		return "", err
	}
	return id.Node, nil
}

// Join makes this node part of a swarm, as what the token says. It blocks until it is one, or its patience has passed
// (ErrJoinTimeout; it goes on trying by then).
func (n *Node) Join(ctx context.Context, o JoinOptions) error {
	return n.exclusive(ctx, func() error { return n.join(ctx, o) })
}

func (n *Node) join(ctx context.Context, o JoinOptions) error {
	if n.current() != nil {
		return ErrSwarmExists
	}
	r, err := n.invitation(o)
	if err != nil {
		return err
	}
	n.disk.write(r)
	m := n.newMembership(r)
	m.patience, m.turn, m.enrolled = o.Patience, o.Turn, o.Enrolled
	if err := n.start(ctx, m); err != nil {
		n.forget(m)
		n.disk.wipe()
		return err
	}
	timeout := time.NewTimer(cmp.Or(o.Patience, n.cfg.Times.Join))
	defer timeout.Stop()
	select {
	case <-m.ready:
		return nil
	case <-timeout.C:
		return ErrJoinTimeout
	case <-m.ended:
	case <-n.ended:
	case <-ctx.Done():
		m.cancel()
		<-m.ended
	}
	n.forget(m)
	n.disk.wipe()
	return errors.Join(m.failure(), ctx.Err())
}

// invitation is what Join was told, checked.
func (n *Node) invitation(o JoinOptions) (record, error) {
	r := record{token: o.Token, availability: o.Availability, dataPath: o.DataPathAddr}
	var err error
	if r.addr, err = n.address(o.AdvertiseAddr); err != nil {
		return r, fmt.Errorf("invalid AdvertiseAddr %q: %w", o.AdvertiseAddr, err)
	}
	r.listen = r.addr
	if o.ListenAddr != "" {
		if r.listen, err = withPort(o.ListenAddr); err != nil {
			return r, fmt.Errorf("invalid ListenAddr %q: %w", o.ListenAddr, err)
		}
	}
	if len(o.Remotes) == 0 {
		return r, errors.New("at least 1 RemoteAddr is required to join")
	}
	for _, text := range o.Remotes {
		addr, err := withPort(text)
		if err != nil {
			return r, fmt.Errorf("invalid remoteAddr %q: %w", text, err)
		}
		r.remotes = append(r.remotes, addr)
	}
	_, err = ca.ParseToken(o.Token)
	return r, err
}

// Unlock gives a locked manager the key (SWMKEY-1-...) to what is on its disk (W17).
func (n *Node) Unlock(ctx context.Context, key string) error {
	return n.exclusive(ctx, func() error {
		n.mu.Lock()
		locked := n.locked
		n.mu.Unlock()
		if !locked {
			if n.current() == nil {
				return ErrNotInSwarm
			}
			return errNotLocked
		}
		text, err := encryption.ParseHumanReadableKey(key)
		if err != nil {
			return err
		}
		r, ok := n.disk.read()
		if !ok || subtle.ConstantTimeCompare(r.lock, text) == 0 {
			return errUnlockKey
		}
		return n.live(ctx, n.newMembership(r))
	})
}

var (
	errNotLocked = errors.New("swarm is not locked")
	errUnlockKey = errors.New("swarm could not be unlocked: invalid key provided")
)

// UnlockKey returns the key that Unlock takes; "" if the swarm is not to be locked.
func (n *Node) UnlockKey(ctx context.Context) (string, error) {
	m, _, err := n.active()
	if err != nil {
		return "", err
	}
	answer, err := m.client.UnlockKey(ctx, m.addr)
	if err != nil || len(answer.UnlockKey) == 0 {
		return "", err
	}
	return encryption.HumanReadableKey(answer.UnlockKey), nil
}

// lock notes what a manager must be given when it is started again; nil: nothing.
func (n *Node) lock(key []byte) {
	n.disk.change(func(r *record) {
		if !bytes.Equal(r.lock, key) {
			r.lock = bytes.Clone(key)
		}
	})
}

// storage is that of the manager's raft.
func (n *Node) storage() *consensus.Storage { return n.disk.raft(n.newLuck()) }

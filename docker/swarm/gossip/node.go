package gossip

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/errgroup"
)

// Node is one member of a gossip cluster. All methods may be called at once, but Run only once.
type Node struct {
	cfg     Config
	times   Times
	log     *slog.Logger
	ring    *keyring
	refused refusals
	ready   chan struct{}
	ended   chan struct{}
	asked   chan request
	news    chan struct{} // holds a token when a round is wanted
	fresh   chan struct{} // holds a token when the node has joined something
	syncs   *todo
	unlike  *todo // peers whose tables differ

	looking sync.Mutex // held by Snapshot
	ending  sync.Mutex // held while the node leaves, and while it shuts down: memberlist panics if it leaves after that

	// Set before ready is closed.
	transport *transport
	list      *memberlist.Memberlist

	mu    sync.Mutex
	state *state       // guarded by mu, but for news and live
	luck  *rand.Rand   // guarded by mu
	boot  []netip.Addr // the peers of Join; guarded by mu
	began bool         // guarded by mu
	left  bool         // guarded by mu
}

// request is something that Run does for somebody who may give up waiting.
type request struct {
	do   func(ctx context.Context) error
	done chan<- error
}

var silent = slog.New(slog.DiscardHandler)

// New checks the configuration. It starts nothing.
func New(cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ring, err := newKeyring(cfg.Keys)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, times: cfg.Times.withDefaults(), log: cfg.Log, ring: ring, luck: cfg.Luck, syncs: newTodo(), unlike: newTodo(),
		ready: make(chan struct{}), ended: make(chan struct{}), asked: make(chan request), news: make(chan struct{}, 1), fresh: make(chan struct{}, 1),
	}
	if n.log == nil {
		n.log = silent
	}
	if n.luck == nil {
		h := fnv.New64a()
		_, _ = h.Write([]byte(cfg.Name)) // a hash takes everything
		n.luck = rand.New(rand.NewPCG(h.Sum64(), 0))
	}
	n.state = newState(cfg.Name, n.times.Tombstone)
	n.state.attachSelf("", false, time.Now())
	return n, nil
}

// Ready is closed once the node can be reached.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Run keeps the node alive until ctx or its namespace ends; to the others that looks like a power cut, unless Leave came
// before. It returns when all that it started has ended, memberlist's goroutines included.
func (n *Node) Run(ctx context.Context) error {
	n.mu.Lock()
	again := n.began
	n.began = true
	n.mu.Unlock()
	if again {
		return fmt.Errorf("gossip of %s: it has run before", n.cfg.Name)
	}
	defer close(n.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := newTransport(ctx, n)
	if err != nil {
		return err
	}
	t.serve()
	list, err := memberlist.Create(n.memberlistConfig(t))
	if err != nil {
		t.close()
		return fmt.Errorf("gossip of %s: %w", n.cfg.Name, err)
	}
	n.transport, n.list = t, list
	close(n.ready)
	g, ctx := errgroup.WithContext(ctx)
	n.work(ctx, g)
	select {
	case <-ctx.Done():
	case <-n.cfg.NS.Done():
		cancel()
	}
	n.ending.Lock()
	err = list.Shutdown()
	n.ending.Unlock()
	err = errors.Join(err, g.Wait())
	t.users.Wait()
	return err
}

// work starts all that the node does of its own accord.
func (n *Node) work(ctx context.Context, g *errgroup.Group) {
	every := func(d time.Duration, f func(context.Context)) {
		g.Go(func() error {
			tick := time.NewTicker(d)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					f(ctx)
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	g.Go(func() error { n.rounds(ctx); return nil })
	g.Go(func() error { n.settle(ctx); return nil })
	every(n.times.Sync, n.syncSome)
	every(n.times.Reconnect, n.reconnect)
	every(n.times.Rejoin, n.rejoin)
	for range syncWorkers {
		g.Go(func() error { n.syncQueued(ctx); return nil })
		g.Go(func() error { n.compare(ctx); return nil })
	}
	g.Go(func() error { n.serve(ctx); return nil })
}

// serve does what it is asked to, and forgets what is to be forgotten, until ctx ends.
func (n *Node) serve(ctx context.Context) {
	reap := time.NewTicker(n.times.Reap)
	defer reap.Stop()
	for {
		select {
		case r := <-n.asked:
			r.done <- r.do(ctx)
		case <-reap.C:
			n.mu.Lock()
			n.state.reap(time.Now(), n.times.Forget)
			n.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// ask has Run do something. It waits until the node is ready, and that is done.
func (n *Node) ask(ctx context.Context, what string, do func(ctx context.Context) error) error {
	done := make(chan error, 1)
	ready, asked := n.ready, (chan<- request)(nil)
	for {
		var err error
		select {
		case <-ready:
			ready, asked = nil, n.asked
			continue
		case asked <- request{do, done}:
			asked = nil
			continue
		case err = <-done:
		case <-ctx.Done():
			err = ctx.Err()
		case <-n.ended:
			err = errDown
		}
		if err != nil {
			return fmt.Errorf("gossip of %s: %s: %w", n.cfg.Name, what, err)
		}
		return nil
	}
}

// Join makes the node part of the cluster of some peers; one that answers is enough, and an error says that none did. They are
// called again whenever none of them is there (C10).
func (n *Node) Join(ctx context.Context, peers ...netip.Addr) error {
	n.mu.Lock()
	for _, p := range peers {
		if p != n.cfg.Addr && !slices.Contains(n.boot, p) {
			n.boot = append(n.boot, p)
		}
	}
	n.mu.Unlock()
	return n.ask(ctx, "join", func(ctx context.Context) error {
		defer n.unsettle()
		return n.call(ctx, peers)
	})
}

// call exchanges all members and their networks with some peers.
func (n *Node) call(ctx context.Context, peers []netip.Addr) error {
	var errs []error
	met := len(peers) == 0
	for _, p := range peers {
		if ctx.Err() != nil {
			break
		}
		_, err := n.list.Join([]string{netip.AddrPortFrom(p, Port).String()})
		met = met || err == nil
		errs = append(errs, err)
	}
	if met {
		return nil
	}
	return errors.Join(errs...)
}

// Leave tells the others that the node goes of its own will, so that they wait for nothing (C3). It returns when that has been
// sent often enough, or after 5 s. What is left to do then is to end Run; a node that has left is no member again.
func (n *Node) Leave(ctx context.Context) error {
	return n.ask(ctx, "leave", func(ctx context.Context) error {
		n.ending.Lock()
		defer n.ending.Unlock()
		if ctx.Err() != nil {
			return errDown
		}
		n.mu.Lock()
		now := time.Now()
		if !n.left {
			for network := range n.state.nets {
				n.state.attachSelf(network, true, now)
			}
			n.state.attachSelf("", true, now)
		}
		n.left = true
		n.mu.Unlock()
		return n.list.Leave(5 * time.Second)
	})
}

// JoinNetwork puts the node on a network: it publishes and hears what there is in its tables. All that the members have comes
// soon, by bulk sync with each of them (C6).
func (n *Node) JoinNetwork(network string) error {
	if err := checkName("network", network); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.left {
		return fmt.Errorf("gossip of %s: join network %s: the node has left the cluster", n.cfg.Name, network)
	}
	if n.state.nets[network] != nil {
		return nil
	}
	n.state.attachSelf(network, false, time.Now())
	members := n.state.members(network)
	for _, peer := range n.pick(members, len(members)) {
		n.owe(peer)
	}
	n.hasten()
	n.unsettle()
	return nil
}

// LeaveNetwork takes the node off a network. What it has published there is gone, for all.
func (n *Node) LeaveNetwork(network string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state.nets[network] != nil {
		n.state.attachSelf(network, true, time.Now())
		n.hasten()
	}
}

// Put publishes an entry, or changes one that the node has published: value is copied. The node must be on the network, and
// the entry must not be another's.
func (n *Node) Put(network, table, key string, value []byte) error {
	r := record{table: table, key: key, owner: n.cfg.Name, value: slices.Clone(value)}
	if err := n.write(network, r); err != nil {
		return fmt.Errorf("gossip of %s: put %s of %s on %s: %w", n.cfg.Name, key, table, network, err)
	}
	return nil
}

// Delete takes back an entry that the node has published.
func (n *Node) Delete(network, table, key string) error {
	r := record{table: table, key: key, owner: n.cfg.Name, gone: true, left: n.times.Tombstone}
	if err := n.write(network, r); err != nil {
		return fmt.Errorf("gossip of %s: delete %s of %s on %s: %w", n.cfg.Name, key, table, network, err)
	}
	return nil
}

func (n *Node) write(network string, r record) error {
	for what, name := range map[string]string{"table": r.table, "key": r.key} {
		if err := checkName(what, name); err != nil {
			return err
		}
	}
	r.ltime = maxLtime - 1 // the longest, to see whether it fits
	if size, most := len(appendRecord(nil, r)), roomFor(network); size > most {
		return fmt.Errorf("the entry takes %d bytes; a packet has room for %d", size, most)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	net := n.state.nets[network]
	if net == nil {
		return errors.New("the node is not on the network")
	}
	e := net.tables[r.table][r.key]
	switch {
	case e != nil && !e.gone && e.owner != n.cfg.Name:
		return fmt.Errorf("it is an entry of %s", e.owner)
	case r.gone && (e == nil || e.gone):
		return errors.New("there is no such entry")
	case e == nil && net.entries >= maxEntries:
		return fmt.Errorf("the network has %d entries already", net.entries)
	}
	r.ltime = n.state.tick()
	n.state.put(network, r, time.Now())
	n.state.publish(network, r)
	n.hasten()
	return nil
}

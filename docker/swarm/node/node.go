package node

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

// Node is a host's side of a swarm. Its methods may be called at once, but Run only once.
type Node struct {
	cfg     Config
	disk    *Disk
	begin   chan *membership // to Run
	ended   chan struct{}    // closes when Run returns
	resumed *membership      // what the disk held; nil: nothing
	one     chan struct{}    // holds a token while Init, Join, Leave or Unlock is under way

	mu     sync.Mutex
	luck   *rand.Rand    // guarded by mu
	member *membership   // nil: in no swarm; guarded by mu
	turned chan struct{} // closes when member changes; guarded by mu
	locked bool          // what the disk holds waits for Unlock; guarded by mu
}

// New checks the configuration. It starts nothing.
func New(cfg Config) (*Node, error) {
	if cfg.Network == nil || cfg.Name == "" || !cfg.Addr.IsValid() || cfg.Executor == nil {
		return nil, errors.New("new swarm node: a network, name, address and executor are needed")
	}
	if cfg.Disk == nil {
		cfg.Disk = &Disk{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Luck == nil {
		h := fnv.New64a()
		_, _ = h.Write([]byte(cfg.Name)) // never fails
		cfg.Luck = rand.New(rand.NewPCG(h.Sum64(), 2377))
	}
	cfg.Times = cfg.Times.complete()
	n := &Node{
		cfg: cfg, disk: cfg.Disk, luck: cfg.Luck, begin: make(chan *membership), ended: make(chan struct{}), one: make(chan struct{}, 1),
		turned: make(chan struct{}),
	}
	n.resume()
	return n, nil
}

// Run lives as long as the host is on: it takes up the membership that the Disk holds, and those that Init and Join begin.
// It returns nil when ctx has ended and all that it started has, too.
func (n *Node) Run(ctx context.Context) error {
	defer close(n.ended)
	var wg sync.WaitGroup
	defer wg.Wait()
	start := func(m *membership) {
		wg.Go(func() { m.run(ctx) })
	}
	if n.resumed != nil {
		start(n.resumed)
	}
	for {
		select {
		case m := <-n.begin:
			start(m)
		case <-ctx.Done():
			return nil
		}
	}
}

// resume prepares what the disk holds, if that is anything and not locked.
func (n *Node) resume() {
	r, ok := n.disk.read()
	switch {
	case !ok:
	case r.lock != nil:
		n.locked = true
	default:
		n.resumed = n.newMembership(r)
		n.member = n.resumed
	}
}

// exclusive has f carried out while nothing else changes the membership.
func (n *Node) exclusive(ctx context.Context, f func() error) error {
	select {
	case n.one <- struct{}{}:
		defer func() { <-n.one }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// current returns the membership, nil if there is none.
func (n *Node) current() *membership {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.member
}

// start hands a new membership to Run.
func (n *Node) start(ctx context.Context, m *membership) error {
	n.mu.Lock()
	n.turn(m)
	n.locked = false
	n.mu.Unlock()
	select {
	case n.begin <- m:
		return nil
	case <-n.ended:
		return errors.New("the node does not run")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forget ends a membership, if it is still that of the node.
func (n *Node) forget(m *membership) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.member == m {
		n.turn(nil)
	}
}

// newLuck returns a source of luck of its own, seeded by the node's.
func (n *Node) newLuck() *rand.Rand {
	n.mu.Lock()
	defer n.mu.Unlock()
	return rand.New(rand.NewPCG(n.luck.Uint64(), n.luck.Uint64()))
}

// address completes what Init or Join was told: host:port, with the node's address and port for what is missing.
func (n *Node) address(text string) (string, error) {
	if text == "" {
		return net.JoinHostPort(n.cfg.Addr.String(), strconv.Itoa(Port)), nil
	}
	return withPort(text)
}

// withPort adds the default port to an address without one (W12).
func withPort(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = text, strconv.Itoa(Port)
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 || host == "" {
		return "", &net.AddrError{Err: "not host:port", Addr: text}
	}
	return net.JoinHostPort(host, port), nil
}

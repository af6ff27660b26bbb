package consensus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// Leader is who leads the cluster, as far as a member knows. The zero value: nobody.
type Leader struct {
	Member
	Term uint64
}

// Node is one manager. Its methods are safe to call at once. It runs once: a restarted manager is a new Node with the
// same Storage.
type Node struct {
	cfg    Config
	self   Member
	client *rpc.Client
	server *rpc.Server

	inbox     chan func(*core) // carried out by the goroutine that owns raft
	stopped   chan struct{}    // closes when nobody owns raft any more
	stopOnce  sync.Once
	ready     chan struct{}
	readyOnce sync.Once
	ran       atomic.Bool
	changes   chan struct{} // holds a token: one change of the members at a time

	mu      sync.Mutex
	leader  Leader        // guarded by mu
	lead    *Lead         // guarded by mu
	members []Peer        // replaced as a whole; guarded by mu
	lost    bool          // no leader for long; guarded by mu
	changed chan struct{} // closes when one of these changes; guarded by mu
	applied atomic.Uint64
}

// New returns a manager. It starts nothing and opens nothing.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	id := cfg.Identity()
	n := &Node{
		cfg:     cfg,
		self:    Member{RaftID: cfg.Storage.id, Node: id.Node, Addr: cfg.Addr},
		inbox:   make(chan func(*core)),
		stopped: make(chan struct{}),
		ready:   make(chan struct{}),
		changes: make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	n.client = &rpc.Client{Dial: cfg.Network.Dial, TLS: n.clientTLS}
	n.server = &rpc.Server{Cluster: id.Cluster, TLS: n.serverTLS, Log: cfg.Log}
	n.handle()
	if cfg.Methods != nil {
		cfg.Methods(n.server)
	}
	return n, nil
}

// Run is the manager's process: it listens, joins if it has to, and takes part until ctx ends (nil), or until it is
// removed (ErrRemoved). What was agreed stays in the Storage.
func (n *Node) Run(ctx context.Context) error {
	if n.ran.Swap(true) {
		return errors.New("run manager: it has run before")
	}
	defer n.halt()
	if n.cfg.Storage.inUse.Swap(true) {
		return fmt.Errorf("run manager %s: %w", n.self.Node, errInUse)
	}
	defer n.cfg.Storage.inUse.Store(false)
	l, err := n.cfg.Network.Listen("tcp", n.cfg.Listen)
	if err != nil {
		return fmt.Errorf("run manager %s: %w", n.self.Node, err)
	}
	defer n.client.Close()
	if err = n.run(ctx, l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run manager %s: %w", n.self.Node, err)
	}
	return nil
}

func (n *Node) run(ctx context.Context, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.server.Serve(ctx, l) })
	g.Go(func() error {
		defer n.halt() // before requests that wait for it have ended
		// A member that joins listens first: the leader calls back before it takes it in.
		c, err := n.newCore(ctx, g)
		if err != nil {
			return err
		}
		if err := c.run(ctx); err != nil {
			return err
		}
		return ctx.Err() // stops the server too
	})
	return g.Wait()
}

func (n *Node) halt() { n.stopOnce.Do(func() { close(n.stopped) }) }

// Ready closes once the manager is a member and knows a leader.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Self is this manager as a member.
func (n *Node) Self() Member { return n.self }

// Refusals counts what the port did not serve.
func (n *Node) Refusals() rpc.Refusals { return n.server.Refusals() }

// Leader returns who leads, and a channel that closes when that changes.
func (n *Node) Leader() (Leader, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leader, n.changed
}

// publish tells those who watch of a leader, this member's own lead, and the members.
func (n *Node) publish(l Leader, lead *Lead, members []Peer, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l == n.leader && lead == n.lead && lost == n.lost && slices.Equal(members, n.members) {
		return
	}
	n.leader, n.lead, n.members, n.lost = l, lead, members, lost
	close(n.changed)
	n.changed = make(chan struct{})
	if l.RaftID != 0 {
		n.readyOnce.Do(func() { close(n.ready) })
	}
}

// do carries f out on the goroutine that owns raft, and returns when it is done.
func (n *Node) do(ctx context.Context, f func(*core)) error {
	done := make(chan struct{})
	select {
	case n.inbox <- func(c *core) { f(c); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-n.stopped:
		return ErrStopped
	}
	select {
	case <-done:
		return nil
	case <-n.stopped:
		return ErrStopped
	}
}

// Call calls a method of another manager, with this one's certificate.
func (n *Node) Call(ctx context.Context, addr, method string, body []byte) ([]byte, error) {
	return n.client.Call(ctx, addr, method, body)
}

// Stream asks another manager for a stream, with this one's certificate.
func (n *Node) Stream(ctx context.Context, addr, method string, body []byte) (*rpc.Flow, error) {
	return n.client.Stream(ctx, addr, method, body)
}

// managers is who may call what members call each other.
var managers = []ca.Role{ca.Manager}

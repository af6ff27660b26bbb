// Package agent is a node's part of a swarm's orchestration: it keeps a session with a manager, takes what that assigns to the
// node, takes the tasks through their states, and reports these. The states themselves are swarmkit's (agent/exec.Do), and so
// is the way in which a session is kept, lost and begun anew; nothing is kept on a disk.
//
// A session begins with the node's description. Then four things go on at once until the first of them fails: heartbeats, the
// messages of the session (managers, the node's object, keys), assignments (all of them first, then what changes), and reports of
// states, as many as there are in one call. The next session begins after a random part of a time that grows from
// 100 ms to 8 s, the first at once.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/swarm/quiet"
)

// Times of an agent, as swarmkit has them (agent/agent.go, agent/session.go).
const (
	firstBackoff   = 100 * time.Millisecond
	maxBackoff     = 8 * time.Second
	callTimeout    = 5 * time.Second
	describePeriod = 20 * time.Second
	retryPause     = time.Second
	reportsAtOnce  = 1024
)

// Dispatcher is what an agent calls of a manager. It picks one, and another if that fails.
type Dispatcher interface {
	Session(ctx context.Context, r *swarmapi.SessionRequest) (SessionStream, error)
	Assignments(ctx context.Context, r *swarmapi.AssignmentsRequest) (AssignmentStream, error)
	Heartbeat(ctx context.Context, r *swarmapi.HeartbeatRequest) (*swarmapi.HeartbeatResponse, error)
	UpdateTaskStatus(ctx context.Context, r *swarmapi.UpdateTaskStatusRequest) (*swarmapi.UpdateTaskStatusResponse, error)
}

// SessionStream is the messages of a session. Recv waits for one, an error, or the end of the context that the stream was
// opened with. Close ends the stream, and the manager's part of it.
type SessionStream interface {
	Recv() (*swarmapi.SessionMessage, error)
	Close()
}

// AssignmentStream is what a manager assigns to the node; see SessionStream.
type AssignmentStream interface {
	Recv() (*swarmapi.AssignmentsMessage, error)
	Close()
}

// Config says what an agent is. Dispatcher and Executor are needed.
type Config struct {
	Dispatcher Dispatcher
	Executor   exec.Executor
	Hostname   string              // of the node; empty: the executor's
	Log        *slog.Logger        // nil: silent
	Luck       func(n int64) int64 // a random number from 0 to below n, for the time between sessions; nil: math/rand's

	// TLSInfo returns what the node trusts, for its description; nil: nothing.
	TLSInfo func() *swarmapi.NodeTLSInfo
	// OnSession is called with each message of a session, before the executor sees its node and keys; nil: not.
	OnSession func(*swarmapi.SessionMessage)

	// Describe is the time between looks whether the node's description has changed, its certificate's root with it; 0: 20 s.
	Describe time.Duration
}

// Agent is one node's. All methods may be called at once, but Run only once.
type Agent struct {
	cfg   Config
	log   *slog.Logger
	ready chan struct{}
	ended chan struct{}
	tasks *worker

	// Used by who keeps the session.
	session string // its id; empty: none yet
	node    *swarmapi.Node
	keys    []*swarmapi.EncryptionKey
	first   sync.Once // closes ready
}

// New returns an agent that has no session.
func New(cfg Config) *Agent {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Luck == nil {
		cfg.Luck = rand.Int64N
	}
	if cfg.Describe == 0 {
		cfg.Describe = describePeriod
	}
	a := &Agent{cfg: cfg, log: cfg.Log, ready: make(chan struct{}), ended: make(chan struct{})}
	a.tasks = newWorker(cfg.Executor, cfg.Log)
	return a
}

// Ready is closed once the node has registered for the first time.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Run keeps a session until ctx ends. Tasks are left as they are then; see Leave.
func (a *Agent) Run(ctx context.Context) error {
	defer close(a.ended)
	ctx = quiet.Context(ctx, a.cfg.Log)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.tasks.run(ctx) })
	a.keep(ctx)
	return g.Wait()
}

// ErrEnded says that the agent does not run any more.
var ErrEnded = errors.New("the agent has ended")

// Leave kills the node's tasks, without asking their programs to end, and accepts no others. It returns when their containers are
// gone, or ctx ends. Run must be running.
func (a *Agent) Leave(ctx context.Context) error {
	done := a.tasks.leave()
	select {
	case <-done:
		return nil
	case <-a.ended:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keep has one session after the other.
func (a *Agent) keep(ctx context.Context) {
	var backoff time.Duration
	for sleep(ctx, a.delay(backoff)) {
		registered, err := a.hold(ctx)
		if registered {
			backoff = 0
		}
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errNewDescription) {
			continue
		}
		backoff = min(firstBackoff+2*backoff, maxBackoff)
		a.log.Info("agent's session failed", "node", a.cfg.Hostname, "error", err, "backoff", backoff)
	}
}

func (a *Agent) delay(backoff time.Duration) time.Duration {
	if backoff <= 0 {
		return 0
	}
	return time.Duration(a.cfg.Luck(int64(backoff)))
}

// sleep waits; false: ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *Agent) describe(ctx context.Context) (*swarmapi.NodeDescription, error) {
	d, err := a.cfg.Executor.Describe(ctx)
	if err != nil {
		return nil, err
	}
	if a.cfg.Hostname != "" {
		d.Hostname = a.cfg.Hostname
	}
	if a.cfg.TLSInfo != nil {
		d.TLSInfo = a.cfg.TLSInfo()
	}
	return d, nil
}

// take takes up a message of the session.
func (a *Agent) take(ctx context.Context, m *swarmapi.SessionMessage) {
	if a.cfg.OnSession != nil {
		a.cfg.OnSession(m)
	}
	if m.NetworkBootstrapKeys != nil && !sameKeys(a.keys, m.NetworkBootstrapKeys) {
		a.keys = m.NetworkBootstrapKeys
		if err := a.cfg.Executor.SetNetworkBootstrapKeys(a.keys); err != nil {
			a.log.Warn("network keys were not taken", "node", a.cfg.Hostname, "error", err)
		}
	}
	if m.Node == nil || a.node != nil && sameNode(a.node, m.Node) {
		return
	}
	a.node = m.Node.Copy()
	if err := a.cfg.Executor.Configure(ctx, a.node); err != nil && ctx.Err() == nil {
		a.log.Warn("node was not configured", "node", a.cfg.Hostname, "error", err)
		a.node = nil // the next message has it tried again
	}
}

// sameKeys tells whether every key is known.
func sameKeys(have, want []*swarmapi.EncryptionKey) bool {
	times := make(map[uint64]bool, len(have))
	for _, k := range have {
		times[k.LamportTime] = true
	}
	for _, k := range want {
		if !times[k.LamportTime] {
			return false
		}
	}
	return true
}

// sameNode tells whether two objects of a node are the same but for its status and what the store notes.
func sameNode(a, b *swarmapi.Node) bool {
	a, b = a.Copy(), b.Copy()
	a.Status, b.Status = swarmapi.NodeStatus{}, swarmapi.NodeStatus{}
	a.Meta, b.Meta = swarmapi.Meta{}, swarmapi.Meta{}
	return reflect.DeepEqual(a, b)
}

package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/docker/go-events"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/ca"
	"github.com/moby/swarmkit/v2/manager/dispatcher"
	"github.com/moby/swarmkit/v2/manager/state/store"
	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/swarm/quiet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is swarmkit's dispatcher over a store, as one node sees it. It implements Dispatcher and dispatcher.Cluster.
type manager struct {
	t     *testing.T
	ctx   context.Context
	store *store.MemoryStore
	creds *ca.SecurityConfig
	node  string
	wg    sync.WaitGroup

	mu sync.Mutex
	d  *dispatcher.Dispatcher // guarded by mu
	up bool                   // guarded by mu; calls get through

	hang bool // guarded by mu; the next call for assignments is not answered
}

func newManager(ctx context.Context, t *testing.T, creds *ca.SecurityConfig) *manager {
	m := &manager{t: t, ctx: quiet.Context(ctx, nil), store: store.NewMemoryStore(nil), creds: creds, node: "node1", up: true}
	m.update(func(tx store.Tx) error {
		return errors.Join(store.CreateNode(tx, &swarmapi.Node{ID: m.node}), store.CreateCluster(tx, &swarmapi.Cluster{
			ID: "cluster1", Spec: swarmapi.ClusterSpec{Annotations: swarmapi.Annotations{Name: store.DefaultClusterName}},
			NetworkBootstrapKeys: []*swarmapi.EncryptionKey{{Subsystem: "networking:gossip", Key: []byte("0123456789abcdef"), LamportTime: 7}},
		}))
	})
	return m
}

// GetMemberlist, SubscribePeers and MemoryStore implement dispatcher.Cluster.
func (m *manager) GetMemberlist() map[uint64]*swarmapi.RaftMember {
	return map[uint64]*swarmapi.RaftMember{1: {NodeID: "manager1", Addr: "192.168.1.2:2377"}}
}
func (m *manager) SubscribePeers() (chan events.Event, func()) {
	return make(chan events.Event), func() {}
}
func (m *manager) MemoryStore() *store.MemoryStore { return m.store }

// lead starts a dispatcher, as a manager does that has become the leader, until what it returns is called.
func (m *manager) lead() (stop func()) {
	d := dispatcher.New()
	d.Init(m, dispatcher.DefaultConfig(), nil, m.creds)
	var run sync.WaitGroup // not m.wg: a session may begin while it is stopped
	run.Go(func() {
		if err := d.Run(m.ctx); err != nil {
			m.t.Error(err)
		}
	})
	synctest.Wait()
	m.mu.Lock()
	m.d = d
	m.mu.Unlock()
	return func() {
		if err := d.Stop(); err != nil {
			m.t.Error(err)
		}
		run.Wait()
	}
}

// reach lets calls through, or not.
func (m *manager) reach(up bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = up
}

var errUnreachable = errors.New("no manager answers")

func (m *manager) call(ctx context.Context) (*dispatcher.Dispatcher, context.Context, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.up {
		return nil, nil, errUnreachable
	}
	who := ca.RemoteNodeInfo{NodeID: m.node, Roles: []string{ca.WorkerRole}, Organization: "cluster1", RemoteAddr: net.JoinHostPort("192.168.1.3", "4711")}
	return m.d, context.WithValue(quiet.Context(ctx, nil), ca.LocalRequestKey, who), nil
}

// stream is one of the dispatcher's streams, from both sides.
type stream[T any] struct {
	swarmapi.Dispatcher_SessionServer // for what the dispatcher does not call
	ctx                               context.Context
	cancel                            context.CancelFunc
	ch                                chan *T
	ended                             chan error
}

func open[T any](m *manager, ctx context.Context, serve func(*dispatcher.Dispatcher, *stream[T]) error) (*stream[T], error) {
	d, ctx, err := m.call(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &stream[T]{ctx: ctx, cancel: cancel, ch: make(chan *T), ended: make(chan error, 1)}
	m.wg.Go(func() { s.ended <- serve(d, s) })
	return s, nil
}

func (s *stream[T]) Context() context.Context { return s.ctx }
func (s *stream[T]) Close()                   { s.cancel() }

func (s *stream[T]) send(v *T) error {
	select {
	case s.ch <- v:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *stream[T]) Recv() (*T, error) {
	select {
	case v := <-s.ch:
		return v, nil
	case err := <-s.ended:
		return nil, err
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

type sessionServer struct {
	*stream[swarmapi.SessionMessage]
}

func (s sessionServer) Send(m *swarmapi.SessionMessage) error { return s.send(m) }

type assignmentServer struct {
	*stream[swarmapi.AssignmentsMessage]
}

func (s assignmentServer) Send(m *swarmapi.AssignmentsMessage) error { return s.send(m) }

// Session implements Dispatcher.
func (m *manager) Session(ctx context.Context, r *swarmapi.SessionRequest) (SessionStream, error) {
	return open(m, ctx, func(d *dispatcher.Dispatcher, s *stream[swarmapi.SessionMessage]) error {
		return d.Session(r, sessionServer{s})
	})
}

// Assignments implements Dispatcher.
func (m *manager) Assignments(ctx context.Context, r *swarmapi.AssignmentsRequest) (AssignmentStream, error) {
	m.mu.Lock()
	hang := m.hang
	m.hang = false
	m.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return open(m, ctx, func(d *dispatcher.Dispatcher, s *stream[swarmapi.AssignmentsMessage]) error {
		return d.Assignments(r, assignmentServer{s})
	})
}

// Heartbeat implements Dispatcher.
func (m *manager) Heartbeat(ctx context.Context, r *swarmapi.HeartbeatRequest) (*swarmapi.HeartbeatResponse, error) {
	d, ctx, err := m.call(ctx)
	if err != nil {
		return nil, err
	}
	return d.Heartbeat(ctx, r)
}

// UpdateTaskStatus implements Dispatcher.
func (m *manager) UpdateTaskStatus(ctx context.Context, r *swarmapi.UpdateTaskStatusRequest) (*swarmapi.UpdateTaskStatusResponse, error) {
	d, ctx, err := m.call(ctx)
	if err != nil {
		return nil, err
	}
	return d.UpdateTaskStatus(ctx, r)
}

func (m *manager) update(f func(tx store.Tx) error) {
	m.t.Helper()
	if err := m.store.Update(f); err != nil {
		m.t.Fatal(err)
	}
}

// assign puts a task on the node, as the scheduler does.
func (m *manager) assign(id string, desired swarmapi.TaskState, spec swarmapi.TaskSpec) {
	m.t.Helper()
	t := &swarmapi.Task{ID: id, DesiredState: desired, Spec: spec, Status: swarmapi.TaskStatus{State: swarmapi.TaskStatePending}}
	m.update(func(tx store.Tx) error { return store.CreateTask(tx, t) })
	m.update(func(tx store.Tx) error {
		t := store.GetTask(tx, id)
		t.NodeID, t.Status.State = m.node, swarmapi.TaskStateAssigned
		return store.UpdateTask(tx, t)
	})
}

func (m *manager) desire(id string, desired swarmapi.TaskState) {
	m.t.Helper()
	m.update(func(tx store.Tx) error {
		t := store.GetTask(tx, id)
		t.DesiredState = desired
		return store.UpdateTask(tx, t)
	})
}

// status returns the state of a task as the manager knows it, with its error.
func (m *manager) status(id string) string {
	var t *swarmapi.Task
	m.store.View(func(tx store.ReadTx) { t = store.GetTask(tx, id) })
	if t == nil {
		return "gone"
	}
	if t.Status.Err != "" {
		return fmt.Sprintf("%s: %s", t.Status.State, t.Status.Err)
	}
	return t.Status.State.String()
}

func (m *manager) nodeState() string {
	var n *swarmapi.Node
	m.store.View(func(tx store.ReadTx) { n = store.GetNode(tx, m.node) })
	name := ""
	if n.Description != nil {
		name = n.Description.Hostname
	}
	return n.Status.State.String() + " " + n.Status.Addr + " " + name
}

// rig is an agent with its manager, in a bubble of synctest.
type rig struct {
	*manager
	e      *engine
	a      *Agent
	cancel context.CancelFunc

	noted  sync.Mutex
	seen   []*swarmapi.SessionMessage // guarded by noted
	delays []int64                    // guarded by noted
}

func (r *rig) see(m *swarmapi.SessionMessage) {
	r.noted.Lock()
	defer r.noted.Unlock()
	r.seen = append(r.seen, m)
}

// luck is the longest time that there may be between two sessions.
func (r *rig) luck(n int64) int64 {
	r.noted.Lock()
	defer r.noted.Unlock()
	r.delays = append(r.delays, n)
	return n - 1
}

// messages and waits return what the agent has heard, and between which times it waited.
func (r *rig) messages() []*swarmapi.SessionMessage {
	r.noted.Lock()
	defer r.noted.Unlock()
	return slices.Clone(r.seen)
}

func (r *rig) waits() []int64 {
	r.noted.Lock()
	defer r.noted.Unlock()
	return slices.Clone(r.delays)
}

// credentials are a manager's. They are made outside of the bubble, where time does not stand still.
func credentials(t *testing.T) *ca.SecurityConfig {
	t.Helper()
	root, err := ca.CreateRootCA("swarm-ca")
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := root.IssueAndSaveNewCertificates(nowhere{}, "manager1", ca.ManagerRole, "cluster1")
	if err != nil {
		t.Fatal(err)
	}
	creds, err := ca.NewMutableTLS(&tls.Config{Certificates: []tls.Certificate{*cert}})
	if err != nil {
		t.Fatal(err)
	}
	return &ca.SecurityConfig{ClientTLSCreds: creds}
}

// nowhere is where the manager's key is kept.
type nowhere struct{ ca.KeyWriter }

func (nowhere) Write([]byte, []byte, *ca.KEKData) error { return nil }

// inRig runs a test against a manager that leads and an agent that has registered.
func inRig(t *testing.T, test func(r *rig)) {
	creds := credentials(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		r := &rig{manager: newManager(ctx, t, creds), e: newEngine(), cancel: cancel}
		r.a = New(Config{Dispatcher: r.manager, Executor: r.e, OnSession: r.see, Luck: r.luck})
		stop := r.lead()
		agentCtx, stopAgent := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- r.a.Run(agentCtx) }()
		<-r.a.Ready()
		r.cancel = stop
		test(r)
		stopAgent()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.cancel()
		r.wg.Wait()
		cancel()
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// want holds what the engine noted against what it was to do.
func (r *rig) want(what string, want ...string) {
	r.t.Helper()
	if got := r.e.take(); !slices.Equal(got, want) {
		r.t.Errorf("%s: the executor did %q; want %q", what, got, want)
	}
}

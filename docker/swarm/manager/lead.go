package manager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gogotypes "github.com/gogo/protobuf/types"
	"github.com/moby/swarmkit/v2/api"
	swarmca "github.com/moby/swarmkit/v2/ca"
	"github.com/moby/swarmkit/v2/manager/allocator"
	"github.com/moby/swarmkit/v2/manager/allocator/networkallocator"
	"github.com/moby/swarmkit/v2/manager/controlapi"
	"github.com/moby/swarmkit/v2/manager/dispatcher"
	"github.com/moby/swarmkit/v2/manager/drivers"
	"github.com/moby/swarmkit/v2/manager/keymanager"
	"github.com/moby/swarmkit/v2/manager/orchestrator/constraintenforcer"
	"github.com/moby/swarmkit/v2/manager/orchestrator/global"
	"github.com/moby/swarmkit/v2/manager/orchestrator/jobs"
	"github.com/moby/swarmkit/v2/manager/orchestrator/replicated"
	"github.com/moby/swarmkit/v2/manager/resourceapi"
	"github.com/moby/swarmkit/v2/manager/scheduler"
	"github.com/moby/swarmkit/v2/manager/state/store"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// office is what works while a manager leads. Requests are answered by it.
type office struct {
	control    *control
	dispatcher *dispatcher.Dispatcher
	ca         *swarmca.Server
	resource   api.ResourceAllocatorServer
	store      *store.MemoryStore
	logs       *logs
	cluster    string
	sessions   sessions
}

// worker is a part of swarmkit's that a leader runs. run blocks until stop has been called; stop may block until it returns.
type worker struct {
	name string
	run  func() error
	stop func()
}

// lead works as leader until that is lost or ctx ends. It returns when all that it started has ended.
func (m *Manager) lead(ctx context.Context, lead *consensus.Lead) error {
	if err := m.begin(); err != nil {
		return fmt.Errorf("begin to lead: %w", err)
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends after all have been stopped
	defer cancel()
	o, workers, closeConfig, err := m.open(work)
	if err != nil {
		return fmt.Errorf("begin to lead: %w", err)
	}
	defer closeConfig()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			if err := w.run(); err != nil && work.Err() == nil && !errors.Is(err, context.Canceled) {
				m.cfg.Log.Warn("a part of the leading manager ended", "part", w.name, "err", err)
			}
		})
	}
	select {
	case <-o.ca.Ready():
		m.post(o)
	case <-lead.Lost():
	case <-ctx.Done():
	}
	select {
	case <-lead.Lost():
	case <-ctx.Done():
	}
	m.post(nil)
	o.sessions.end()
	for _, w := range workers {
		w.stop()
	}
	cancel()
	wg.Wait()
	return nil
}

// open makes what a leader works with, and starts nothing.
func (m *Manager) open(ctx context.Context) (*office, []worker, func(), error) {
	id := m.cfg.Identity()
	s := m.state.Store()
	var cluster *api.Cluster
	s.View(func(tx store.ReadTx) { cluster = store.GetCluster(tx, id.Cluster) })
	root, err := swarmca.NewRootCA(id.Root(), nil, nil, swarmca.DefaultNodeCertExpiration, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	cert := id.Certificate()
	security, closeConfig, err := swarmca.NewSecurityConfig(&root, nil, &cert, &swarmca.IssuerInfo{
		PublicKey: id.Issuer().RawSubjectPublicKeyInfo, Subject: id.Issuer().RawSubject,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	numbers, err := m.provider().NewAllocator(&networkallocator.Config{
		DefaultAddrPool: cluster.DefaultAddressPool, SubnetSize: cluster.SubnetSize, VXLANUDPPort: cluster.VXLANUDPPort,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	plugins := drivers.New(nil)
	o := &office{
		dispatcher: dispatcher.New(), ca: swarmca.NewServer(s, security), resource: resourceapi.New(s), store: s, cluster: id.Cluster,
		logs: newLogs(s, ctx.Done()),
	}
	o.control = &control{Server: controlapi.NewServer(s, nil, security, m.provider(), plugins), store: s, raft: m.raft, reaper: newReaper(s)}
	o.dispatcher.Init(members{m.raft, s}, heartbeats(cluster), plugins, security)
	workers := m.workers(ctx, o, allocator.New(s, numbers))
	return o, workers, func() { _ = closeConfig() }, nil // a queue that nobody reads
}

// rateLimit is for how long the sessions that a node asks for are counted: three of them are too many (W5).
const rateLimit = 8 * time.Second

// heartbeats are the dispatcher's times. swarmkit begins with its own period, also for nodes whose heartbeats a new leader has yet
// to hear, and takes up the swarm's when that changes; here it begins with the swarm's, of which W4's periods are. What a period
// may be off is no more than a tenth of it, as it is of the default.
func heartbeats(c *api.Cluster) *dispatcher.Config {
	times := dispatcher.DefaultConfig()
	times.RateLimitPeriod = rateLimit
	if c == nil || c.Spec.Dispatcher.HeartbeatPeriod == nil {
		return times
	}
	if period, err := gogotypes.DurationFromProto(c.Spec.Dispatcher.HeartbeatPeriod); err == nil && period > 0 {
		times.HeartbeatPeriod, times.HeartbeatEpsilon = period, min(times.HeartbeatEpsilon, period/10)
	}
	return times
}

// workers lists what a leader runs, in swarmkit's order.
func (m *Manager) workers(ctx context.Context, o *office, a *allocator.Allocator) []worker {
	s := m.state.Store()
	replicas, globals, once := replicated.NewReplicatedOrchestrator(s), global.NewGlobalOrchestrator(s), jobs.NewOrchestrator(s)
	enforcer, sched := constraintenforcer.New(s), scheduler.New(s)
	keys := keymanager.New(s, &keymanager.Config{
		ClusterName: store.DefaultClusterName, Keylen: keymanager.DefaultKeyLen, RotationInterval: m.cfg.KeyRotation,
		Subsystems: []string{keymanager.SubsystemGossip, keymanager.SubsystemIPSec},
	})
	keyCtx, stopKeys := context.WithCancel(ctx)
	roleCtx, stopRoles := context.WithCancel(ctx)
	ended := make(chan struct{})
	return []worker{
		{"key manager", func() error { return keys.Run(keyCtx) }, stopKeys},
		{"dispatcher", func() error { defer close(ended); return o.dispatcher.Run(ctx) }, func() { untilStopped(o.dispatcher.Stop, ended) }},
		{"certificate authority", func() error { return o.ca.Run(ctx) }, func() { _ = o.ca.Stop() }},
		{"allocator", func() error { return a.Run(ctx) }, a.Stop},
		{"scheduler", func() error { return sched.Run(ctx) }, sched.Stop},
		{"constraint enforcer", func() error { enforcer.Run(); return nil }, enforcer.Stop},
		{"task reaper", func() error { o.control.reaper.run(ctx); return nil }, o.control.reaper.stop},
		{"replicated orchestrator", func() error { return replicas.Run(ctx) }, replicas.Stop},
		{"jobs orchestrator", func() error { once.Run(ctx); return nil }, once.Stop},
		{"global orchestrator", func() error { return globals.Run(ctx) }, globals.Stop},
		{"role manager", func() error { return (&roles{store: s, raft: m.raft, log: m.cfg.Log}).run(roleCtx) }, stopRoles},
	}
}

// untilStopped calls stop until it has stopped something, or there is nothing to stop any more: swarmkit's dispatcher
// refuses before its Run has come to its loop.
func untilStopped(stop func() error, ended <-chan struct{}) {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for stop() != nil {
		select {
		case <-ended:
			return
		case <-t.C:
		}
	}
}

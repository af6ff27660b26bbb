package api

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gogotypes "github.com/gogo/protobuf/types"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/ca"
	"github.com/moby/swarmkit/v2/identity"
	"github.com/moby/swarmkit/v2/manager/allocator"
	"github.com/moby/swarmkit/v2/manager/controlapi"
	"github.com/moby/swarmkit/v2/manager/orchestrator/constraintenforcer"
	"github.com/moby/swarmkit/v2/manager/orchestrator/global"
	"github.com/moby/swarmkit/v2/manager/orchestrator/jobs"
	"github.com/moby/swarmkit/v2/manager/orchestrator/replicated"
	"github.com/moby/swarmkit/v2/manager/orchestrator/taskreaper"
	"github.com/moby/swarmkit/v2/manager/scheduler"
	"github.com/moby/swarmkit/v2/manager/state"
	"github.com/moby/swarmkit/v2/manager/state/store"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

// fakeSwarm is a swarm of one manager without a network under it: swarmkit's control API, scheduler, orchestrators and
// allocator over a store in memory, and an agent that says of tasks what is wanted of them.
type fakeSwarm struct {
	changes chan any // in the store

	mu    sync.Mutex
	info  SwarmInfo          // guarded by mu
	store *store.MemoryStore // guarded by mu; nil: in no swarm
	ctl   Control            // guarded by mu
	end   func()             // guarded by mu; ends what runs, and waits
	asked struct {           // guarded by mu
		init SwarmInit
		join SwarmJoin
	}
}

const fakeAddr = "172.31.34.123"

func newFakeSwarm() *fakeSwarm { return &fakeSwarm{changes: make(chan any, 4096)} }

// newSwarmRig serves an engine that can be in a swarm.
func newSwarmRig(t testing.TB, change ...func(*Config)) (*rig, *fakeSwarm) {
	t.Helper()
	f := newFakeSwarm()
	t.Cleanup(func() { _ = f.Leave(context.Background(), true) })
	r := newRig(t, append(change, func(c *Config) { c.Swarm = f })...)
	link := fabric.NewLink("host1:eth0", "tor")
	_, err := r.engine.Host().AddInterface(netns.InterfaceConfig{Name: "eth0", Port: link.A(), Addr: netip.MustParsePrefix(fakeAddr + "/20")})
	if err != nil {
		t.Fatal(err)
	}
	return r, f
}

func (f *fakeSwarm) Info() SwarmInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info
}

func (f *fakeSwarm) set(change func(*SwarmInfo)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.info)
}

func (f *fakeSwarm) Control() Control {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ctl
}

func (f *fakeSwarm) Join(_ context.Context, req SwarmJoin) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked.join = req
	f.info = SwarmInfo{State: SwarmActive, NodeID: identity.NewID(), NodeAddr: fakeAddr}
	return nil
}

func (f *fakeSwarm) Leave(context.Context, bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.end != nil {
		f.end()
	}
	f.info, f.store, f.ctl, f.end = SwarmInfo{}, nil, nil, nil
	return nil
}

const fakeKey = "SWMKEY-1-MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"

func (f *fakeSwarm) UnlockKey(context.Context) (string, error) { return fakeKey, nil }

func (f *fakeSwarm) Unlock(_ context.Context, key string) error {
	if key != fakeKey {
		return invalid("swarm could not be unlocked: invalid key provided")
	}
	f.set(func(i *SwarmInfo) { i.State = SwarmActive })
	return nil
}

func (f *fakeSwarm) Init(_ context.Context, req SwarmInit) (string, error) {
	id := identity.NewID()
	s := store.NewMemoryStore(&counter{})
	if err := s.Update(func(tx store.Tx) error { return firstObjects(tx, id, &req) }); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked.init = req
	if f.end != nil {
		f.end() // a new swarm of what the old one was
	}
	addr := req.Advertise.Addr().String()
	f.info = SwarmInfo{
		State: SwarmActive, Manager: true, Control: true, NodeID: id, NodeAddr: addr, RemoteManagers: []SwarmPeer{{id, req.Advertise.String()}},
	}
	f.store, f.ctl, f.end = s, controlapi.NewServer(s, nil, nil, &fakeNetworks{}, nil), f.runManager(s)
	return id, nil
}

// firstObjects are what a new swarm has: itself, its first node and the ingress network.
func firstObjects(tx store.Tx, nodeID string, req *SwarmInit) error {
	root, err := ca.CreateRootCA("swarm-ca")
	if err != nil {
		return err
	}
	signer, err := root.Signer()
	if err != nil {
		return err
	}
	pools, size := []string{"10.0.0.0/8"}, max(req.SubnetSize, 24)
	if len(req.Pools) > 0 {
		pools = []string{req.Pools[0].String()}
	}
	err = store.CreateCluster(tx, &swarmapi.Cluster{
		ID: identity.NewID(),
		Spec: swarmapi.ClusterSpec{
			Annotations: swarmapi.Annotations{Name: store.DefaultClusterName}, Orchestration: swarmapi.OrchestrationConfig{TaskHistoryRetentionLimit: 5},
			Dispatcher: swarmapi.DispatcherConfig{HeartbeatPeriod: gogotypes.DurationProto(5 * time.Second)},
			Raft:       swarmapi.RaftConfig{SnapshotInterval: 10000, KeepOldSnapshots: 0, LogEntriesForSlowFollowers: 500, ElectionTick: 10, HeartbeatTick: 1},
			CAConfig:   swarmapi.CAConfig{NodeCertExpiry: gogotypes.DurationProto(ca.DefaultNodeCertExpiration)},
		},
		RootCA: swarmapi.RootCA{
			CAKey: signer.Key, CACert: root.Certs, CACertHash: root.Digest.String(),
			JoinTokens: swarmapi.JoinTokens{Worker: ca.GenerateJoinToken(&root, false), Manager: ca.GenerateJoinToken(&root, false)},
		},
		DefaultAddressPool: pools, SubnetSize: uint32(size), VXLANUDPPort: uint32(req.DataPathPort),
	})
	if err != nil {
		return err
	}
	first := fakeNode(nodeID, "host1", req.Advertise.Addr().String(), swarmapi.NodeRoleManager)
	first.ManagerStatus = &swarmapi.ManagerStatus{Leader: true, Reachability: swarmapi.RaftMemberStatus_REACHABLE, Addr: req.Advertise.String()}
	if err := store.CreateNode(tx, first); err != nil {
		return err
	}
	return store.CreateNetwork(tx, &swarmapi.Network{ID: identity.NewID(), Spec: swarmapi.NetworkSpec{
		Ingress: true, Annotations: swarmapi.Annotations{Name: "ingress"}, DriverConfig: &swarmapi.Driver{},
		IPAM: &swarmapi.IPAMOptions{Driver: &swarmapi.Driver{}},
	}})
}

func fakeNode(id, name, addr string, role swarmapi.NodeRole) *swarmapi.Node {
	return &swarmapi.Node{
		ID: id, Spec: swarmapi.NodeSpec{DesiredRole: role, Membership: swarmapi.NodeMembershipAccepted}, Role: role,
		Certificate: swarmapi.Certificate{CN: id, Role: role, Status: swarmapi.IssuanceStatus{State: swarmapi.IssuanceStateIssued}},
		Status:      swarmapi.NodeStatus{State: swarmapi.NodeStatus_READY, Addr: addr},
		Description: &swarmapi.NodeDescription{
			Hostname: name, Platform: &swarmapi.Platform{Architecture: "x86_64", OS: "linux"},
			Resources: &swarmapi.Resources{NanoCPUs: 1e9, MemoryBytes: 1 << 30},
			Engine: &swarmapi.EngineDescription{EngineVersion: EngineVersion, Labels: map[string]string{"provider": "netsim"}, Plugins: []swarmapi.PluginDescription{
				{Type: "Network", Name: "bridge"}, {Type: "Network", Name: "host"}, {Type: "Network", Name: "null"}, {Type: "Network", Name: "overlay"},
				{Type: "Volume", Name: "local"},
			}},
		},
	}
}

// runManager runs what a manager that leads runs, and an agent for all nodes. What it returns ends it.
func (f *fakeSwarm) runManager(s *store.MemoryStore) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	repl, glob, job := replicated.NewReplicatedOrchestrator(s), global.NewGlobalOrchestrator(s), jobs.NewOrchestrator(s)
	enforcer, reaper, sched := constraintenforcer.New(s), taskreaper.New(s), scheduler.New(s)
	alloc := allocator.New(s, &fakeNetworks{})
	for _, run := range []func(){
		func() { _ = alloc.Run(ctx) }, func() { _ = sched.Run(ctx) }, func() { _ = repl.Run(ctx) }, func() { _ = glob.Run(ctx) },
		func() { job.Run(ctx) }, func() { enforcer.Run() }, func() { reaper.Run(ctx) }, func() { fakeAgent(ctx, s) },
		func() { f.tell(ctx, s) },
	} {
		wg.Go(run)
	}
	return func() {
		alloc.Stop()
		sched.Stop()
		repl.Stop()
		glob.Stop()
		job.Stop()
		enforcer.Stop()
		reaper.Stop()
		cancel()
		wg.Wait()
		_ = s.Close()
	}
}

// tell passes on what changes.
func (f *fakeSwarm) tell(ctx context.Context, s *store.MemoryStore) {
	changes, cancel := state.Watch(s.WatchQueue())
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case change := <-changes:
			select {
			case f.changes <- change:
			default: // nobody looks
			}
		}
	}
}

// knows tells whether an object of the swarm has an id that begins so.
func (f *fakeSwarm) knows(prefix string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.store == nil {
		return false
	}
	found := false
	f.store.View(func(tx store.ReadTx) {
		all, err := f.store.Save(tx)
		if err != nil {
			return
		}
		match := func(id string) { found = found || strings.HasPrefix(id, prefix) }
		for _, o := range all.Nodes {
			match(o.ID)
		}
		for _, o := range all.Services {
			match(o.ID)
		}
		for _, o := range all.Networks {
			match(o.ID)
		}
		for _, o := range all.Tasks {
			match(o.ID)
		}
		for _, o := range all.Secrets {
			match(o.ID)
		}
		for _, o := range all.Configs {
			match(o.ID)
		}
	})
	return found
}

// counter is the versions of a store whose every change is agreed to.
type counter struct{ n atomic.Uint64 }

func (c *counter) ProposeValue(_ context.Context, _ []swarmapi.StoreAction, done func()) error {
	c.n.Add(1)
	done()
	return nil
}

func (c *counter) GetVersion() *swarmapi.Version { return &swarmapi.Version{Index: c.n.Load()} }

func (c *counter) ChangesBetween(_, _ swarmapi.Version) ([]state.Change, error) { return nil, nil }

// fakeAgent does at once what is wanted of the tasks of all nodes. Images whose name begins with crash fail.
func fakeAgent(ctx context.Context, s *store.MemoryStore) {
	changes, cancel := state.Watch(s.WatchQueue(), swarmapi.EventCreateTask{}, swarmapi.EventUpdateTask{})
	defer cancel()
	for {
		_ = s.Update(func(tx store.Tx) error {
			tasks, err := store.FindTasks(tx, store.All)
			for _, t := range tasks {
				if to := fakeState(t); to != t.Status.State {
					t.Status.State, t.Status.Timestamp = to, gogotypes.TimestampNow()
					if to == swarmapi.TaskStateFailed {
						t.Status.Err = "task: non-zero exit (1)"
					}
					err = errors.Join(err, store.UpdateTask(tx, t))
				}
			}
			return err
		})
		select {
		case <-ctx.Done():
			return
		case <-changes:
		}
	}
}

func fakeState(t *swarmapi.Task) swarmapi.TaskState {
	now := t.Status.State
	switch {
	case t.NodeID == "" || now < swarmapi.TaskStateAssigned || now > swarmapi.TaskStateRunning:
	case t.DesiredState > swarmapi.TaskStateRunning:
		return swarmapi.TaskStateShutdown
	case t.DesiredState == swarmapi.TaskStateRunning && t.Spec.GetContainer() != nil && strings.HasPrefix(t.Spec.GetContainer().Image, "crash"):
		return swarmapi.TaskStateFailed
	default:
		return max(now, t.DesiredState)
	}
	return now
}

func (f *fakeSwarm) Logs(_ context.Context, r *swarmapi.SubscribeLogsRequest, each func(*swarmapi.SubscribeLogsMessage) error) error {
	tasks, err := f.Control().ListTasks(context.Background(), &swarmapi.ListTasksRequest{Filters: &swarmapi.ListTasksRequest_Filters{
		ServiceIDs: r.Selector.ServiceIDs, IDPrefixes: r.Selector.TaskIDs,
	}})
	if err != nil {
		return err
	}
	for _, t := range tasks.Tasks {
		if t.Status.State != swarmapi.TaskStateRunning {
			continue
		}
		err := each(&swarmapi.SubscribeLogsMessage{Messages: []swarmapi.LogMessage{{
			Context:   swarmapi.LogContext{ServiceID: t.ServiceID, NodeID: t.NodeID, TaskID: t.ID},
			Timestamp: gogotypes.TimestampNow(), Stream: swarmapi.LogStreamStdout, Data: fmt.Appendf(nil, "hello from %d\n", t.Slot),
		}}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeSwarm) Watch(ctx context.Context, _ *swarmapi.WatchRequest, each func(*swarmapi.WatchMessage) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case change := <-f.changes:
			e, ok := change.(swarmapi.Event)
			if !ok {
				continue
			}
			if m := swarmapi.WatchMessageEvent(e); m != nil {
				if err := each(&swarmapi.WatchMessage{Events: []*swarmapi.WatchMessage_Event{m}}); err != nil {
					return err
				}
			}
		}
	}
}

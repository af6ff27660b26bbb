package node

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/gossip"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

const patience = 60 * time.Second

// lively is for who waits for a node to go down.
func lively(t *Times) { t.Heartbeat = 2 * time.Second }

// engine pretends to run tasks: each runs until it is told to end.
type engine struct {
	name string
	mu   sync.Mutex
	keys []*swarmapi.EncryptionKey // guarded by mu
	runs int                       // memberships, guarded by mu
	left int                       // guarded by mu

	containers []*container // guarded by mu

	advertise, dataPath netip.Addr // guarded by mu
}

// Describe implements exec.Executor.
func (e *engine) Describe(context.Context) (*swarmapi.NodeDescription, error) {
	return &swarmapi.NodeDescription{
		Hostname: e.name, Platform: &swarmapi.Platform{OS: "linux", Architecture: "x86_64"},
		Engine:    &swarmapi.EngineDescription{Plugins: []swarmapi.PluginDescription{{Type: "Network", Name: "overlay"}}},
		Resources: &swarmapi.Resources{NanoCPUs: 4e9, MemoryBytes: 4 << 30},
	}, nil
}

// Configure implements exec.Executor.
func (e *engine) Configure(context.Context, *swarmapi.Node) error { return nil }

// Controller implements exec.Executor.
func (e *engine) Controller(*swarmapi.Task) (exec.Controller, error) {
	c := &container{ended: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers = append(e.containers, c)
	return c, nil
}

// kill ends all tasks of the node.
func (e *engine) kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		_ = c.end() // never fails
	}
	e.containers = nil
}

// SetNetworkBootstrapKeys implements exec.Executor.
func (e *engine) SetNetworkBootstrapKeys(keys []*swarmapi.EncryptionKey) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keys = keys
	return nil
}

// Run implements Executor.
func (e *engine) Run(ctx context.Context) error {
	e.mu.Lock()
	e.runs++
	e.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Leave implements Executor.
func (e *engine) Leave(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.left++
	return nil
}

// SetAddresses implements Executor.
func (e *engine) SetAddresses(advertise, dataPath netip.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advertise, e.dataPath = advertise, dataPath
}

// View implements Executor.
func (e *engine) View() (gossip.View, bool) { return gossip.View{}, false }

// container is a task's.
type container struct {
	once  sync.Once
	ended chan struct{}
}

func (c *container) end() error                                   { c.once.Do(func() { close(c.ended) }); return nil }
func (c *container) Update(context.Context, *swarmapi.Task) error { return nil }
func (c *container) Prepare(context.Context) error                { return nil }
func (c *container) Start(context.Context) error                  { return nil }
func (c *container) Shutdown(context.Context) error               { return c.end() }
func (c *container) Terminate(context.Context) error              { return c.end() }
func (c *container) Remove(context.Context) error                 { return nil }
func (c *container) Close() error                                 { return nil }
func (c *container) Wait(ctx context.Context) error {
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lab is a switch with hosts on it.
type lab struct {
	testing.TB
	times Times
	log   *slog.Logger
	luck  *rand.Rand
	sw    *l2switch.Switch
	hosts []*host
	ctx   context.Context
	wg    sync.WaitGroup
}

// host is a machine: what is here stays while it is off.
type host struct {
	*lab
	name   string
	addr   netip.Addr
	ns     *netns.Namespace
	cable  *fabric.Link
	engine *engine
	disk   *Disk
	now    func() time.Time
	whole  *wholeEngine // nil: the engine pretends to run tasks

	*Node
	off   context.CancelFunc
	ended chan error
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newLab makes a switch with some hosts, all switched on.
func newLab(t testing.TB, hosts int, change ...func(*Times)) *lab {
	t.Helper()
	l := &lab{TB: t, times: quick, luck: rand.New(rand.NewPCG(1, 2)), sw: l2switch.New(l2switch.Config{Name: "tor"})}
	for _, f := range change {
		f(&l.times)
	}
	var stop context.CancelFunc
	l.ctx, stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		for _, h := range l.hosts {
			h.switchOff()
		}
		stop()
		l.wg.Wait()
	})
	for range hosts {
		l.plug().switchOn()
	}
	return l
}

func (l *lab) run(f func(context.Context) error) {
	l.wg.Go(func() {
		if err := f(l.ctx); err != nil {
			l.Error(err)
		}
	})
}

// plug adds a host that pretends to run tasks, switched off.
func (l *lab) plug() *host {
	l.Helper()
	h := l.wire()
	h.ns = netns.New(netns.Config{Name: h.name})
	must(h.ns.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: h.cable.A(), Addr: netip.PrefixFrom(h.addr, 16)}))
	l.run(h.ns.Run)
	return h
}

// wire adds a host that is a cable.
func (l *lab) wire() *host {
	l.Helper()
	n := len(l.hosts) + 1
	h := &host{lab: l, name: fmt.Sprintf("node%d", n), addr: netip.AddrFrom4([4]byte{192, 168, byte(1 + n/250), byte(n % 250)}), disk: &Disk{}}
	h.engine = &engine{name: h.name}
	h.cable = fabric.NewLink(h.name, "tor-"+h.name)
	must(l.sw.AddPort(h.name, h.cable.B(), l2switch.PortConfig{}))
	l.run(h.cable.Run)
	l.hosts = append(l.hosts, h)
	return h
}

// switchOn starts a host.
func (h *host) switchOn() {
	h.Helper()
	var x Executor = h.engine
	if h.whole != nil {
		x = h.whole.boot(h)
	}
	h.Node = must(New(Config{
		Network: h.ns, Name: h.name, Addr: h.addr, Executor: x, Modern: h.whole != nil && h.whole.modern, Disk: h.disk, Log: h.log,
		Luck: rand.New(rand.NewPCG(h.lab.luck.Uint64(), 1)), Times: h.times, Now: h.now,
	}))
	var ctx context.Context
	ctx, h.off = context.WithCancel(h.ctx)
	h.ended = make(chan error, 1)
	n, ended := h.Node, h.ended
	go func() { ended <- n.Run(ctx) }()
}

// switchOff ends a host as a power cut would.
func (h *host) switchOff() {
	if h.off == nil {
		return
	}
	h.off()
	h.off = nil
	if err := <-h.ended; err != nil {
		h.Errorf("%s: Run = %v", h.name, err)
	}
	if h.whole != nil {
		h.whole.end()
	}
}

func (l *lab) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(l.ctx, d)
	l.Cleanup(cancel)
	return ctx
}

func (l *lab) eventually(what string, f func() bool) {
	l.Helper()
	for end := time.Now().Add(patience); !f(); {
		if time.Now().After(end) {
			for _, h := range l.hosts {
				l.Logf("%s: %+v", h.name, h.Status(l.within(time.Second)))
			}
			l.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(20 * time.Millisecond) // a condition with a deadline: the namespaces' clocks are real
	}
}

// init has a host begin a swarm.
func (h *host) begin(o InitOptions) {
	h.Helper()
	if _, err := h.Init(h.within(patience), o); err != nil {
		h.Fatalf("%s: Init = %v", h.name, err)
	}
}

// tokens asks a manager for the swarm's tokens.
func (h *host) tokens() swarmapi.JoinTokens {
	h.Helper()
	return h.cluster().RootCA.JoinTokens
}

func (h *host) cluster() *swarmapi.Cluster {
	h.Helper()
	answer := patient(h, "ListClusters", swarmapi.ControlServer.ListClusters, &swarmapi.ListClustersRequest{})
	if len(answer.Clusters) != 1 {
		h.Fatalf("%s: ListClusters = %v", h.name, answer)
	}
	return answer.Clusters[0]
}

// join has a host join by way of another.
func (h *host) joins(by *host, token string) {
	h.Helper()
	if err := h.Join(h.within(patience), JoinOptions{Remotes: []string{by.addr.String()}, Token: token, Patience: patience}); err != nil {
		h.Fatalf("%s: Join = %v", h.name, err)
	}
}

// swarm makes a swarm of some managers, the first of which begins it, and of all other hosts as workers.
func swarm(t testing.TB, hosts, managers int, change ...func(*Times)) *lab {
	t.Helper()
	l := newLab(t, hosts, change...)
	first := l.hosts[0]
	first.begin(InitOptions{})
	tokens := first.tokens()
	for _, h := range l.hosts[1:managers] {
		h.joins(first, tokens.Manager)
	}
	var all sync.WaitGroup
	for _, h := range l.hosts[managers:] {
		enrolled := make(chan struct{})
		all.Go(func() {
			o := JoinOptions{Remotes: []string{first.addr.String()}, Token: tokens.Worker, Patience: patience, Enrolled: func() { close(enrolled) }}
			if err := h.Join(l.ctx, o); err != nil {
				l.Errorf("%s: Join = %v", h.name, err)
			}
		})
		select {
		case <-enrolled:
		case <-time.After(patience):
			t.Fatalf("%s: no certificate", h.name)
		}
	}
	all.Wait()
	return l
}

// patient asks a manager until it gets an answer: on a busy machine there may be elections that nobody has asked for.
func patient[Q, A any](h *host, name string, f func(swarmapi.ControlServer, context.Context, Q) (A, error), r Q) (answer A) {
	h.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(quick.Tick) { // a condition with a deadline
		if answer, err = f(h.Control(), h.within(patience), r); err == nil {
			return answer
		}
	}
	h.Fatalf("%s: %s = %v", h.name, name, err)
	return answer
}

func (h *host) nodes() []*swarmapi.Node {
	h.Helper()
	return patient(h, "ListNodes", swarmapi.ControlServer.ListNodes, &swarmapi.ListNodesRequest{}).Nodes
}

// sees returns another host's node as a manager has it; nil: it has none.
func (h *host) sees(other *host) *swarmapi.Node { return h.seesID(other.Info().NodeID) }

func (h *host) seesID(id string) *swarmapi.Node {
	h.Helper()
	all := h.nodes()
	i := slices.IndexFunc(all, func(n *swarmapi.Node) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	return all[i]
}

// service creates a service, and returns its id.
func (h *host) service(name string, replicas uint64, change ...func(*swarmapi.ServiceSpec)) string {
	h.Helper()
	spec := &swarmapi.ServiceSpec{
		Annotations: swarmapi.Annotations{Name: name},
		Task:        swarmapi.TaskSpec{Runtime: &swarmapi.TaskSpec_Container{Container: &swarmapi.ContainerSpec{Image: "redis"}}},
		Mode:        &swarmapi.ServiceSpec_Replicated{Replicated: &swarmapi.ReplicatedService{Replicas: replicas}},
	}
	for _, f := range change {
		f(spec)
	}
	return patient(h, "CreateService "+name, swarmapi.ControlServer.CreateService, &swarmapi.CreateServiceRequest{Spec: spec}).Service.ID
}

func (h *host) tasks(service string) []*swarmapi.Task {
	h.Helper()
	return patient(h, "ListTasks", swarmapi.ControlServer.ListTasks, &swarmapi.ListTasksRequest{
		Filters: &swarmapi.ListTasksRequest_Filters{ServiceIDs: []string{service}},
	}).Tasks
}

// running counts the tasks of a service that are to run and do, by node.
func (h *host) running(service string) map[string]int {
	h.Helper()
	out := make(map[string]int)
	for _, t := range h.tasks(service) {
		if t.Status.State == swarmapi.TaskStateRunning && t.DesiredState == swarmapi.TaskStateRunning {
			out[t.NodeID]++
		}
	}
	return out
}

func total(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// leader waits until all of some managers agree on who leads, among them, and returns it.
func (l *lab) leader(among ...*host) *host {
	l.Helper()
	var found *host
	l.eventually("one leader", func() bool {
		found = nil
		var first string
		for _, h := range among {
			s := h.Status(l.within(patience))
			if first == "" {
				first = s.Raft.Leader.Node
			}
			if s.Raft.Leader.Node == "" || s.Raft.Leader.Node != first {
				return false
			}
			if s.NodeID == first {
				found = h
			}
		}
		return found != nil
	})
	return found
}

func (l *lab) without(out ...*host) []*host {
	return slices.DeleteFunc(slices.Clone(l.hosts), func(h *host) bool { return slices.Contains(out, h) })
}

// says checks an error's text.
func (l *lab) says(what string, err error, want string) {
	l.Helper()
	if err == nil || err.Error() != want {
		l.Errorf("%s = %v; want %s", what, err, want)
	}
}

func (h *host) remove(service string) {
	h.Helper()
	if _, err := h.Control().RemoveService(h.within(patience), &swarmapi.RemoveServiceRequest{ServiceID: service}); err != nil {
		h.Fatalf("%s: RemoveService = %v", h.name, err)
	}
}

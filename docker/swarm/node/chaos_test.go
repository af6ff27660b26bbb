package node

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/fabric"
)

var (
	chaosSeeds  = flag.Uint64("chaos", 1, "how many seeds TestChaos plays")
	chaosFrom   = flag.Uint64("chaos.from", 0, "the first of them")
	chaosRounds = flag.Int("chaos.rounds", 6, "how many things go wrong with each")
)

// reigns is a log that keeps who became leader in which term.
type reigns struct {
	slog.Handler
	mu    sync.Mutex
	terms map[uint64]string // guarded by mu
	twice []string          // guarded by mu
}

// Enabled implements slog.Handler.
func (r *reigns) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (r *reigns) Handle(_ context.Context, e slog.Record) error {
	if e.Message != "leader" {
		return nil
	}
	var node string
	var term uint64
	e.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "node":
			node = a.Value.String()
		case "term":
			term = a.Value.Uint64()
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.terms[term]; ok {
		r.twice = append(r.twice, fmt.Sprintf("term %d: %s and %s", term, old, node))
	}
	r.terms[term] = node
	return nil
}

// Cables are pulled or made bad, and hosts lose their power, at random, while services come and go. Each term has one
// leader, what was acknowledged is there, no address is given twice, and in the end all runs.
func TestChaos(t *testing.T) {
	if swiftly(t, "-chaos", fmt.Sprint(*chaosSeeds), "-chaos.from", fmt.Sprint(*chaosFrom), "-chaos.rounds", fmt.Sprint(*chaosRounds)) {
		return
	}
	for seed := *chaosFrom; seed < *chaosFrom+*chaosSeeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			playChaos(t, seed)
		})
	}
}

// chaos is one run of it.
type chaos struct {
	*lab
	r       *reigns
	luck    *rand.Rand
	network string

	hosts sync.RWMutex // held while a host is switched off or on

	mu    sync.Mutex
	acked map[string]string // names of services by id; guarded by mu
}

func playChaos(t *testing.T, seed uint64) {
	r := &reigns{Handler: slog.DiscardHandler, terms: make(map[uint64]string)}
	l := newLab(t, 0, func(t *Times) { t.SnapshotEvery, t.KeepEntries = 60, 10 })
	l.log = slog.New(r)
	for range 5 {
		h := l.plug()
		h.cable.Seed(seed)
		h.switchOn()
	}
	l.hosts[0].begin(InitOptions{})
	tokens := l.hosts[0].tokens()
	for i, h := range l.hosts[1:] {
		h.joins(l.hosts[0], []string{tokens.Manager, tokens.Manager, tokens.Worker, tokens.Worker}[i])
	}
	c := &chaos{lab: l, r: r, luck: rand.New(rand.NewPCG(seed, 1)), acked: make(map[string]string)}
	c.network = c.overlay(l.hosts[0], "chaosnet", "10.20.0.0/16") // there is room for all
	ctx, stop := context.WithCancel(l.ctx)
	var writers sync.WaitGroup
	for i := range 3 {
		luck := rand.New(rand.NewPCG(seed, uint64(2+i)))
		writers.Go(func() { c.write(ctx, i, luck) })
	}
	for range *chaosRounds {
		undo := c.hurt()
		<-time.After(time.Duration(5+c.luck.IntN(30)) * quick.Tick) // long enough for an election, or not
		undo()
		<-time.After(time.Duration(c.luck.IntN(20)) * quick.Tick)
	}
	l.eventually("services are acknowledged", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.acked) >= 5
	})
	stop()
	writers.Wait()
	c.check()
}

// overlay makes a network, and returns its id.
func (l *lab) overlay(m *host, name, subnet string) string {
	l.Helper()
	answer, err := m.Control().CreateNetwork(l.within(patience), &swarmapi.CreateNetworkRequest{Spec: &swarmapi.NetworkSpec{
		Annotations: swarmapi.Annotations{Name: name}, DriverConfig: &swarmapi.Driver{Name: "overlay"},
		IPAM: &swarmapi.IPAMOptions{Configs: []*swarmapi.IPAMConfig{{Subnet: subnet}}},
	}})
	if err != nil {
		l.Fatalf("CreateNetwork = %v", err)
	}
	return answer.Network.ID
}

// write creates services by way of one manager, and removes every fifth.
func (c *chaos) write(ctx context.Context, i int, luck *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		c.hosts.RLock()
		control := c.lab.hosts[i].Control()
		c.hosts.RUnlock()
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		name := fmt.Sprintf("svc-%d-%d", i, n)
		answer, err := control.CreateService(short, &swarmapi.CreateServiceRequest{Spec: &swarmapi.ServiceSpec{
			Annotations: swarmapi.Annotations{Name: name},
			Task: swarmapi.TaskSpec{
				Runtime:  &swarmapi.TaskSpec_Container{Container: &swarmapi.ContainerSpec{Image: "redis"}},
				Networks: []*swarmapi.NetworkAttachmentConfig{{Target: c.network}},
			},
			Mode: &swarmapi.ServiceSpec_Replicated{Replicated: &swarmapi.ReplicatedService{Replicas: uint64(1 + luck.IntN(2))}},
		}})
		if err == nil && n%5 == 4 {
			_, _ = control.RemoveService(short, &swarmapi.RemoveServiceRequest{ServiceID: answer.Service.ID}) // it may be there, or not
		} else if err == nil {
			c.mu.Lock()
			c.acked[answer.Service.ID] = name
			c.mu.Unlock()
		}
		cancel()
		<-time.After(3 * quick.Tick) // a load, not a flood
	}
}

// hurt makes something go wrong, and returns what puts it right.
func (c *chaos) hurt() (undo func()) {
	h := c.lab.hosts[c.luck.IntN(len(c.lab.hosts))]
	switch c.luck.IntN(4) {
	case 0:
		c.power(h, false)
		return func() { c.power(h, true) }
	case 1:
		some := slices.Clone(c.lab.hosts)
		c.luck.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		some = some[:1+c.luck.IntN(len(some)-1)]
		for _, h := range some {
			h.cable.SetUp(false)
		}
		return func() {
			for _, h := range some {
				h.cable.SetUp(true)
			}
		}
	case 2:
		bad := fabric.Impairment{Loss: 0.3, Delay: 20 * time.Millisecond, Jitter: 20 * time.Millisecond, Duplicate: 0.1}
		impair(h, bad)
		return func() { impair(h, fabric.Impairment{}) }
	}
	h.cable.SetUp(false)
	return func() { h.cable.SetUp(true) }
}

func impair(h *host, i fabric.Impairment) {
	h.Helper()
	for _, end := range []*fabric.LinkEnd{h.cable.A(), h.cable.B()} {
		if _, err := end.Impair(func(was *fabric.Impairment) { *was = i }); err != nil {
			h.Error(err)
		}
	}
}

func (c *chaos) power(h *host, on bool) {
	c.hosts.Lock()
	defer c.hosts.Unlock()
	if on {
		h.switchOn()
	} else {
		h.switchOff()
	}
}

// check waits until all is well, and looks for what must not have happened.
func (c *chaos) check() {
	c.Helper()
	m := c.leader(c.lab.hosts[:3]...)
	c.eventually("all nodes are ready", func() bool {
		ready := 0
		for _, n := range m.nodes() {
			if n.Status.State == swarmapi.NodeStatus_READY {
				ready++
			}
		}
		return ready == len(c.lab.hosts)
	})
	var services []*swarmapi.Service
	defer func() {
		if c.Failed() {
			c.show(m, services)
		}
	}()
	c.eventually("all tasks run", func() bool {
		answer, err := m.Control().ListServices(c.within(patience), &swarmapi.ListServicesRequest{})
		if err != nil {
			return false
		}
		services = answer.Services
		running := map[string]uint64{}
		for _, t := range c.all(m) {
			if t.Status.State == swarmapi.TaskStateRunning && t.DesiredState == swarmapi.TaskStateRunning {
				running[t.ServiceID]++
			}
		}
		return !slices.ContainsFunc(services, func(s *swarmapi.Service) bool { return running[s.ID] != c.replicas(s) })
	})
	c.lost(services)
	c.addresses(services, c.all(m), m.nodes())
	c.leaders()
	c.Logf("%d services acknowledged, %d there", len(c.acked), len(services))
}

// lost looks for services that were acknowledged and are not there.
func (c *chaos) lost(services []*swarmapi.Service) {
	c.Helper()
	for id, name := range c.acked {
		if !slices.ContainsFunc(services, func(s *swarmapi.Service) bool { return s.ID == id }) {
			c.Errorf("service %s was acknowledged, and is lost", name)
		}
	}
}

// leaders looks for a term that had two of them.
func (c *chaos) leaders() {
	c.Helper()
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if len(c.r.terms) == 0 {
		c.Error("no leader was noted")
	}
	if len(c.r.twice) > 0 {
		c.Errorf("W18: two leaders: %v", c.r.twice)
	}
	c.Logf("%d terms with a leader", len(c.r.terms))
}

// replicas is how many tasks of a service are to run where all nodes are ready.
func (c *chaos) replicas(s *swarmapi.Service) uint64 {
	if r := s.Spec.GetReplicated(); r != nil {
		return r.Replicas
	}
	return uint64(len(c.lab.hosts))
}

// show tells of what does not run.
func (c *chaos) show(m *host, services []*swarmapi.Service) {
	tasks := c.all(m)
	for _, s := range services {
		n := uint64(0)
		var text []string
		for _, t := range tasks {
			if t.ServiceID != s.ID {
				continue
			}
			if t.Status.State == swarmapi.TaskStateRunning && t.DesiredState == swarmapi.TaskStateRunning {
				n++
			}
			text = append(text, fmt.Sprintf("%s on %s is %v, to be %v: %s %s", t.ID, t.NodeID, t.Status.State, t.DesiredState, t.Status.Message, t.Status.Err))
		}
		if want := c.replicas(s); n != want {
			c.Logf("%s (%s): %d tasks run of %d: %s; pending delete: %v", s.Spec.Annotations.Name, s.ID, n, want, strings.Join(text, "; "), s.PendingDelete)
		}
	}
}

func (c *chaos) all(m *host) []*swarmapi.Task {
	c.Helper()
	answer, err := m.Control().ListTasks(c.within(patience), &swarmapi.ListTasksRequest{})
	if err != nil {
		c.Logf("ListTasks = %v", err)
		return nil
	}
	return answer.Tasks
}

// addresses looks for one that was given twice: services' have theirs as long as they are there, tasks until they end.
func (c *chaos) addresses(services []*swarmapi.Service, tasks []*swarmapi.Task, nodes []*swarmapi.Node) {
	c.Helper()
	owner := make(map[string]string)
	take := func(addr, by string) {
		if other, ok := owner[addr]; ok && addr != "" {
			c.Errorf("%s is the address of %s and of %s", addr, other, by)
		}
		owner[addr] = by
	}
	for _, s := range services {
		if s.Endpoint == nil {
			continue
		}
		for _, v := range s.Endpoint.VirtualIPs {
			take(v.Addr, "service "+s.Spec.Annotations.Name)
		}
	}
	for _, t := range tasks {
		if t.Status.State > swarmapi.TaskStateRunning {
			continue
		}
		for _, a := range t.Networks {
			take(strings.Join(a.Addresses, ","), "task "+t.ID)
		}
	}
	for _, n := range nodes {
		for _, a := range n.Attachments {
			take(strings.Join(a.Addresses, ","), "node "+n.ID)
		}
	}
	c.Logf("%d addresses in use", len(owner))
}

package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/cnm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode runs nothing, and notes what it is asked for.
type fakeNode struct {
	name string
	fail error // of RunTask

	mu       sync.Mutex
	log      []string               // guarded by mu
	running  map[string]func(error) // by task name, guarded by mu
	networks []string               // guarded by mu
}

func (f *fakeNode) note(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

// AddNetwork implements Node.
func (f *fakeNode) AddNetwork(_ context.Context, n cnm.NetworkConfig, a netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.networks = append(f.networks, n.Name)
	if a.IsValid() {
		f.note("ingress %s", a)
	} else {
		f.note("+%s", n.Name)
	}
	return nil
}

// RemoveNetwork implements Node.
func (f *fakeNode) RemoveNetwork(context.Context, string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("-network")
	return nil
}

// RunTask implements Node.
func (f *fakeNode) RunTask(_ context.Context, t Task, ended func(error)) (func(context.Context) error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	slot := fmt.Sprintf("%s.%d", t.ServiceName, t.Slot)
	f.note("run %s", slot)
	f.running[slot] = ended
	return func(context.Context) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.note("stop %s", slot)
		delete(f.running, slot)
		return nil
	}, nil
}

func (f *fakeNode) end(slot string, err error) {
	f.mu.Lock()
	ended := f.running[slot]
	f.mu.Unlock()
	ended(err)
}

func (f *fakeNode) did() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.log
	f.log = nil
	return out
}

// bench is a cluster of fake nodes; the first is its manager.
type bench struct {
	*Cluster
	t     *testing.T
	nodes []*fakeNode
}

func newBench(t *testing.T, cfg Config, nodes int) *bench {
	t.Helper()
	b := &bench{Cluster: New(cfg), t: t}
	for i := range nodes {
		f := &fakeNode{name: fmt.Sprintf("node%d", i+1), running: make(map[string]func(error))}
		role := Worker
		if i == 0 {
			role = Manager
		}
		_, err := b.AddNode(t.Context(), NodeConfig{Name: f.name, Role: role, Addr: netip.AddrFrom4([4]byte{192, 168, 1, byte(i + 2)}), Runner: f})
		if err != nil {
			t.Fatal(err)
		}
		b.nodes = append(b.nodes, f)
	}
	return b
}

// start runs the cluster until the end of the test, which must be in a bubble.
func (b *bench) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run = %v", err)
		}
	})
}

func (b *bench) converge() {
	b.t.Helper()
	if err := b.WaitConverged(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) network(name string) Network {
	b.t.Helper()
	n, err := b.CreateNetwork(NetworkSpec{Name: name})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bench) service(spec ServiceSpec) Service {
	b.t.Helper()
	if spec.Container.Image == "" {
		spec.Container.Image = "nginx"
	}
	s, err := b.CreateService(spec)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// placed returns what runs, or is to run, on each node.
func (b *bench) placed() string {
	on := make(map[string][]string)
	for _, t := range b.Tasks() {
		if t.Desired == Running {
			on[t.NodeName] = append(on[t.NodeName], fmt.Sprintf("%s.%d", t.ServiceName, t.Slot))
		}
	}
	var parts []string
	for _, n := range append(b.Nodes(), NodeInfo{}) {
		if len(on[n.Name]) > 0 {
			slices.Sort(on[n.Name])
			parts = append(parts, n.Name+":"+strings.Join(on[n.Name], ","))
		}
	}
	return strings.Join(parts, " ")
}

func on(networks ...string) []NetworkTarget {
	var out []NetworkTarget
	for _, n := range networks {
		out = append(out, NetworkTarget{Network: n})
	}
	return out
}

func TestRunStartsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, 2)
		b.start()
		b.network("dognet")
		want := [][]string{{"ingress 10.255.0.2"}, {"ingress 10.255.0.3"}}
		for i, f := range b.nodes {
			if got := f.did(); !slices.Equal(got, want[i]) {
				t.Errorf("R1: %s did %q; want %q", f.name, got, want[i])
			}
		}
		b.service(ServiceSpec{Name: "web", Networks: on("dognet"), Replicas: new(3)})
		b.converge()
		want = [][]string{{"+dognet", "run web.2"}, {"+dognet", "run web.1", "run web.3"}}
		for i, f := range b.nodes {
			if got := f.did(); !slices.Equal(got, want[i]) {
				t.Errorf("O4: %s did %q; want %q", f.name, got, want[i])
			}
		}
		if err := b.RemoveNetwork("dognet"); err == nil || !strings.Contains(err.Error(), "is in use by service") {
			t.Errorf("B35: RemoveNetwork = %v", err)
		}
		if err := b.Scale("web", 1); err != nil {
			t.Fatal(err)
		}
		b.converge()
		if got, want := b.placed(), "node2:web.1"; got != want {
			t.Errorf("after scale down: %s; want %s", got, want)
		}
		if got, want := b.nodes[1].did(), []string{"stop web.3"}; !slices.Equal(got, want) {
			t.Errorf("W29: node2 did %q; want %q", got, want)
		}
		if got, want := b.nodes[0].did(), []string{"stop web.2", "-network"}; !slices.Equal(got, want) {
			t.Errorf("O4: node1 did %q; want %q", got, want)
		}
		if running, desired := b.Replicas("web"); running != 1 || desired != 1 {
			t.Errorf("Replicas = %d/%d; want 1/1", running, desired)
		}
		if err := b.RemoveService("web"); err != nil {
			t.Fatal(err)
		}
		b.converge()
		if got, want := b.nodes[1].did(), []string{"stop web.1", "-network"}; !slices.Equal(got, want) {
			t.Errorf("node2 did %q; want %q", got, want)
		}
		if err := b.RemoveNetwork("dognet"); err != nil {
			t.Error(err)
		}
		if n := len(b.Tasks()); n != 0 {
			t.Errorf("%d tasks of a removed service are left", n)
		}
	})
}

func TestRestartAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, 1)
		b.start()
		b.service(ServiceSpec{Name: "web"})
		b.converge()
		start := b.cfg.Now()
		b.nodes[0].end("web.1", errors.New("non-zero exit (137)"))
		b.converge()
		if d := b.cfg.Now().Sub(start); d != restartDelay {
			t.Errorf("W31: the successor runs after %v; want %v", d, restartDelay)
		}
		rows, err := b.ServiceTasks("web")
		if err != nil || len(rows) != 2 {
			t.Fatalf("ServiceTasks = %v, %v; want 2 rows", rows, err)
		}
		if rows[0].State != Running || rows[1].State != Failed || rows[1].Err != "task: non-zero exit (137)" || rows[1].Desired != Shutdown {
			t.Errorf("rows are %s, %s %q", rows[0].State, rows[1].State, rows[1].Err)
		}
		for range 2 * taskHistory {
			b.nodes[0].end("web.1", nil)
			b.converge()
		}
		if n := len(b.Tasks()); n != taskHistory+1 {
			t.Errorf("W30: %d rows are kept; want %d", n, taskHistory+1)
		}
	})
}

func TestRejectedTaskIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, 1)
		b.start()
		b.nodes[0].fail = errors.New("no such image: ngnix")
		b.service(ServiceSpec{Name: "web"})
		ctx, cancel := context.WithTimeout(t.Context(), 2*restartDelay+1)
		defer cancel()
		err := b.WaitConverged(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "web.1.") {
			t.Errorf("WaitConverged = %v; want one that names the task", err)
		}
		if rows, _ := b.ServiceTasks("web"); len(rows) != 4 || rows[1].State != Rejected || rows[1].Err != "no such image: ngnix" {
			t.Errorf("rows = %+v; want one waiting and three rejected", rows)
		}
		b.nodes[0].mu.Lock()
		b.nodes[0].fail = nil
		b.nodes[0].mu.Unlock()
		b.converge()
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, 3)
		b.start()
		b.service(ServiceSpec{Name: "web", Replicas: new(6)})
		b.converge()
		if err := b.SetAvailability("node2", Drain); err != nil {
			t.Fatal(err)
		}
		start := b.cfg.Now()
		b.converge()
		if got, want := b.placed(), "node1:web.3,web.4,web.6 node3:web.1,web.2,web.5"; got != want {
			t.Errorf("W28: %s; want %s", got, want)
		}
		if d := b.cfg.Now().Sub(start); d != 0 {
			t.Errorf("W28: moving took %v; a drained node's tasks wait for no delay", d)
		}
		if err := b.SetAvailability("node2", Active); err != nil {
			t.Fatal(err)
		}
		b.converge()
		if got, want := b.placed(), "node1:web.3,web.4,web.6 node3:web.1,web.2,web.5"; got != want {
			t.Errorf("W27: %s; want %s", got, want)
		}
		rows, _ := b.ServiceTasks("web")
		if len(rows) != 8 {
			t.Errorf("W28: %d rows; want 8", len(rows))
		}
	})
}

package manager

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/moby/swarmkit/v2/api"
	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tick      = 50 * time.Millisecond
	heartbeat = 5 * time.Second
	patience  = 40 * time.Second
)

// lab is a switch with hosts on it.
type lab struct {
	*testing.T
	authority *ca.Authority
	luck      *rand.Rand
	sw        *l2switch.Switch
	hosts     []*host
	ctx       context.Context
	wg        sync.WaitGroup
}

// host is a machine with a certificate: it may run a manager, and pretend to run tasks.
type host struct {
	*lab
	name, addr string
	ns         *netns.Namespace
	cable      *fabric.Link
	id         *ca.Identity
	disk       *consensus.Storage
	client     Client

	*Manager
	stop  context.CancelFunc
	ended chan error
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, luck: rand.New(rand.NewPCG(1, 2)), sw: l2switch.New(l2switch.Config{Name: "tor"})}
	var stop context.CancelFunc
	l.ctx, stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		for _, h := range l.hosts {
			h.down()
			h.client.RPC.Close()
		}
		stop()
		l.wg.Wait()
	})
	l.authority = must(ca.New(ca.Config{Cluster: "cluster1"}, time.Now(), l.luck))
	return l
}

func (l *lab) run(f func(context.Context) error) {
	l.wg.Go(func() {
		if err := f(l.ctx); err != nil {
			l.Error(err)
		}
	})
}

// plug adds a host without a certificate.
func (l *lab) plug() *host {
	l.Helper()
	n := len(l.hosts) + 1
	h := &host{lab: l, name: fmt.Sprintf("m%d", n), addr: fmt.Sprintf("192.168.1.%d:2377", n), disk: consensus.NewStorage(l.luck)}
	h.ns = netns.New(netns.Config{Name: h.name})
	h.cable = fabric.NewLink(h.name, "tor-"+h.name)
	must(l.sw.AddPort(h.name, h.cable.B(), l2switch.PortConfig{}))
	must(h.ns.AddInterface(netns.InterfaceConfig{
		Name: "eth0", Port: h.cable.A(), Addr: netip.MustParsePrefix(fmt.Sprintf("192.168.1.%d/24", n)),
	}))
	l.run(h.ns.Run)
	l.run(h.cable.Run)
	l.hosts = append(l.hosts, h)
	return h
}

// first adds the manager that begins the swarm.
func (l *lab) first(change ...func(*Config)) *host {
	l.Helper()
	h := l.plug()
	key, request, err := ca.NewRequest(l.luck)
	if err != nil {
		l.Fatal(err)
	}
	h.take(key, must(l.authority.Issue(request, h.name, ca.Manager, time.Now(), l.luck)))
	h.up(append([]func(*Config){func(c *Config) {
		c.Genesis = &Genesis{
			Root: l.authority.Root(), RootKey: must(l.authority.Key()), WorkerToken: l.authority.Token(ca.Worker).String(), ManagerToken: l.authority.Token(ca.Manager).String(),
			Heartbeat: heartbeat,
		}
	}}, change...)...)
	h.wait()
	return h
}

// take gives the host its certificate.
func (h *host) take(key, chain []byte) {
	h.Helper()
	h.id = must(ca.NewIdentity(key, chain, h.authority.Root()))
	if h.client.RPC != nil {
		h.client.RPC.Close()
	}
	h.client = Client{&rpc.Client{Dial: h.ns.Dial, TLS: h.clientTLS}}
}

// join adds a host with a certificate that its token gave it, by way of a manager.
func (l *lab) join(by *host, role ca.Role) *host {
	l.Helper()
	h := l.plug()
	h.client = Client{&rpc.Client{Dial: h.ns.Dial, TLS: h.joinTLS}}
	key, request, err := ca.NewRequest(l.luck)
	if err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	got, err := h.client.Issue(ctx, by.addr, &api.IssueNodeCertificateRequest{CSR: request, Token: l.token(by, role)})
	if err != nil {
		l.Fatalf("%s: Issue = %v", h.name, err)
	}
	answer, err := h.client.Certificate(ctx, by.addr, got.NodeID)
	if err != nil || answer.Status.State != api.IssuanceStateIssued {
		l.Fatalf("%s: Certificate = %+v, %v", h.name, answer, err)
	}
	h.take(key, answer.Certificate.Certificate)
	return h
}

// token asks a manager for a token.
func (l *lab) token(by *host, role ca.Role) string {
	l.Helper()
	tokens := by.cluster().RootCA.JoinTokens
	if role == ca.Manager {
		return tokens.Manager
	}
	return tokens.Worker
}

// manager adds a host that joins as a manager.
func (l *lab) manager(by *host) *host {
	l.Helper()
	h := l.join(by, ca.Manager)
	h.up(func(c *Config) { c.Join = by.addr })
	h.wait()
	return h
}

// up starts a host's manager.
func (h *host) up(change ...func(*Config)) {
	h.Helper()
	cfg := Config{
		Addr: h.addr, Network: h.ns, Identity: func() *ca.Identity { return h.id }, Storage: h.disk, Tick: tick,
	}
	for _, f := range change {
		f(&cfg)
	}
	h.Manager = must(New(cfg))
	var ctx context.Context
	ctx, h.stop = context.WithCancel(h.ctx)
	h.ended = make(chan error, 1)
	m, ended := h.Manager, h.ended
	go func() { ended <- m.Run(ctx) }()
}

// down ends a host's manager as a crash would, and returns what Run said.
func (h *host) down() error {
	if h.stop == nil {
		return nil
	}
	h.stop()
	h.stop = nil
	return <-h.ended
}

func (h *host) wait() {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	select {
	case <-h.Ready():
	case err := <-h.ended:
		h.ended <- err
		h.Fatalf("%s: Run = %v before it was ready", h.name, err)
	case <-ctx.Done():
		h.Fatalf("%s is not ready", h.name)
	}
	if err := h.WaitForLeader(ctx); err != nil {
		h.Fatalf("%s: WaitForLeader = %v", h.name, err)
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
			l.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(tick / 4) // a condition with a deadline: the namespaces' clocks are real
	}
}

func (h *host) clientTLS() *tls.Config { return h.id.ClientTLS(nil) }

func (h *host) joinTLS() *tls.Config { return must(ca.JoinTLS(h.authority.Root(), nil)) }

func (h *host) cluster() *api.Cluster {
	h.Helper()
	answer, err := h.Control().ListClusters(h.within(patience), &api.ListClustersRequest{})
	if err != nil || len(answer.Clusters) != 1 {
		h.Fatalf("%s: ListClusters = %v, %v", h.name, answer, err)
	}
	return answer.Clusters[0]
}

// work pretends to run a node's tasks: it has a session with a manager, and says of each task that it is as it is to be.
// It returns when ctx ends.
func (h *host) work(ctx context.Context, managers ...*host) error {
	for i := 0; ctx.Err() == nil; i++ {
		err := h.serve(ctx, managers[i%len(managers)].addr)
		if ctx.Err() == nil {
			h.Logf("%s: session: %v", h.name, err)
			select {
			case <-ctx.Done():
			case <-time.After(tick):
			}
		}
	}
	return nil
}

func (h *host) serve(ctx context.Context, addr string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := h.client.Session(ctx, addr, &api.SessionRequest{Description: &api.NodeDescription{
		Hostname: h.name, Platform: &api.Platform{OS: "linux", Architecture: "x86_64"},
		Engine:    &api.EngineDescription{Plugins: []api.PluginDescription{{Type: "Network", Name: "overlay"}}},
		Resources: &api.Resources{NanoCPUs: 4e9, MemoryBytes: 4 << 30},
	}})
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := s.Recv()
	if err != nil {
		return err
	}
	a, err := h.client.Assignments(ctx, addr, &api.AssignmentsRequest{SessionID: m.SessionID})
	if err != nil {
		return err
	}
	defer a.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer cancel()
		for {
			if _, err := s.Recv(); err != nil {
				return
			}
		}
	})
	wg.Go(func() {
		defer cancel()
		for {
			call, stop := context.WithTimeout(ctx, 10*heartbeat)
			got, err := h.client.Heartbeat(call, addr, &api.HeartbeatRequest{SessionID: m.SessionID})
			stop()
			if err != nil {
				return
			}
			select {
			case <-time.After(got.Period):
			case <-ctx.Done():
				return
			}
		}
	})
	return h.obey(ctx, addr, m.SessionID, a)
}

func (h *host) obey(ctx context.Context, addr, session string, a *Messages[api.AssignmentsMessage, *api.AssignmentsMessage]) error {
	for {
		m, err := a.Recv()
		if err != nil {
			return err
		}
		r := &api.UpdateTaskStatusRequest{SessionID: session}
		for _, c := range m.Changes {
			t := c.Assignment.GetTask()
			if t == nil || c.Action == api.AssignmentChange_AssignmentActionRemove || t.Status.State >= t.DesiredState {
				continue
			}
			r.Updates = append(r.Updates, &api.UpdateTaskStatusRequest_TaskStatusUpdate{TaskID: t.ID, Status: &api.TaskStatus{State: t.DesiredState}})
		}
		if len(r.Updates) == 0 {
			continue
		}
		if _, err := h.client.UpdateTaskStatus(ctx, addr, r); err != nil {
			return err
		}
	}
}

package consensus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tick     = 30 * time.Millisecond // an election begins after 300 to 600 ms
	patience = 40 * time.Second
)

// notes is a machine that keeps all commands in order.
type notes struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

// Apply implements consensus.Machine.
func (m *notes) Apply(_ uint64, command []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, string(command))
	return fmt.Appendf(nil, "%d", len(m.list))
}

// Snapshot implements consensus.Machine.
func (m *notes) Snapshot() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return json.Marshal(m.list)
}

// Restore implements consensus.Machine.
func (m *notes) Restore(b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = nil
	if len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, &m.list)
}

func (m *notes) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.list)
}

// lab is a switch with hosts on it, some of which run managers.
type lab struct {
	*testing.T
	authority *ca.Authority
	luck      *rand.Rand
	sw        *l2switch.Switch
	hosts     []*host
	ctx       context.Context
	wg        sync.WaitGroup
}

// host is a machine: what is here stays when its manager is away.
type host struct {
	*lab
	name, addr string
	ns         *netns.Namespace
	cable      *fabric.Link
	id         *ca.Identity
	disk       *consensus.Storage

	*consensus.Node
	notes *notes
	stop  context.CancelFunc
	ended chan error
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, luck: rand.New(rand.NewPCG(1, 2)), sw: l2switch.New(l2switch.Config{Name: "tor"})}
	var stop context.CancelFunc
	l.ctx, stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		for _, h := range l.hosts {
			h.down()
		}
		stop()
		l.wg.Wait()
	})
	l.authority = must(ca.New(ca.Config{Cluster: "cluster1"}, time.Now(), l.luck))
	return l
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (l *lab) run(f func(context.Context) error) {
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		if err := f(l.ctx); err != nil {
			l.Error(err)
		}
	}()
}

// plug adds a host with a certificate of an authority.
func (l *lab) plug(by *ca.Authority) *host {
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
	h.id = l.identity(by, h.name, ca.Manager)
	l.hosts = append(l.hosts, h)
	return h
}

func (l *lab) identity(by *ca.Authority, node string, role ca.Role) *ca.Identity {
	l.Helper()
	key, request, err := ca.NewRequest(l.luck)
	if err != nil {
		l.Fatal(err)
	}
	return must(ca.NewIdentity(key, must(by.Issue(request, node, role, time.Now(), l.luck)), by.Root()))
}

// up starts a host's manager.
func (h *host) up(change ...func(*consensus.Config)) {
	h.Helper()
	h.notes = &notes{}
	cfg := consensus.Config{
		Addr: h.addr, Network: h.ns, Identity: func() *ca.Identity { return h.id }, Storage: h.disk, Machine: h.notes, Tick: tick,
	}
	if h != h.hosts[0] {
		cfg.Join = h.hosts[0].addr
	}
	for _, f := range change {
		f(&cfg)
	}
	h.Node = must(consensus.New(cfg))
	var ctx context.Context
	ctx, h.stop = context.WithCancel(h.ctx)
	h.ended = make(chan error, 1)
	node, ended := h.Node, h.ended
	go func() { ended <- node.Run(ctx) }()
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

func (h *host) waitReady() {
	h.Helper()
	select {
	case <-h.Ready():
	case err := <-h.ended:
		h.ended <- err
		h.Fatalf("%s: Run = %v before it was ready", h.name, err)
	case <-time.After(patience):
		h.Fatalf("%s is not ready", h.name)
	}
}

// cluster starts some managers, the first of which begins the cluster.
func cluster(t *testing.T, n int, change ...func(*consensus.Config)) *lab {
	t.Helper()
	l := newLab(t)
	for range n {
		h := l.plug(l.authority)
		h.up(change...)
		h.waitReady()
	}
	return l
}

func (l *lab) eventually(what string, f func() bool) {
	l.Helper()
	for end := time.Now().Add(patience); !f(); {
		if time.Now().After(end) {
			for _, h := range l.hosts {
				select {
				case err := <-h.ended:
					h.ended <- err
					l.Logf("%s: Run = %v", h.name, err)
				default:
					l.Logf("%s: %+v", h.name, h.status())
				}
			}
			l.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(tick / 4) // a condition with a deadline: the namespaces' clocks are real
	}
}

// leader waits until all of some hosts agree on a leader among them, and returns it.
func (l *lab) leader(among ...*host) *host {
	l.Helper()
	var found *host
	l.eventually("one leader", func() bool {
		found = nil
		first, _ := among[0].Leader()
		for _, h := range among {
			if got, _ := h.Leader(); got.RaftID == 0 || got != first {
				return false
			}
			if h.Self().RaftID == first.RaftID {
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

func (h *host) propose(command string) (string, error) {
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	b, err := h.Propose(ctx, []byte(command))
	return string(b), err
}

// mustPropose proposes commands, one after the other.
func (h *host) mustPropose(commands ...string) {
	h.Helper()
	for _, c := range commands {
		h.proposed(c)
	}
}

// proposed proposes until it is told that a command is taken, and returns the answer. On a busy machine an answer may come too
// late, and nobody knows whether the command was taken: it goes by another name next time, which has takes for the same.
func (h *host) proposed(command string) string {
	h.Helper()
	answer, err := h.propose(command)
	for n := 2; err != nil; n++ {
		if n > 100 {
			h.Fatalf("%s: Propose(%s) = %v", h.name, command, err)
		}
		<-time.After(tick)
		answer, err = h.propose(fmt.Sprint(command, again, n))
	}
	return answer
}

// mustRemove removes a member, which a busy machine may have to be asked for more than once.
func (h *host) mustRemove(ctx context.Context, node string) {
	h.Helper()
	err := h.Remove(ctx, node)
	for err != nil && ctx.Err() == nil {
		<-time.After(tick)
		if err = h.Remove(ctx, node); errors.Is(err, consensus.ErrUnknownMember) || errors.Is(err, consensus.ErrStopped) {
			return // the first call did it
		}
	}
	if err != nil {
		h.Fatalf("%s: Remove(%s) = %v", h.name, node, err)
	}
}

// again stands between a command and what tells it from the same command proposed before.
const again = "~"

func (h *host) status() consensus.Status {
	h.Helper()
	s, err := h.Status(h.ctx)
	if err != nil && !errors.Is(err, consensus.ErrStopped) {
		h.Fatalf("%s: Status = %v", h.name, err)
	}
	return s
}

// has waits until a host's machine holds some commands, each as often as it had to be proposed.
func (h *host) has(want ...string) {
	h.Helper()
	h.eventually(fmt.Sprintf("%s has %d commands", h.name, len(want)), func() bool { return slices.Equal(once(h.notes.all()), want) })
}

// once are commands without those that only repeat the one before.
func once(all []string) []string {
	for i, c := range all {
		all[i], _, _ = strings.Cut(c, again)
	}
	return slices.Compact(all)
}

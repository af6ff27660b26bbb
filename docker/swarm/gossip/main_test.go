package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// rig is hosts on one switch, each with a cable that can be cut.
type rig struct {
	testing.TB
	ctx    context.Context
	tor    *l2switch.Switch
	cables []*fabric.Link
	wg     sync.WaitGroup
	hosts  int
}

func newRig(t testing.TB) *rig {
	r := &rig{TB: t, tor: l2switch.New(l2switch.Config{Name: "tor"})}
	ctx, cancel := context.WithCancel(context.Background())
	r.ctx = ctx
	t.Cleanup(func() {
		cancel()
		r.wg.Wait()
	})
	return r
}

func (r *rig) spawn(ctx context.Context, run func(context.Context) error) {
	r.wg.Go(func() {
		if err := run(ctx); err != nil {
			r.Error(err)
		}
	})
}

// host adds a host 10.0.x.y/16.
func (r *rig) host() (*netns.Namespace, netip.Addr) { return r.hostUntil(r.ctx) }

// hostUntil adds a host whose power is cut when ctx ends.
func (r *rig) hostUntil(ctx context.Context) (*netns.Namespace, netip.Addr) {
	r.Helper()
	r.hosts++
	name := fmt.Sprintf("node%d", r.hosts)
	addr := netip.AddrFrom4([4]byte{10, 0, byte(r.hosts >> 8), byte(r.hosts)})
	ns := netns.New(netns.Config{Name: name, Seed: uint64(r.hosts)})
	cable := fabric.NewLink(name+"/eth0", "tor/"+name)
	r.cables = append(r.cables, cable)
	if _, err := r.tor.AddPort(name, cable.B(), l2switch.PortConfig{}); err != nil {
		r.Fatal(err)
	}
	if _, err := ns.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: cable.A(), Addr: netip.PrefixFrom(addr, 16)}); err != nil {
		r.Fatal(err)
	}
	r.spawn(ctx, ns.Run)
	r.spawn(r.ctx, cable.Run)
	return ns, addr
}

// node adds a node on a host of its own. edit may be nil.
func (r *rig) node(edit func(*Config)) *Node {
	r.Helper()
	ns, addr := r.host()
	n, _ := r.start(r.ctx, ns, addr, edit)
	return n
}

func (r *rig) start(ctx context.Context, ns *netns.Namespace, addr netip.Addr, edit func(*Config)) (*Node, <-chan struct{}) {
	r.Helper()
	cfg := Config{NS: ns, Name: ns.Name(), Addr: addr}
	if os.Getenv("GOSSIP_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if edit != nil {
		edit(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		r.Fatal(err)
	}
	done := make(chan struct{})
	r.spawn(ctx, func(ctx context.Context) error {
		defer close(done)
		return n.Run(ctx)
	})
	return n, done
}

// cluster adds n nodes that have joined the first, and the network net.
func (r *rig) cluster(n int, edit func(*Config)) []*Node {
	r.Helper()
	var all []*Node
	for range n {
		all = append(all, r.node(edit))
	}
	for _, x := range all {
		r.join(x, all[0])
		if err := x.JoinNetwork("net"); err != nil {
			r.Fatal(err)
		}
	}
	return all
}

func (r *rig) join(n, to *Node) {
	r.Helper()
	if n == to {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	select {
	case <-to.Ready():
	case <-ctx.Done():
		r.Fatal("never ready")
	}
	err := n.Join(ctx, to.cfg.Addr)
	for err != nil && ctx.Err() == nil { // a machine that is very busy answers no ARP in time
		err = n.Join(ctx, to.cfg.Addr)
	}
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) put(n *Node, key, value string) {
	r.Helper()
	if err := n.Put("net", EndpointTable, key, []byte(value)); err != nil {
		r.Fatal(err)
	}
}

// value returns what a node holds under a key of the endpoint table of net.
func value(n *Node, key string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	net := n.state.nets["net"]
	if net == nil {
		return "", false
	}
	e := net.tables[EndpointTable][key]
	if e == nil || e.gone {
		return "", false
	}
	return string(e.value), true
}

// eventually waits until ok.
func (r *rig) eventually(what string, ok func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	r.Fatalf("never: %s", what)
}

// all waits until each node holds the value under the key; "" is none.
func (r *rig) all(nodes []*Node, key, want string) {
	r.Helper()
	r.eventually(fmt.Sprintf("%s is %q on all", key, want), func() bool {
		for _, n := range nodes {
			if got, ok := value(n, key); got != want || ok != (want != "") {
				return false
			}
		}
		return true
	})
}

// met waits until each node has all as live members of net.
func (r *rig) met(nodes []*Node) {
	r.Helper()
	r.eventually("all members of net know each other", func() bool {
		for _, n := range nodes {
			if memberCount(n) != len(nodes)-1 {
				return false
			}
		}
		return true
	})
}

func memberCount(n *Node) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.state.members("net"))
}

func memberState(n *Node, name string) (Member, bool) {
	for _, m := range n.Snapshot().Members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

func key(c byte) []byte { return bytes.Repeat([]byte{c}, 16) }

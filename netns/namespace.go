// Package netns emulates a Linux network namespace: interfaces, addresses, neighbours, routes, the netfilter hooks,
// forwarding, ICMP, and local sockets. A container, a Docker host, an overlay sandbox and a plain router are all a
// Namespace with different things plugged in.
//
// Packets run to completion on the goroutine of whoever sent them: they cross veth pairs, bridges, tunnels, hooks and
// routing as calls. Two things end such a run: a cable (fabric.Link), and the queue in front of the namespace's own
// sockets, which are a gVisor netstack that is attached when the first socket is opened.
package netns

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lb"
	"github.com/netsim-lab/netsim/nat"
)

// Config says what a namespace is. Its zero value works.
type Config struct {
	Name    string       // stands in traces and errors, as "host-a" or "host-a/web1"; empty: "netns"
	Forward bool         // ip_forward
	Seed    uint64       // seeds port choice and identifications; 0 is a seed like any other
	Log     *slog.Logger // nil: silent
	// ExpireNoDest has IPVS forget connections whose real server is gone (net.ipv4.vs.expire_nodest_conn); see lb.Config.
	ExpireNoDest bool
	// Watch is called with each interface that is added, lo included, before it carries anything; nil: nobody is told.
	Watch func(i *Interface)
	// Resolve turns a host name into addresses for Dial. nil: names are not resolved.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
}

// Namespace is an emulated network namespace. All methods may be called at once from several goroutines.
type Namespace struct {
	fabric.Counters // what was dropped where no interface was concerned
	cfg             Config
	queue           *fabric.Queue // frames for the local sockets
	forward         atomic.Bool
	ipID            atomic.Uint32
	conf            atomic.Pointer[config]
	filter          atomic.Pointer[nat.Netfilter]
	balancer        atomic.Pointer[lb.Balancer]
	reasm           reassembler
	arpIgnore       atomic.Bool
	noSegments      atomic.Bool // sockets send no trains
	hashSeed        uint32      // of the choice among next hops
	recorders       recorders
	lo              *Route // to the namespace's own addresses

	stack stackHolder

	mu      sync.Mutex
	ifaces  map[string]*Interface // guarded by mu
	nextIdx int                   // guarded by mu
	luck    *rand.Rand            // guarded by mu
	closed  bool                  // guarded by mu
	running bool                  // guarded by mu
	closers map[closer]struct{}   // guarded by mu; open sockets
	done    chan struct{}         // closed when the namespace is
}

// config is what packets read: it is replaced as a whole, never changed.
type config struct {
	local   map[netip.Addr]*Interface // the namespace's addresses
	bcast   map[netip.Addr]*Interface // the broadcast addresses of its subnets
	known   addrFilter                // of both
	fib     FIB
	tunnels map[uint16]*Tunnel // by UDP port
	carrier *ESPCarrier        // nil: the namespace speaks no ESP
	raws    []*RawConn
	closed  bool // the namespace has ended
}

// addrFilter tells of most addresses that they are not in a set, at a fraction of what a look into a map costs.
type addrFilter [4]uint64

func (s *addrFilter) add(a netip.Addr) {
	n, bit := slot(a)
	s[n] |= bit
}

// may tells whether a may be in the set; false is certain.
func (s *addrFilter) may(a netip.Addr) bool {
	n, bit := slot(a)
	return s[n]&bit != 0
}

// slot returns the bit of an address; none for one that is not IPv4.
func slot(a netip.Addr) (n int, bit uint64) {
	if !a.Is4() {
		return 0, 0
	}
	b := a.As4()
	h := b[3] ^ b[2]*7 ^ b[1]*31 ^ b[0]*13
	return int(h >> 6), 1 << (h & 63)
}

func (c *config) clone() *config {
	n := *c
	n.local, n.bcast, n.tunnels, n.raws = maps.Clone(c.local), maps.Clone(c.bcast), maps.Clone(c.tunnels), slices.Clone(c.raws)
	return &n
}

type closer interface{ Close() error }

// New returns a namespace with a loopback interface that is up. It starts nothing: until Run, packets for local
// sockets wait, while forwarding, ARP and ICMP echo work.
func New(cfg Config) *Namespace {
	if cfg.Name == "" {
		cfg.Name = "netns"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ns := &Namespace{
		cfg: cfg, queue: fabric.NewQueue(), ifaces: make(map[string]*Interface), nextIdx: 1,
		luck: rand.New(rand.NewPCG(cfg.Seed, hashName(cfg.Name))), done: make(chan struct{}),
		closers: make(map[closer]struct{}),
	}
	ns.forward.Store(cfg.Forward)
	ns.ipID.Store(ns.luck.Uint32())
	ns.hashSeed = uint32(hashName(cfg.Name) >> 32) // not drawn: the same lab chooses the same ways
	ns.conf.Store(&config{local: map[netip.Addr]*Interface{}, bcast: map[netip.Addr]*Interface{}, tunnels: map[uint16]*Tunnel{}})
	ns.addLoopback()
	return ns
}

func hashName(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// Name returns the namespace's name.
func (ns *Namespace) Name() string { return ns.cfg.Name }

// Run hands packets to the local sockets until ctx ends; then it closes every socket, frees what waits and returns.
// A namespace runs once.
func (ns *Namespace) Run(ctx context.Context) error {
	ns.mu.Lock()
	if ns.running || ns.closed {
		ns.mu.Unlock()
		return fmt.Errorf("run %s: a namespace runs once", ns.cfg.Name)
	}
	ns.running = true
	ns.mu.Unlock()
	ns.deliverLoop(ctx)
	return ns.close()
}

// Close ends a namespace that never ran: its sockets, its netstack and its timers. While Run runs, end its context
// instead.
func (ns *Namespace) Close() error {
	ns.mu.Lock()
	running := ns.running
	ns.mu.Unlock()
	if running {
		return fmt.Errorf("close %s: end the context of Run instead", ns.cfg.Name)
	}
	return ns.close()
}

// close ends sockets first, so that their peers hear of it, and then the namespace.
func (ns *Namespace) close() error {
	ns.mu.Lock()
	if ns.closed {
		ns.mu.Unlock()
		return nil
	}
	ns.closed = true
	close(ns.done)
	open := slices.Collect(maps.Keys(ns.closers))
	ns.mu.Unlock()
	ns.stack.begin()
	for _, c := range open {
		c.Close() //nolint:errcheck // closing for good
	}
	ns.stack.close()
	if err := ns.change(func(c *config) error { c.closed = true; return nil }); err != nil {
		return err
	}
	for _, i := range ns.Interfaces() {
		i.neigh.close(i)
	}
	ns.queue.DrainTo(func(f *fabric.Frame) { ns.Drop(f, fabric.DropClosed, ns.cfg.Name) })
	ns.reasm.flush()
	return nil
}

// Done is closed once the namespace has ended.
func (ns *Namespace) Done() <-chan struct{} { return ns.done }

// SetForward sets ip_forward.
func (ns *Namespace) SetForward(on bool) { ns.forward.Store(on) }

// Forwarding tells whether ip_forward is set.
func (ns *Namespace) Forwarding() bool { return ns.forward.Load() }

// SetSegmentation tells whether TCP hands over trains (the default), or wire frames one by one, which is the better
// choice where a path loses frames at random. Connections that stand keep what they have.
func (ns *Namespace) SetSegmentation(on bool) {
	if ns.noSegments.Swap(!on) == on {
		ns.stack.sync()
	}
}

// Segmentation tells whether TCP hands over trains.
func (ns *Namespace) Segmentation() bool { return !ns.noSegments.Load() }

// SetResolver sets how Dial turns names into addresses.
func (ns *Namespace) SetResolver(r func(ctx context.Context, name string) ([]netip.Addr, error)) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.cfg.Resolve = r
}

// Netfilter returns the namespace's tables and connection tracking, which the first call makes.
func (ns *Namespace) Netfilter() *nat.Netfilter {
	if nf := ns.filter.Load(); nf != nil {
		return nf
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if nf := ns.filter.Load(); nf != nil {
		return nf
	}
	nf := nat.New(nat.Config{Env: env{ns}, Rand: rand.New(rand.NewPCG(ns.luck.Uint64(), 2)), Place: ns.cfg.Name})
	ns.filter.Store(nf)
	return nf
}

// IPVS returns the namespace's virtual services, which the first call makes.
func (ns *Namespace) IPVS() *lb.Balancer {
	if b := ns.balancer.Load(); b != nil {
		return b
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if b := ns.balancer.Load(); b != nil {
		return b
	}
	b := lb.New(lb.Config{Place: ns.cfg.Name, ExpireNoDest: ns.cfg.ExpireNoDest})
	ns.balancer.Store(b)
	return b
}

// change replaces the configuration that packets read by what edit makes of a copy.
func (ns *Namespace) change(edit func(*config) error) error {
	ns.mu.Lock()
	c := ns.conf.Load().clone()
	if err := edit(c); err != nil {
		ns.mu.Unlock()
		return err
	}
	ns.conf.Store(c)
	ns.mu.Unlock()
	ns.stack.sync()
	return nil
}

// Interface returns the interface of that name.
func (ns *Namespace) Interface(name string) (*Interface, bool) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	i, ok := ns.ifaces[name]
	return i, ok
}

// Interfaces returns all interfaces by index.
func (ns *Namespace) Interfaces() []*Interface {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.interfacesLocked()
}

func (ns *Namespace) interfacesLocked() []*Interface {
	all := make([]*Interface, 0, len(ns.ifaces))
	for _, i := range ns.ifaces {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b *Interface) int { return a.index - b.index })
	return all
}

// env is what netfilter asks of its namespace.
type env struct{ ns *Namespace }

// IsLocal implements nat.Env.
func (e env) IsLocal(a netip.Addr) bool { return e.ns.isLocal(e.ns.conf.Load(), a) }

// IsBroadcast implements nat.Env.
func (e env) IsBroadcast(a netip.Addr) bool {
	_, ok := e.ns.conf.Load().bcast[a]
	return ok || a == limitedBroadcast
}

// MasqueradeAddr implements nat.Env: the source that a packet of the namespace's own would have.
func (e env) MasqueradeAddr(out string, dst netip.Addr) (netip.Addr, bool) {
	c := e.ns.conf.Load()
	if r, ok := c.fib.Lookup(dst); ok && r.by(out).Dev.name == out {
		if src := e.ns.sourceFor(r.by(out), dst); src.IsValid() {
			return src, true
		}
	}
	return e.IfaceAddr(out)
}

// IfaceAddr implements nat.Env.
func (e env) IfaceAddr(name string) (netip.Addr, bool) {
	i, ok := e.ns.Interface(name)
	if !ok {
		return netip.Addr{}, false
	}
	for _, p := range i.Addrs() {
		if p.Addr().Is4() {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// isLocal tells whether packets to a stay in the namespace. While lo is down there is no way to 127.0.0.0/8, and those to
// other addresses of its own are lost.
func (ns *Namespace) isLocal(c *config, a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	if c.known.may(a) {
		if i := c.local[a]; i != nil {
			return i.kind != KindLoopback || i.Up()
		}
	}
	return a.As4()[0] == 127 && ns.lo.Dev.Up()
}

// unixNano is the clock of packets.
func unixNano() int64 { return time.Now().UnixNano() }

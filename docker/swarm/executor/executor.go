// Package executor runs a swarm's tasks on a host's Docker engine, and is the engine's whole side of a membership: the networks
// that tasks need, the host's entry into the routing mesh, gossip with the other nodes, and the places of containers that are no
// tasks on attachable networks. It is to swarmkit's agent what the Docker daemon is (exec.Executor).
//
// A task is a container of the name service.slot.id (S17, W23). Its networks are made on the host with the first task that needs
// them and go with the last (O4). It runs, for its swarm, once its health check has succeeded if it has one (S13), and is
// taken out of its service's load balancing before it is stopped (S14).
package executor

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/moby/swarmkit/v2/agent/configs"
	"github.com/moby/swarmkit/v2/agent/exec"
	"github.com/moby/swarmkit/v2/agent/secrets"
	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/swarm/directory"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
	"github.com/netsim-lab/netsim/netns"
)

// Config says what an executor is. Engine, NS, Name and Addr are needed.
type Config struct {
	Engine *engine.Engine
	NS     *netns.Namespace // the host's, for gossip
	Name   string           // of the host and of the gossip node
	Addr   netip.Addr       // of gossip and, unless VTEP says otherwise, of VXLAN tunnels; see SetAddresses
	VTEP   netip.Addr       // zero: Addr
	Log    *slog.Logger     // nil: silent

	EngineVersion string // of the node's description
	Architecture  string // empty: x86_64

	// Managers returns the addresses of the swarm's managers, which gossip begins with (C13); nil: there are none.
	Managers func() []netip.Addr
	// Resource returns what gives containers that are no tasks a place on the swarm's networks; nil, or a nil result: nothing.
	Resource func() Resource

	// Turns puts the starts of tasks in an order; nil: each starts as soon as it can.
	Turns Turns

	Gossip        gossip.Times
	SuspicionMult int // see gossip.Config
}

// Turns has tasks start one after the other. Slot is 0 for tasks of global services.
type Turns interface {
	// Join waits until it is the turn of a task's container to join its networks.
	Join(ctx context.Context, service string, slot uint64) error
	// Run is called when it has joined them, and waits until it is the turn of its program.
	Run(ctx context.Context, service string, slot uint64) error
	// Done is called when the program runs, or the container was not started.
	Done(service string, slot uint64)
}

// Resource is the part of swarmkit's resource API that Attach needs.
type Resource interface {
	AttachNetwork(context.Context, *swarmapi.AttachNetworkRequest) (*swarmapi.AttachNetworkResponse, error)
	DetachNetwork(context.Context, *swarmapi.DetachNetworkRequest) (*swarmapi.DetachNetworkResponse, error)
}

// Executor implements exec.Executor, exec.SecretsProvider and exec.ConfigsProvider. All methods may be called at once, but Run
// only once at a time.
type Executor struct {
	cfg      Config
	log      *slog.Logger
	dir      *directory.Directory
	secrets  exec.SecretsManager
	configs  exec.ConfigsManager
	networks networks
	leaving  sync.Mutex // held by Leave
	sealer   sync.Mutex // held while the engine gets keys of encrypted overlays
	rekeyed  chan struct{}
	undone   chan string // attachments that a manager is to forget

	mu          sync.Mutex
	addr, vtep  netip.Addr                 // guarded by mu; of gossip and of VXLAN tunnels
	keys        [][]byte                   // guarded by mu; of gossip, the first seals
	sealing     []cnm.EncryptionKey        // guarded by mu; of encrypted overlays, the first seals
	gossip      *gossip.Node               // guarded by mu; nil: it does not run
	lives       chan struct{}              // guarded by mu; closed once Run is called, open again after Leave
	node        *swarmapi.NodeDescription  // guarded by mu
	ingress     string                     // guarded by mu; id of the routing mesh's network; empty: not joined
	ingressAddr netip.Addr                 // guarded by mu; the host's address on it
	places      map[string]netip.Addr      // guarded by mu; of the host's balancers, by network (S9)
	attachments map[string]*attachmentWait // by task, guarded by mu
}

// New returns an executor. It does nothing until the node is a member of a swarm: then Run, Configure and the rest are called.
func New(cfg Config) *Executor {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !cfg.VTEP.IsValid() {
		cfg.VTEP = cfg.Addr
	}
	if cfg.Architecture == "" {
		cfg.Architecture = "x86_64"
	}
	x := &Executor{
		cfg: cfg, log: cfg.Log, dir: directory.New(directory.Config{Node: cfg.Name, VTEP: cfg.VTEP, Log: cfg.Log}),
		secrets: secrets.NewManager(), configs: configs.NewManager(), rekeyed: make(chan struct{}, 1),
		undone: make(chan string, undoneRoom), addr: cfg.Addr, vtep: cfg.VTEP, attachments: make(map[string]*attachmentWait), lives: make(chan struct{}),
	}
	x.networks.x = x
	x.networks.users, x.networks.parts = make(map[string]int), make(map[string]func())
	x.networks.changed = make(chan struct{})
	return x
}

// SetAddresses says at which of its addresses the host is to gossip, which is also that of its VXLAN tunnels unless dataPath is
// valid. One that is not the host's own, as behind a NAT, or not valid, counts as not given: then it is what Config says. It is
// for the next membership; call it before that runs.
func (x *Executor) SetAddresses(advertise, dataPath netip.Addr) {
	addr, vtep := x.cfg.Addr, x.cfg.VTEP
	if x.owns(advertise) && advertise != x.cfg.Addr {
		addr, vtep = advertise, advertise
	}
	if dataPath.IsValid() {
		vtep = dataPath
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.addr, x.vtep = addr, vtep
}

// owns tells whether an address is the host's.
func (x *Executor) owns(a netip.Addr) bool {
	for _, i := range x.cfg.NS.Interfaces() {
		if slices.ContainsFunc(i.Addrs(), func(p netip.Prefix) bool { return p.Addr() == a }) {
			return true
		}
	}
	return false
}

// addresses are those of gossip and of VXLAN tunnels.
func (x *Executor) addresses() (addr, vtep netip.Addr) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.addr, x.vtep
}

// Secrets implements exec.SecretsProvider.
func (x *Executor) Secrets() exec.SecretsManager { return x.secrets }

// Configs implements exec.ConfigsProvider.
func (x *Executor) Configs() exec.ConfigsManager { return x.configs }

// Directory returns what the node and the others know of the endpoints of networks.
func (x *Executor) Directory() *directory.Directory { return x.dir }

// Describe implements exec.Executor: what the scheduler and docker node inspect see of the host.
func (x *Executor) Describe(context.Context) (*swarmapi.NodeDescription, error) {
	info := x.cfg.Engine.Info()
	d := &swarmapi.NodeDescription{
		Hostname:  x.cfg.Name,
		Platform:  &swarmapi.Platform{Architecture: x.cfg.Architecture, OS: "linux"},
		Resources: &swarmapi.Resources{NanoCPUs: int64(info.CPUs) * 1e9, MemoryBytes: info.Memory},
		Engine: &swarmapi.EngineDescription{
			EngineVersion: x.cfg.EngineVersion, Plugins: []swarmapi.PluginDescription{{Type: "Log", Name: "json-file"}},
		},
	}
	for _, name := range info.NetworkDrivers {
		d.Engine.Plugins = append(d.Engine.Plugins, swarmapi.PluginDescription{Type: "Network", Name: name})
	}
	d.Engine.Plugins = append(d.Engine.Plugins, swarmapi.PluginDescription{Type: "Volume", Name: "local"})
	x.mu.Lock()
	defer x.mu.Unlock()
	x.node = d
	return d.Copy(), nil
}

// Configure implements exec.Executor: it has the host take part in the routing mesh at the address that the node object names.
func (x *Executor) Configure(ctx context.Context, n *swarmapi.Node) error {
	if err := x.enter(ctx); err != nil {
		return err
	}
	if err := x.setPlaces(n); err != nil {
		return err
	}
	at := ingressOf(n)
	if at == nil {
		return x.leaveIngress()
	}
	addr, err := netip.ParsePrefix(at.Addresses[0])
	if err != nil {
		return fmt.Errorf("address of %s on network %s: %w", x.cfg.Name, at.Network.Spec.Annotations.Name, err)
	}
	x.mu.Lock()
	same := x.ingress == at.Network.ID && x.ingressAddr == addr.Addr()
	x.mu.Unlock()
	if same {
		return nil
	}
	if err := x.leaveIngress(); err != nil {
		return err
	}
	cfg, err := networkConfig(at.Network)
	if err != nil {
		return err
	}
	if err := x.cfg.Engine.Controller().JoinIngress(ctx, cfg, addr.Addr()); err != nil {
		return err
	}
	x.mu.Lock()
	x.ingress, x.ingressAddr = at.Network.ID, addr.Addr()
	x.mu.Unlock()
	x.networks.notify()
	return nil
}

// setPlaces takes in the host's addresses on the networks of the swarm. Balancers that are elsewhere move there.
func (x *Executor) setPlaces(n *swarmapi.Node) error {
	places := make(map[string]netip.Addr)
	for _, a := range n.Attachments {
		if a.Network == nil || len(a.Addresses) == 0 {
			continue
		}
		at, err := netip.ParsePrefix(a.Addresses[0])
		if err != nil {
			return fmt.Errorf("address of %s on network %s: %w", x.cfg.Name, a.Network.Spec.Annotations.Name, err)
		}
		places[a.Network.ID] = at.Addr()
	}
	x.mu.Lock()
	x.places = places
	x.mu.Unlock()
	x.networks.notify()
	return x.networks.move()
}

// place is the host's address on a network; invalid: it has none.
func (x *Executor) place(network string) netip.Addr {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.places[network]
}

// ingressOf returns the node's place on the network of the routing mesh; nil: it has none.
func ingressOf(n *swarmapi.Node) *swarmapi.NetworkAttachment {
	for _, a := range append([]*swarmapi.NetworkAttachment{n.Attachment}, n.Attachments...) {
		if a != nil && a.Network != nil && a.Network.Spec.Ingress && len(a.Addresses) > 0 {
			return a
		}
	}
	return nil
}

func (x *Executor) leaveIngress() error {
	x.mu.Lock()
	joined := x.ingress != ""
	x.mu.Unlock()
	if !joined {
		return nil
	}
	if err := x.cfg.Engine.Controller().LeaveIngress(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ingress, x.ingressAddr = "", netip.Addr{}
	return nil
}

// Controller implements exec.Executor.
func (x *Executor) Controller(t *swarmapi.Task) (exec.Controller, error) {
	x.mu.Lock()
	node := x.node
	x.mu.Unlock()
	switch {
	case t.Spec.GetAttachment() != nil:
		return x.newAttachment(t)
	case t.Spec.GetContainer() != nil:
		return x.newTask(t, node)
	}
	return nil, fmt.Errorf("unsupported runtime of task %s: only containers run here", t.ID)
}

package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/api"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/topology"
)

// Config says how a topology is run. Its zero value works.
type Config struct {
	Seed    *uint64      // start of every pseudo-random choice; nil: the topology's
	Log     *slog.Logger // nil: silent
	Control bool         // serve the control socket, through which Dial reaches the lab
	// StepLimit is how long one try of a step may take that has no "within". 0: a minute.
	StepLimit time.Duration
	Proxies   []ProxyConfig // proxies into the lab, on real sockets; nil: none
	PlainTAP  bool          // TAP devices carry one wire frame at a time, even where the kernel takes trains
	HostTools HostTools     // commands of every host with an engine, as docker; nil: none
	Stories   bool          // follow the packets of every step, so that a failed one has its story
	Ring      int           // memory for the last packets, which SaveLast saves; 0: 4 MiB; less than 0: they are not kept
}

const defaultStepLimit = time.Minute

// errDown is why a lab ends that was told to.
var errDown = errors.New("the lab was taken down")

// Lab is a topology, ready to run, running, or ended. All methods may be called at once from several goroutines.
type Lab struct {
	spec  *topology.Spec
	cfg   Config
	seed  uint64
	log   *slog.Logger
	phys  *physical
	names *nameServer
	ring  *fabric.Ring // nil: none

	ready chan struct{} // closed once everything runs
	ended chan struct{} // closed when Run returns

	parting sync.Mutex
	parts   parts // guarded by parting; who gets nothing from whom

	trains sync.Mutex // held while it is decided who sends trains

	mu      sync.Mutex
	group   *group                    // guarded by mu; nil before Run
	engines map[string]*engine.Engine // by host; guarded by mu, complete once ready
	apis    map[string]*api.Server    // by host; guarded by mu, complete once ready
	nodes   map[string]*swarmNode     // by host with an engine and an address; guarded by mu, complete once ready
	started time.Time                 // guarded by mu
	// swarmNetworks has the ids of the topology's overlays by name. Used by who starts the lab.
	swarmNetworks map[string]string
	turns         *turns
	doors         []*door // guarded by mu; real sockets into the lab
	// underlay leads to the other parts of the lab; guarded by mu; nil: there are none
	underlay *underlay
	err      error  // guarded by mu; what Run returned
	taps     []*tap // guarded by mu; devices of the kernel
}

// New checks that the topology can be run and builds its fabric. It starts nothing and opens nothing. What a lab cannot
// do comes as topology.Errors, all at once.
func New(spec *topology.Spec, cfg Config) (*Lab, error) {
	if spec == nil {
		return nil, errors.New("new lab: there is no topology")
	}
	if err := checkClock(spec, &cfg); err != nil {
		return nil, err
	}
	spec = spec.Local()
	if err := Check(spec); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.StepLimit <= 0 {
		cfg.StepLimit = defaultStepLimit
	}
	l := &Lab{
		spec: spec, cfg: cfg, seed: spec.Seed, log: cfg.Log, ready: make(chan struct{}), ended: make(chan struct{}),
		engines: map[string]*engine.Engine{}, apis: map[string]*api.Server{}, nodes: map[string]*swarmNode{}, swarmNetworks: map[string]string{},
	}
	if cfg.Seed != nil {
		l.seed = *cfg.Seed
	}
	if err := l.build(); err != nil {
		return nil, fmt.Errorf("build lab %s: %w", spec.Name, err)
	}
	return l, nil
}

// build makes what is physical.
func (l *Lab) build() (err error) {
	if l.phys, err = buildFabric(l.spec, l.seed); err != nil {
		return err
	}
	heard := newLook(func() bool { return len(l.unheard()) == 0 })
	l.turns = newTurns(l.spec.Services, heard.now)
	if l.names, err = l.phys.addNameServer(l.spec, l.seed); err != nil {
		return err
	}
	for i, c := range l.phys.cables {
		c.link.Seed(derive(l.seed, fmt.Sprintf("cable %d", i)))
	}
	if err := l.phys.route(l.names.exits); err != nil {
		return err
	}
	for _, m := range l.phys.order {
		l.furnish(m, l.names.nearest(m))
	}
	for _, m := range l.phys.consoles {
		l.furnish(m, netip.Addr{})
	}
	l.rememberCables()
	l.fitTrains()
	return nil
}

// furnish gives a machine its files, and its namespace the resolver that reads them.
func (l *Lab) furnish(m *machine, server netip.Addr) {
	m.names = newHostNames(m, server)
	m.named.lab, m.named.machine = l, m
	m.ns.SetResolver(m.system(l).LookupHost)
}

// Name returns the lab's name.
func (l *Lab) Name() string { return l.spec.Name }

// Spec returns the topology. It must not be changed.
func (l *Lab) Spec() *topology.Spec { return l.spec }

// Ready is closed once everything that the topology describes runs. It stays open if that fails.
func (l *Lab) Ready() <-chan struct{} { return l.ready }

// Done is closed when Run has returned.
func (l *Lab) Done() <-chan struct{} { return l.ended }

// Run brings the lab up, closes Ready, and returns after ctx has ended or Down was called, and all of the lab with it:
// no goroutine, socket or file is left. The error is nil then; it is not if the lab could not be brought up or a part
// of it failed. A lab runs once.
func (l *Lab) Run(ctx context.Context) error {
	g, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer close(l.ended)
	var dir *runDir
	if l.cfg.Control {
		if dir, err = claimDir(l.spec.Name); err != nil {
			g.fail(err)
		}
	}
	if err == nil {
		g.spawn(func(ctx context.Context) error { return l.up(ctx, dir) })
	}
	<-g.ctx.Done()
	err = g.wait()
	if dir != nil {
		err = errors.Join(err, dir.release())
	}
	if err != nil {
		err = fmt.Errorf("run lab %s: %w", l.spec.Name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	return err
}

func (l *Lab) begin(ctx context.Context) (*group, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.group != nil {
		return nil, fmt.Errorf("run lab %s: a lab runs once", l.spec.Name)
	}
	l.group = newGroup(ctx, l.log)
	l.started = time.Now()
	return l.group, nil
}

// up starts everything in its order.
func (l *Lab) up(ctx context.Context, dir *runDir) error {
	g := l.running()
	for _, open := range []func() error{l.checkNeeds, l.openDoors, l.openUnderlay, l.startKernelHosts, l.openTAPs} {
		if err := open(); err != nil {
			return err
		}
	}
	l.startFabric(g)
	l.growTrees(ctx)
	for _, start := range []func() error{
		func() error { return l.openNames(g) },
		func() error { return l.startDocker(ctx) },
		l.startBalancers,
	} {
		if err := start(); err != nil {
			return interrupted(ctx, err)
		}
	}
	if err := l.checkProxies(); err != nil {
		return err
	}
	l.serveDocker(ctx, dir)
	if dir != nil {
		g.spawn(func(ctx context.Context) error { return l.serveControl(ctx, dir.ln) })
	}
	if ctx.Err() != nil {
		return nil
	}
	l.log.Info("lab up", "lab", l.spec.Name, "after", time.Since(l.startTime()).Round(time.Millisecond))
	close(l.ready)
	return nil
}

// startFabric starts cables, switches and namespaces.
func (l *Lab) startFabric(g *group) {
	for _, c := range l.phys.cables {
		g.spawn(c.link.Run)
		if c.flap.Every > 0 {
			g.spawn(c.flaps)
		}
	}
	for _, sw := range l.phys.switches {
		g.spawn(sw.Run)
	}
	for _, m := range l.phys.order {
		g.spawn(m.ns.Run)
	}
	for _, m := range l.phys.consoles {
		g.spawn(m.ns.Run)
	}
	if len(l.phys.looped()) > 0 {
		g.spawn(l.reportStorms)
	}
}

// openNames starts the name server and the sites of the internet.
func (l *Lab) openNames(g *group) error {
	serve, err := l.names.listen()
	if err != nil {
		return err
	}
	g.spawn(serve)
	for _, m := range l.phys.order {
		if err := m.openSites(g); err != nil {
			return err
		}
	}
	return nil
}

// interrupted returns err, unless it comes of the lab's end.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (l *Lab) running() *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.group
}

func (l *Lab) startTime() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started
}

// Down ends a running lab; Run returns nil. It does not wait.
func (l *Lab) Down() {
	if g := l.running(); g != nil {
		g.cancel(errDown)
	}
}

// Start makes a lab of a topology, runs it, and returns once it is up. It runs until ctx ends or Stop is called, which
// must be done by the caller.
func Start(ctx context.Context, spec *topology.Spec, cfg Config) (*Lab, error) {
	l, err := New(spec, cfg)
	if err != nil {
		return nil, err
	}
	go l.Run(ctx) //nolint:errcheck // Wait returns it
	select {
	case <-l.Ready():
		return l, nil
	case <-l.Done():
	}
	if err := l.Wait(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("run lab %s: %w", spec.Name, context.Cause(ctx))
}

// Wait waits until the lab has ended and returns what Run did.
func (l *Lab) Wait() error {
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Stop ends a lab that Start started, waits until all of it is gone, and returns what Run did.
func (l *Lab) Stop() error {
	l.Down()
	return l.Wait()
}

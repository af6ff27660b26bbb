package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

// State is where a container is in its life.
type State uint8

// The states.
const (
	Created State = iota // made, or failed to start
	Running
	Exited
	Paused
	Restarting // it ended, and is about to start again
	Removing
	Dead // its removal failed
)

// String returns the state as docker inspect has it.
func (s State) String() string {
	return [...]string{"created", "running", "exited", "paused", "restarting", "removing", "dead"}[s]
}

// Exit statuses that are not a program's own.
const (
	exitInterrupted = 130 // 128 + SIGINT
	exitKilled      = 137 // 128 + SIGKILL
	exitTerminated  = 143 // 128 + SIGTERM
	exitPanicked    = 139 // 128 + SIGSEGV
	exitNotFound    = 127 // the program is not there
	exitNoStart     = 128 // the container could not be started
	exitNoCommand   = 126 // docker exec, of what cannot be run
)

// Container is a container of an Engine. All methods may be called at once from several goroutines.
type Container struct {
	engine   *Engine
	id       string
	cfg      ContainerConfig // but for what is below
	image    *image.Image
	argv     []string
	created  time.Time
	seed     uint64 // of the program's luck
	log      *logRing
	out      *output
	warnings []string
	health   *monitor // nil: it has no health check

	// life is held while the container is started, changed or removed.
	life sync.Mutex

	mu                sync.Mutex
	name              string               // guarded by mu, and by the engine's mu for changes
	endpoints         []cnm.EndpointConfig // guarded by mu; what it joins when it starts
	policy            RestartPolicy        // guarded by mu
	resources         Resources            // guarded by mu
	state             State                // guarded by mu
	starts            int                  // guarded by mu
	restarts          int                  // guarded by mu; by the policy
	inARow            int                  // guarded by mu; restarts without a long run between them
	stopped           bool                 // guarded by mu; the user stopped it
	keep              bool                 // guarded by mu; it is stopped to be started again, and not removed
	run               *run                 // guarded by mu; nil unless running
	dying             bool                 // guarded by mu; its program has ended, and run is about to
	io                *stdio               // guarded by mu; of the current run, or the next one
	exited            chan struct{}        // guarded by mu; closed when the current run has ended
	exitCode          int                  // guarded by mu
	failure           string               // guarded by mu; why it did not start
	started, finished time.Time            // guarded by mu
	pid               int                  // guarded by mu; 0 unless running
	removed           bool                 // guarded by mu
	noRestart         chan struct{}        // guarded by mu; closed to end the wait before a restart
	waiters           []waiter             // guarded by mu
}

// run is one run of a container.
type run struct {
	number  int             // counts from 0
	life    context.Context // of the namespace; kill ends it
	ns      *netns.Namespace
	sandbox *cnm.Sandbox
	shared  *Container // whose namespace it is; nil: its own
	sys     *shell.System
	main    *process
	gate    *gate
	linkEnv []string           // environment by links
	kill    context.CancelFunc // ends all of it, with its sockets (SIGKILL)
	done    chan struct{}      // closed when all of it has ended

	mu      sync.Mutex
	procs   []*process   // guarded by mu
	release []attachment // guarded by mu; given by the swarm
}

// ID returns the container's id, 64 hex digits.
func (c *Container) ID() string { return c.id }

// Name returns the container's name.
func (c *Container) Name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name
}

// Config returns what the container was made from, with what was changed since.
func (c *Container) Config() ContainerConfig {
	cfg := c.cfg.clone()
	c.mu.Lock()
	defer c.mu.Unlock()
	cfg.Name, cfg.Networks, cfg.RestartPolicy, cfg.Resources = c.name, slices.Clone(c.endpoints), c.policy, c.resources
	return cfg
}

// Image returns the container's image. It must not be changed.
func (c *Container) Image() *image.Image { return c.image }

// Args returns the container's command line.
func (c *Container) Args() []string { return slices.Clone(c.argv) }

// Warnings returns what Docker warns of when it makes the container.
func (c *Container) Warnings() []string { return slices.Clone(c.warnings) }

// Hostname returns the container's host name.
func (c *Container) Hostname() string {
	switch {
	case c.cfg.Hostname != "":
		return c.cfg.Hostname
	case c.hostMode():
		return c.engine.cfg.Name
	}
	return c.id[:12]
}

// Created returns when the container was made.
func (c *Container) Created() time.Time { return c.created }

// State returns where the container is in its life.
func (c *Container) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// ExitCode returns the status that the program ended with; 0 before it has.
func (c *Container) ExitCode() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exitCode
}

// Times returns when the container was started and ended last; zero: never.
func (c *Container) Times() (started, finished time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started, c.finished
}

// PID returns the process id of the program on the host; 0 unless it runs.
func (c *Container) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// Sandbox returns the container's place on its networks; nil unless it runs.
func (c *Container) Sandbox() *cnm.Sandbox {
	if r := c.current(); r != nil {
		return r.sandbox
	}
	return nil
}

// NS returns the container's namespace, the host's for one in the host's network; nil unless it runs.
func (c *Container) NS() *netns.Namespace {
	if r := c.current(); r != nil {
		return r.ns
	}
	return nil
}

// System returns the running container as commands in it see it; nil unless it runs.
func (c *Container) System() *shell.System {
	if r := c.current(); r != nil {
		return r.sys
	}
	return nil
}

func (c *Container) current() *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.run
}

// Logs returns what the container has printed so far, as far as it is kept: the last 1 MiB.
func (c *Container) Logs() []byte {
	var b []byte
	for _, e := range c.log.all() {
		b = append(b, e.Text...)
	}
	return b
}

// Done is closed when the container's current run, or the last one, has ended. A container that never ran has one that
// is open.
func (c *Container) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exited
}

// Resize tells the size of the terminal of whoever looks at the container's. The error wraps ErrConflict if it does not
// run.
func (c *Container) Resize(size Size) error {
	c.mu.Lock()
	r, in := c.run, c.io
	c.mu.Unlock()
	if r == nil {
		return c.errNotRunning()
	}
	if in.term != nil {
		in.term.resize(size)
	}
	c.event("resize", map[string]string{"height": itoa(int(size.Rows)), "width": itoa(int(size.Cols))})
	return nil
}

func (c *Container) hostMode() bool { return c.cfg.NetworkMode == cnm.NetworkHost }

func (c *Container) noneMode() bool { return c.cfg.NetworkMode == cnm.NetworkNone }

// newIO returns a standard input, or a terminal, for the next run.
func (c *Container) newIO() *stdio {
	if !c.cfg.TTY {
		return &stdio{in: newPipe()}
	}
	return &stdio{term: newTerminal(c.out.writer(false), c.cfg.ConsoleSize, c.key)}
}

// key is what a key of the terminal that signals does.
func (c *Container) key(key byte) {
	if r := c.current(); r != nil {
		r.main.key(key)
	}
}

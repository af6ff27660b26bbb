package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

// ContainerConfig says what a container is. Only Image must be set.
type ContainerConfig struct {
	Name       string   // empty: a random one
	Image      string   // a reference, as redis or redis:3
	Entrypoint []string // nil: the image's
	Command    []string // nil: the image's
	Env        []string // K=V, beside the image's
	Hostname   string   // empty: the first twelve digits of the id
	// Networks are those that the container joins when it starts; empty: NetworkMode says it.
	Networks []cnm.EndpointConfig
	// NetworkMode is host, none, or the name of a network; empty: bridge. It counts where Networks is empty.
	NetworkMode string
	Ports       []cnm.PortBinding // published by the endpoint that is the way out, as far as Networks publishes none
	DNS         []netip.Addr      // name servers; empty: the host's
	ExtraHosts  map[string]netip.Addr
	Labels      map[string]string
	// OnExit is called with the program's status each time the container has exited, unless the whole group ends; Stop
	// and Kill return after it has. nil: nobody wants to know.
	OnExit func(code int)
}

func (c ContainerConfig) clone() ContainerConfig {
	c.Networks, c.Ports, c.Env = slices.Clone(c.Networks), slices.Clone(c.Ports), slices.Clone(c.Env)
	c.DNS, c.ExtraHosts, c.Labels = slices.Clone(c.DNS), maps.Clone(c.ExtraHosts), maps.Clone(c.Labels)
	return c
}

// State is where a container is in its life.
type State uint8

// The states.
const (
	Created State = iota // made, or failed to start
	Running
	Exited
)

// String returns the state as docker inspect has it.
func (s State) String() string { return [...]string{"created", "running", "exited"}[s] }

// Exit statuses that are not a program's own.
const (
	exitKilled   = 137 // 128 + SIGKILL
	exitPanicked = 139 // 128 + SIGSEGV
)

// Container is a container of an Engine. All methods may be called at once from several goroutines.
type Container struct {
	engine  *Engine
	id      string
	name    string
	cfg     ContainerConfig
	image   *image.Image
	argv    []string
	created time.Time
	seed    uint64 // of the program's luck
	log     logRing

	// life is held while the container is started or removed.
	life sync.Mutex

	mu                sync.Mutex
	state             State         // guarded by mu
	starts            int           // guarded by mu
	run               *run          // guarded by mu; nil unless running
	exited            chan struct{} // guarded by mu; closed when the current run has ended
	exitCode          int           // guarded by mu
	started, finished time.Time     // guarded by mu
	pid               int           // guarded by mu; 0 unless running
	removed           bool          // guarded by mu
}

// run is one run of a container.
type run struct {
	number  int             // counts from 0
	life    context.Context // of the namespace; kill ends it
	ns      *netns.Namespace
	sandbox *cnm.Sandbox
	sys     *shell.System
	stop    context.CancelFunc // ends the program (SIGTERM)
	kill    context.CancelFunc // ends the namespace with all sockets (SIGKILL)
	done    chan struct{}      // closed when all of it has ended
}

// ID returns the container's id, 64 hex digits.
func (c *Container) ID() string { return c.id }

// Name returns the container's name.
func (c *Container) Name() string { return c.name }

// Config returns what the container was made from.
func (c *Container) Config() ContainerConfig { return c.cfg.clone() }

// Image returns the container's image. It must not be changed.
func (c *Container) Image() *image.Image { return c.image }

// Args returns the container's command line.
func (c *Container) Args() []string { return slices.Clone(c.argv) }

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

// LogEntries returns the pieces of Logs with their times and streams.
func (c *Container) LogEntries() []LogEntry { return c.log.all() }

// Done is closed when the container's current run, or the last one, has ended. A container that never ran has one that
// is open.
func (c *Container) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exited
}

// Wait waits until the container has exited and returns the program's status, or fails with ctx.
func (c *Container) Wait(ctx context.Context) (int, error) {
	select {
	case <-c.Done():
		return c.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for container %s: %w", c.name, ctx.Err())
	}
}

// Stop ends the program, by force once the grace is over, and returns when the container has exited, or when ctx ends:
// then the end goes on. A container that does not run is stopped already.
func (c *Container) Stop(ctx context.Context) error {
	r := c.current()
	if r == nil {
		return nil
	}
	r.stop()
	grace := time.NewTimer(c.engine.cfg.StopGrace)
	defer grace.Stop()
	select {
	case <-r.done:
		return nil
	case <-grace.C:
	case <-ctx.Done():
		r.kill()
		return fmt.Errorf("stop container %s: %w", c.name, ctx.Err())
	}
	r.kill()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop container %s: %w", c.name, ctx.Err())
	}
}

// Kill ends the container by force and returns when it has exited.
func (c *Container) Kill(ctx context.Context) error {
	r := c.current()
	if r == nil {
		return nil
	}
	r.kill()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kill container %s: %w", c.name, ctx.Err())
	}
}

// Remove takes the container off its engine. One that runs must be stopped before.
func (c *Container) Remove() error {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	if c.run != nil {
		c.mu.Unlock()
		return fmt.Errorf("you cannot remove a running container %s. Stop the container before attempting removal or force remove", c.id)
	}
	c.removed = true
	c.mu.Unlock()
	c.engine.forget(c)
	return nil
}

// errRemoved says that a container is gone.
var errRemoved = errors.New("the container was removed")

func (c *Container) hostMode() bool {
	return len(c.cfg.Networks) == 0 && c.cfg.NetworkMode == cnm.NetworkHost || onlyNetwork(c.cfg.Networks, cnm.NetworkHost)
}

func (c *Container) noneMode() bool {
	return len(c.cfg.Networks) == 0 && c.cfg.NetworkMode == cnm.NetworkNone || onlyNetwork(c.cfg.Networks, cnm.NetworkNone)
}

func onlyNetwork(all []cnm.EndpointConfig, name string) bool {
	return len(all) == 1 && all[0].Network == name
}

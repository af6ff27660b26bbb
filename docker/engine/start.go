package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Start starts the container: its namespace, its networks, its program. It returns once the program runs. If it fails,
// nothing is left of the attempt; the container is gone then if it was to be removed. The error wraps ErrNotModified if
// it runs already. ctx bounds the start only.
func (c *Container) Start(ctx context.Context) error {
	err := c.startOnce(ctx, false)
	if err != nil && !errors.Is(err, ErrNotModified) && c.cfg.AutoRemove && c.current() == nil {
		return errors.Join(err, ignore(c.Remove(ctx, RemoveOptions{}), ErrNotFound))
	}
	return err
}

// ignore is nil for an error of that kind.
func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// startOnce starts the container; again: the restart policy says so.
func (c *Container) startOnce(ctx context.Context, again bool) error {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	state, removed, n := c.state, c.removed, c.starts
	switch {
	case removed:
		c.mu.Unlock()
		return errNoContainer(c.id)
	case again && (state != Restarting || c.stopped):
		c.mu.Unlock()
		return ErrNotModified
	case state == Paused:
		c.mu.Unlock()
		return fail(ErrConflict, "cannot start a paused container, try unpause instead")
	case c.run != nil:
		c.mu.Unlock()
		return fail(ErrNotModified, "container %s is running", c.id)
	case state == Restarting && !again:
		c.endRestart()
	}
	c.starts++
	c.stopped = false
	if !again {
		c.restarts = 0
	}
	c.mu.Unlock()
	r, err := c.prepare(ctx, n)
	if err != nil {
		c.failed(err)
		return err
	}
	c.begin(r)
	return nil
}

// failed notes that the container could not be started.
func (c *Container) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure, c.exitCode = err.Error(), exitNoStart
	if strings.Contains(c.failure, "executable file not found") || strings.Contains(c.failure, "no such file or directory") {
		c.exitCode = exitNotFound
	}
	if c.state == Restarting {
		c.state = Exited
	}
}

// prepare makes all of a run but its program.
func (c *Container) prepare(ctx context.Context, n int) (*run, error) {
	life, kill := context.WithCancel(context.Background())
	r := &run{life: life, kill: kill, done: make(chan struct{}), number: n, gate: newGate(life.Done())}
	err := c.attachNetworks(ctx, r)
	if err == nil {
		r.sys = c.system(r)
		if r.shared == nil && !r.sandbox.UsesHost() {
			r.ns.SetResolver(r.sys.LookupHost) // by its files, also where commands wrote others
		}
		err = c.furnish(r.sys)
		if err == nil {
			err = c.checkCommand(r.sys)
		}
		if err == nil && c.cfg.BeforeRun != nil {
			err = c.cfg.BeforeRun(ctx)
		}
		if err != nil {
			c.leaveNetworks(r)
		}
	}
	if err != nil {
		kill()
		if r.ns != nil && r.shared == nil && r.ns != c.engine.cfg.Host {
			<-r.ns.Done()
		}
		return nil, err
	}
	return r, nil
}

// furnish makes the directories and files that the container is to have.
func (c *Container) furnish(sys *shell.System) error {
	if c.cfg.WorkingDir != "" {
		if err := sys.MakeDir(c.cfg.WorkingDir); err != nil {
			return err
		}
	}
	for name, data := range c.cfg.Files {
		if err := sys.MakeFile(name, data); err != nil {
			return fmt.Errorf("make %s in container %s: %w", name, c.Name(), err)
		}
	}
	return nil
}

// attachNetworks makes the namespace of a run, with its networks, and lets it run until life ends.
func (c *Container) attachNetworks(ctx context.Context, r *run) error {
	switch ref := c.cfg.shares(); {
	case ref != "":
		return c.share(r, ref)
	case c.hostMode():
		r.ns = c.engine.cfg.Host
	default:
		c.newNamespace(r)
	}
	eps, err := c.endpointsFor(ctx, r)
	if err != nil {
		r.giveBack("")
		return err
	}
	links, err := c.links(r)
	if err != nil {
		r.giveBack("")
		return err
	}
	s, err := c.engine.cfg.Controller.NewSandbox(cnm.SandboxConfig{
		ID: c.id, Name: c.Name(), Hostname: c.Hostname(), Domainname: c.cfg.Domainname, NS: r.ns,
		DNS: c.cfg.DNS, DNSSearch: c.cfg.DNSSearch, DNSOptions: c.cfg.DNSOptions, ExtraHosts: c.extraHosts(), Links: links,
		UseHost: c.hostMode(), None: c.noneMode(), Ports: c.ports(),
	})
	if err != nil {
		r.giveBack("")
		return err
	}
	if err := s.Join(ctx, eps); err != nil {
		err = errors.Join(err, s.Delete())
		r.giveBack("")
		return err
	}
	r.sandbox = s
	for _, ep := range s.Endpoints() {
		c.networkEvent("connect", ep.Network())
	}
	return nil
}

// newNamespace makes a namespace that runs until the run's life ends.
func (c *Container) newNamespace(r *run) {
	e := c.engine
	r.ns = netns.New(netns.Config{
		Name: e.cfg.Name + "/" + c.Name(), Seed: hashString(fmt.Sprintf("%s/%d", c.id, r.number)), Log: e.log,
		Watch: e.cfg.Watch,
	})
	r.ns.SetSegmentation(e.cfg.Host.Segmentation()) // its packets take the host's cables
	ns := r.ns
	e.cfg.Spawn(func(group context.Context) error {
		return ns.Run(either(r.life, group))
	})
}

// share puts the run into the namespace of another container (H8).
func (c *Container) share(r *run, ref string) error {
	other, err := c.engine.Container(ref)
	if err != nil {
		return err
	}
	or := other.current()
	switch {
	case other == c:
		return fail(ErrInvalid, "cannot join own network namespace")
	case or == nil:
		return fail(ErrConflict, "cannot join network of a non running container: %s", other.id)
	}
	r.ns, r.sandbox, r.shared = or.ns, or.sandbox, other
	return nil
}

// either returns a context that ends when one of two does.
func either(a, b context.Context) context.Context {
	ctx, cancel := context.WithCancel(a)
	stop := context.AfterFunc(b, cancel)
	context.AfterFunc(ctx, func() { stop() })
	return ctx
}

// leaveNetworks undoes attachNetworks, but for the namespace.
func (c *Container) leaveNetworks(r *run) {
	if r.shared != nil {
		return
	}
	left := r.sandbox.Endpoints()
	err := r.sandbox.Delete()
	select {
	case <-c.engine.cfg.Host.Done(): // all of it ends
	default:
		if err != nil {
			c.engine.log.Warn("container left something behind", "host", c.engine.cfg.Name, "container", c.Name(), "error", err)
		}
	}
	r.giveBack("")
	for _, ep := range slices.Backward(left) {
		c.networkEvent("disconnect", ep.Network())
	}
}

// begin lets the program of a run run.
func (c *Container) begin(r *run) {
	pid := c.engine.newPID()
	program, stop := context.WithCancel(r.life)
	c.mu.Lock()
	if c.io == nil {
		c.io = c.newIO()
	}
	in := c.io
	p := &process{
		c: c, r: r, pid: pid, argv: c.argv, dir: c.cfg.WorkingDir, user: c.cfg.User, first: !c.cfg.Init, started: time.Now(),
		out: gatedWriter{r.gate, c.out.writer(false)}, err: gatedWriter{r.gate, c.out.writer(true)}, term: in.term, cancel: stop,
	}
	switch {
	case in.term != nil:
		tty := gatedWriter{r.gate, in.term.output()}
		p.in, p.out, p.err = in.term, tty, tty
	case c.cfg.OpenStdin:
		p.in = in.in
	default:
		p.in = io.Reader(nil)
	}
	r.main = p
	r.enter(p)
	select {
	case <-c.exited:
		c.exited = make(chan struct{})
	default:
	}
	c.run, c.state, c.started, c.finished, c.exitCode, c.pid, c.failure = r, Running, p.started, time.Time{}, 0, pid, ""
	c.mu.Unlock()
	c.engine.log.Info("container started", "host", c.engine.cfg.Name, "container", c.Name(), "image", c.image.Ref())
	c.event("start", nil)
	c.health.begin()
	c.engine.cfg.Spawn(func(group context.Context) error {
		c.supervise(group, program, r)
		return nil
	})
}

// killPatience is how long a killed program has to return before the container counts as exited without it.
const killPatience = 100 * time.Millisecond

// supervise runs the program and cleans up behind it. It ends with the program, with the run's life, or with the group;
// a program that does not heed its end is left to run out, without any socket. Then it starts or removes the container,
// if it is to be.
func (c *Container) supervise(group, program context.Context, r *run) {
	forget := context.AfterFunc(group, r.kill)
	defer forget()
	exit := make(chan int, 1)
	c.engine.cfg.Spawn(func(context.Context) error {
		code := exitPanicked
		defer func() { exit <- code }()
		code = r.main.run(program)
		return nil
	})
	if c.health != nil {
		c.engine.cfg.Spawn(func(context.Context) error {
			c.health.watch(r)
			return nil
		})
	}
	code := exitKilled
	select {
	case code = <-exit:
	case <-r.life.Done():
		select {
		case <-exit:
		case <-time.After(killPatience):
		}
	}
	r.main.cancel()
	next := c.end(group, r, code)
	close(r.done)
	next(group)
}

// end takes the container off its networks and notes its end. What it returns is to be done once the run is over.
func (c *Container) end(group context.Context, r *run, code int) (next func(context.Context)) {
	r.leave(r.main)
	var lasted time.Duration
	c.mu.Lock()
	lasted, c.dying = time.Since(c.started), true
	c.mu.Unlock()
	c.out.finish()
	c.health.end()
	if group.Err() == nil {
		c.event("die", map[string]string{"exitCode": itoa(code), "execDuration": itoa(int(lasted / time.Second))})
	}
	c.leaveNetworks(r)
	r.kill()
	if r.shared == nil && r.ns != c.engine.cfg.Host {
		<-r.ns.Done()
	}
	c.mu.Lock()
	c.io.close()
	c.io = c.newIO()
	c.run, c.dying, c.exitCode, c.finished, c.pid = nil, false, code, time.Now(), 0
	next = c.next(group, lasted)
	c.notify(Exit{Code: code}, WaitNotRunning, WaitNextExit)
	close(c.exited)
	c.mu.Unlock()
	if group.Err() != nil {
		return next
	}
	c.engine.log.Info("container exited", "host", c.engine.cfg.Name, "container", c.Name(), "status", code)
	if c.cfg.OnExit != nil {
		c.cfg.OnExit(code)
	}
	return next
}

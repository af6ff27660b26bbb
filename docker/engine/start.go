package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/netns"
)

// Start starts the container: its namespace, its networks, its program. It returns once the program runs. If it fails,
// nothing is left of the attempt. ctx bounds the start only.
func (c *Container) Start(ctx context.Context) error {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	running, removed, n := c.run != nil, c.removed, c.starts
	c.starts++
	c.mu.Unlock()
	switch {
	case removed:
		return fmt.Errorf("start container %s: %w", c.name, errRemoved)
	case running:
		return nil
	}
	life, kill := context.WithCancel(context.Background())
	r := &run{life: life, kill: kill, done: make(chan struct{}), number: n}
	if err := c.attach(ctx, r); err != nil {
		kill()
		return err
	}
	program, stop := context.WithCancel(life)
	r.stop = stop
	c.begin(r)
	c.engine.cfg.Spawn(func(group context.Context) error {
		c.supervise(group, program, r)
		return nil
	})
	return nil
}

// attach makes the namespace of a run, with its networks, and lets it run until life ends.
func (c *Container) attach(ctx context.Context, r *run) error {
	if r.ns = c.engine.cfg.Host; !c.hostMode() {
		r.ns = netns.New(netns.Config{
			Name: c.engine.cfg.Name + "/" + c.name,
			Seed: hashString(fmt.Sprintf("%s/%d", c.id, r.number)), Log: c.engine.log,
		})
		r.ns.SetSegmentation(c.engine.cfg.Host.Segmentation()) // its packets take the host's cables
		ns := r.ns
		c.engine.cfg.Spawn(func(group context.Context) error {
			return ns.Run(either(r.life, group))
		})
	}
	s, err := c.engine.cfg.Controller.NewSandbox(cnm.SandboxConfig{
		ID: c.id, Name: c.name, Hostname: c.Hostname(), NS: r.ns, DNS: c.cfg.DNS, ExtraHosts: c.cfg.ExtraHosts,
		UseHost: c.hostMode(), None: c.noneMode(),
	})
	if err != nil {
		return err
	}
	if err := s.Join(ctx, c.endpoints()); err != nil {
		return errors.Join(err, s.Delete())
	}
	r.sandbox = s
	r.sys = c.system(r)
	return nil
}

// either returns a context that ends when one of two does.
func either(a, b context.Context) context.Context {
	ctx, cancel := context.WithCancel(a)
	stop := context.AfterFunc(b, cancel)
	context.AfterFunc(ctx, func() { stop() })
	return ctx
}

// endpoints returns what the container joins, with its published ports on the way out.
func (c *Container) endpoints() []cnm.EndpointConfig {
	all := slices.Clone(c.cfg.Networks)
	if len(all) == 0 {
		mode := c.cfg.NetworkMode
		if mode == "" || mode == "default" {
			mode = cnm.NetworkBridge
		}
		all = []cnm.EndpointConfig{{Network: mode}}
	}
	if len(c.cfg.Ports) > 0 {
		at := c.wayOut(all)
		all[at].Ports = append(slices.Clone(all[at].Ports), c.cfg.Ports...)
	}
	return all
}

// wayOut returns the endpoint that gives the container its default route: a bridge that is not internal, the first by
// name (I37). Where there is none it is the first, whose sandbox has docker_gwbridge for it.
func (c *Container) wayOut(all []cnm.EndpointConfig) int {
	best, bestName := 0, ""
	for i, ep := range all {
		n, ok := c.engine.cfg.Controller.Network(ep.Network)
		if ok && n.Driver() == cnm.DriverBridge && !n.Internal() && (bestName == "" || n.Name() < bestName) {
			best, bestName = i, n.Name()
		}
	}
	return best
}

func (c *Container) begin(r *run) {
	pid := c.engine.newPID()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started.IsZero() || c.state == Exited {
		select {
		case <-c.exited:
			c.exited = make(chan struct{})
		default:
		}
	}
	c.run, c.state, c.started, c.finished, c.exitCode, c.pid = r, Running, time.Now(), time.Time{}, 0, pid
	c.engine.log.Info("container started", "host", c.engine.cfg.Name, "container", c.name, "image", c.image.Ref())
}

// killPatience is how long a killed program has to return before the container counts as exited without it.
const killPatience = 100 * time.Millisecond

// supervise runs the program and cleans up behind it. It ends with the program, with the run's life, or with the group;
// a program that does not heed its end is left to run out, without any socket.
func (c *Container) supervise(group, program context.Context, r *run) {
	defer close(r.done)
	forget := context.AfterFunc(group, r.kill)
	defer forget()
	exit := make(chan int, 1)
	c.engine.cfg.Spawn(func(context.Context) error {
		code := exitPanicked
		defer func() { exit <- code }()
		code = c.runProgram(program, r)
		return nil
	})
	code := exitKilled
	select {
	case code = <-exit:
	case <-r.life.Done():
		select {
		case <-exit:
		case <-time.After(killPatience):
		}
	}
	r.stop()
	c.end(group, r, code)
}

// end takes the container off its networks and notes its end.
func (c *Container) end(group context.Context, r *run, code int) {
	if err := r.sandbox.Delete(); err != nil && group.Err() == nil {
		c.engine.log.Warn("container left something behind", "host", c.engine.cfg.Name, "container", c.name, "error", err)
	}
	r.kill()
	if r.ns != c.engine.cfg.Host {
		<-r.ns.Done()
	}
	c.mu.Lock()
	c.run, c.state, c.exitCode, c.finished, c.pid = nil, Exited, code, time.Now(), 0
	close(c.exited)
	c.mu.Unlock()
	if group.Err() != nil {
		return
	}
	c.engine.log.Info("container exited", "host", c.engine.cfg.Name, "container", c.name, "status", code)
	if c.cfg.OnExit != nil {
		c.cfg.OnExit(code)
	}
}

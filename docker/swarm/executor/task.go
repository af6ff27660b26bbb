package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moby/swarmkit/v2/agent/configs"
	"github.com/moby/swarmkit/v2/agent/exec"
	"github.com/moby/swarmkit/v2/agent/secrets"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/template"

	"github.com/netsim-lab/netsim/docker/engine"
)

const (
	attachmentTimeout = 30 * time.Second // for the host's place in the routing mesh
	gossipDelay       = 2 * time.Second  // between a task's end in load balancing and its own, today (S14)
)

// Errors of tasks, in the words of Docker's executor.
var (
	errUnhealthy = errors.New("unhealthy container")
	errDestroyed = errors.New("dockerexec: container destroyed")
)

// exitError is the end of a container with a status that is no success.
type exitError struct {
	code  int
	cause error
}

// Error implements error.
func (e *exitError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("task: non-zero exit (%d): %v", e.code, e.cause)
	}
	return fmt.Sprintf("task: non-zero exit (%d)", e.code)
}

// ExitCode implements exec.ExitCoder.
func (e *exitError) ExitCode() int { return e.code }

// Unwrap returns why the container ended, if that is known.
func (e *exitError) Unwrap() error { return e.cause }

// dependencies are the secrets and configs of one task, with their templates filled in.
type dependencies struct {
	secrets exec.SecretGetter
	configs exec.ConfigGetter
}

func (d dependencies) Secrets() exec.SecretGetter { return d.secrets }
func (d dependencies) Configs() exec.ConfigGetter { return d.configs }
func (d dependencies) Volumes() exec.VolumeGetter { return nil }

// task is the container of a task. It implements exec.Controller.
type task struct {
	x    *Executor
	task *swarmapi.Task
	node *swarmapi.NodeDescription
	deps exec.DependencyGetter

	mu        sync.Mutex
	container *engine.Container   // guarded by mu; nil: none was made
	entered   []*swarmapi.Network // guarded by mu
}

func (x *Executor) newTask(t *swarmapi.Task, node *swarmapi.NodeDescription) (exec.Controller, error) {
	own := dependencies{secrets.Restrict(x.secrets, t), configs.Restrict(x.configs, t)}
	return &task{x: x, task: t, node: node, deps: template.NewTemplatedDependencyGetter(own, t, node)}, nil
}

// Update implements exec.Controller. What may change of a task changes nothing about its container.
func (t *task) Update(context.Context, *swarmapi.Task) error { return nil }

// Close implements exec.Controller.
func (t *task) Close() error { return nil }

// Prepare implements exec.Controller: it makes the task's networks and its container.
func (t *task) Prepare(ctx context.Context) error {
	if t.current() != nil {
		return exec.ErrTaskPrepared
	}
	cfg, err := containerConfig(t.task, t.node, t.deps)
	if err != nil {
		return err
	}
	cfg.BeforeRun = t.beforeRun()
	if err := t.enterNetworks(ctx); err != nil {
		return err
	}
	c, err := t.x.cfg.Engine.Create(cfg)
	if err != nil {
		t.exitNetworks()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.container = c
	return nil
}

func (t *task) enterNetworks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attachmentTimeout)
	defer cancel()
	for _, a := range t.task.Networks {
		if predefined(a.Network) {
			continue
		}
		if err := t.x.networks.enter(ctx, a.Network); err != nil {
			t.exitNetworks()
			return err
		}
		t.mu.Lock()
		t.entered = append(t.entered, a.Network)
		t.mu.Unlock()
	}
	return nil
}

// exitNetworks lets go of the networks, whose endpoints must be gone.
func (t *task) exitNetworks() {
	t.mu.Lock()
	entered := t.entered
	t.entered = nil
	t.mu.Unlock()
	for _, n := range entered {
		if err := t.x.networks.exit(n); err != nil {
			t.x.log.Debug("network not removed", "node", t.x.cfg.Name, "network", n.Spec.Annotations.Name, "error", err)
		}
	}
}

func (t *task) current() *engine.Container {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.container
}

// Start implements exec.Controller: it returns once the container runs, and is healthy if it has a health check (S13).
func (t *task) Start(ctx context.Context) error {
	c := t.current()
	if c == nil {
		return t.missing()
	}
	if c.State() != engine.Created {
		return exec.ErrTaskStarted
	}
	healthy := t.events(c)
	defer healthy.Close()
	if err := t.begin(ctx, c); err != nil {
		return err
	}
	if c.Health() == nil {
		return nil
	}
	return t.awaitHealth(ctx, c, healthy)
}

// begin starts the container, when it is its turn.
func (t *task) begin(ctx context.Context, c *engine.Container) error {
	if turns := t.x.cfg.Turns; turns != nil {
		service, slot := t.task.ServiceAnnotations.Name, t.task.Slot
		defer turns.Done(service, slot)
		if err := turns.Join(ctx, service, slot); err != nil {
			return err
		}
	}
	if err := c.Start(ctx); err != nil {
		return fmt.Errorf("starting container failed: %w", err)
	}
	return nil
}

// beforeRun is engine.ContainerConfig's BeforeRun; nil: nobody waits.
func (t *task) beforeRun() func(context.Context) error {
	turns := t.x.cfg.Turns
	if turns == nil {
		return nil
	}
	return func(ctx context.Context) error { return turns.Run(ctx, t.task.ServiceAnnotations.Name, t.task.Slot) }
}

// missing is the error of a task whose container is not there.
func (t *task) missing() error { return fmt.Errorf("task %s has no container here", t.task.ID) }

// events returns the events of a container.
func (t *task) events(c *engine.Container) *engine.Subscription {
	return t.x.cfg.Engine.Subscribe(engine.EventOptions{Filter: func(e engine.Event) bool { return e.Type == "container" && e.ID == c.ID() }})
}

const (
	healthyEvent   = "health_status: " + string(engine.Healthy)
	unhealthyEvent = "health_status: " + string(engine.Unhealthy)
)

// awaitHealth waits for the first success of the health check. A container that fails is stopped.
func (t *task) awaitHealth(ctx context.Context, c *engine.Container, events *engine.Subscription) error {
	var cause error
	for {
		e, err := events.Next(ctx)
		if err != nil {
			return err
		}
		switch e.Action {
		case healthyEvent:
			if s := c.Sandbox(); s != nil {
				s.SetServing(true)
			}
			return nil
		case unhealthyEvent:
			cause = errUnhealthy
			if err := t.stop(ctx, c); err != nil {
				return fmt.Errorf("unhealthy container shutdown failed: %w", err)
			}
		case "die":
			<-c.Done()
			t.exitNetworks()
			if code := c.ExitCode(); code != 0 || cause != nil {
				return &exitError{code, cause}
			}
			return nil
		case "destroy":
			return errDestroyed
		}
	}
}

// Wait implements exec.Controller: it returns when the container has ended, which one that is unhealthy is made to.
func (t *task) Wait(ctx context.Context) error {
	c := t.current()
	if c == nil {
		return t.missing()
	}
	watch, cancel := context.WithCancel(ctx)
	exit := c.Await(ctx, engine.WaitNotRunning)
	unhealthy := make(chan error, 1)
	go func() { unhealthy <- t.watchHealth(watch, c) }()
	end, ended := <-exit
	cancel()
	cause := <-unhealthy
	if !ended {
		return ctx.Err()
	}
	t.exitNetworks()
	if end.Code != 0 || cause != nil {
		return &exitError{end.Code, cause}
	}
	return nil
}

// watchHealth stops a container that becomes unhealthy, and returns errUnhealthy then.
func (t *task) watchHealth(ctx context.Context, c *engine.Container) error {
	if c.Health() == nil {
		return nil
	}
	events := t.events(c)
	defer events.Close()
	for c.Health().Status != engine.Unhealthy || c.State() != engine.Running {
		e, err := events.Next(ctx)
		if err != nil {
			return nil
		}
		if e.Action == unhealthyEvent {
			break
		}
	}
	if err := t.stop(ctx, c); err != nil && ctx.Err() == nil {
		t.x.log.Warn("unhealthy container was not stopped", "node", t.x.cfg.Name, "container", c.Name(), "error", err)
	}
	return errUnhealthy
}

// Shutdown implements exec.Controller: it takes the container out of its service, and stops it.
func (t *task) Shutdown(ctx context.Context) error {
	c := t.current()
	if c == nil {
		t.exitNetworks()
		return nil
	}
	if err := t.stop(ctx, c); err != nil {
		return err
	}
	t.exitNetworks()
	return nil
}

// stop takes the container out of its service and stops it. Today its connections have some time to end (S14).
func (t *task) stop(ctx context.Context, c *engine.Container) error {
	if s := c.Sandbox(); s != nil && t.serves() {
		s.SetServing(false)
		if t.x.cfg.Engine.Controller().Modern() {
			timer := time.NewTimer(gossipDelay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-c.Done():
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	err := c.Stop(ctx, engine.StopOptions{})
	return ignore(ignore(err, engine.ErrNotModified), engine.ErrNotFound)
}

// serves tells whether the task is on a network of the swarm.
func (t *task) serves() bool {
	for _, a := range t.task.Networks {
		if !predefined(a.Network) {
			return true
		}
	}
	return false
}

// Terminate implements exec.Controller.
func (t *task) Terminate(ctx context.Context) error {
	c := t.current()
	if c == nil {
		return nil
	}
	return ignore(ignore(c.Kill(ctx, "KILL"), engine.ErrNotRunning), engine.ErrNotFound)
}

// Remove implements exec.Controller: it stops and removes the container.
func (t *task) Remove(ctx context.Context) error {
	c := t.current()
	if c == nil {
		t.exitNetworks()
		return nil
	}
	if c.State() != engine.Created {
		if err := t.stop(ctx, c); err != nil {
			t.x.log.Debug("task was not stopped", "node", t.x.cfg.Name, "container", c.Name(), "error", err)
		}
	}
	err := ignore(c.Remove(ctx, engine.RemoveOptions{Force: true, Volumes: true}), engine.ErrNotFound)
	if err == nil {
		t.exitNetworks()
	}
	return err
}

// ContainerStatus implements exec.ContainerStatuser.
func (t *task) ContainerStatus(context.Context) (*swarmapi.ContainerStatus, error) {
	c := t.current()
	if c == nil {
		return nil, nil
	}
	return &swarmapi.ContainerStatus{ContainerID: c.ID(), PID: int32(c.PID()), ExitCode: int32(c.ExitCode())}, nil
}

// PortStatus implements exec.PortStatuser: the ports that are published on the task's own node, as they are.
func (t *task) PortStatus(context.Context) (*swarmapi.PortStatus, error) {
	c := t.current()
	if c == nil || t.task.Endpoint == nil {
		return nil, nil
	}
	s := c.Sandbox()
	if s == nil {
		return nil, nil
	}
	status := &swarmapi.PortStatus{}
	for _, b := range s.Ports() {
		p := swarmapi.ProtocolTCP
		if b.Proto == "udp" {
			p = swarmapi.ProtocolUDP
		}
		status.Ports = append(status.Ports, &swarmapi.PortConfig{
			Protocol: p, TargetPort: uint32(b.ContainerPort), PublishedPort: uint32(b.HostPort), PublishMode: swarmapi.PublishModeHost,
		})
	}
	return status, nil
}

package agent

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
)

func (d *describer) get() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.name
}

// describer is the name of a node, which may change.
type describer struct {
	mu   sync.Mutex
	name string // guarded by mu
}

// rename changes it.
func (d *describer) rename(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.name = name
}

// engine is an executor whose tasks run until they are told to end. What it does is noted.
type engine struct {
	describer

	mu    sync.Mutex
	notes []string          // guarded by mu
	tasks map[string]*thing // guarded by mu

	secrets exec.SecretsManager
	configs exec.ConfigsManager
}

// Secrets implements exec.SecretsProvider.
func (e *engine) Secrets() exec.SecretsManager { return e.secrets }

// Configs implements exec.ConfigsProvider.
func (e *engine) Configs() exec.ConfigsManager { return e.configs }

func newEngine() *engine {
	return &engine{
		describer: describer{name: "host-a"}, tasks: make(map[string]*thing), secrets: secrets.NewManager(), configs: configs.NewManager(),
	}
}

func (e *engine) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// take returns what was noted since the last time.
func (e *engine) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.notes
	e.notes = nil
	return out
}

func (e *engine) task(id string) *thing {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tasks[id]
}

// Describe implements exec.Executor.
func (e *engine) Describe(context.Context) (*swarmapi.NodeDescription, error) {
	return &swarmapi.NodeDescription{Hostname: e.get()}, nil
}

// Configure implements exec.Executor.
func (e *engine) Configure(_ context.Context, n *swarmapi.Node) error {
	e.note("configure %s", n.Spec.Availability)
	return nil
}

// SetNetworkBootstrapKeys implements exec.Executor.
func (e *engine) SetNetworkBootstrapKeys(keys []*swarmapi.EncryptionKey) error {
	e.note("keys %d", keys[0].LamportTime)
	return nil
}

// Controller implements exec.Executor.
func (e *engine) Controller(t *swarmapi.Task) (exec.Controller, error) {
	if c := t.Spec.GetContainer(); c != nil && c.Image == "none" {
		return nil, errors.New("no such image")
	}
	c := &thing{e: e, id: t.ID, exit: make(chan error, 1)}
	e.mu.Lock()
	e.tasks[t.ID] = c
	e.mu.Unlock()
	return c, nil
}

// thing is a task of an engine.
type thing struct {
	e    *engine
	id   string
	exit chan error
	slow time.Duration // for which Start takes
	deaf chan struct{} // nil: Remove takes no time; else until this is closed, as Terminate does
}

func (c *thing) Update(context.Context, *swarmapi.Task) error {
	c.e.note("update %s", c.id)
	return nil
}
func (c *thing) Prepare(context.Context) error { c.e.note("prepare %s", c.id); return nil }
func (c *thing) Close() error                  { c.e.note("close %s", c.id); return nil }

func (c *thing) Terminate(context.Context) error {
	c.e.note("terminate %s", c.id)
	if c.deaf != nil {
		close(c.deaf)
	}
	return nil
}

func (c *thing) Remove(ctx context.Context) error {
	if c.deaf != nil {
		select {
		case <-c.deaf:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.e.note("remove %s", c.id)
	return nil
}

func (c *thing) Start(ctx context.Context) error {
	c.e.note("start %s", c.id)
	if !sleep(ctx, c.slow) {
		return ctx.Err()
	}
	return nil
}

func (c *thing) Wait(ctx context.Context) error {
	select {
	case err := <-c.exit:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *thing) Shutdown(context.Context) error {
	c.e.note("shutdown %s", c.id)
	return nil
}

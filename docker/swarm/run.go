package swarm

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run starts and stops tasks until ctx ends. Tasks start one after the other, in the order in which they were made, so
// that the endpoints of a lab come in one order; what is to stop is stopped at once. Tasks that run as ctx ends are
// left to their nodes.
func (c *Cluster) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for ctx.Err() == nil {
			c.work(ctx, g)
		}
		return nil
	})
	return g.Wait()
}

// work does what there is to do, or waits for it.
func (c *Cluster) work(ctx context.Context, g *errgroup.Group) {
	c.mu.Lock()
	for _, t := range c.tasks {
		if t.leftover() && !t.stopping {
			t.stopping = true
			g.Go(func() error { c.stopTask(ctx, t); return nil })
		}
	}
	t, wait := c.nextStart()
	if t != nil {
		t.move(Starting, "", c.cfg.Now())
	}
	changed := c.changed
	c.mu.Unlock()
	if t != nil {
		c.startTask(ctx, t)
		return
	}
	var timer <-chan time.Time
	if wait > 0 {
		alarm := time.NewTimer(wait)
		defer alarm.Stop()
		timer = alarm.C
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer:
	}
}

// nextStart returns the task to start next; if there is none yet, how long until there is, 0 for nobody knows.
func (c *Cluster) nextStart() (*task, time.Duration) {
	now := c.cfg.Now()
	var wait time.Duration
	for _, t := range c.tasks {
		switch {
		case t.State != Assigned || t.Desired != Running || t.after != nil && !t.after.ended():
		case t.notBefore.After(now):
			if d := t.notBefore.Sub(now); wait == 0 || d < wait {
				wait = d
			}
		default:
			return t, 0
		}
	}
	return nil, wait
}

func (c *Cluster) startTask(ctx context.Context, t *task) {
	err := c.enterAll(ctx, t)
	var stop func(context.Context) error
	if err == nil {
		c.mu.Lock()
		spec := t.snapshot()
		c.mu.Unlock()
		stop, err = t.node.runner.RunTask(ctx, spec, func(err error) { c.taskEnded(t, err) })
	}
	if err != nil {
		c.exitAll(ctx, t)
		if ctx.Err() == nil {
			c.log.Warn("task did not start", "task", t.Name(), "node", t.NodeName, "error", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.stop = stop
	switch {
	case err != nil:
		t.stop = nil
		t.end(Rejected, err.Error(), c.cfg.Now())
		c.reconcile()
	case t.ended(): // before it was known to run
		c.notify()
	default:
		t.move(Running, "", c.cfg.Now())
		c.notify()
	}
}

// enterAll makes the task's networks known on its node.
func (c *Cluster) enterAll(ctx context.Context, t *task) error {
	for _, a := range t.Attachments {
		c.mu.Lock()
		n := c.networks[a.Network.ID]
		c.mu.Unlock()
		if n == nil {
			return fmt.Errorf("network %s not found", a.Network.Spec.Name)
		}
		if err := c.enter(ctx, t.node, n, netip.Prefix{}); err != nil {
			return err
		}
		t.entered = append(t.entered, n.ID)
	}
	return nil
}

func (c *Cluster) exitAll(ctx context.Context, t *task) {
	entered := t.entered
	t.entered = nil
	for _, id := range entered {
		if err := c.exit(ctx, t.node, id); err != nil && ctx.Err() == nil {
			c.log.Warn("network not removed", "network", id, "node", t.NodeName, "error", err)
		}
	}
}

// stopTask stops and removes the task's container and takes it out of its networks.
func (c *Cluster) stopTask(ctx context.Context, t *task) {
	err := t.stop(ctx)
	c.exitAll(ctx, t)
	if err != nil && ctx.Err() == nil {
		c.log.Warn("task did not stop", "task", t.Name(), "node", t.NodeName, "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.stop, t.stopping = nil, false
	if !t.ended() {
		t.end(Shutdown, t.Err, c.cfg.Now())
	}
	c.reconcile()
}

// taskEnded is called when the container of a task ended by itself.
func (c *Cluster) taskEnded(t *task, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case t.ended() || t.Desired != Running:
		return
	case err != nil:
		t.end(Failed, "task: "+err.Error(), c.cfg.Now())
	default:
		t.end(Complete, "", c.cfg.Now())
	}
	c.reconcile()
}

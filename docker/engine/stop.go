package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// StopOptions says how a container is stopped.
type StopOptions struct {
	Signal  string         // empty: the container's
	Timeout *time.Duration // until it is killed; nil: the container's, or the engine's; below zero: without an end
}

// Stop sends the program its stop signal, kills it once its time is over, and returns when the container has exited, or
// when ctx ends: then it is killed, and the end goes on. A restart policy does not start it again. The error wraps
// ErrNotModified if it does not run.
func (c *Container) Stop(ctx context.Context, opts StopOptions) error {
	if err := c.stop(ctx, opts); err != nil {
		return err
	}
	c.event("stop", nil)
	return nil
}

// stop is Stop without its event.
func (c *Container) stop(ctx context.Context, opts StopOptions) error {
	sig, err := c.stopSignal(opts.Signal)
	if err != nil {
		return err
	}
	r, waited := c.halt()
	if r == nil {
		if waited {
			return nil
		}
		return fail(ErrNotModified, "container %s is not running", c.id)
	}
	var over <-chan time.Time
	if limit := c.stopTimeout(opts.Timeout); limit >= 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	c.send(r, sig)
	select {
	case <-r.done:
		return nil
	case <-over:
	case <-ctx.Done():
		r.kill()
		return fmt.Errorf("stop container %s: %w", c.Name(), ctx.Err())
	}
	return c.force(ctx, r)
}

// halt notes that the user wants the container to stop. It returns its run, or whether it was about to restart.
func (c *Container) halt() (r *run, waited bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	waited = c.endRestart()
	return c.run, waited
}

func (c *Container) stopSignal(text string) (int, error) {
	if text == "" {
		text = c.cfg.StopSignal
	}
	if text == "" {
		return sigTerm, nil
	}
	return parseSignal(text)
}

func (c *Container) stopTimeout(asked *time.Duration) time.Duration {
	switch {
	case asked != nil:
		return *asked
	case c.cfg.StopTimeout != nil:
		return *c.cfg.StopTimeout
	}
	return c.engine.cfg.StopGrace
}

// send sends the program a signal; one that is paused gets it when it goes on, which it does then.
func (c *Container) send(r *run, sig int) {
	c.event("kill", map[string]string{"signal": itoa(sig)})
	c.mu.Lock()
	if c.state == Paused && c.run == r {
		c.state = Running
		r.gate.set(false)
	}
	c.mu.Unlock()
	if sig == sigKill {
		r.kill()
		return
	}
	r.main.signal(sig)
}

// force kills the program and waits until the container has exited.
func (c *Container) force(ctx context.Context, r *run) error {
	c.send(r, sigKill)
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kill container %s: %w", c.Name(), ctx.Err())
	}
}

// Kill sends the program a signal, SIGKILL if the text is empty. After SIGKILL it returns when the container has exited.
// A restart policy does not start it again if it was to end. The error wraps ErrConflict if it does not run.
func (c *Container) Kill(ctx context.Context, signal string) error {
	sig := sigKill
	if signal != "" {
		var err error
		if sig, err = parseSignal(signal); err != nil {
			return err
		}
	}
	c.mu.Lock()
	r := c.run
	stop, _ := c.stopSignal("")
	if r != nil && (sig == sigKill || sig == stop) {
		c.stopped = true
	}
	c.mu.Unlock()
	if r == nil {
		return &dockerError{text: fmt.Sprintf("cannot kill container: %s: container %s is not running", c.Name(), c.id), kinds: []error{ErrConflict, ErrNotRunning}}
	}
	if sig == sigKill {
		return c.force(ctx, r)
	}
	c.send(r, sig)
	return nil
}

// Restart stops the container if it runs, and starts it.
func (c *Container) Restart(ctx context.Context, opts StopOptions) error {
	c.setKeep(true)
	defer c.setKeep(false)
	if err := c.Stop(ctx, opts); err != nil && !errors.Is(err, ErrNotModified) {
		return err
	}
	if err := c.startOnce(ctx, false); err != nil && !errors.Is(err, ErrNotModified) {
		return err
	}
	c.event("restart", nil)
	return nil
}

func (c *Container) setKeep(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep = on
}

// RemoveOptions says how a container is removed.
type RemoveOptions struct {
	Force   bool // kills it if it runs
	Volumes bool // with its volumes, which keep nothing here
}

// Remove takes the container off its engine. The error wraps ErrConflict if it runs and is not to be killed.
func (c *Container) Remove(ctx context.Context, opts RemoveOptions) error {
	for {
		if opts.Force {
			if r, _ := c.halt(); r != nil {
				if err := c.force(ctx, r); err != nil {
					return err
				}
			}
		}
		if err := c.settle(ctx); err != nil {
			return err
		}
		again, err := c.removeOnce(opts)
		if !again {
			return err
		}
	}
}

// settle waits for the end of a run whose program has ended: whoever heard of that may remove the container.
func (c *Container) settle(ctx context.Context) error {
	c.mu.Lock()
	r, dying := c.run, c.dying
	c.mu.Unlock()
	if r == nil || !dying {
		return nil
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("remove container %s: %w", c.Name(), ctx.Err())
	}
}

// removeOnce removes the container unless it runs; again: it does, and is to be killed.
func (c *Container) removeOnce(opts RemoveOptions) (again bool, err error) {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	switch state := c.state; {
	case c.removed:
		c.mu.Unlock()
		return false, errNoContainer(c.id)
	case c.run != nil || state == Restarting:
		name := c.name
		c.mu.Unlock()
		if opts.Force {
			return true, nil
		}
		how := "stop the container before removing or force remove"
		if state == Paused {
			how = "unpause and then stop the container before removal or force remove"
		}
		return false, fail(ErrConflict, "cannot remove container %q: container is %s: %s", "/"+name, state, how)
	}
	c.removed, c.state = true, Removing
	if c.io != nil {
		c.io.close()
	}
	c.mu.Unlock()
	c.out.finish()
	c.engine.forget(c)
	c.mu.Lock() // who waited for the removal finds the name free
	c.notify(Exit{Code: c.exitCode}, WaitNotRunning, WaitNextExit, WaitRemoved)
	c.mu.Unlock()
	c.event("destroy", nil)
	return false, nil
}

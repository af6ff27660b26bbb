package engine

import (
	"context"
	"errors"
	"time"
)

// Delays before a container is started again by its policy, as Docker's restart manager has them.
const (
	restartFirst  = 100 * time.Millisecond // and then twice the last one
	restartMost   = time.Minute
	restartStable = 10 * time.Second // a container that ran so long begins anew
)

// restartDelay returns how long the n-th restart in a row waits, counted from 1.
func restartDelay(n int) time.Duration {
	d := restartFirst
	for i := 1; i < n && d < restartMost; i++ {
		d *= 2
	}
	return min(d, restartMost)
}

// restarts tells whether a container that ended so is to be started again, for the n-th time.
func (p RestartPolicy) restarts(code, n int) bool {
	switch p.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return code != 0 && (p.MaximumRetryCount == 0 || n <= p.MaximumRetryCount)
	}
	return false
}

// next notes in which state a container is that has ended, and returns what is to be done about it. The caller holds mu.
func (c *Container) next(group context.Context, lasted time.Duration) func(context.Context) {
	again := group.Err() == nil && !c.stopped && c.policy.restarts(c.exitCode, c.restarts+1)
	if !again {
		c.state = Exited
		if c.cfg.AutoRemove && !c.keep && group.Err() == nil {
			return c.removeSelf
		}
		return func(context.Context) {}
	}
	if lasted >= restartStable {
		c.inARow = 0
	}
	c.restarts++
	c.inARow++
	c.state, c.noRestart = Restarting, make(chan struct{})
	wait, stop := restartDelay(c.inARow), c.noRestart
	return func(group context.Context) { c.restartAfter(group, wait, stop) }
}

// removeSelf is the end of a container that was made to go with its program.
func (c *Container) removeSelf(ctx context.Context) {
	if err := c.Remove(ctx, RemoveOptions{Volumes: true}); err != nil && !errors.Is(err, ErrNotFound) {
		c.engine.log.Warn("container was not removed", "host", c.engine.cfg.Name, "container", c.Name(), "error", err)
	}
}

// restartAfter starts the container again after a while, unless somebody stops it before.
func (c *Container) restartAfter(group context.Context, wait time.Duration, stop <-chan struct{}) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
		return
	case <-group.Done():
		c.mu.Lock()
		c.endRestart()
		c.mu.Unlock()
		return
	}
	if err := c.startOnce(group, true); err != nil && !errors.Is(err, ErrNotModified) && !errors.Is(err, ErrNotFound) {
		c.engine.log.Warn("container did not restart", "host", c.engine.cfg.Name, "container", c.Name(), "error", err)
	}
}

// endRestart ends the wait before a restart, if there is one; the caller holds mu. It reports whether there was.
func (c *Container) endRestart() bool {
	if c.state != Restarting {
		return false
	}
	close(c.noRestart)
	c.state = Exited
	return true
}

package engine

import (
	"context"
	"fmt"
	"slices"
)

// WaitCondition is what Await waits for.
type WaitCondition uint8

// The conditions.
const (
	WaitNotRunning WaitCondition = iota // it does not run, now or later
	WaitNextExit                        // it has exited once more
	WaitRemoved                         // it is gone
)

// ParseWaitCondition reads not-running, next-exit or removed; empty text is not-running. The error wraps ErrInvalid.
func ParseWaitCondition(text string) (WaitCondition, error) {
	switch text {
	case "", "not-running":
		return WaitNotRunning, nil
	case "next-exit":
		return WaitNextExit, nil
	case "removed":
		return WaitRemoved, nil
	}
	return 0, fail(ErrInvalid, "invalid condition: %q", text)
}

// Exit is the end of a container.
type Exit struct{ Code int }

// waiter is somebody who waits.
type waiter struct {
	on WaitCondition
	ch chan Exit
}

// Await returns a channel that gets the exit status once the condition holds, and is closed then; if ctx ends before, it
// is closed without. Whoever called has not missed what happens after Await has returned.
func (c *Container) Await(ctx context.Context, on WaitCondition) <-chan Exit {
	w := waiter{on, make(chan Exit, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	running := c.run != nil || c.state == Restarting
	if c.removed || on == WaitNotRunning && !running {
		w.ch <- Exit{c.exitCode}
		close(w.ch)
		return w.ch
	}
	c.waiters = append(c.waiters, w)
	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if at := slices.Index(c.waiters, w); at >= 0 {
			c.waiters = slices.Delete(c.waiters, at, at+1)
			close(w.ch)
		}
	})
	return w.ch
}

// notify tells those who wait for one of the conditions. The caller holds mu.
func (c *Container) notify(exit Exit, on ...WaitCondition) {
	c.waiters = slices.DeleteFunc(c.waiters, func(w waiter) bool {
		if !slices.Contains(on, w.on) {
			return false
		}
		w.ch <- exit
		close(w.ch)
		return true
	})
}

// Wait waits until the container does not run and returns the program's status, or fails with ctx. One that never ran is
// waited for.
func (c *Container) Wait(ctx context.Context) (int, error) {
	on := WaitNotRunning
	if started, _ := c.Times(); started.IsZero() {
		on = WaitNextExit
	}
	exit, ok := <-c.Await(ctx, on)
	if !ok {
		return 0, fmt.Errorf("wait for container %s: %w", c.Name(), ctx.Err())
	}
	return exit.Code, nil
}

package lab

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// group holds the goroutines of a running lab. The first that fails ends the context of them all.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	log    *slog.Logger

	mu     sync.Mutex
	n      int           // guarded by mu; goroutines that run
	closed bool          // guarded by mu; wait has begun to return
	idle   chan struct{} // guarded by mu; closed when n is 0 and wait waits
	err    error         // guarded by mu; the first failure
}

func newGroup(ctx context.Context, log *slog.Logger) *group {
	g := &group{log: log}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// spawn runs a part of the lab. After the lab has ended it runs it with a context that has ended, on the caller's
// goroutine, so that the part lets go of what it holds.
func (g *group) spawn(run func(ctx context.Context) error) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		g.run(run)
		return
	}
	g.n++
	g.mu.Unlock()
	go func() {
		defer g.done()
		g.run(run)
	}()
}

func (g *group) run(run func(ctx context.Context) error) {
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("lab part failed", "panic", p, "stack", string(debug.Stack()))
			g.fail(fmt.Errorf("internal error: %v", p))
		}
	}()
	if err := run(g.ctx); err != nil {
		g.fail(err)
	}
}

func (g *group) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 && g.idle != nil {
		g.closed = true
		close(g.idle)
	}
}

// fail ends everything because of err. What fails after the end is a consequence of it, and is not kept.
func (g *group) fail(err error) {
	g.mu.Lock()
	if g.err == nil && g.ctx.Err() == nil {
		g.err = err
	}
	g.mu.Unlock()
	g.cancel(err)
}

// wait returns after every goroutine has, with the first failure. It must be called once.
func (g *group) wait() error {
	g.mu.Lock()
	idle := make(chan struct{})
	if g.idle = idle; g.n == 0 {
		g.closed = true
		close(idle)
	}
	g.mu.Unlock()
	<-idle
	g.cancel(nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

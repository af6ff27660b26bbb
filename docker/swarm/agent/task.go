package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/api/equality"
)

// task takes one task through its states, one step after the other.
type task struct {
	worker     *worker
	controller exec.Controller
	wake       chan struct{} // holds a token if there is something new
	gone       chan struct{} // closed when all of the task is gone

	mu      sync.Mutex
	spec    *swarmapi.Task     // with the state that it has here; guarded by mu
	updated bool               // the controller has not seen spec; guarded by mu
	ended   bool               // it is to go; guarded by mu
	killed  bool               // without being asked first; guarded by mu
	cancel  context.CancelFunc // of the step under way; guarded by mu; nil: none
}

func newTask(w *worker, spec *swarmapi.Task, c exec.Controller) *task {
	return &task{worker: w, controller: c, wake: make(chan struct{}, 1), gone: make(chan struct{}), spec: spec}
}

// update takes up what a manager wants of the task now. What it is to become only moves forward.
func (t *task) update(spec *swarmapi.Task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if equality.TasksEqualStable(spec, t.spec) || spec.DesiredState < t.spec.DesiredState {
		return
	}
	spec = spec.Copy()
	spec.Status = t.spec.Status
	t.spec, t.updated = spec, true
	t.interrupt()
}

// end has the task removed.
func (t *task) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.interrupt()
}

// kill has the task removed without its program being asked to end.
func (t *task) kill(ctx context.Context) {
	t.mu.Lock()
	removing := t.ended
	t.ended, t.killed = true, true
	t.interrupt()
	t.mu.Unlock()
	if removing {
		t.terminate(ctx) // the program may have been asked, and take its time
	}
}

func (t *task) terminate(ctx context.Context) {
	if err := t.controller.Terminate(ctx); err != nil {
		t.worker.log.Debug("task was not killed", "error", err)
	}
}

// interrupt ends the step under way, or the wait for the next. The caller holds mu.
func (t *task) interrupt() {
	if t.cancel != nil {
		t.cancel()
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run takes steps until the task is to go, and removes it then; or until ctx ends.
func (t *task) run(ctx context.Context) {
	defer close(t.gone)
	for t.turn(ctx) {
	}
	t.mu.Lock()
	id, killed := t.spec.ID, t.killed
	t.mu.Unlock()
	if killed {
		t.terminate(ctx)
	}
	for ctx.Err() == nil {
		err := t.controller.Remove(ctx)
		if err == nil || errors.Is(err, exec.ErrControllerClosed) {
			break
		}
		t.worker.log.Warn("task was not removed", "task", id, "error", err)
		if !sleep(ctx, retryPause) {
			break
		}
	}
	if err := t.controller.Close(); err != nil {
		t.worker.log.Warn("task was not closed", "task", id, "error", err)
	}
	t.worker.forget(t, id)
}

// turn takes a step, and waits if there is nothing to do then. false: there is nothing more to do.
func (t *task) turn(ctx context.Context) bool {
	t.mu.Lock()
	if t.ended || ctx.Err() != nil {
		t.mu.Unlock()
		return false
	}
	step, cancel := context.WithCancel(ctx)
	defer cancel()
	spec, updated := t.spec.Copy(), t.updated
	t.updated, t.cancel = false, cancel
	t.mu.Unlock()
	err := t.step(step, spec, updated)
	t.mu.Lock()
	t.cancel = nil
	more := t.updated || t.ended
	t.mu.Unlock()
	switch {
	case more:
	case errors.Is(err, exec.ErrTaskNoop):
		select {
		case <-t.wake:
		case <-ctx.Done():
		}
	case err != nil:
		t.pause(ctx)
	}
	return true
}

// step does what takes the task on, and reports how far that was.
func (t *task) step(ctx context.Context, spec *swarmapi.Task, updated bool) error {
	if updated {
		if err := t.controller.Update(ctx, spec); err != nil {
			return err
		}
	}
	status, err := exec.Do(ctx, spec, t.controller)
	if status == nil {
		return err
	}
	t.mu.Lock()
	t.spec.Status = *status
	t.mu.Unlock()
	if !equality.TaskStatusesEqualStable(status, &spec.Status) {
		t.worker.note(spec.ID, status)
	}
	return err
}

// pause waits before something is tried again.
func (t *task) pause(ctx context.Context) {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.wake:
	case <-ctx.Done():
	}
}

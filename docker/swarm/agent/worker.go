package agent

import (
	"context"
	"log/slog"
	"sync"

	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"
)

// worker has the tasks of a node.
type worker struct {
	executor exec.Executor
	log      *slog.Logger
	reports  *reports

	mu       sync.Mutex
	ctx      context.Context                 // of the tasks; guarded by mu; nil: none is taken
	tasks    map[string]*task                // by id; guarded by mu
	statuses map[string]*swarmapi.TaskStatus // of every task that is assigned; guarded by mu
	left     bool                            // nothing is taken any more; guarded by mu
	running  sync.WaitGroup                  // of tasks and of their removals
}

func newWorker(x exec.Executor, log *slog.Logger) *worker {
	return &worker{executor: x, log: log, reports: newReports(), tasks: make(map[string]*task), statuses: make(map[string]*swarmapi.TaskStatus)}
}

// run lets tasks run until ctx ends, and returns when they have ended.
func (w *worker) run(ctx context.Context) error {
	w.mu.Lock()
	w.ctx = ctx
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	w.ctx = nil
	w.mu.Unlock()
	w.running.Wait()
	return nil
}

// leave kills all tasks, and takes no others (W7). done is closed when they are gone, or the context of run has ended.
func (w *worker) leave() (done <-chan struct{}) {
	ended := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = true
	var all []*task
	for id, t := range w.tasks {
		delete(w.statuses, id)
		w.reports.forget(id)
		all = append(all, t)
	}
	ctx := w.ctx
	if ctx == nil {
		close(ended)
		return ended
	}
	w.running.Go(func() {
		for _, t := range all {
			t.kill(ctx)
		}
		for _, t := range all {
			<-t.gone
		}
		close(ended)
	})
	return ended
}

// assign takes up assignments: secrets and configs first, which tasks may need. all: what is not among them is to go.
func (w *worker) assign(changes []*swarmapi.AssignmentChange, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left || w.ctx == nil {
		return
	}
	w.provide(changes, all)
	assigned := make(map[string]bool)
	for _, c := range changes {
		t := c.Assignment.GetTask()
		switch {
		case t == nil:
		case c.Action == swarmapi.AssignmentChange_AssignmentActionRemove:
			w.remove(t.ID)
		default:
			assigned[t.ID] = true
			w.put(t)
		}
	}
	if !all {
		return
	}
	for id := range w.tasks {
		if !assigned[id] {
			w.remove(id)
		}
	}
}

// provide hands secrets and configs to the executor.
func (w *worker) provide(changes []*swarmapi.AssignmentChange, all bool) {
	var secrets []swarmapi.Secret
	var configs []swarmapi.Config
	var goneSecrets, goneConfigs []string
	for _, c := range changes {
		gone := c.Action == swarmapi.AssignmentChange_AssignmentActionRemove
		if s := c.Assignment.GetSecret(); s != nil && gone {
			goneSecrets = append(goneSecrets, s.ID)
		} else if s != nil {
			secrets = append(secrets, *s)
		}
		if s := c.Assignment.GetConfig(); s != nil && gone {
			goneConfigs = append(goneConfigs, s.ID)
		} else if s != nil {
			configs = append(configs, *s)
		}
	}
	if p, ok := w.executor.(exec.SecretsProvider); ok {
		if all {
			p.Secrets().Reset()
		}
		p.Secrets().Remove(goneSecrets)
		p.Secrets().Add(secrets...)
	}
	if p, ok := w.executor.(exec.ConfigsProvider); ok {
		if all {
			p.Configs().Reset()
		}
		p.Configs().Remove(goneConfigs)
		p.Configs().Add(configs...)
	}
}

// put takes up a task that is new or has changed. The caller holds mu.
func (w *worker) put(spec *swarmapi.Task) {
	if t := w.tasks[spec.ID]; t != nil {
		t.update(spec)
		return
	}
	spec = spec.Copy()
	if s := w.statuses[spec.ID]; s != nil {
		spec.Status = *s
	}
	controller, status, err := exec.Resolve(w.ctx, spec, w.executor)
	w.statuses[spec.ID] = status
	w.reports.put(spec.ID, status)
	if err != nil {
		w.log.Warn("task cannot run here", "task", spec.ID, "error", err)
		return // it is tried again when it is assigned again
	}
	spec.Status = *status
	t := newTask(w, spec, controller)
	w.tasks[spec.ID] = t
	ctx := w.ctx
	w.running.Go(func() { t.run(ctx) })
}

// remove has a task ended, with its container. The caller holds mu.
func (w *worker) remove(id string) {
	delete(w.statuses, id)
	w.reports.forget(id)
	if t := w.tasks[id]; t != nil {
		t.end()
	}
}

// forget is called when a task is gone.
func (w *worker) forget(t *task, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tasks[id] == t {
		delete(w.tasks, id)
	}
}

// note takes up the state of a task, unless it was taken away meanwhile.
func (w *worker) note(id string, s *swarmapi.TaskStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.statuses[id] != nil {
		w.statuses[id] = s
		w.reports.put(id, s)
	}
}

// reportAll has the states of all tasks reported.
func (w *worker) reportAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.statuses {
		w.reports.put(id, s)
	}
}

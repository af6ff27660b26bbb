package manager

import (
	"context"
	"sync"
	"time"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/orchestrator/taskreaper"
	"github.com/moby/swarmkit/v2/manager/state"
	"github.com/moby/swarmkit/v2/manager/state/store"
)

// removalPatience is for how long the orchestrators get to hear that a service is gone.
const removalPatience = 10 * time.Second

// reaper is swarmkit's task reaper, which rests while a service is removed: the orchestrators then list the service's tasks, wait for
// the store, and change each task without a look whether it is still there (orchestrator.SetServiceTasksRemove). One that
// the reaper deletes in between would end the whole process.
type reaper struct {
	store   *store.MemoryStore
	removal sync.Mutex // held while one service is removed, so that rests do not overlap
	done    chan struct{}
	end     sync.Once

	mu      sync.Mutex
	current *taskreaper.TaskReaper // guarded by mu; nil: it rests, or has ended
	resting bool                   // guarded by mu
	wake    chan struct{}          // has room for one; tells that a rest is over
}

func newReaper(s *store.MemoryStore) *reaper {
	return &reaper{store: s, done: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// run reaps until stop.
func (r *reaper) run(ctx context.Context) {
	for {
		if tr := r.next(); tr != nil {
			tr.Run(ctx)
			continue
		}
		select {
		case <-r.done:
			return
		case <-r.wake:
		}
	}
}

// next returns what is to run, nil in a rest and after stop.
func (r *reaper) next() *taskreaper.TaskReaper {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = nil
	select {
	case <-r.done:
		return nil
	default:
	}
	if !r.resting {
		r.current = taskreaper.New(r.store)
	}
	return r.current
}

// stop ends run. It may return before run does.
func (r *reaper) stop() {
	r.end.Do(func() { close(r.done) })
	r.halt(false)
}

// halt ends what runs and returns when it deletes nothing any more.
func (r *reaper) halt(rest bool) {
	r.mu.Lock()
	r.resting = rest
	tr := r.current
	r.mu.Unlock()
	if tr != nil {
		tr.Stop()
	}
}

// resume ends a rest. A new reaper begins with a look at all tasks, so that it misses none.
func (r *reaper) resume() {
	r.mu.Lock()
	r.resting = false
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// remove calls remove, which removes a service, and returns when the orchestrators have changed all its tasks, or ctx has ended, or they
// take too long; nothing is reaped meanwhile.
func (r *reaper) remove(ctx context.Context, service string, remove func() error) error {
	r.removal.Lock()
	defer r.removal.Unlock()
	changes, cancel := state.Watch(r.store.WatchQueue(), api.EventUpdateTask{}, api.EventDeleteTask{}, api.EventDeleteService{})
	defer cancel()
	r.halt(true)
	defer r.resume()
	if err := remove(); err != nil {
		return err
	}
	patience := time.NewTimer(removalPatience)
	defer patience.Stop()
	gone, left := false, r.unchanged(service)
	for len(left) > 0 {
		select {
		case e := <-changes:
			switch e := e.(type) {
			case api.EventDeleteService:
				gone = gone || e.Service.ID == service
			case api.EventDeleteTask:
				delete(left, e.Task.ID)
			case api.EventUpdateTask:
				if gone && toldToGo(e) {
					delete(left, e.Task.ID)
				}
			}
		case <-ctx.Done():
			return nil
		case <-r.done:
			return nil
		case <-patience.C:
			return nil
		}
	}
	return nil
}

// unchanged returns the tasks of a service, just removed, that the orchestrators are going to change: those that are to be removed
// already are among them.
func (r *reaper) unchanged(service string) map[string]bool {
	left := make(map[string]bool)
	r.store.View(func(tx store.ReadTx) {
		tasks, _ := store.FindTasks(tx, store.ByServiceID(service)) // it has no error for what it looks for by
		for _, t := range tasks {
			if t.DesiredState <= api.TaskStateRemove {
				left[t.ID] = true
			}
		}
	})
	return left
}

// toldToGo tells whether a change of a task is that of an orchestrator, whose service is gone, and not news from the task's node. The
// orchestrators make it in parts (store.Batch), so each task must be waited for.
func toldToGo(e api.EventUpdateTask) bool {
	if e.Task.DesiredState < api.TaskStateRemove || e.OldTask == nil {
		return false
	}
	was, is := &e.OldTask.Status, &e.Task.Status
	return was.State == is.State && was.Message == is.Message && was.Err == is.Err
}

// RemoveService implements api.ControlServer.
func (c *control) RemoveService(ctx context.Context, r *api.RemoveServiceRequest) (resp *api.RemoveServiceResponse, err error) {
	err = c.reaper.remove(ctx, r.ServiceID, func() error {
		resp, err = c.Server.RemoveService(ctx, r)
		return err
	})
	return resp, err
}

package agent

import (
	"cmp"
	"context"
	"slices"
	"sync"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

// reports are the states of tasks that a manager is to hear of, the latest of each.
type reports struct {
	ready chan struct{} // holds a token if something may wait

	mu      sync.Mutex
	waiting map[string]*swarmapi.TaskStatus // by task; guarded by mu
}

func newReports() *reports {
	return &reports{ready: make(chan struct{}, 1), waiting: make(map[string]*swarmapi.TaskStatus)}
}

// put has a state reported, unless a later one waits.
func (r *reports) put(task string, s *swarmapi.TaskStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.waiting[task]; old != nil && old.State > s.State {
		return
	}
	r.waiting[task] = s
	r.wake()
}

// wake puts the token in. The caller holds mu.
func (r *reports) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// forget says that nobody wants to hear of a task any more.
func (r *reports) forget(task string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, task)
}

// take waits for reports and takes some, in the order of the tasks' ids.
func (r *reports) take(ctx context.Context, most int) ([]*swarmapi.UpdateTaskStatusRequest_TaskStatusUpdate, error) {
	for {
		select {
		case <-r.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		r.mu.Lock()
		var out []*swarmapi.UpdateTaskStatusRequest_TaskStatusUpdate
		for id, s := range r.waiting {
			if len(out) == most {
				r.wake()
				break
			}
			out = append(out, &swarmapi.UpdateTaskStatusRequest_TaskStatusUpdate{TaskID: id, Status: s})
			delete(r.waiting, id)
		}
		r.mu.Unlock()
		if len(out) > 0 {
			slices.SortFunc(out, func(a, b *swarmapi.UpdateTaskStatusRequest_TaskStatusUpdate) int {
				return cmp.Compare(a.TaskID, b.TaskID)
			})
			return out, nil
		}
	}
}

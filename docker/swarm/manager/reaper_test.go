package manager

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/orchestrator/replicated"
	"github.com/moby/swarmkit/v2/manager/state/store"
)

// While a service is removed nothing is reaped, so that the orchestrator finds each task that it has listed.
func TestReaperRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemoryStore(nil)
		defer s.Close() //nolint:errcheck // it has no error to tell
		update := func(f func(tx store.Tx) error) {
			t.Helper()
			if err := s.Update(f); err != nil {
				t.Error(err)
			}
		}
		task := func(id string) (found *api.Task) {
			s.View(func(tx store.ReadTx) { found = store.GetTask(tx, id) })
			return found
		}
		service := &api.Service{ID: "web", Spec: api.ServiceSpec{Annotations: api.Annotations{Name: "web"}, Mode: &api.ServiceSpec_Replicated{Replicated: &api.ReplicatedService{Replicas: 1}}}}
		update(func(tx store.Tx) error {
			return errors.Join(store.CreateService(tx, service),
				store.CreateTask(tx, &api.Task{ID: "live", ServiceID: "web", Slot: 1, DesiredState: api.TaskStateRunning, Status: api.TaskStatus{State: api.TaskStateRunning}}),
				store.CreateTask(tx, &api.Task{ID: "old", ServiceID: "web", Slot: 1, DesiredState: api.TaskStateRemove, Status: api.TaskStatus{State: api.TaskStateRunning}}))
		})
		r, orchestrator := newReaper(s), replicated.NewReplicatedOrchestrator(s)
		var wg sync.WaitGroup
		wg.Go(func() { r.run(context.Background()) })
		wg.Go(func() { _ = orchestrator.Run(context.Background()) })
		synctest.Wait()

		reap := func(id string) {
			update(func(tx store.Tx) error {
				t := store.GetTask(tx, id)
				t.Status.State = api.TaskStateShutdown
				return store.UpdateTask(tx, t)
			})
			time.Sleep(time.Second)
		}
		err := r.remove(context.Background(), "web", func() error {
			if reap("old"); task("old") == nil {
				t.Error("a task was reaped while its service was being removed")
			}
			return s.Update(func(tx store.Tx) error { return store.DeleteService(tx, "web") })
		})
		if err != nil {
			t.Error(err)
		}
		if live := task("live"); live == nil || live.DesiredState != api.TaskStateRemove {
			t.Errorf("after the removal the live task is %v; want one that is to be removed", live)
		}
		time.Sleep(time.Second)
		if task("old") != nil {
			t.Error("a task that ended during the rest was not reaped after it")
		}
		if reap("live"); task("live") != nil {
			t.Error("the last task was not reaped")
		}
		if err := r.remove(context.Background(), "web", func() error { return store.ErrNotExist }); !errors.Is(err, store.ErrNotExist) {
			t.Errorf("removing what is not there = %v; want %v", err, store.ErrNotExist)
		}
		r.stop()
		orchestrator.Stop()
		wg.Wait()
	})
}

// The orchestrators change the tasks of a service that is gone in parts of 200. Nothing is reaped before the last part, which may have
// only tasks that were to be removed before.
func TestReaperRestsToTheLastPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemoryStore(nil)
		defer s.Close() //nolint:errcheck // it has no error to tell
		update := func(f func(tx store.Tx) error) {
			t.Helper()
			if err := s.Update(f); err != nil {
				t.Error(err)
			}
		}
		touch := func(tx store.Tx, id string, state api.TaskState) error {
			task := store.GetTask(tx, id)
			if task == nil {
				return errors.New("task " + id + " has been reaped")
			}
			task.DesiredState, task.Status.State = api.TaskStateRemove, state
			return store.UpdateTask(tx, task)
		}
		update(func(tx store.Tx) error {
			return errors.Join(store.CreateService(tx, &api.Service{ID: "web", Spec: api.ServiceSpec{Annotations: api.Annotations{Name: "web"}}}),
				store.CreateTask(tx, &api.Task{ID: "live", ServiceID: "web", DesiredState: api.TaskStateRunning, Status: api.TaskStatus{State: api.TaskStateRunning}}),
				store.CreateTask(tx, &api.Task{ID: "old", ServiceID: "web", DesiredState: api.TaskStateRemove, Status: api.TaskStatus{State: api.TaskStateRunning}}))
		})
		r := newReaper(s)
		var wg sync.WaitGroup
		wg.Go(func() { r.run(context.Background()) })
		synctest.Wait()
		wg.Go(func() {
			err := r.remove(context.Background(), "web", func() error {
				return s.Update(func(tx store.Tx) error { return store.DeleteService(tx, "web") })
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		update(func(tx store.Tx) error { return touch(tx, "old", api.TaskStateShutdown) }) // its node says that it has ended
		update(func(tx store.Tx) error { return touch(tx, "live", api.TaskStateRunning) }) // the first part
		time.Sleep(time.Second)
		update(func(tx store.Tx) error { return touch(tx, "old", api.TaskStateShutdown) }) // and the last
		time.Sleep(time.Second)
		s.View(func(tx store.ReadTx) {
			if store.GetTask(tx, "old") != nil {
				t.Error("the task that had ended was not reaped after the rest")
			}
		})
		r.stop()
		wg.Wait()
	})
}

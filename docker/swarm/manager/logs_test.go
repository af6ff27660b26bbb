package manager

import (
	"context"
	"testing"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/state/store"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// logRig is the logs of a swarm with the tasks t1 and t2 of the service s, on the nodes n1 and n2.
type logRig struct {
	*testing.T
	*logs
	ctx context.Context
}

func newLogRig(t *testing.T) *logRig {
	t.Helper()
	s := store.NewMemoryStore(nil)
	t.Cleanup(func() { _ = s.Close() })
	err := s.Update(func(tx store.Tx) error {
		for _, id := range []string{"1", "2"} {
			if err := store.CreateTask(tx, &api.Task{ID: "t" + id, ServiceID: "s", NodeID: "n" + id}); err != nil {
				return err
			}
		}
		return store.CreateTask(tx, &api.Task{ID: "t3", ServiceID: "s"}) // nowhere yet
	})
	if err != nil {
		t.Fatal(err)
	}
	return &logRig{t, newLogs(s, nil), t.Context()}
}

// listener is a node that listens until the test ends, or stop is called.
func (r *logRig) listener(node string) (heard chan *api.SubscriptionMessage, stop func()) {
	heard = make(chan *api.SubscriptionMessage, 16)
	ctx, cancel := context.WithCancel(r.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.listen(ctx, node, func(m *api.SubscriptionMessage) error { heard <- m; return nil })
	}()
	for listens := false; !listens; {
		r.mu.Lock()
		listens = r.listeners[node] != nil
		r.mu.Unlock()
	}
	stop = func() { cancel(); <-ended }
	r.Cleanup(stop)
	return heard, stop
}

// reader reads the logs of a selector: the lines, and how it ended.
func (r *logRig) reader(s *api.LogSelector, follow bool) (lines chan string, ended chan error, stop func()) {
	lines, ended = make(chan string, 64), make(chan error, 1)
	ctx, cancel := context.WithCancel(r.ctx)
	go func() {
		ended <- r.subscribe(ctx, &api.SubscribeLogsRequest{Selector: s, Options: &api.LogSubscriptionOptions{Follow: follow}},
			func(m *api.SubscribeLogsMessage) error {
				for _, line := range m.Messages {
					lines <- string(line.Data)
				}
				return nil
			})
	}()
	r.Cleanup(cancel)
	return lines, ended, cancel
}

func (r *logRig) says(node, subscription, line string, last bool) error {
	m := &api.PublishLogsMessage{SubscriptionID: subscription, Close: last}
	if line != "" {
		m.Messages = []api.LogMessage{{Context: api.LogContext{NodeID: node}, Data: []byte(line)}}
	}
	return r.publish(r.ctx, node, m)
}

var ofService = &api.LogSelector{ServiceIDs: []string{"s"}}

func TestLogsOfAllNodes(t *testing.T) {
	r := newLogRig(t)
	one, _ := r.listener("n1")
	two, _ := r.listener("n2")
	lines, ended, _ := r.reader(ofService, false)
	id := (<-one).ID
	if other := (<-two).ID; other != id {
		t.Errorf("two nodes hear of the subscriptions %s and %s", id, other)
	}
	if err := r.says("n1", id, "a", true); err != nil {
		t.Error(err)
	}
	if err := r.says("n2", id, "b", false); err != nil {
		t.Error(err)
	}
	if got := <-lines + <-lines; got != "ab" {
		t.Errorf("read %q; want ab", got)
	}
	if err := r.says("n1", id, "", false); err != nil {
		t.Error(err)
	}
	forged := &api.PublishLogsMessage{SubscriptionID: id, Messages: []api.LogMessage{{Context: api.LogContext{NodeID: "n2"}}}}
	if err := r.publish(r.ctx, "n1", forged); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a node that speaks for another: %v", err)
	}
	if err := r.says("n2", id, "c", true); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil || <-lines != "c" {
		t.Errorf("ended with %v", err)
	}
	if err := r.says("n2", id, "d", false); status.Code(err) != codes.NotFound {
		t.Errorf("lines that nobody reads: %v", err)
	}
}

func TestLogsOfNodesThatAreNotThere(t *testing.T) {
	r := newLogRig(t)
	_, ended, _ := r.reader(ofService, false)
	if err := <-ended; err != nil { // nobody listens
		t.Error(err)
	}
	if _, ended, _ = r.reader(&api.LogSelector{}, false); status.Code(<-ended) != codes.InvalidArgument {
		t.Error("nothing was asked for, and there was an answer")
	}
	heard, stop := r.listener("n1")
	_, ended, _ = r.reader(&api.LogSelector{TaskIDs: []string{"t1", "t3"}}, false)
	<-heard
	stop() // it goes in the middle of it
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Who follows hears of tasks that come to nodes later, and has the nodes stop in the end.
func TestLogsFollowed(t *testing.T) {
	r := newLogRig(t)
	one, _ := r.listener("n1")
	three, _ := r.listener("n3")
	_, ended, stop := r.reader(ofService, true)
	id := (<-one).ID
	err := r.store.Update(func(tx store.Tx) error {
		task := store.GetTask(tx, "t3")
		task.NodeID = "n3"
		return store.UpdateTask(tx, task)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := (<-three).ID; got != id {
		t.Errorf("the later node hears of %s; want %s", got, id)
	}
	stop()
	if err := <-ended; err == nil {
		t.Error("it ended by itself")
	}
	for _, heard := range []chan *api.SubscriptionMessage{one, three} {
		if m := <-heard; m.ID != id || !m.Close {
			t.Errorf("a node hears %+v; want the end of %s", m, id)
		}
	}
}

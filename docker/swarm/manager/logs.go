package manager

import (
	"context"
	"slices"
	"sync"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/identity"
	"github.com/moby/swarmkit/v2/manager/state"
	"github.com/moby/swarmkit/v2/manager/state/store"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// logs brings what tasks wrote from their nodes to whoever asks for it, as swarmkit's log broker does: nodes listen for
// subscriptions, and publish what one asks for.
type logs struct {
	store *store.MemoryStore
	ended <-chan struct{} // the manager leads no more

	mu            sync.Mutex
	subscriptions map[string]*subscription                 // by id, guarded by mu
	listeners     map[string]chan *api.SubscriptionMessage // by node, guarded by mu
}

// Bounds of logs under way.
const (
	subscriptionsAhead = 64 // that a node has not taken yet; one more is not told
	logsAhead          = 64 // messages that a subscriber has not taken yet; then nodes wait
)

// subscription is somebody who reads logs.
type subscription struct {
	message  *api.SubscriptionMessage
	messages chan []api.LogMessage
	over     chan struct{} // closes when nobody reads any more

	mu    sync.Mutex
	nodes map[string]bool // guarded by mu; true: it has no more to say
	done  chan struct{}   // closes when no node has, guarded by mu
}

func newLogs(s *store.MemoryStore, ended <-chan struct{}) *logs {
	return &logs{store: s, ended: ended, subscriptions: map[string]*subscription{}, listeners: map[string]chan *api.SubscriptionMessage{}}
}

// nodesOf returns the nodes of the tasks that a selector means.
func (l *logs) nodesOf(s *api.LogSelector) (nodes []string) {
	l.store.View(func(tx store.ReadTx) {
		add := func(t *api.Task) {
			if t != nil && t.NodeID != "" && !slices.Contains(nodes, t.NodeID) {
				nodes = append(nodes, t.NodeID)
			}
		}
		for _, id := range s.TaskIDs {
			add(store.GetTask(tx, id))
		}
		for _, id := range s.ServiceIDs {
			tasks, err := store.FindTasks(tx, store.ByServiceID(id))
			if err != nil {
				continue // there are none
			}
			for _, t := range tasks {
				add(t)
			}
		}
	})
	return nodes
}

// subscribe streams what the tasks of a request wrote, and write if it follows.
func (l *logs) subscribe(ctx context.Context, r *api.SubscribeLogsRequest, send func(*api.SubscribeLogsMessage) error) error {
	if r.Selector == nil || len(r.Selector.ServiceIDs)+len(r.Selector.TaskIDs) == 0 {
		return status.Error(codes.InvalidArgument, "log selector must not be empty")
	}
	s := &subscription{
		message:  &api.SubscriptionMessage{ID: identity.NewID(), Selector: r.Selector, Options: r.Options},
		messages: make(chan []api.LogMessage, logsAhead), over: make(chan struct{}), nodes: map[string]bool{}, done: make(chan struct{}),
	}
	follow := r.Options != nil && r.Options.Follow
	changes, cancel := state.Watch(l.store.WatchQueue(), api.EventUpdateTask{})
	defer cancel()
	if !follow {
		changes = nil
	}
	l.mu.Lock()
	l.subscriptions[s.message.ID] = s
	l.mu.Unlock()
	defer l.unsubscribe(s)
	l.ask(s)
	for {
		select {
		case m := <-s.messages:
			if err := send(&api.SubscribeLogsMessage{Messages: m}); err != nil {
				return err
			}
		case <-changes:
			l.ask(s) // a task may be on a node now that has had none
		case <-s.finished(follow):
			return drain(s, send)
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ended:
			return errNotLeading
		}
	}
}

// drain sends what is left.
func drain(s *subscription, send func(*api.SubscribeLogsMessage) error) error {
	for {
		select {
		case m := <-s.messages:
			if err := send(&api.SubscribeLogsMessage{Messages: m}); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// finished is closed once no node has more to say; never for one that follows.
func (s *subscription) finished(follow bool) <-chan struct{} {
	if follow {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// ask tells the nodes of a subscription's tasks of it, those that have not been told. One that does not listen has
// nothing to say.
func (l *logs) ask(s *subscription) {
	nodes := l.nodesOf(s.message.Selector)
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range nodes {
		if _, told := s.nodes[id]; told {
			continue
		}
		select {
		case l.listeners[id] <- s.message:
			s.nodes[id] = false
		default:
			s.nodes[id] = true
		}
	}
	s.close()
}

// close closes done if no node has more to say. The caller holds mu.
func (s *subscription) close() {
	for _, finished := range s.nodes {
		if !finished {
			return
		}
	}
	select {
	case <-s.done:
	default:
		close(s.done)
	}
}

// end notes that a node has no more to say.
func (s *subscription) end(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[node] = true
	s.close()
}

// unsubscribe forgets a subscription, and has its nodes stop.
func (l *logs) unsubscribe(s *subscription) {
	close(s.over)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.subscriptions, s.message.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	stop := &api.SubscriptionMessage{ID: s.message.ID, Close: true}
	for node, finished := range s.nodes {
		if finished {
			continue
		}
		select {
		case l.listeners[node] <- stop:
		default: // it hears of it when it publishes
		}
	}
}

// listen streams subscriptions to a node. The latest of its streams counts.
func (l *logs) listen(ctx context.Context, node string, send func(*api.SubscriptionMessage) error) error {
	mine := make(chan *api.SubscriptionMessage, subscriptionsAhead)
	l.mu.Lock()
	l.listeners[node] = mine
	l.mu.Unlock()
	defer l.unlisten(node, mine)
	for {
		select {
		case m := <-mine:
			if err := send(m); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ended:
			return errNotLeading
		}
	}
}

func (l *logs) unlisten(node string, mine chan *api.SubscriptionMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listeners[node] != mine {
		return
	}
	delete(l.listeners, node)
	for _, s := range l.subscriptions {
		s.mu.Lock()
		_, told := s.nodes[node]
		s.mu.Unlock()
		if told {
			s.end(node)
		}
	}
}

// publish takes what a node has for a subscription. It waits while the subscriber is slow.
func (l *logs) publish(ctx context.Context, node string, m *api.PublishLogsMessage) error {
	l.mu.Lock()
	s := l.subscriptions[m.SubscriptionID]
	l.mu.Unlock()
	if s == nil {
		return status.Error(codes.NotFound, "unknown subscription ID")
	}
	for _, v := range m.Messages {
		if v.Context.NodeID != node {
			return status.Errorf(codes.PermissionDenied, "invalid NodeID: expected=%s;received=%s", node, v.Context.NodeID)
		}
	}
	if len(m.Messages) > 0 {
		select {
		case s.messages <- m.Messages:
		case <-s.over:
			return status.Error(codes.NotFound, "unknown subscription ID")
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	if m.Close {
		s.end(node)
	}
	return nil
}

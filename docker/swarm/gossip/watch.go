package gossip

import (
	"context"
	"slices"
	"sync"
)

// Event is a change of one entry of a table.
type Event struct {
	Network, Table, Key string
	Owner               string // the node that published it
	Value               []byte // shared, not to be changed; nil if Gone
	Gone                bool
}

// Watcher hears of the entries of one table of one network, those of its own node included. It takes no more room than the
// table has entries: who is slow hears the latest of each entry, and nothing of one that came and went.
type Watcher struct {
	node *Node
	at   place

	mu      sync.Mutex
	waiting map[string]Event // by key; guarded by mu
	order   []string         // of waiting, with keys that wait no more or twice; guarded by mu
	told    map[string]bool  // keys that the user knows of; guarded by mu
	ready   chan struct{}    // holds a token if something may wait
}

// place is where a watcher looks.
type place struct{ network, table string }

// Watch returns a watcher of a table, which first hears of the entries that are there. The node need not be on the network
// yet. Close it.
func (n *Node) Watch(network, table string) *Watcher {
	w := &Watcher{node: n, at: place{network, table}, waiting: make(map[string]Event), told: make(map[string]bool), ready: make(chan struct{}, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state.watchers[w.at] = append(n.state.watchers[w.at], w)
	if net := n.state.nets[network]; net != nil {
		for key, e := range net.tables[table] {
			if !e.gone {
				w.push(Event{Network: network, Table: table, Key: key, Owner: e.owner, Value: e.value})
			}
		}
	}
	return w
}

// Close ends the watch; what waits is forgotten.
func (w *Watcher) Close() {
	n := w.node
	n.mu.Lock()
	defer n.mu.Unlock()
	left := slices.DeleteFunc(n.state.watchers[w.at], func(o *Watcher) bool { return o == w })
	if len(left) == 0 {
		delete(n.state.watchers, w.at)
		return
	}
	n.state.watchers[w.at] = left
}

// Ready holds a token when Take may have something.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Take returns what has changed since the last Take, in the order in which it first did.
func (w *Watcher) Take() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]Event, 0, len(w.waiting))
	for _, key := range w.order {
		e, ok := w.waiting[key]
		if !ok {
			continue
		}
		delete(w.waiting, key)
		if e.Gone {
			delete(w.told, key)
		} else {
			w.told[key] = true
		}
		out = append(out, e)
	}
	w.order = w.order[:0]
	return out
}

// Next waits until something has changed, and takes it.
func (w *Watcher) Next(ctx context.Context) ([]Event, error) {
	for {
		if events := w.Take(); len(events) > 0 {
			return events, nil
		}
		select {
		case <-w.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *Watcher) push(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, queued := w.waiting[e.Key]
	if e.Gone && !w.told[e.Key] {
		delete(w.waiting, e.Key)
		return
	}
	w.waiting[e.Key] = e
	if !queued {
		if len(w.order) > 2*len(w.waiting)+64 {
			w.tidy()
		}
		w.order = append(w.order, e.Key)
	}
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// tidy takes keys out of order that wait no more, or stand there twice.
func (w *Watcher) tidy() {
	seen := make(map[string]bool, len(w.waiting))
	w.order = slices.DeleteFunc(w.order, func(key string) bool {
		_, ok := w.waiting[key]
		gone := !ok || seen[key]
		seen[key] = true
		return gone
	})
}

package swarm

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// bus carries the records of the networks between the nodes. It keeps every record, in the order of first publication.
// Each watcher has a queue, which whoever puts something in empties, unless somebody is at it: so no watcher is called
// twice at once, a watcher may publish, and no lock is held during a call.
type bus struct {
	waiting atomic.Int64 // events that no watcher has seen to the end
	idle    func()       // called when nothing waits; nil: nobody cares

	mu     sync.Mutex
	topics map[string]*topic // guarded by mu; by network
}

type topic struct {
	records  []cnm.Record
	watchers []*subscription
}

type event struct {
	record cnm.Record
	gone   bool
}

type subscription struct {
	bus     *bus
	watcher cnm.Watcher

	mu    sync.Mutex
	queue []event // guarded by mu
	busy  bool    // guarded by mu; somebody empties the queue
	left  bool    // guarded by mu
}

func (b *bus) topic(network string) *topic {
	t := b.topics[network]
	if t == nil {
		if b.topics == nil {
			b.topics = make(map[string]*topic)
		}
		t = &topic{}
		b.topics[network] = t
	}
	return t
}

func (t *topic) find(key string) int {
	return slices.IndexFunc(t.records, func(r cnm.Record) bool { return r.Key == key })
}

func (b *bus) join(network string, w cnm.Watcher) (leave func()) {
	s := &subscription{bus: b, watcher: w}
	b.mu.Lock()
	t := b.topic(network)
	for _, r := range t.records {
		s.push(event{record: r})
	}
	t.watchers = append(t.watchers, s)
	b.mu.Unlock()
	s.drain()
	return func() { b.leave(network, s) }
}

func (b *bus) leave(network string, s *subscription) {
	b.mu.Lock()
	t := b.topic(network)
	t.watchers = slices.DeleteFunc(t.watchers, func(o *subscription) bool { return o == s })
	b.tidy(network)
	b.mu.Unlock()
	s.end()
}

func (b *bus) publish(network string, r cnm.Record) {
	b.mu.Lock()
	t := b.topic(network)
	if i := t.find(r.Key); i >= 0 {
		t.records[i] = r
	} else {
		t.records = append(t.records, r)
	}
	subs := t.tell(event{record: r})
	b.mu.Unlock()
	drainAll(subs)
}

func (b *bus) withdraw(network, key string) {
	b.mu.Lock()
	t := b.topic(network)
	var subs []*subscription
	if i := t.find(key); i >= 0 {
		subs = t.tell(event{record: t.records[i], gone: true})
		t.records = slices.Delete(t.records, i, i+1)
	}
	b.tidy(network)
	b.mu.Unlock()
	drainAll(subs)
}

// forget withdraws all that a node published.
func (b *bus) forget(node string) {
	b.mu.Lock()
	var subs []*subscription
	for network, t := range b.topics {
		t.records = slices.DeleteFunc(t.records, func(r cnm.Record) bool {
			if r.Node == node {
				subs = append(subs, t.tell(event{record: r, gone: true})...)
			}
			return r.Node == node
		})
		b.tidy(network)
	}
	b.mu.Unlock()
	drainAll(subs)
}

// tidy forgets a network that nobody watches and of which there is nothing to tell.
func (b *bus) tidy(network string) {
	if t := b.topics[network]; t != nil && len(t.records) == 0 && len(t.watchers) == 0 {
		delete(b.topics, network)
	}
}

// tell queues an event for all watchers of the topic, and returns them. The caller holds the bus's lock, so that all
// get events in one order.
func (t *topic) tell(e event) []*subscription {
	for _, s := range t.watchers {
		s.push(e)
	}
	return slices.Clone(t.watchers)
}

func drainAll(subs []*subscription) {
	for _, s := range subs {
		s.drain()
	}
}

func (s *subscription) push(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.queue = append(s.queue, e)
		s.bus.waiting.Add(1)
	}
}

// drain gives the watcher what waits for it, unless somebody else does that.
func (s *subscription) drain() {
	s.mu.Lock()
	if s.busy {
		s.mu.Unlock()
		return
	}
	s.busy = true
	for len(s.queue) > 0 {
		e := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		if e.gone {
			s.watcher.Delete(e.record)
		} else {
			s.watcher.Put(e.record)
		}
		s.bus.done(1)
		s.mu.Lock()
	}
	s.busy = false
	s.mu.Unlock()
}

// end makes the watcher hear nothing more.
func (s *subscription) end() {
	s.mu.Lock()
	unheard := len(s.queue)
	s.queue, s.left = nil, true
	s.mu.Unlock()
	s.bus.done(unheard)
}

func (b *bus) done(n int) {
	if n > 0 && b.waiting.Add(int64(-n)) == 0 && b.idle != nil {
		b.idle()
	}
}

// directory is the bus as one node sees it. It implements cnm.Directory.
type directory struct {
	bus  *bus
	node string
	vtep netip.Addr
}

// Join implements cnm.Directory.
func (d *directory) Join(network string, w cnm.Watcher) func() { return d.bus.join(network, w) }

// Publish implements cnm.Directory.
func (d *directory) Publish(network string, r cnm.Record) {
	r.Node = d.node
	if !r.VTEP.IsValid() {
		r.VTEP = d.vtep
	}
	d.bus.publish(network, r)
}

// Withdraw implements cnm.Directory.
func (d *directory) Withdraw(network, key string) { d.bus.withdraw(network, key) }

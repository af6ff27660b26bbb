package directory

import (
	"sync"

	"github.com/netsim-lab/netsim/docker/cnm"
)

type event struct {
	record cnm.Record
	gone   bool
}

// subscription is a watcher with what waits for it. Whoever puts something in empties the queue, unless somebody is at it:
// so no watcher is called twice at once, a watcher may publish, and no lock is held during a call.
type subscription struct {
	watcher cnm.Watcher

	mu    sync.Mutex
	queue []event // guarded by mu
	busy  bool    // guarded by mu; somebody empties the queue
	left  bool    // guarded by mu
}

func (s *subscription) push(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.queue = append(s.queue, e)
	}
}

// drain gives the watcher what waits for it, unless somebody else does that.
func (s *subscription) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
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
		s.mu.Lock()
	}
	s.busy = false
}

// waits tells whether the watcher has not seen all that it was given.
func (s *subscription) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy || len(s.queue) > 0
}

// end makes the watcher hear nothing more.
func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.left = nil, true
}

func drainAll(subs []*subscription) {
	for _, s := range subs {
		s.drain()
	}
}

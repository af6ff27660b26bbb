package lab

import (
	"context"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/lab/topology"
)

// turns has the tasks of a topology's services start in the order of the topology and of their slots while the lab comes up, as its
// containers do: they join their networks one after the other, and their programs start once every host knows where they are, so
// that a program which looks for another one as it starts finds it. A swarm by itself starts all at once. Nobody waits for
// long, and nobody at all once the lab is up. It implements executor.Turns.
type turns struct {
	heard func() bool // every host knows of what has joined

	mu      sync.Mutex
	up      bool            // guarded by mu
	order   []turn          // of replicated services; guarded by mu
	joined  map[turn]bool   // guarded by mu
	done    map[turn]bool   // guarded by mu
	known   map[string]bool // replicated services; never changes
	changed chan struct{}   // guarded by mu; closed and replaced when something has
}

// turn is one task, by its service and slot.
type turn struct {
	service string
	slot    uint64
}

const (
	turnLimit = 2 * time.Second      // for which a task waits for others
	turnLook  = 2 * time.Millisecond // between looks whether it is heard of
)

func newTurns(services []topology.Service, heard func() bool) *turns {
	t := &turns{heard: heard, joined: map[turn]bool{}, done: map[turn]bool{}, known: map[string]bool{}, changed: make(chan struct{})}
	for _, s := range services {
		if s.Mode == topology.ModeGlobal {
			continue // its tasks are as many as fit, which is not known here
		}
		t.known[s.Name] = true
		for slot := range s.Replicas {
			t.order = append(t.order, turn{s.Name, uint64(slot + 1)})
		}
	}
	return t
}

// Join implements executor.Turns.
func (t *turns) Join(ctx context.Context, service string, slot uint64) error {
	limit := time.NewTimer(turnLimit)
	defer limit.Stop()
	return t.await(ctx, limit.C, turn{service, slot}, t.joined)
}

// Run implements executor.Turns.
func (t *turns) Run(ctx context.Context, service string, slot uint64) error {
	me := turn{service, slot}
	t.note(me, t.joined)
	limit := time.NewTimer(turnLimit)
	defer limit.Stop()
	if err := t.await(ctx, limit.C, me, t.done); err != nil {
		return err
	}
	tick := time.NewTicker(turnLook)
	defer tick.Stop()
	for !t.over() && !t.heard() {
		select {
		case <-tick.C:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Done implements executor.Turns.
func (t *turns) Done(service string, slot uint64) {
	t.note(turn{service, slot}, t.joined, t.done)
}

// await waits until all tasks before one are in a set.
func (t *turns) await(ctx context.Context, limit <-chan time.Time, me turn, set map[turn]bool) error {
	for {
		waits, changed := t.waits(me, set)
		if !waits {
			return nil
		}
		select {
		case <-changed:
		case <-limit:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waits tells whether a task before one is not in a set. Tasks of global services wait for no one.
func (t *turns) waits(me turn, set map[turn]bool) (bool, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.up || !t.known[me.service] {
		return false, nil
	}
	for _, other := range t.order {
		if other == me {
			break
		}
		if !set[other] {
			return true, t.changed
		}
	}
	return false, nil
}

// note puts a task into sets.
func (t *turns) note(me turn, sets ...map[turn]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.up {
		return
	}
	for _, s := range sets {
		s[me] = true
	}
	t.tell()
}

// tell wakes those who wait. The caller holds mu.
func (t *turns) tell() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// over tells whether the lab is up.
func (t *turns) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.up
}

// end says that the lab is up.
func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.up, t.order = true, nil
	clear(t.joined)
	clear(t.done)
	t.tell()
}

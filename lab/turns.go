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

	place map[turn]int // of the tasks of replicated services in that order; never changes

	mu      sync.Mutex
	up      bool          // guarded by mu
	joined  passed        // guarded by mu
	done    passed        // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced when somebody's turn may have come
}

// passed is who has had their turn, by place.
type passed struct {
	had   []bool
	first int // that has not
}

// note notes that a place has had its turn. It tells whether there is another that is first now.
func (p *passed) note(place int) bool {
	p.had[place] = true
	was := p.first
	for p.first < len(p.had) && p.had[p.first] {
		p.first++
	}
	return p.first > was
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
	t := &turns{heard: heard, place: map[turn]int{}, changed: make(chan struct{})}
	for _, s := range services {
		if s.Mode == topology.ModeGlobal {
			continue // its tasks are as many as fit, which is not known here
		}
		for slot := range s.Replicas {
			t.place[turn{s.Name, uint64(slot + 1)}] = len(t.place)
		}
	}
	t.joined.had, t.done.had = make([]bool, len(t.place)), make([]bool, len(t.place))
	return t
}

// Join implements executor.Turns.
func (t *turns) Join(ctx context.Context, service string, slot uint64) error {
	limit := time.NewTimer(turnLimit)
	defer limit.Stop()
	return t.await(ctx, limit.C, turn{service, slot}, &t.joined)
}

// Run implements executor.Turns.
func (t *turns) Run(ctx context.Context, service string, slot uint64) error {
	me := turn{service, slot}
	t.note(me, &t.joined)
	limit := time.NewTimer(turnLimit)
	defer limit.Stop()
	if err := t.await(ctx, limit.C, me, &t.done); err != nil {
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
	t.note(turn{service, slot}, &t.joined, &t.done)
}

// await waits until all tasks before one have had their turn.
func (t *turns) await(ctx context.Context, limit <-chan time.Time, me turn, p *passed) error {
	for {
		waits, changed := t.waits(me, p)
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

// waits tells whether a task before one has not had its turn. Tasks that the topology does not number, as those
// of global services, wait for no one.
func (t *turns) waits(me turn, p *passed) (bool, <-chan struct{}) {
	place, ok := t.place[me]
	t.mu.Lock()
	defer t.mu.Unlock()
	return ok && !t.up && p.first < place, t.changed
}

// note notes that a task has had its turns.
func (t *turns) note(me turn, turns ...*passed) {
	place, ok := t.place[me]
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ok || t.up {
		return
	}
	next := false
	for _, p := range turns {
		next = p.note(place) || next
	}
	if next {
		t.tell()
	}
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
	t.up = true
	t.tell()
}

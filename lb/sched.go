package lb

import "strings"

// scheduler chooses a destination for a new connection. The list of destinations has the newest first, as the kernel
// has it; a weight of 0 takes no new connections.
type scheduler interface {
	// pick returns nil if no destination is usable.
	pick(dests []*destination, client uint32) *destination
	// inserted says that a destination was put at the head of the list.
	inserted(dests []*destination)
	// removed says that the one at index i was taken out.
	removed(dests []*destination, i int)
	// reweighted says that weights changed, or that the scheduler is new.
	reweighted(dests []*destination)
}

// The schedulers by name. DefaultScheduler is ipvsadm's own default; Docker uses "rr".
const (
	RoundRobin          = "rr"
	WeightedRoundRobin  = "wrr"
	LeastConn           = "lc"
	WeightedLeastConn   = "wlc"
	SourceHash          = "sh"
	DefaultScheduler    = WeightedLeastConn
	leastConnSweep      = 256 // connections looked at before a choice by their number, or when the table is full
	sourceHashTableSize = 256
)

var schedulerNames = []string{RoundRobin, WeightedRoundRobin, LeastConn, WeightedLeastConn, SourceHash}

func knownSchedulers() string { return strings.Join(schedulerNames, ", ") }

// newScheduler returns nil for a name that it does not know.
func newScheduler(name string) scheduler {
	switch name {
	case RoundRobin:
		return &roundRobin{last: -1}
	case WeightedRoundRobin:
		return &weightedRoundRobin{last: -1}
	case LeastConn:
		return leastConn{}
	case WeightedLeastConn:
		return leastConn{weighted: true}
	case SourceHash:
		return &sourceHash{}
	}
	return nil
}

// roundRobin takes the usable destination that follows the last one chosen.
type roundRobin struct {
	last int // -1: the head of the list
}

func (r *roundRobin) pick(dests []*destination, _ uint32) *destination {
	i := r.last
	for range dests {
		if i++; i == len(dests) {
			i = 0
		}
		if dests[i].weight > 0 {
			r.last = i
			return dests[i]
		}
	}
	return nil
}

func (r *roundRobin) inserted([]*destination) {
	if r.last >= 0 {
		r.last++
	}
}

func (r *roundRobin) removed(_ []*destination, i int) {
	if i <= r.last {
		r.last-- // the one before takes the place of a removed last one
	}
}

func (r *roundRobin) reweighted([]*destination) {}

// weightedRoundRobin walks the list over and over, each time for those of a smaller weight: threshold goes from the
// largest weight down to 1 in steps of the greatest common divisor.
type weightedRoundRobin struct {
	last                 int
	threshold, top, step int
}

func (w *weightedRoundRobin) pick(dests []*destination, _ uint32) *destination {
	if w.top <= 0 {
		return nil
	}
	i := w.last
	for range 2 { // what is left of this walk, then a whole one: the heaviest passes any threshold
		for i++; i < len(dests); i++ {
			if dests[i].weight >= w.threshold {
				w.last = i
				return dests[i]
			}
		}
		i = -1
		if w.threshold -= w.step; w.threshold <= 0 {
			w.threshold = w.top
		}
	}
	return nil
}

func (w *weightedRoundRobin) inserted(dests []*destination) { w.reweighted(dests) }

func (w *weightedRoundRobin) removed(dests []*destination, _ int) { w.reweighted(dests) }

func (w *weightedRoundRobin) reweighted(dests []*destination) {
	w.last, w.step = -1, 0
	heaviest := 0
	for _, d := range dests {
		w.step = gcd(w.step, d.weight)
		heaviest = max(heaviest, d.weight)
	}
	w.step = max(w.step, 1)
	w.top = heaviest - (w.step - 1)
	switch {
	case w.threshold > w.top || w.threshold == 0:
		w.threshold = w.top
	case w.step > 1:
		w.threshold = w.threshold/w.step*w.step + 1
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// leastConn takes the destination with the least load, an active connection counting as 256 inactive ones, for its
// weight if weighted. Among equals it is the newest.
type leastConn struct{ weighted bool }

func (l leastConn) pick(dests []*destination, _ uint32) *destination {
	var least *destination
	for _, d := range dests {
		if d.weight > 0 && (least == nil || l.less(d, least)) {
			least = d
		}
	}
	return least
}

func (l leastConn) less(a, b *destination) bool {
	if l.weighted {
		return a.load()*b.weight < b.load()*a.weight
	}
	return a.load() < b.load()
}

func (leastConn) inserted([]*destination) {}

func (leastConn) removed([]*destination, int) {}

func (leastConn) reweighted([]*destination) {}

// sourceHash gives each client address a bucket, and each destination as many buckets as its weight, round and round.
// A client whose bucket belongs to a destination of weight 0 gets none.
type sourceHash struct {
	buckets [sourceHashTableSize]*destination
}

func (s *sourceHash) pick(_ []*destination, client uint32) *destination {
	const golden = 0x61c88647 // the kernel's hash_32
	d := s.buckets[client*golden>>24]
	if d == nil || d.weight <= 0 {
		return nil
	}
	return d
}

func (s *sourceHash) inserted(dests []*destination) { s.reweighted(dests) }

func (s *sourceHash) removed(dests []*destination, _ int) { s.reweighted(dests) }

func (s *sourceHash) reweighted(dests []*destination) {
	s.buckets = [sourceHashTableSize]*destination{}
	if len(dests) == 0 {
		return
	}
	at, given := 0, 0
	for i := range s.buckets {
		s.buckets[i] = dests[at]
		if given++; given >= dests[at].weight {
			at, given = (at+1)%len(dests), 0
		}
	}
}

package fabric

import "sync"

// EventKind says what a step of a frame's way was.
type EventKind uint8

// The kinds of steps.
const (
	EventLink EventKind = iota
	EventLearn
	EventFDB
	EventFlood
	EventNeigh
	EventRoute
	EventFilter
	EventDNAT
	EventSNAT
	EventIPVS
	EventEncap
	EventDecap
	EventESP
	EventMTU
	EventDeliver
	EventDrop

	eventKinds
)

var eventNames = [eventKinds]string{"link", "fdb-learn", "fdb-hit", "flood", "neigh", "route", "filter", "dnat", "snat",
	"ipvs", "vxlan-encap", "vxlan-decap", "esp", "mtu", "deliver", "drop"}

// String returns the kind's name.
func (k EventKind) String() string {
	if k < eventKinds {
		return eventNames[k]
	}
	return "unknown"
}

// Event is one step of a marked frame.
type Event struct {
	Kind          EventKind
	Place         string // node and interface, as "host-a/docker0"
	Before, After string // what the step changed or chose; empty where there is nothing to tell
	Reason        DropReason
	At            int64 // nanoseconds of Unix time
}

// MaxEvents bounds a trace; a frame that floods or loops cannot fill the memory.
const MaxEvents = 4096

// Trace records the way of a marked frame and of its copies. A nil *Trace is off, and costs a comparison. It may be
// used by several goroutines at once.
type Trace struct {
	mu     sync.Mutex
	events []Event // guarded by mu
	lost   int     // guarded by mu
}

// Add records one step and stamps it, unless it has a time. Events beyond MaxEvents are counted, not kept.
func (t *Trace) Add(e Event) {
	if e.At == 0 {
		e.At = now()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) >= MaxEvents {
		t.lost++
		return
	}
	t.events = append(t.events, e)
}

// Events returns a copy of the steps so far, and how many more were not kept.
func (t *Trace) Events() (events []Event, lost int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Event(nil), t.events...), t.lost
}

package fabric

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

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

// MarshalText implements encoding.TextMarshaler.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *EventKind) UnmarshalText(b []byte) error {
	i := slices.Index(eventNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("there is no kind of event %q", b)
	}
	*k = EventKind(i)
	return nil
}

// Event is one step of a marked frame.
type Event struct {
	Kind          EventKind
	Place         string // node and interface, as "host-a/docker0"
	Before, After string // what the step looked up or changed, and what came of it; empty where there is nothing to tell
	By            string // what decided: a rule, a mark; empty where that is clear
	Reason        DropReason
	At            int64 // nanoseconds of Unix time
}

// MaxEvents bounds a trace; a frame that floods or loops cannot fill the memory.
const MaxEvents = 4096

// Trace records the way of a marked frame and of its copies. A nil *Trace is off, and costs a comparison. The zero Trace
// stands alone; those of a Recorder know the flow that their packet belongs to. It may be used by several goroutines at once.
type Trace struct {
	flow   *Flow // nil: it stands alone
	back   bool  // the packet goes from flow.Dst to flow.Src
	id     int
	place  string
	at     int64
	packet PacketInfo
	most   int // events that are kept; 0: MaxEvents

	mu     sync.Mutex
	events []Event // guarded by mu
	lost   int     // guarded by mu
}

// Add records one step and stamps it, unless it has a time. Events beyond the bound are counted, not kept.
func (t *Trace) Add(e Event) {
	if e.At == 0 {
		e.At = now()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) >= cmp.Or(t.most, MaxEvents) {
		t.lost++
		return
	}
	t.events = append(t.events, e)
}

// dropped records that f went no further, with the addresses that it had then.
func (t *Trace) dropped(f *Frame, place string, reason DropReason) {
	e := Event{Kind: EventDrop, Place: place, Reason: reason}
	if h := f.IPv4(); h != nil {
		e.Before = h.Src().String() + " > " + h.Dst().String()
	}
	t.Add(e)
}

// Events returns a copy of the steps so far, and how many more were not kept.
func (t *Trace) Events() (events []Event, lost int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Event(nil), t.events...), t.lost
}

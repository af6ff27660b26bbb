package nat

import "sync/atomic"

// EventKind says what became of a connection.
type EventKind uint8

// The kinds of events.
const (
	EventNew     EventKind = iota // it came into the table
	EventUpdate                   // its state changed, it was answered, or it became assured
	EventDestroy                  // it left the table
)

// Event is something that happened to a connection, and how the connection is since. Of one that left the table Expires
// is 0.
type Event struct {
	Kind       EventKind
	Connection Connection
}

// DefaultEvents is how many events wait for who reads them unless more are asked for: about as many as fit into a netlink
// socket of Linux (net.core.rmem_default of 208 KiB).
const DefaultEvents = 1024

// Events are the events of a connection table since Subscribe. Who reads slowly loses the latest; packets never wait.
type Events struct {
	n    *Netfilter
	c    chan Event
	lost atomic.Uint64
}

// Subscribe returns the events of the connection table from now on. room is how many may wait; 0: DefaultEvents. Close it
// when it is not read any more. What has expired leaves the table with later packets, or by Expire.
func (n *Netfilter) Subscribe(room int) *Events {
	if room <= 0 {
		room = DefaultEvents
	}
	e := &Events{n: n, c: make(chan Event, room)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ct.listeners = append(n.ct.listeners, e)
	return e
}

// C returns the channel that events come from. It is never closed.
func (e *Events) C() <-chan Event { return e.c }

// Lost returns how many events found no room.
func (e *Events) Lost() uint64 { return e.lost.Load() }

// Close ends the events. Closing twice is nothing.
func (e *Events) Close() {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	var others []*Events
	for _, l := range e.n.ct.listeners {
		if l != e {
			others = append(others, l)
		}
	}
	e.n.ct.listeners = others
}

// tell hands an event to all who listen. It does not wait.
func (t *tracker) tell(kind EventKind, c *conn, at int64) {
	ev := Event{kind, c.read(at)}
	if kind == EventDestroy {
		ev.Connection.Expires = 0
	}
	for _, l := range t.listeners {
		select {
		case l.c <- ev:
		default:
			l.lost.Add(1)
		}
	}
}

// stage is what of a connection makes an event if it changes.
type stage struct {
	state              tcpState
	seenReply, assured bool
}

func (c *conn) stage() stage { return stage{c.tcp.state, c.seenReply, c.assured} }

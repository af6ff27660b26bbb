package nat

import "github.com/netsim-lab/netsim/fabric/wire"

// Translations and bindings of a connection. They are written while one packet alone holds it, before it is confirmed,
// and only read after.
const (
	natSrc     = 1 << iota // the source of the original direction is translated
	natDst                 // the destination is
	natSrcDone             // whether to translate the source was decided
	natDstDone
)

// conn is a connection. Tuples, translations and id do not change once it is confirmed; the rest is the tracker's.
type conn struct {
	orig, reply tuple
	id          uint64
	nat         uint8
	confirmed   bool

	seenReply, assured bool
	tcp                tcpInfo
	expires            int64 // nanoseconds of Unix time
	index              int   // in tracker.list
}

// tracker is the connection table: a plain value that takes no lock and reads no clock. Every connection is in it
// by both of its tuples.
type tracker struct {
	byTuple   map[tuple]*conn
	list      []*conn
	cursor    int // where the next sweep goes on
	max       int
	udpStream int64
	lastID    uint64
	listeners []*Events // nil: nobody wants to know
}

const (
	defaultMaxConns = 262144
	// sweepStep is how many entries each new connection looks at for expired ones: more than one, so that the table shrinks.
	sweepStep = 4
	// dropProbes is how many entries a full table looks at for one that may go.
	dropProbes = 1024
)

// find returns the live connection with that tuple and whether it is the tuple of its replies.
func (t *tracker) find(k tuple, at int64) (c *conn, reply bool) {
	c = t.byTuple[k]
	if c == nil {
		return nil, false
	}
	if c.expires <= at {
		t.remove(c)
		return nil, false
	}
	return c, k != c.orig
}

// used tells whether translating a packet of c to tuple k would make its replies look like another connection's.
func (t *tracker) used(k tuple, c *conn, at int64) bool {
	other, _ := t.find(k.inverse(), at)
	return other != nil && other != c
}

// tracked is what the table says of a packet.
type tracked struct {
	conn  *conn
	reply bool
	state State
	full  bool // a new connection, for which there is no room
}

// track finds the packet's connection and advances it, or makes a new one, which is in the table only once confirmed.
func (t *tracker) track(k tuple, s segment, at int64) tracked {
	c, reply := t.find(k, at)
	if c == nil {
		return t.create(k, s, at)
	}
	state, before := StateNew, c.stage()
	if reply || c.seenReply {
		state = StateEstablished
	}
	switch t.update(c, reply, s, at) {
	case invalid:
		return tracked{state: StateInvalid}
	case reopened:
		t.remove(c)
		return t.create(k, s, at)
	case killed:
		t.remove(c)
	}
	if reply {
		c.seenReply = true
	}
	if t.listeners != nil && c.index >= 0 && c.stage() != before {
		t.tell(EventUpdate, c, at)
	}
	return tracked{conn: c, reply: reply, state: state}
}

func (t *tracker) update(c *conn, reply bool, s segment, at int64) outcome {
	switch c.orig.proto {
	case wire.ProtoTCP:
		return c.updateTCP(reply, s, at)
	case wire.ProtoUDP:
		if c.seenReply {
			c.assured = true
			c.expires = at + t.udpStream
			return updated
		}
		c.expires = at + timeoutUDP
	case wire.ProtoICMP:
		c.expires = at + timeoutICMP
	default:
		c.expires = at + timeoutGeneric
	}
	return updated
}

func (t *tracker) create(k tuple, s segment, at int64) tracked {
	c := &conn{orig: k, index: -1}
	switch k.proto {
	case wire.ProtoTCP:
		// An acknowledgment joins a connection whose beginning was not seen; FIN and RST do not.
		if c.updateTCP(false, s, at) != updated {
			return tracked{state: StateInvalid}
		}
	case wire.ProtoICMP:
		if q := k.dport >> 8; q != 8 && q != 13 && q != 15 && q != 17 {
			return tracked{state: StateInvalid} // an answer that nobody asked for
		}
		c.expires = at + timeoutICMP
	default:
		t.update(c, false, s, at)
	}
	t.sweep(at, sweepStep)
	if len(t.list) >= t.max && !t.earlyDrop(at) {
		return tracked{state: StateInvalid, full: true}
	}
	c.reply = k.inverse()
	return tracked{conn: c, state: StateNew}
}

// confirm puts c into the table. If one of its tuples is taken it does not, and returns the connection that
// has it: when two first packets of one flow are on their way at once.
func (t *tracker) confirm(c *conn, at int64) (other *conn) {
	if o, _ := t.find(c.orig, at); o != nil {
		return o
	}
	if o, _ := t.find(c.reply, at); o != nil {
		return o
	}
	if t.byTuple == nil {
		t.byTuple = make(map[tuple]*conn)
	}
	t.lastID++
	c.id, c.confirmed, c.index = t.lastID, true, len(t.list)
	t.list = append(t.list, c)
	t.byTuple[c.orig], t.byTuple[c.reply] = c, c
	if t.listeners != nil {
		t.tell(EventNew, c, at)
	}
	return nil
}

func (t *tracker) remove(c *conn) {
	if c.index < 0 {
		return
	}
	if t.listeners != nil {
		t.tell(EventDestroy, c, c.expires)
	}
	delete(t.byTuple, c.orig)
	delete(t.byTuple, c.reply)
	last := len(t.list) - 1
	t.list[c.index] = t.list[last]
	t.list[c.index].index = c.index
	t.list[last] = nil
	t.list = t.list[:last]
	c.index = -1
}

// sweep looks at up to n entries, going on where the last sweep ended, and removes those that expired.
func (t *tracker) sweep(at int64, n int) {
	for range min(n, len(t.list)) {
		if t.cursor >= len(t.list) {
			t.cursor = 0
		}
		if c := t.list[t.cursor]; c.expires <= at {
			t.remove(c)
			continue
		}
		t.cursor++
	}
}

// earlyDrop makes room in a full table: an expired connection goes, or else one that is not assured.
func (t *tracker) earlyDrop(at int64) bool {
	for range min(dropProbes, len(t.list)) {
		if t.cursor >= len(t.list) {
			t.cursor = 0
		}
		if c := t.list[t.cursor]; c.expires <= at || !c.assured {
			t.remove(c)
			return true
		}
		t.cursor++
	}
	return false
}

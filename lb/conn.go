package lb

import (
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

const (
	sweepEvery = int64(time.Second) // a packet that comes this long after the last sweep causes one
	sweepLen   = 64                 // connections that such a sweep looks at
	sweepNew   = 4                  // and those that a new connection causes to be looked at
)

// conn is one connection from a client to a virtual address, and the real server that has it.
type conn struct {
	client, virtual, real endpoint
	dest                  *destination
	expires               int64
	index                 int // in Table.conns
	proto                 byte
	state                 State
	inactive              bool // counted as such at its destination
}

func (c *conn) request() tuple { return makeTuple(c.proto, c.client, c.virtual) }

func (c *conn) reply() tuple { return makeTuple(c.proto, c.real, c.client) }

// lookup returns a connection that has not expired, nil if there is none. One that has is forgotten.
func (t *Table) lookup(in map[tuple]*conn, k tuple, at int64) *conn {
	c := in[k]
	if c != nil && at >= c.expires {
		t.forget(c)
		return nil
	}
	return c
}

// open makes a connection to d. It begins inactive, and its state is set by the packet that opened it.
func (t *Table) open(f Flow, from, to endpoint, d *destination) *conn {
	var c *conn
	if n := len(t.free); n > 0 {
		c = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		c = new(conn)
	}
	*c = conn{client: from, virtual: to, real: d.real.orPort(to.port()), dest: d, index: len(t.conns), proto: f.Proto, inactive: true}
	if f.Proto == wire.ProtoUDP {
		c.state = StateUDP
	}
	d.inactive++
	d.stats.Conns++
	d.svc.stats.Conns++
	t.conns = append(t.conns, c)
	t.requests[c.request()] = c
	t.replies[c.reply()] = c
	return c
}

// step counts a packet, moves the connection's state, and puts its end off.
func (t *Table) step(c *conn, d direction, f Flow, at int64) {
	c.dest.stats.count(d, f)
	c.dest.svc.stats.count(d, f)
	c.state = c.state.next(d, f.Flags)
	c.expires = at + int64(t.timeouts[c.state])
	switch established := c.state == StateEstablished; {
	case established && c.inactive:
		c.inactive = false
		c.dest.inactive--
		c.dest.active++
	case !established && !c.inactive:
		c.inactive = true
		c.dest.active--
		c.dest.inactive++
	}
}

// forget takes a connection out of the table.
func (t *Table) forget(c *conn) {
	delete(t.requests, c.request())
	if t.replies[c.reply()] == c { // a client may use one port for two services with the same server
		delete(t.replies, c.reply())
	}
	last := len(t.conns) - 1
	t.conns[c.index] = t.conns[last]
	t.conns[c.index].index = c.index
	t.conns[last] = nil
	t.conns = t.conns[:last]
	d := c.dest
	if c.inactive {
		d.inactive--
	} else {
		d.active--
	}
	if d.gone && d.active+d.inactive == 0 {
		b := bin{d.svc.key, d.real}
		if t.trash[b] == d {
			delete(t.trash, b)
		}
	}
	c.dest = nil
	t.free = append(t.free, c)
}

// forgetOf takes all connections to a destination out of the table.
func (t *Table) forgetOf(d *destination) {
	for i := len(t.conns) - 1; i >= 0; i-- { // the last one takes the place of one that is forgotten, and was looked at
		if t.conns[i].dest == d {
			t.forget(t.conns[i])
		}
	}
}

// sweep looks at n connections, going on where it stopped the last time, and forgets those that have expired.
func (t *Table) sweep(n int, at int64) {
	t.swept = at
	for range min(n, len(t.conns)) {
		if t.hand >= len(t.conns) {
			t.hand = 0
		}
		if c := t.conns[t.hand]; at >= c.expires {
			t.forget(c) // another one now has its index
			continue
		}
		t.hand++
	}
}

// Expire forgets all connections that have expired. Packets do the same little by little.
func (t *Table) Expire(at int64) { t.sweep(len(t.conns), at) }

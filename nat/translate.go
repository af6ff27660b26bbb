package nat

import (
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// natRange is what an address may be translated to.
type natRange struct {
	keepAddr       bool // the address stays as it is
	lo, hi         uint32
	ports          bool // the port must be one of portLo to portHi
	portLo, portHi uint16
	random         bool // take any port, even if the present one is free
}

// manip is which end of a packet is translated: natSrc or natDst.
type manip uint8

func manipOf(h Hook) manip {
	if h == Postrouting || h == Input {
		return natSrc
	}
	return natDst
}

func (m manip) done() uint8 {
	if m == natSrc {
		return natSrcDone
	}
	return natDstDone
}

// translate is the nat step of a hook. Rules are asked for the packet that begins a connection, once for each end; all
// others follow what was decided then.
func (n *Netfilter) translate(h Hook, p *Packet, at int64) Verdict {
	c := p.conn
	if c == nil {
		return Verdict{}
	}
	m := manipOf(h)
	if p.state == StateNew && !c.confirmed && c.nat&m.done() == 0 {
		if v := n.decide(h, m, p, at); v.Action != Accept {
			return v
		}
	}
	if p.conn.nat&(natSrc|natDst) != 0 {
		n.rewrite(m, p)
	}
	return Verdict{}
}

// decide asks the nat rules. Without one that matches, the binding is null: the packet keeps its addresses, but not a source port by
// which its replies would be taken for another connection's.
func (n *Netfilter) decide(h Hook, m manip, p *Packet, at int64) Verdict {
	r := natRange{keepAddr: true}
	if t := n.tables[tableNAT].Load(); t != nil {
		v := look(h, p)
		verdict := n.walk(t.base[h], &v, p)
		switch {
		case verdict.Action == Drop:
			return verdict
		case verdict.rule != nil && verdict.rule.target.isNAT():
			if p.Frame.Trace != nil {
				p.by = &verdict
			}
			var ok bool
			if r, ok = n.rangeOf(verdict.rule, h, p); !ok {
				return Verdict{Action: Drop, Reason: fabric.DropFilter, chain: verdict.chain, rule: verdict.rule}
			}
		}
	}
	return n.bind(m, r, p, at)
}

// rangeOf returns what a rule translates to; false if the namespace has no address for it.
func (n *Netfilter) rangeOf(r *rule, h Hook, p *Packet) (natRange, bool) {
	to := r.target.to
	var a netip.Addr
	ok := true
	switch r.target.kind {
	case targetMasquerade:
		a, ok = n.env.MasqueradeAddr(p.Out, p.Frame.IPv4().Dst())
	case targetRedirect:
		if a = addr4(127<<24 | 1); h != Output {
			a, ok = n.env.IfaceAddr(p.In)
		}
	default:
		return to, true
	}
	to.lo = from4(a)
	to.hi = to.lo
	return to, ok && to.lo != 0
}

// bind decides on one end of the connection. For the source it confirms the connection in the same breath, so that no
// other packet can be given the port.
func (n *Netfilter) bind(m manip, r natRange, p *Packet, at int64) Verdict {
	c := p.conn
	n.mu.Lock()
	defer n.mu.Unlock()
	now := c.reply.inverse()
	to, ok := n.choose(m, now, r, c, at)
	if !ok {
		return Verdict{Action: Drop, Reason: fabric.DropNATExhausted}
	}
	if to != now {
		c.reply = to.inverse()
		c.nat |= uint8(m)
	}
	c.nat |= m.done()
	if m == natDst {
		return Verdict{}
	}
	return n.settle(p, n.ct.confirm(c, at))
}

// choose returns the tuple that packets are to have: in the range, and with a reply that no other connection has.
func (n *Netfilter) choose(m manip, now tuple, r natRange, c *conn, at int64) (tuple, bool) {
	to := now
	if !r.keepAddr {
		a := r.lo
		if r.hi > r.lo {
			a += uint32((uint64(now.src)*2654435761 + uint64(now.dst)) % (uint64(r.hi-r.lo) + 1))
		}
		if m == natSrc {
			to.src = a
		} else {
			to.dst = a
		}
	}
	if m == natDst {
		return n.chooseDst(to, r, c, at)
	}
	port := to.sport
	inRange := !r.ports || port >= r.portLo && port <= r.portHi || !to.hasPorts() && to.proto != wire.ProtoICMP
	if inRange && !r.random && !n.ct.used(to, c, at) {
		return to, true
	}
	if !to.hasPorts() && to.proto != wire.ProtoICMP {
		return to, false
	}
	if !r.ports {
		r.portLo, r.portHi = portClass(to)
	}
	return n.freePort(m, to, r, c, at)
}

// chooseDst gives a destination its port. Only a range of ports leaves a choice; a clash over a single one is solved when
// the source is bound.
func (n *Netfilter) chooseDst(to tuple, r natRange, c *conn, at int64) (tuple, bool) {
	switch {
	case !r.ports || !to.hasPorts():
	case r.portLo == r.portHi:
		to.dport = r.portLo
	case to.dport >= r.portLo && to.dport <= r.portHi && !r.random && !n.ct.used(to, c, at):
	default:
		return n.freePort(natDst, to, r, c, at)
	}
	return to, true
}

// portClass returns the ports that a source port may be changed to: privileged ports stay privileged (B31). An ICMP identifier may become
// any other.
func portClass(t tuple) (lo, hi uint16) {
	switch {
	case t.proto == wire.ProtoICMP:
		return 0, 65535
	case t.sport < 512:
		return 1, 511
	case t.sport < 1024:
		return 600, 1023
	}
	return 1024, 65535
}

// Bounds of the search for a free port, Linux's (nf_nat_core.c): a range that is all but used up must not keep every other
// packet of the namespace waiting for the table.
const (
	portTries    = 128
	fewPortTries = 16 // a round of fewer is the last
)

// freePort looks for a free port for the end m of a packet, from a random one on: at all of a range of up to portTries,
// and in a larger one here and there.
func (n *Netfilter) freePort(m manip, to tuple, r natRange, c *conn, at int64) (tuple, bool) {
	size := uint32(r.portHi-r.portLo) + 1
	for tries := min(size, portTries); ; tries /= 2 {
		start := n.rand.Uint32N(size)
		for i := range tries {
			port := r.portLo + uint16((start+i)%size)
			if m == natSrc {
				to.sport = port
			} else {
				to.dport = port
			}
			if !n.ct.used(to, c, at) {
				return to, true
			}
		}
		if tries == size || tries < fewPortTries {
			return to, false
		}
	}
}

// rewrite does to p what was decided for its connection: m says which end this hook changes.
func (n *Netfilter) rewrite(m manip, p *Packet) {
	c := p.conn
	bit := m
	if p.reply {
		bit = natSrc | natDst ^ m
	}
	if c.nat&uint8(bit) == 0 {
		return
	}
	opposite := c.reply
	if p.reply {
		opposite = c.orig
	}
	to := opposite.inverse()
	if p.Frame.Trace == nil {
		apply(m, p, to, opposite)
		return
	}
	e := fabric.Event{Kind: fabric.EventDNAT, Place: n.place, Before: endpoint(p.Frame, m)}
	if m == natSrc {
		e.Kind = fabric.EventSNAT
	}
	apply(m, p, to, opposite)
	switch {
	case p.by != nil:
		e.By, p.by = p.by.Where(), nil
	case p.reply:
		e.By = "conntrack, reply"
	default:
		e.By = "conntrack"
	}
	if e.After = endpoint(p.Frame, m); e.After != e.Before {
		p.Frame.Trace.Add(e)
	}
}

// apply writes one end of tuple to into p. opposite is the tuple of packets that go the other way.
func apply(m manip, p *Packet, to, opposite tuple) {
	if p.related {
		translateError(p.Frame, m, to, opposite)
		return
	}
	addr, port := to.dst, to.dport
	if m == natSrc {
		addr, port = to.src, to.sport
	}
	switch {
	case to.proto == wire.ProtoICMP:
		port = to.sport
	case !to.hasPorts():
		port = 0
	}
	if port == 0 {
		clearPort(p.Frame, m)
	}
	if m == natSrc {
		p.Frame.SetSrc(netip.AddrPortFrom(addr4(addr), port))
	} else {
		p.Frame.SetDst(netip.AddrPortFrom(addr4(addr), port))
	}
}

// clearPort sets a port or identifier to 0, which SetSrc and SetDst take for "as it is".
func clearPort(f *fabric.Frame, m manip) {
	l4 := f.L4()
	at, sum := 2, 16
	if m == natSrc {
		at = 0
	}
	switch {
	case len(l4) < 8:
		return
	case f.Proto == wire.ProtoTCP:
	case f.Proto == wire.ProtoUDP:
		sum = 6
	case f.Proto == wire.ProtoICMP:
		at, sum = 4, 2
	default:
		return
	}
	old := be.Uint16(l4[at:])
	be.PutUint16(l4[at:], 0)
	none := f.Proto == wire.ProtoUDP && be.Uint16(l4[sum:]) == 0
	if none || f.Checksum == fabric.ChecksumPartial && f.Proto != wire.ProtoICMP {
		return
	}
	mended := wire.Adjust16(be.Uint16(l4[sum:]), old, 0)
	if mended == 0 && f.Proto == wire.ProtoUDP {
		mended = 0xffff
	}
	be.PutUint16(l4[sum:], mended)
}

// endpoint returns one end of a packet for a trace.
func endpoint(f *fabric.Frame, m manip) string {
	a := f.Dst()
	if m == natSrc {
		a = f.Src()
	}
	if f.Proto == wire.ProtoTCP || f.Proto == wire.ProtoUDP {
		return a.String()
	}
	return a.Addr().String()
}

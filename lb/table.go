package lb

import (
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// DefaultMaxConns is how many connections a table holds unless Config says otherwise.
const DefaultMaxConns = 1 << 18

// Config says how a Table or Balancer behaves. Its zero value is Docker's of the 17.03 era.
type Config struct {
	// MaxConns bounds the connection table; 0 means DefaultMaxConns. A connection beyond it is refused: Full.
	MaxConns int
	// ExpireNoDest forgets the connections of a destination when that is removed, as Linux does since 5.9, so that their
	// packets are treated as if there were none (net.ipv4.vs.expire_nodest_conn): a SYN that is sent again opens a
	// connection to another destination. False: such packets are dropped until the connection times out.
	ExpireNoDest bool
	// ReuseScheduled chooses a destination anew when a client opens a connection from the port of one that is in
	// TIME_WAIT or CLOSE (net.ipv4.vs.conn_reuse_mode 1). False: it goes to the same destination.
	ReuseScheduled bool
	// Place names the balancer in trace events, as "host-a/ingress-sbox".
	Place string
	// Now is the clock that Balancer.Command and the listings use, in nanoseconds of Unix time; nil: the real one.
	Now func() int64
}

// Verdict says what the balancer did with a packet and what its caller must do.
type Verdict uint8

// The verdicts.
const (
	// NotMine: no connection and no service; the packet goes on as if there were no balancer.
	NotMine Verdict = iota
	// Handled: the packet goes to a real server.
	Handled
	// NoDestination: the service has no usable destination; drop the packet and answer ICMP port unreachable.
	NoDestination
	// Drop: the connection's destination is gone; drop the packet and say nothing.
	Drop
	// Full: the connection table is; drop the packet and say nothing.
	Full

	verdicts
)

var verdictNames = [verdicts]string{"not-mine", "handled", "no-destination", "drop", "full"}

// String returns the verdict's name.
func (v Verdict) String() string {
	if v < verdicts {
		return verdictNames[v]
	}
	return "unknown"
}

// DropReason returns the reason to count a packet under that must be dropped, 0 for one that goes on.
func (v Verdict) DropReason() fabric.DropReason {
	switch v {
	case NoDestination, Drop:
		return fabric.DropNoBackend
	case Full:
		return fabric.DropConntrackFull
	}
	return 0
}

// Flow is what the balancer reads of a packet, or of a train.
type Flow struct {
	Proto    byte // wire.ProtoTCP or wire.ProtoUDP; nothing else is balanced
	Flags    byte // of TCP
	Src, Dst netip.AddrPort
	Mark     uint32 // 0: none
	// Packets and Bytes are what to count it as: wire packets, and their length from the IP header on.
	Packets, Bytes uint64
}

// Stats count what passed a service or destination, in packets and bytes of the wire.
type Stats struct {
	Conns, InPackets, OutPackets, InBytes, OutBytes uint64
}

func (s *Stats) count(d direction, f Flow) {
	if d == fromClient {
		s.InPackets += f.Packets
		s.InBytes += f.Bytes
		return
	}
	s.OutPackets += f.Packets
	s.OutBytes += f.Bytes
}

// Table is the balancer's rules: services, destinations and connections. It takes no lock and reads no clock: one
// goroutine at a time may use it, and time comes as an argument that must not go back. NewTable makes one.
type Table struct {
	cfg      Config
	timeouts [states]time.Duration
	byMark   map[uint32]*service
	byAddr   map[tuple]*service
	trash    map[bin]*destination // removed, but with connections

	requests, replies map[tuple]*conn
	conns             []*conn // all, in no order
	free              []*conn
	hand              int // where the next sweep begins
	swept             int64
	refused           [verdicts]uint64
}

// NewTable returns a table without services.
func NewTable(cfg Config) *Table {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	return &Table{
		cfg:      cfg,
		timeouts: defaultTimeouts,
		byMark:   make(map[uint32]*service),
		byAddr:   make(map[tuple]*service),
		trash:    make(map[bin]*destination),
		requests: make(map[tuple]*conn),
		replies:  make(map[tuple]*conn),
	}
}

// Pick returns the real server for a packet from a client, choosing one if the packet opens a connection: the
// service of the packet's mark, if there is one, or else that of its destination.
func (t *Table) Pick(f Flow, at int64) (netip.AddrPort, Verdict) {
	if !f.usable() {
		return netip.AddrPort{}, NotMine
	}
	t.tick(at)
	from, to := pack(f.Src), pack(f.Dst)
	c := t.lookup(t.requests, makeTuple(f.Proto, from, to), at)
	if c != nil && t.reschedule(c, f) {
		t.forget(c)
		c = nil
	}
	if c != nil && c.dest.gone {
		return t.refuse(Drop, f)
	}
	if c == nil {
		var v Verdict
		if c, v = t.connect(f, from, to, at); c == nil {
			return t.refuse(v, f)
		}
	}
	t.step(c, fromClient, f, at)
	return c.real.unpack(), Handled
}

// Reply returns the virtual address that a packet from a real server must bear as its source; false if the packet
// belongs to no connection.
func (t *Table) Reply(f Flow, at int64) (netip.AddrPort, bool) {
	if !f.usable() {
		return netip.AddrPort{}, false
	}
	t.tick(at)
	c := t.lookup(t.replies, makeTuple(f.Proto, pack(f.Src), pack(f.Dst)), at)
	if c == nil {
		return netip.AddrPort{}, false
	}
	t.step(c, fromServer, f, at)
	return c.virtual.unpack(), true
}

// Refused returns how many packets got that verdict.
func (t *Table) Refused(v Verdict) uint64 {
	if v < verdicts {
		return t.refused[v]
	}
	return 0
}

func (t *Table) refuse(v Verdict, f Flow) (netip.AddrPort, Verdict) {
	if v != NotMine {
		t.refused[v] += max(f.Packets, 1)
	}
	return netip.AddrPort{}, v
}

func (f *Flow) usable() bool {
	return (f.Proto == wire.ProtoTCP || f.Proto == wire.ProtoUDP) && f.Src.Addr().Is4() && f.Dst.Addr().Is4()
}

// opens tells whether the packet may open a connection: in TCP only a SYN does.
func (f *Flow) opens() bool {
	return f.Proto == wire.ProtoUDP || f.Flags&(wire.SYN|wire.RST) == wire.SYN
}

// reschedule tells whether a SYN on a known connection asks for a new choice.
func (t *Table) reschedule(c *conn, f Flow) bool {
	if f.Proto != wire.ProtoTCP || f.Flags&wire.SYN == 0 {
		return false
	}
	if t.cfg.ExpireNoDest && c.dest.weight == 0 {
		return true
	}
	return t.cfg.ReuseScheduled && (c.state == StateTimeWait || c.state == StateClose)
}

// connect opens a connection for a packet that belongs to none.
func (t *Table) connect(f Flow, from, to endpoint, at int64) (*conn, Verdict) {
	if !f.opens() {
		return nil, NotMine
	}
	s := t.serving(f, to)
	if s == nil {
		return nil, NotMine
	}
	t.sweepFor(s, at)
	d := s.sched.pick(s.dests, from.addr())
	switch {
	case d == nil:
		return nil, NoDestination
	case len(t.conns) >= t.cfg.MaxConns:
		return nil, Full
	}
	return t.open(f, from, to, d), Handled
}

// serving returns the service for a new connection, nil if there is none.
func (t *Table) serving(f Flow, to endpoint) *service {
	if f.Mark != 0 {
		if s := t.byMark[f.Mark]; s != nil {
			return s
		}
	}
	return t.byAddr[makeTuple(f.Proto, 0, to)]
}

// sweepFor makes room before a new connection, and lets a choice by number of connections see fresh numbers.
func (t *Table) sweepFor(s *service, at int64) {
	n := sweepNew
	if _, counts := s.sched.(leastConn); counts || len(t.conns) >= t.cfg.MaxConns {
		n = leastConnSweep
	}
	t.sweep(n, at)
}

func (t *Table) tick(at int64) {
	if at-t.swept >= sweepEvery {
		t.sweep(sweepLen, at)
	}
}

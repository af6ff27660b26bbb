package nat

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric"
)

// Config says what a Netfilter is to be. The zero value works.
type Config struct {
	Env       Env           // the namespace; nil: one without addresses
	Rand      *rand.Rand    // where the search for a free port begins; nil: a source with a fixed seed
	MaxConns  int           // connections tracked at most; 0: 262144
	UDPStream time.Duration // how long a UDP flow that was answered lives; 0: 180 s, today's kernels take 120 s
	Place     string        // the namespace's name in traces
}

// Netfilter is the netfilter of one namespace. All methods may be called at once from several goroutines; none blocks
// for longer than it takes to look something up.
type Netfilter struct {
	env   Env
	place string

	enabled atomic.Bool
	tables  [numTables]atomic.Pointer[table] // nil until first used
	ruleMu  sync.Mutex                       // held while rules are changed or listed

	mu   sync.Mutex
	ct   tracker    // guarded by mu
	rand *rand.Rand // guarded by mu
}

// New returns a Netfilter without rules.
func New(c Config) *Netfilter {
	n := &Netfilter{env: c.Env, place: c.Place, rand: c.Rand}
	if n.env == nil {
		n.env = noEnv{}
	}
	if n.rand == nil {
		n.rand = rand.New(rand.NewPCG(0, 0))
	}
	n.ct.max = c.MaxConns
	if n.ct.max <= 0 {
		n.ct.max = defaultMaxConns
	}
	n.ct.udpStream = int64(c.UDPStream)
	if c.UDPStream <= 0 {
		n.ct.udpStream = 180 * second
	}
	return n
}

// Enabled tells whether packets must be run through the hooks. It becomes true with the first rule, the first policy that
// does not accept, or Enable, and stays so: connections that are translated go on when their rule is gone.
func (n *Netfilter) Enabled() bool { return n.enabled.Load() }

// Enable has connections tracked even though there are no rules.
func (n *Netfilter) Enable() { n.enabled.Store(true) }

// Run takes p through all steps of a hook; at is the time in nanoseconds of Unix time. A frame that is not accepted is left to the
// caller. It is Early and then Late.
func (n *Netfilter) Run(h Hook, p *Packet, at int64) Verdict {
	v := n.Early(h, p, at)
	if v.Action != Accept {
		return v
	}
	late := n.Late(h, p, at)
	late.Reroute = v.Reroute
	return late
}

// Early takes p through the steps of a hook that come before the balancer: all but the translation of the source and
// the confirmation of the connection at Input, all but the filter at Output, everything at the other hooks.
func (n *Netfilter) Early(h Hook, p *Packet, at int64) Verdict {
	if p.Frame.IPv4() == nil {
		return Verdict{}
	}
	switch h {
	case Prerouting:
		return n.arrive(Prerouting, p, at)
	case Output:
		dst, mark := p.Frame.IPv4().Dst(), p.Mark
		v := n.arrive(Output, p, at)
		v.Reroute = p.Mark != mark || p.Frame.IPv4().Dst() != dst
		return v
	case Input, Forward:
		if v := n.step(tableMangle, h, p); v.Action != Accept {
			return v
		}
		return n.step(tableFilter, h, p)
	case Postrouting:
		if v := n.step(tableMangle, h, p); v.Action != Accept {
			return v
		}
		return n.leave(h, p, at)
	}
	return Verdict{}
}

// Late takes p through the steps of a hook that come after the balancer. A packet that the balancer took at Input must
// not go through it: its connection is confirmed at Postrouting.
func (n *Netfilter) Late(h Hook, p *Packet, at int64) Verdict {
	switch {
	case p.Frame.IPv4() == nil:
	case h == Input:
		return n.leave(h, p, at)
	case h == Output:
		return n.step(tableFilter, h, p)
	}
	return Verdict{}
}

// arrive is what the two hooks do at which packets come to be: raw, connection tracking, mangle and the translation of
// the destination.
func (n *Netfilter) arrive(h Hook, p *Packet, at int64) Verdict {
	if v := n.step(tableRaw, h, p); v.Action != Accept {
		return v
	}
	if p.conn == nil && p.state == StateUnknown {
		if full := n.track(p, at); full {
			return Verdict{Action: Drop, Reason: fabric.DropConntrackFull}
		}
	}
	if v := n.step(tableMangle, h, p); v.Action != Accept {
		return v
	}
	return n.translate(h, p, at)
}

// leave is what the two hooks do at which packets leave: the translation of the source, and the confirmation of the connection.
func (n *Netfilter) leave(h Hook, p *Packet, at int64) Verdict {
	if v := n.translate(h, p, at); v.Action != Accept {
		return v
	}
	if p.conn == nil || p.conn.confirmed {
		return Verdict{}
	}
	n.mu.Lock()
	other := n.ct.confirm(p.conn, at)
	n.mu.Unlock()
	return n.settle(p, other)
}

// settle is for a packet whose connection could not be confirmed because of another. If that is the same flow with the
// same translation, the packet is one of it; if not there is nothing right to do with it.
func (n *Netfilter) settle(p *Packet, other *conn) Verdict {
	if other == nil {
		return Verdict{}
	}
	if other.orig == p.conn.orig && other.reply.src == p.conn.reply.src && other.reply.sport == p.conn.reply.sport {
		p.conn = other
		return Verdict{}
	}
	return Verdict{Action: Drop, Reason: fabric.DropConntrackInvalid}
}

// track finds p's connection.
func (n *Netfilter) track(p *Packet, at int64) (full bool) {
	t, s, kind := classify(p.Frame)
	switch kind {
	case kindNone:
		p.state = StateUntracked
	case kindInvalid:
		p.state = StateInvalid
	case kindError:
		n.trackError(p, t, at)
	default:
		n.mu.Lock()
		r := n.ct.track(t, s, at)
		n.mu.Unlock()
		p.conn, p.reply, p.state = r.conn, r.reply, r.state
		return r.full
	}
	return false
}

// AlterReplySource tells the connection of p that its replies come from to, and not from where p was sent: the
// balancer rewrote p's destination and will rewrite the source of replies itself. If the table has a connection of p whose
// replies come from elsewhere, the balancer has forgotten that one and chosen anew, and p begins another in its place: Linux takes
// the entry out of the table together with the balancer's (ip_vs_conn_drop_conntrack), and would otherwise translate p, but not
// what answers it. It is false if p's connection is as it should be, or p belongs to none.
func (n *Netfilter) AlterReplySource(p *Packet, to netip.AddrPort, at int64) bool {
	c := p.conn
	if c == nil || p.reply || p.related || !to.Addr().Unmap().Is4() {
		return false
	}
	src, sport := from4(to.Addr()), c.reply.sport
	if to.Port() != 0 && c.reply.hasPorts() {
		sport = to.Port()
	}
	if c.reply.src == src && c.reply.sport == sport {
		return false
	}
	if c.confirmed {
		if c = n.renew(p, at); c == nil {
			return false
		}
	}
	c.reply.src, c.reply.sport = src, sport
	return true
}

// renew replaces p's connection by one that p begins; nil if p cannot. What was decided on p's destination stays.
func (n *Netfilter) renew(p *Packet, at int64) *conn {
	_, s, kind := classify(p.Frame)
	if kind != kindFlow {
		return nil
	}
	old := p.conn
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ct.remove(old)
	r := n.ct.create(old.orig, s, at)
	if r.conn == nil {
		return nil
	}
	r.conn.nat = old.nat & (natDst | natDstDone)
	p.conn, p.state = r.conn, r.state
	return r.conn
}

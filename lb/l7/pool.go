package l7

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"
)

// pool is the backends of a route and what is known of them. It has no lock of its own.
type pool struct {
	name    string // the route's
	servers []*server
	next    int // where the turn is
}

// server is a backend of a pool.
type server struct {
	Backend
	id     string    // what a cookie has
	active int       // requests or connections under way
	served uint64    // and those that are over
	down   bool      // a check says so
	held   time.Time // until then it is asked only if no other is left, for it took no connection

	answers [6]uint64 // by the class of their status
	failed  uint64
	last    string // what went wrong last; empty: nothing did
}

func newServer(b Backend) *server {
	h := fnv.New64a()
	_, _ = h.Write([]byte(b.Addr.String())) // a hash takes everything
	return &server{Backend: b, id: fmt.Sprintf("%016x", h.Sum64())}
}

// set gives the pool its backends. Those that stay keep what is known of them, and the turn stays with whom it is.
func (p *pool) set(backends []Backend) {
	var turn *server
	if len(p.servers) > 0 {
		turn = p.servers[p.next%len(p.servers)]
	}
	old := p.servers
	p.servers, p.next = make([]*server, 0, len(backends)), 0
	for _, b := range backends {
		s := newServer(b)
		if n := slices.IndexFunc(old, func(o *server) bool { return o.Backend == b }); n >= 0 {
			s = old[n]
		}
		if s == turn {
			p.next = len(p.servers)
		}
		p.servers = append(p.servers, s)
	}
}

// check notes what a check has found.
func (p *pool) check(addr netip.AddrPort, up bool) {
	for _, s := range p.servers {
		if s.Addr == addr {
			s.down = !up
			if up {
				s.held = time.Time{}
			}
		}
	}
}

// sticky returns the server that a cookie names; nil if it cannot be asked.
func (p *pool) sticky(id string, at time.Time) *server {
	for _, s := range p.servers {
		if s.id == id && !s.down && !at.Before(s.held) {
			return s
		}
	}
	return nil
}

// addressed returns the server with an address; nil if it cannot be asked.
func (p *pool) addressed(addr netip.AddrPort, at time.Time) *server {
	for _, s := range p.servers {
		if s.Addr == addr && !s.down && !at.Before(s.held) {
			return s
		}
	}
	return nil
}

// pick returns the server whose turn it is, of those that are up and were not tried; of those that are held only if no
// other is left. It is nil if there is none.
func (p *pool) pick(how Balance, tried []*server, at time.Time) *server {
	best := -1
	var bestHeld bool
	for i := range p.servers {
		n := (p.next + i) % len(p.servers)
		s := p.servers[n]
		if s.down || slices.Contains(tried, s) {
			continue
		}
		held := at.Before(s.held)
		better := best < 0 || bestHeld && !held ||
			bestHeld == held && how == LeastConn && s.active < p.servers[best].active
		if better {
			best, bestHeld = n, held
		}
	}
	if best < 0 {
		return nil
	}
	p.next = (best + 1) % len(p.servers)
	return p.servers[best]
}

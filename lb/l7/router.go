package l7

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a Router is. Dial is needed.
type Config struct {
	// Dial connects to a backend.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// ConnContext returns the context of what a client's connection causes now; nil: that of Serve. It is asked anew for
	// each request.
	ConnContext func(ctx context.Context, c net.Conn) context.Context
	Log         *slog.Logger     // nil: silent
	Access      func(Access)     // is told of each request and connection once it is over; it must not block; nil: nobody is
	Now         func() time.Time // nil: time.Now

	HeaderTimeout time.Duration // for a request's head, or a ClientHello; 0: 10 s
	StallTimeout  time.Duration // a client that neither sends what it has announced nor takes what comes; 0: 30 s
	IdleTimeout   time.Duration // between two requests of a connection; 0: 60 s
	DialTimeout   time.Duration // for a connection to one backend; 0: 2 s
	AnswerTimeout time.Duration // until a backend begins to answer; 0: 60 s
	TunnelTimeout time.Duration // without a byte, on a connection that is no HTTP any more or never was; 0: 1 h
	DrainTimeout  time.Duration // for what is under way when Serve is to end; 0: 2 s
	HoldTime      time.Duration // a backend that took no connection is asked last; 0: 5 s
	MaxHeader     int           // bytes of a request's head; 0: 32 KiB
	MaxConns      int           // connections of clients, for each Serve; 0: 4096
}

func (c *Config) normalise() {
	c.HeaderTimeout = cmp.Or(c.HeaderTimeout, 10*time.Second)
	c.StallTimeout = cmp.Or(c.StallTimeout, 30*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 60*time.Second)
	c.DialTimeout = cmp.Or(c.DialTimeout, 2*time.Second)
	c.AnswerTimeout = cmp.Or(c.AnswerTimeout, 60*time.Second)
	c.TunnelTimeout = cmp.Or(c.TunnelTimeout, time.Hour)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 2*time.Second)
	c.HoldTime = cmp.Or(c.HoldTime, 5*time.Second)
	c.MaxHeader = cmp.Or(c.MaxHeader, 32<<10)
	c.MaxConns = cmp.Or(c.MaxConns, 4096)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Router leads requests and connections to the backends of its routes. All methods may be called at once from several
// goroutines. It starts nothing but what its Serve methods wait for.
type Router struct {
	cfg   Config
	log   *slog.Logger
	count counters
	table atomic.Pointer[Table]

	mu       sync.Mutex
	pools    map[string]*pool        // guarded by mu; by the route's pattern
	sessions sessions                // guarded by mu
	down     map[netip.AddrPort]bool // guarded by mu; what checks say
}

// New returns a router without routes.
func New(cfg Config) *Router {
	cfg.normalise()
	r := &Router{cfg: cfg, log: cfg.Log, pools: map[string]*pool{}, down: map[netip.AddrPort]bool{}}
	r.table.Store(new(Table))
	return r
}

// SetRoutes replaces the routes. What is under way goes on; what is known of backends that stay is kept. Of several
// routes for the same host and path the first one counts, and the error tells of the others.
func (r *Router) SetRoutes(routes []Route) error {
	table, err := NewTable(routes)
	r.mu.Lock()
	defer r.mu.Unlock()
	pools := map[string]*pool{}
	for i := range routes {
		key := routes[i].Pattern()
		if pools[key] != nil {
			continue // the first one counts
		}
		p := r.pools[key]
		if p == nil {
			p = &pool{}
		}
		p.name = routes[i].Name
		p.set(routes[i].Backends)
		for addr, down := range r.down {
			p.check(addr, !down)
		}
		pools[key] = p
	}
	r.pools = pools
	r.table.Store(table)
	return err
}

// SetUp notes whether a backend is up: those that are not are asked nothing. All are until this says otherwise.
func (r *Router) SetUp(addr netip.AddrPort, up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down[addr] = !up; up {
		delete(r.down, addr)
	}
	for _, p := range r.pools {
		p.check(addr, up)
	}
}

// refuse counts and logs.
func (r *Router) refuse(why Reason) { r.count.refused[why].Add(1) }

// errors of choosing a backend.
var (
	errNoBackend   = errors.New("no backend is up")
	errUnreachable = errors.New("no backend could be connected to")
)

// pick chooses a server of a route that was not tried, and counts it as active; prefer may choose one first.
func (r *Router) pick(route *Route, tried []*server, prefer func(*pool, time.Time) *server) *server {
	at := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[route.key]
	if p == nil {
		return nil // the route has gone meanwhile
	}
	var s *server
	if prefer != nil && len(tried) == 0 {
		s = prefer(p, at)
	}
	if s == nil {
		s = p.pick(route.Balance, tried, at)
	}
	if s != nil {
		s.active++
	}
	return s
}

// release says that what pick counted has ended; a server that took no connection is held back.
func (r *Router) release(s *server, failed bool) {
	at := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.active--
	if failed {
		s.held = at.Add(r.cfg.HoldTime)
		return
	}
	s.served++
}

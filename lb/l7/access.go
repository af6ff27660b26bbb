package l7

import (
	"cmp"
	"net"
	"slices"
	"strings"
	"time"
)

// Access is a request that a backend answered, or a connection that was led to one, once it is over.
type Access struct {
	Client  string // address and port
	Route   *Route // nobody may change it
	Backend Backend
	Took    time.Duration

	// Of requests:
	Method, Host, URI string // Host: of TLS connections the name that the client asked for
	Status            int    // 101: HTTP ended there, and another protocol began
	Bytes             int64  // of the answer's body
}

// tellRequest says what became of a request that got to a backend.
func (f *front) tellRequest(ex *exchange) {
	if f.cfg.Access == nil || ex.server == nil || ex.answer.refused {
		return
	}
	f.cfg.Access(Access{
		Client: ex.asked.RemoteAddr, Route: ex.route, Backend: ex.server.Backend, Took: f.cfg.Now().Sub(ex.began),
		Method: ex.asked.Method, Host: ex.asked.Host, URI: ex.asked.URL.RequestURI(), Status: ex.answer.status, Bytes: ex.answer.bytes,
	})
}

// tellConnection says what became of a connection.
func (f *front) tellConnection(c net.Conn, route *Route, name string, s *server, began time.Time) {
	if f.cfg.Access != nil {
		f.cfg.Access(Access{Client: c.RemoteAddr().String(), Route: route, Backend: s.Backend, Took: f.cfg.Now().Sub(began), Host: name})
	}
}

// RouteStats is what has become of a route.
type RouteStats struct {
	Pattern  string // as http://red.example.com
	Name     string // of whose it is
	Backends []BackendStats
}

// BackendStats is what has become of a route's backend, since it is one.
type BackendStats struct {
	Backend
	Up     bool // what checks say, and whether it took the last connection
	Active int  // requests or connections under way
	Served uint64

	Answers   [6]uint64 // requests by the class of their status: Answers[2] were answered by 200 to 299
	Failed    uint64    // connections that it did not take, and requests that it did not answer, in time or as HTTP
	LastError string    // of those and of checks; empty: none yet
}

// Stats returns what has become of the routes, by their patterns.
func (r *Router) Stats() []RouteStats {
	at := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]RouteStats, 0, len(r.pools))
	for pattern, p := range r.pools {
		route := RouteStats{Pattern: pattern, Name: p.name}
		for _, s := range p.servers {
			route.Backends = append(route.Backends, BackendStats{
				Backend: s.Backend, Up: !s.down && !at.Before(s.held), Active: s.active, Served: s.served,
				Answers: s.answers, Failed: s.failed, LastError: s.last,
			})
		}
		all = append(all, route)
	}
	slices.SortFunc(all, func(a, b RouteStats) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Pattern, b.Pattern))
	})
	return all
}

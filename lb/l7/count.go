package l7

import "sync/atomic"

// Reason is why a request or connection was refused or not finished.
type Reason uint8

// The reasons.
const (
	NoRoute        Reason = iota // no route has its host and path, or its server name; 503
	NoBackend                    // the route has no backend that is up; 503
	Unreachable                  // no backend of the route took the connection; 503
	BadAnswer                    // the backend went away, or answered what is no HTTP; 502
	NoAnswer                     // the backend did not answer in time; 504
	BadRequest                   // it is not HTTP, or asks for what a balancer does not do; 400
	HeaderTooLarge               // its head is longer than MaxHeader; 431
	SlowClient                   // the client sent it too slowly, or took nothing for too long; 408, or cut off
	ClientGone                   // the client left before the answer came
	BrokenOff                    // the answer ended before its end
	BadHello                     // the connection does not begin as TLS does, or not in time
	TooMany                      // MaxConns were there already
	reasons
)

var reasonNames = [reasons]string{
	"no-route", "no-backend", "unreachable", "bad-answer", "no-answer", "bad-request", "header-too-large", "slow-client",
	"client-gone", "broken-off", "bad-hello", "too-many",
}

// String returns the reason as logs have it, like no-route.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Counters tell what a Router has done.
type Counters struct {
	Requests    uint64 // answered by a backend
	Redirects   uint64
	Connections uint64 // of TLS and TCP routes, led to a backend
	Refused     map[Reason]uint64
}

type counters struct {
	requests, redirects, connections atomic.Uint64
	refused                          [reasons]atomic.Uint64
}

// Counters returns what has been counted since New.
func (r *Router) Counters() Counters {
	c := Counters{
		Requests: r.count.requests.Load(), Redirects: r.count.redirects.Load(), Connections: r.count.connections.Load(),
		Refused: map[Reason]uint64{},
	}
	for reason := range reasons {
		if n := r.count.refused[reason].Load(); n > 0 {
			c.Refused[reason] = n
		}
	}
	return c
}

package l7

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
	"time"
)

// front is one Serve under way: its connections to backends are its own, and none outlives it.
type front struct {
	*Router
	proxy     *httputil.ReverseProxy
	transport *http.Transport
	life      context.Context // of connections to backends
	running   crew            // handlers and connections of clients, dials

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu; to backends
}

// crew counts what is under way, and may be waited for at any time.
type crew struct {
	mu   sync.Mutex
	n    int           // guarded by mu
	none chan struct{} // guarded by mu; closed once n is 0 again; nil: nobody waits
}

func (c *crew) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *crew) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.none != nil {
		close(c.none)
		c.none = nil
	}
}

// wait returns once nothing is under way, or ctx has ended.
func (c *crew) wait(ctx context.Context) {
	c.mu.Lock()
	if c.n == 0 {
		c.mu.Unlock()
		return
	}
	if c.none == nil {
		c.none = make(chan struct{})
	}
	none := c.none
	c.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}

// clientKey is the key of a *clientConn in the context of its requests.
type clientKey struct{}

// Serve answers HTTP on a listener, which it owns, until ctx ends (nil) or accepting fails. As ctx ends it takes no more
// connections, lets requests under way finish for DrainTimeout, and returns once nothing of it is left.
func (r *Router) Serve(ctx context.Context, l net.Listener) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	f := r.newFront(requests)
	srv := f.server(requests)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		drain, done := context.WithTimeout(requests, r.cfg.DrainTimeout)
		defer done()
		_ = srv.Shutdown(drain) // what is left is cut off below
		f.running.wait(drain)
	})
	err := srv.Serve(&limited{Listener: l, most: int64(r.cfg.MaxConns), refuse: r.refuse})
	if !stop() {
		<-ended
	}
	cancel()
	_ = srv.Close() // again, for a connection that was just being accepted
	f.close()
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return err
}

// server returns the HTTP server of a front.
func (f *front) server(requests context.Context) *http.Server {
	return &http.Server{
		Handler:     f,
		BaseContext: func(net.Listener) context.Context { return requests },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, clientKey{}, c.(*clientConn)) // of the listener limited
		},
		ReadHeaderTimeout: f.cfg.HeaderTimeout,
		IdleTimeout:       f.cfg.IdleTimeout,
		MaxHeaderBytes:    max(1, f.cfg.MaxHeader-4096), // net/http adds as much
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState:         f.follow,
	}
}

// follow counts connections, and refusals that are net/http's own.
func (f *front) follow(c net.Conn, state http.ConnState) {
	client := c.(*clientConn)
	switch state {
	case http.StateNew:
		f.running.begin()
	case http.StateActive:
		client.begun.Store(true)
	case http.StateHijacked:
		f.running.end()
	case http.StateClosed:
		if client.begun.CompareAndSwap(true, false) {
			f.refuse(SlowClient) // or it left in the middle of a head
		}
		f.running.end()
	}
}

func (r *Router) newFront(life context.Context) *front {
	f := &front{Router: r, life: life, conns: map[net.Conn]bool{}}
	f.transport = &http.Transport{
		DialContext:            f.dial,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        30 * time.Second,
		ResponseHeaderTimeout:  r.cfg.AnswerTimeout,
		MaxResponseHeaderBytes: 256 << 10,
		ExpectContinueTimeout:  time.Second,
	}
	f.proxy = f.newProxy()
	return f
}

// close ends what is left and waits for it.
func (f *front) close() {
	f.transport.CloseIdleConnections()
	f.mu.Lock()
	for c := range f.conns {
		_ = c.Close() // by what is below the wrapper, which would wait for mu
	}
	f.mu.Unlock()
	f.running.wait(context.Background())
	f.transport.CloseIdleConnections()
}

// dialError says that a backend took no connection, so nothing was asked of it.
type dialError struct{ error }

// Unwrap implements the interface of package errors.
func (e dialError) Unwrap() error { return e.error }

// dial connects to a backend.
func (f *front) dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.running.begin()
	defer f.running.end()
	ctx, cancel := context.WithTimeout(ctx, f.cfg.DialTimeout)
	defer cancel()
	defer context.AfterFunc(f.life, cancel)()
	c, err := f.cfg.Dial(ctx, network, address)
	if err != nil {
		return nil, dialError{err}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.life.Err() != nil {
		_ = c.Close()
		return nil, dialError{f.life.Err()}
	}
	f.conns[c] = true
	return &backendConn{Conn: c, front: f, write: deadline{limit: f.cfg.StallTimeout}}, nil
}

// connect dials a server of a route, and another if that does not take the connection. The caller releases the server.
func (f *front) connect(ctx context.Context, route *Route, prefer func(*pool, time.Time) *server) (net.Conn, *server, error) {
	var tried []*server
	for {
		s := f.pick(route, tried, prefer)
		switch {
		case s == nil && len(tried) == 0:
			return nil, nil, errNoBackend
		case s == nil:
			return nil, nil, errUnreachable
		}
		c, err := f.dial(ctx, "tcp", s.Addr.String())
		if err == nil {
			return c, s, nil
		}
		f.release(s, ctx.Err() == nil)
		if ctx.Err() == nil {
			f.note(s, 0, err)
		}
		f.log.Debug("no connection", "route", route.key, "backend", s.String(), "error", err)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		tried = append(tried, s)
	}
}

// backendConn is a connection to a backend.
type backendConn struct {
	net.Conn
	front *front
	write deadline // used by one writer at a time
}

// Write implements net.Conn. A backend that takes nothing for too long is given up.
func (c *backendConn) Write(b []byte) (int, error) {
	c.write.move(c.SetWriteDeadline)
	return c.Conn.Write(b)
}

// CloseWrite ends what is sent.
func (c *backendConn) CloseWrite() error { return closeWrite(c.Conn) }

// Close implements net.Conn.
func (c *backendConn) Close() error {
	c.front.mu.Lock()
	delete(c.front.conns, c.Conn)
	c.front.mu.Unlock()
	return c.Conn.Close()
}

// Follow has the packets followed that are sent from now on, if ctx is.
func (c *backendConn) Follow(ctx context.Context) {
	if f, ok := c.Conn.(interface{ Follow(context.Context) }); ok {
		f.Follow(ctx)
	}
}

// addressed prefers the server that gave a TLS client its session.
func (r *Router) addressed(session string) func(*pool, time.Time) *server {
	return func(p *pool, at time.Time) *server {
		addr, ok := r.sessions.backend(session)
		if !ok {
			return nil
		}
		return p.addressed(addr, at)
	}
}

// learn remembers who gave a client its session.
func (r *Router) learn(session string, addr netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions.learn(session, addr)
}

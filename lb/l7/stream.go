package l7

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// ServeTLS leads TLS connections on by the name of the server that the client asks for, without opening them. It owns
// the listener, and ends as Serve does.
func (r *Router) ServeTLS(ctx context.Context, l net.Listener) error {
	return r.serveStreams(ctx, l, (*front).serveTLS)
}

// ServeTCP leads connections to the backends of the TCP route that has no host. It owns the listener, and ends as Serve
// does.
func (r *Router) ServeTCP(ctx context.Context, l net.Listener) error {
	return r.serveStreams(ctx, l, (*front).serveTCP)
}

func (r *Router) serveStreams(ctx context.Context, l net.Listener, handle func(*front, context.Context, net.Conn)) error {
	streams, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	f := r.newFront(streams)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	in := &limited{Listener: l, most: int64(r.cfg.MaxConns), refuse: r.refuse}
	var failed error
	for {
		c, err := in.Accept()
		if err != nil {
			failed = err
			break
		}
		f.running.begin()
		go func() {
			defer f.running.end()
			defer context.AfterFunc(streams, func() { _ = c.Close() })()
			defer func() { _ = c.Close() }()
			each := streams
			if r.cfg.ConnContext != nil {
				each = r.cfg.ConnContext(each, c.(*clientConn).Conn)
			}
			handle(f, each, c)
		}()
	}
	_ = l.Close()
	if ctx.Err() != nil {
		failed = nil
		drain, done := context.WithTimeout(streams, r.cfg.DrainTimeout)
		f.running.wait(drain)
		done()
	}
	cancel()
	f.close()
	return failed
}

func (f *front) serveTCP(ctx context.Context, c net.Conn) {
	route := f.table.Load().Match(TCP, "", "")
	if route == nil {
		f.refuse(NoRoute)
		return
	}
	f.forward(ctx, c, route, Hello{}, nil)
}

func (f *front) serveTLS(ctx context.Context, c net.Conn) {
	hello, sent, err := f.readHello(c)
	if errors.Is(err, errSilent) {
		return // somebody looked whether the port is open
	}
	if err != nil {
		f.refuse(BadHello)
		f.log.Info("refused", "reason", BadHello.String(), "client", c.RemoteAddr().String(), "error", err)
		return
	}
	route := f.table.Load().Match(TLS, CanonicalHost(hello.ServerName), "")
	if route == nil {
		f.refuse(NoRoute)
		f.log.Info("refused", "reason", NoRoute.String(), "client", c.RemoteAddr().String(), "name", hello.ServerName)
		_ = c.SetWriteDeadline(time.Now().Add(f.cfg.StallTimeout))
		_, _ = c.Write(alertNoName) // the client may have left
		return
	}
	f.forward(ctx, c, route, hello, sent)
}

// readHello reads until a ClientHello is complete, and returns all that it read.
func (f *front) readHello(c net.Conn) (Hello, []byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(f.cfg.HeaderTimeout)); err != nil {
		return Hello{}, nil, err
	}
	buf := make([]byte, 0, 2048)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, cap(buf))...)[:len(buf)]
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		hello, complete, bad := ParseHello(buf)
		switch {
		case complete || bad != nil:
			return hello, buf, bad
		case err != nil && len(buf) == 0 && !errors.Is(err, os.ErrDeadlineExceeded):
			return Hello{}, nil, errSilent
		case errors.Is(err, io.EOF):
			return Hello{}, nil, errShortHello
		case err != nil:
			return Hello{}, nil, err
		}
	}
}

// forward connects a client to a backend of the route; sent is what the client has sent already.
func (f *front) forward(ctx context.Context, c net.Conn, route *Route, hello Hello, sent []byte) {
	backend, s, err := f.connect(ctx, route, f.addressed(hello.SessionID))
	if err != nil {
		why := Unreachable
		if errors.Is(err, errNoBackend) {
			why = NoBackend
		}
		f.refuse(why)
		f.log.Info("refused", "reason", why.String(), "client", c.RemoteAddr().String(), "route", route.key)
		return
	}
	defer f.tellConnection(c, route, hello.ServerName, s, f.cfg.Now())
	defer f.release(s, false)
	f.count.connections.Add(1)
	if len(sent) > 0 {
		if _, err := backend.Write(sent); err != nil {
			_ = backend.Close()
			f.refuse(BrokenOff)
			return
		}
	}
	var first func([]byte)
	if route.Kind == TLS {
		first = func(b []byte) {
			if id := newSession(b, hello.SessionID); id != "" {
				f.learn(id, s.Addr)
			}
		}
	}
	t := tunnel{idle: f.cfg.TunnelTimeout, stall: f.cfg.StallTimeout}
	switch err := t.run(ctx, c, backend, first); {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		f.refuse(SlowClient)
	default:
		f.refuse(BrokenOff)
	}
}

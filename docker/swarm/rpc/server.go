package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
)

// How long and how much a server puts up with.
const (
	handshakeTime  = 10 * time.Second
	defaultIdle    = 2 * time.Minute
	writeTime      = 10 * time.Second
	maxConnections = 1024
)

var errFull = errors.New("there are as many connections as are served")

// Request is what a handler is asked.
type Request struct {
	Peer     ca.Subject // whose certificate was shown; zero: none
	Remote   net.Addr
	Body     []byte // the handler's to keep
	Stranger bool   // no certificate was shown
}

// Handler answers a request. The text of its error is what the caller gets. ctx ends with the server.
type Handler func(ctx context.Context, r Request) ([]byte, error)

// Server answers requests. Its fields and handlers are set before Serve.
type Server struct {
	Cluster string             // whose certificates count
	TLS     func() *tls.Config // must be set; asked for each connection, so that renewed certificates are used
	Limit   int                // bytes of a frame; zero: DefaultLimit
	Idle    time.Duration      // between requests of a connection; zero: two minutes
	Log     *slog.Logger       // nil: silent

	methods map[string]method
	refused refusals
}

type method struct {
	handle Handler
	stream Stream    // in place of handle
	roles  []ca.Role // nil: anyone
}

type refusals struct{ handshake, oversized, malformed, denied, full atomic.Uint64 }

// Refusals counts what a server did not serve, by the reason.
type Refusals struct {
	Handshake uint64 // a foreign or expired certificate, or no TLS
	Oversized uint64 // a frame beyond the limit
	Malformed uint64 // no frame, or none that a client sends; see Server.Malformed
	Denied    uint64 // a method that is not there, or not for the peer's role
	Full      uint64 // more connections than a server takes
}

// Refusals returns the counts so far.
func (s *Server) Refusals() Refusals {
	r := &s.refused
	return Refusals{
		Handshake: r.handshake.Load(), Oversized: r.oversized.Load(), Malformed: r.malformed.Load(),
		Denied: r.denied.Load(), Full: r.full.Load(),
	}
}

// Handle has a method answered for peers of any of the roles; without roles for anyone. Only before Serve.
func (s *Server) Handle(name string, h Handler, roles ...ca.Role) {
	if s.methods == nil {
		s.methods = make(map[string]method)
	}
	s.methods[name] = method{handle: h, roles: roles}
}

// Serve answers what comes to a listener until ctx ends, and closes it. It returns nil then, or the listener's error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		_ = l.Close() // Accept tells
		return nil
	})
	g.Go(func() error {
		slots := make(chan struct{}, maxConnections)
		for {
			raw, err := l.Accept()
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("accept on %s: %w", l.Addr(), err)
			}
			select {
			case slots <- struct{}{}:
				g.Go(func() error { defer func() { <-slots }(); s.serve(ctx, raw); return nil })
			default:
				s.refuse(ctx, &s.refused.full, raw, errFull)
				_ = raw.Close() // refused
			}
		}
	})
	return g.Wait()
}

// serve answers one connection until it or ctx ends.
func (s *Server) serve(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // whoever reads or writes is told
	defer stop()
	conn := tls.Server(raw, s.TLS())
	_ = raw.SetDeadline(time.Now().Add(handshakeTime)) // a closed connection fails the handshake
	if err := conn.HandshakeContext(ctx); err != nil {
		s.refuse(ctx, &s.refused.handshake, raw, err)
		return
	}
	_ = raw.SetDeadline(time.Time{}) // a closed connection fails the read
	state := conn.ConnectionState()
	r := Request{Remote: raw.RemoteAddr()}
	var err error
	r.Peer, err = ca.Authorize(state, s.Cluster, ca.Worker, ca.Manager)
	r.Stranger = err != nil
	for s.answer(ctx, conn, raw, state, r) {
	}
}

// answer serves one request, and tells whether there may be another.
func (s *Server) answer(ctx context.Context, conn *tls.Conn, raw net.Conn, state tls.ConnectionState, r Request) bool {
	_ = raw.SetReadDeadline(time.Now().Add(s.idle())) // a closed connection fails the read
	limit := s.limit()
	if r.Stranger {
		limit = min(limit, strangerLimit)
	}
	f, err := readFrame(conn, limit)
	switch {
	case errors.Is(err, ErrTooLarge):
		s.refuse(ctx, &s.refused.oversized, raw, err)
		return false
	case errors.Is(err, errFrame), err == nil && f.kind != kindRequest:
		s.refuse(ctx, &s.refused.malformed, raw, errFrame)
		return false
	case err != nil:
		if !errors.Is(err, io.EOF) && s.Log != nil {
			s.Log.DebugContext(ctx, "connection ended", "peer", raw.RemoteAddr(), "err", err)
		}
		return false
	}
	r.Body = f.body
	m, err := s.method(ctx, f.method, raw, state)
	if err == nil && m.stream != nil {
		s.flow(ctx, conn, raw, m.stream, r)
		return false
	}
	out, err := reply(ctx, m, r, err).encode(s.limit())
	if err != nil {
		if out, err = (frame{kind: kindFailure, body: []byte(err.Error())}).encode(s.limit()); err != nil {
			return false
		}
	}
	_ = raw.SetWriteDeadline(time.Now().Add(writeTime)) // a closed connection fails the write
	_, err = conn.Write(out)
	return err == nil
}

// method finds what a request asks for, if the peer may.
func (s *Server) method(ctx context.Context, name string, raw net.Conn, state tls.ConnectionState) (method, error) {
	m, ok := s.methods[name]
	err := fmt.Errorf("rpc error: code = Unimplemented desc = unknown method %q", name)
	if ok {
		err = nil
		if m.roles != nil {
			_, err = ca.Authorize(state, s.Cluster, m.roles...)
		}
	}
	if err != nil {
		s.refused.denied.Add(1)
		if s.Log != nil {
			s.Log.WarnContext(ctx, "request refused", "peer", raw.RemoteAddr(), "method", name, "err", err)
		}
	}
	return m, err
}

// reply carries a request out, unless it was refused.
func reply(ctx context.Context, m method, r Request, refused error) frame {
	if refused != nil {
		return frame{kind: kindFailure, body: []byte(refused.Error())}
	}
	body, err := m.handle(ctx, r)
	if err != nil {
		return frame{kind: kindFailure, body: []byte(err.Error())}
	}
	return frame{kind: kindAnswer, body: body}
}

func (s *Server) refuse(ctx context.Context, count *atomic.Uint64, raw net.Conn, err error) {
	count.Add(1)
	if s.Log == nil || ctx.Err() != nil {
		return
	}
	s.Log.InfoContext(ctx, "connection refused", "peer", raw.RemoteAddr(), "err", err)
}

// Malformed counts and logs a request whose body its handler could make nothing of, or that was made to deceive. It may be called at
// any time.
func (s *Server) Malformed(ctx context.Context, r Request, err error) {
	s.refused.malformed.Add(1)
	if s.Log != nil {
		s.Log.WarnContext(ctx, "request refused", "peer", r.Remote, "from", r.Peer.Node, "err", err)
	}
}

func (s *Server) limit() int {
	if s.Limit == 0 {
		return DefaultLimit
	}
	return s.Limit
}

func (s *Server) idle() time.Duration {
	if s.Idle == 0 {
		return defaultIdle
	}
	return s.Idle
}

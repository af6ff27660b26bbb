package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
)

// Stream answers a request with as many messages as it likes: send writes one, and blocks while the peer does not take
// what was written before. ctx ends when the peer closes the stream, and with the server. The text of the error, if any,
// is the last that the peer gets.
type Stream func(ctx context.Context, r Request, send func([]byte) error) error

// HandleStream has a method answered by a stream for peers of any of the roles; without roles for anyone. Only before
// Serve.
func (s *Server) HandleStream(name string, h Stream, roles ...ca.Role) {
	if s.methods == nil {
		s.methods = make(map[string]method)
	}
	s.methods[name] = method{stream: h, roles: roles}
}

// flow answers a request with a stream, which ends the connection.
func (s *Server) flow(ctx context.Context, conn *tls.Conn, raw net.Conn, h Stream, r Request) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = raw.SetReadDeadline(time.Time{}) // a closed connection fails the read
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer cancel()
		_, _ = conn.Read(make([]byte, 1)) // the peer sends nothing: it returns when the connection ends
	}()
	defer func() { _ = raw.Close(); <-gone }()
	write := func(kind byte, body []byte) error {
		b, err := frame{kind: kind, body: body}.encode(s.limit())
		if err != nil {
			return err
		}
		_ = raw.SetWriteDeadline(time.Now().Add(writeTime)) // a closed connection fails the write
		_, err = conn.Write(b)
		return err
	}
	err := h(ctx, r, func(b []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return write(kindItem, b)
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		_ = write(kindFailure, []byte(err.Error())) // the connection ends either way
		return
	}
	_ = write(kindAnswer, nil) // the connection ends either way
}

// Flow is what a client reads of a stream.
type Flow struct {
	conn   *tls.Conn
	raw    net.Conn
	limit  int
	stop   func() bool
	closed atomic.Bool
}

// Stream asks the server at address for a stream, which lasts until it is closed or ctx ends; both close its connection.
// It does not wait for the first message. Errors are those of Call; they may also come from Recv.
func (c *Client) Stream(ctx context.Context, address, method string, body []byte) (*Flow, error) {
	request, err := frame{kind: kindRequest, method: method, body: body}.encode(c.limit())
	if err != nil {
		return nil, fmt.Errorf("stream %w: %w", ErrNotSent, err)
	}
	k, err := c.dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("stream %s at %s: %w: %w", method, address, ErrNotSent, err)
	}
	f := &Flow{conn: k.tls, raw: k.raw, limit: c.limit()}
	f.stop = context.AfterFunc(ctx, f.shut)
	_ = k.raw.SetWriteDeadline(time.Now().Add(writeTime)) // a closed connection fails the write
	if _, err := k.tls.Write(request); err != nil {
		f.Close()
		return nil, fmt.Errorf("stream %s at %s: %w", method, address, err)
	}
	return f, nil
}

// Recv returns the next message: io.EOF when the server has ended the stream, a RemoteError when it did so with an error,
// and net.ErrClosed after Close.
func (f *Flow) Recv() ([]byte, error) {
	m, err := readFrame(f.conn, f.limit)
	switch {
	case f.closed.Load():
		return nil, net.ErrClosed
	case errors.Is(err, io.EOF): // without a word
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	switch m.kind {
	case kindItem:
		return m.body, nil
	case kindFailure:
		return nil, RemoteError(m.body)
	case kindAnswer:
		return nil, io.EOF
	}
	return nil, errFrame
}

// Close ends the stream; Recv returns. It may be called again, and at any time.
func (f *Flow) Close() {
	f.stop()
	f.shut()
}

func (f *Flow) shut() {
	f.closed.Store(true)
	_ = f.raw.Close() // whoever reads is told
}

package l7

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// limited is a listener that has at most so many connections open; more are closed at once.
type limited struct {
	net.Listener
	most   int64
	open   atomic.Int64
	refuse func(Reason) // counts
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			return &clientConn{Conn: c, from: l}, nil
		}
		l.open.Add(-1)
		l.refuse(TooMany)
		_ = c.Close()
	}
}

// clientConn is a client's connection. It knows whether a request was begun that the handler has not got: what net/http
// then writes is a refusal of its own.
type clientConn struct {
	net.Conn
	from    *limited
	closing sync.Once
	begun   atomic.Bool
}

// Write implements net.Conn.
func (c *clientConn) Write(b []byte) (int, error) {
	if c.begun.Load() && bytes.HasPrefix(b, []byte("HTTP/1.1 4")) && c.begun.CompareAndSwap(true, false) {
		if bytes.HasPrefix(b, []byte("HTTP/1.1 431")) {
			c.from.refuse(HeaderTooLarge)
		} else {
			c.from.refuse(BadRequest)
		}
	}
	return c.Conn.Write(b)
}

// CloseWrite ends what is sent. It does nothing where the connection cannot do that.
func (c *clientConn) CloseWrite() error { return closeWrite(c.Conn) }

// Close implements net.Conn.
func (c *clientConn) Close() error {
	c.closing.Do(func() { c.from.open.Add(-1) })
	return c.Conn.Close()
}

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// clockStep is how much time passes before a deadline that moves on is set again.
const clockStep = time.Second

// deadline is one that moves on with the bytes.
type deadline struct {
	limit time.Duration
	last  time.Time
}

// move calls set if the deadline is old.
func (d *deadline) move(set func(time.Time) error) {
	if now := time.Now(); now.Sub(d.last) >= min(clockStep, d.limit/4) {
		d.last = now
		_ = set(now.Add(d.limit)) // a connection without deadlines has none to be kept
	}
}

// tunnel carries bytes between two connections, both ways.
type tunnel struct {
	idle  time.Duration // it ends after so long without a byte in either direction
	stall time.Duration // it ends when an end takes nothing for so long
	last  atomic.Int64  // when a byte last came, in nanoseconds of Unix time
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// run copies until both directions have ended or ctx has, and closes both connections. first sees what the second end
// sends first; nil: nobody does.
func (t *tunnel) run(ctx context.Context, a, b net.Conn, first func([]byte)) error {
	shut := func() { _, _ = a.Close(), b.Close() }
	defer shut()
	defer context.AfterFunc(ctx, shut)()
	t.last.Store(time.Now().UnixNano())
	back := make(chan error, 1)
	go func() {
		err := t.copy(a, b, first)
		if err != nil {
			shut()
		}
		back <- err
	}()
	err := t.copy(b, a, nil)
	if err != nil {
		shut()
	}
	if other := <-back; err == nil || errors.Is(err, net.ErrClosed) {
		err = other
	}
	return err
}

// copy carries one direction to its end, which it passes on.
func (t *tunnel) copy(to, from net.Conn, first func([]byte)) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	read, write := deadline{limit: t.idle}, deadline{limit: t.stall}
	for {
		read.move(from.SetReadDeadline)
		n, err := from.Read(*buf)
		if n > 0 {
			t.last.Store(time.Now().UnixNano())
			if first != nil {
				first((*buf)[:n])
				first = nil
			}
			write.move(to.SetWriteDeadline)
			if _, err := to.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return closeWrite(to)
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, t.last.Load())) < t.idle:
			read.last = time.Time{} // the other direction lives
		default:
			return err
		}
	}
}

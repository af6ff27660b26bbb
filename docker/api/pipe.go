package api

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeRoom is how many bytes a direction of a pipe holds.
const pipeRoom = 64 << 10

// pipeConn is one end of a connection in memory. Unlike net.Pipe it has room for bytes under way, and its directions can
// be closed one by one.
type pipeConn struct {
	in, out *pipeHalf
}

// newPipe returns both ends of a connection.
func newPipe() (a, b *pipeConn) {
	x, y := newPipeHalf(), newPipeHalf()
	return &pipeConn{in: x, out: y}, &pipeConn{in: y, out: x}
}

// Read implements net.Conn.
func (c *pipeConn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write implements net.Conn.
func (c *pipeConn) Write(b []byte) (int, error) { return c.out.write(b) }

// CloseWrite ends what the other end reads.
func (c *pipeConn) CloseWrite() error {
	c.out.closeWrite()
	return nil
}

// Close implements net.Conn.
func (c *pipeConn) Close() error {
	c.out.closeWrite()
	c.in.closeRead()
	return nil
}

// LocalAddr implements net.Conn.
func (c *pipeConn) LocalAddr() net.Addr { return memAddr{} }

// RemoteAddr implements net.Conn.
func (c *pipeConn) RemoteAddr() net.Addr { return memAddr{} }

// SetDeadline implements net.Conn.
func (c *pipeConn) SetDeadline(t time.Time) error {
	c.in.readBy.set(t)
	c.out.writeBy.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.readBy.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.writeBy.set(t)
	return nil
}

// pipeHalf is one direction of a pipe.
type pipeHalf struct {
	readBy, writeBy deadline

	mu      sync.Mutex
	buf     []byte        // guarded by mu
	ended   bool          // guarded by mu; nothing will be written any more
	gone    bool          // guarded by mu; nobody will read any more
	changed chan struct{} // guarded by mu; closed and made anew whenever the above change
}

func newPipeHalf() *pipeHalf {
	return &pipeHalf{changed: make(chan struct{}), readBy: newDeadline(), writeBy: newDeadline()}
}

// notify wakes up who waits; mu is held.
func (h *pipeHalf) notify() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *pipeHalf) read(b []byte) (int, error) {
	for {
		late := h.readBy.wait()
		h.mu.Lock()
		changed := h.changed
		switch {
		case h.gone:
			h.mu.Unlock()
			return 0, net.ErrClosed
		case isClosed(late):
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			n := copy(b, h.buf)
			h.buf = append(h.buf[:0], h.buf[n:]...)
			h.notify()
			h.mu.Unlock()
			return n, nil
		case h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		case len(b) == 0:
			h.mu.Unlock()
			return 0, nil
		}
		h.mu.Unlock()
		select {
		case <-changed:
		case <-late:
		}
	}
}

func (h *pipeHalf) write(b []byte) (n int, err error) {
	for {
		late := h.writeBy.wait()
		h.mu.Lock()
		changed := h.changed
		switch {
		case h.gone || h.ended:
			h.mu.Unlock()
			return n, io.ErrClosedPipe
		case isClosed(late):
			h.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			h.mu.Unlock()
			return n, nil
		}
		if room := min(pipeRoom-len(h.buf), len(b)); room > 0 {
			h.buf = append(h.buf, b[:room]...)
			b, n = b[room:], n+room
			h.notify()
			h.mu.Unlock()
			continue
		}
		h.mu.Unlock()
		select {
		case <-changed:
		case <-late:
		}
	}
}

func (h *pipeHalf) closeWrite() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.ended = true
		h.notify()
	}
}

func (h *pipeHalf) closeRead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.gone {
		h.gone, h.buf = true, nil
		h.notify()
	}
}

// deadline is a time after which a direction of a pipe fails.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer   // guarded by mu
	late  chan struct{} // guarded by mu; closed when the time has come
}

func newDeadline() deadline { return deadline{late: make(chan struct{})} }

// wait returns a channel that is closed when the time has come, or the deadline has changed.
func (d *deadline) wait() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.late
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.late // the timer closes it
	}
	d.timer = nil
	passed := isClosed(d.late)
	if t.IsZero() {
		if passed {
			d.late = make(chan struct{})
		}
		return
	}
	if wait := time.Until(t); wait > 0 {
		if passed {
			d.late = make(chan struct{})
		}
		late := d.late
		d.timer = time.AfterFunc(wait, func() { close(late) })
		return
	}
	if !passed {
		close(d.late)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

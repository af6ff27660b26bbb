package iperf

import (
	"encoding/binary"
	"net"
	"os"
	"sync"
	"time"
)

// udpMux is a server's UDP socket and the streams that share it, by the client's address.
type udpMux struct {
	pc    net.PacketConn
	limit int
	fresh chan *udpConn
	done  chan struct{}

	mu    sync.Mutex
	peers map[string]*udpConn // guarded by mu
}

// newUDPMux reads pc until it is closed, and takes so many streams.
func newUDPMux(pc net.PacketConn, limit int) *udpMux {
	m := &udpMux{pc: pc, limit: limit, fresh: make(chan *udpConn, maxStreams), done: make(chan struct{}), peers: map[string]*udpConn{}}
	go m.read()
	return m
}

// close ends the socket and waits for its reader.
func (m *udpMux) close() {
	m.pc.Close() //nolint:errcheck // the reader ends
	<-m.done
}

// read hands datagrams to the streams they are of. The first of a stream is a greeting, and is answered.
func (m *udpMux) read() {
	defer close(m.done)
	buf := make([]byte, maxUDPBlock+1)
	for {
		n, from, err := m.pc.ReadFrom(buf)
		if err != nil {
			return
		}
		m.mu.Lock()
		c := m.peers[from.String()]
		greets := c == nil && len(m.peers) < m.limit && n == 4
		if greets {
			c = &udpConn{mux: m, peer: from, in: make(chan []byte, 1024), deadline: make(chan struct{})}
			m.peers[from.String()] = c
		}
		m.mu.Unlock()
		switch {
		case greets:
			_, _ = m.pc.WriteTo(binary.LittleEndian.AppendUint32(nil, udpReply), from)
			m.fresh <- c // there is room: limit is at most its capacity
		case c != nil:
			select {
			case c.in <- append([]byte(nil), buf[:n]...):
			default: // the reader is behind: the datagram is lost
			}
		}
	}
}

// udpConn is one client's side of the socket, as far as streams use a connection.
type udpConn struct {
	mux  *udpMux
	peer net.Addr
	in   chan []byte
	once sync.Once

	deadline chan struct{} // closed when reading is over
}

// Read implements net.Conn.
func (c *udpConn) Read(b []byte) (int, error) {
	select {
	case d := <-c.in:
		return copy(b, d), nil
	default:
	}
	select {
	case d := <-c.in:
		return copy(b, d), nil
	case <-c.deadline:
		return 0, os.ErrDeadlineExceeded
	case <-c.mux.done:
		return 0, net.ErrClosed
	}
}

// Write implements net.Conn.
func (c *udpConn) Write(b []byte) (int, error) { return c.mux.pc.WriteTo(b, c.peer) }

// Close implements net.Conn. The socket is the mux's.
func (c *udpConn) Close() error { return c.SetReadDeadline(time.Unix(1, 0)) }

// LocalAddr implements net.Conn.
func (c *udpConn) LocalAddr() net.Addr { return c.mux.pc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *udpConn) RemoteAddr() net.Addr { return c.peer }

// SetDeadline implements net.Conn.
func (c *udpConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn for deadlines that are over, which are all that streams set.
func (c *udpConn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		c.once.Do(func() { close(c.deadline) })
	}
	return nil
}

// SetWriteDeadline implements net.Conn. Datagrams do not wait.
func (c *udpConn) SetWriteDeadline(time.Time) error { return nil }

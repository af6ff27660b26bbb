package engine

import (
	"context"
	"io"
	"net"
	"sync"

	"github.com/netsim-lab/netsim/netns"
)

// gate holds up what passes while it is closed: the programs of a container that is paused.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // guarded by mu; nil: it is open
	end  <-chan struct{}
}

func newGate(end <-chan struct{}) *gate { return &gate{end: end} }

// pass returns when the gate is open, or its container ends.
func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open == nil {
		return
	}
	select {
	case <-open:
	case <-g.end:
	}
}

func (g *gate) set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case closed && g.open == nil:
		g.open = make(chan struct{})
	case !closed && g.open != nil:
		close(g.open)
		g.open = nil
	}
}

// gatedWriter is a writer behind a gate.
type gatedWriter struct {
	gate *gate
	w    io.Writer
}

// Write implements io.Writer.
func (g gatedWriter) Write(b []byte) (int, error) {
	g.gate.pass()
	return g.w.Write(b)
}

// sockets are a namespace's, as programs of images take them.
type sockets struct {
	ns   *netns.Namespace
	gate *gate
}

// Dial implements image.Net.
func (s sockets) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.gate.pass()
	conn, err := s.ns.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return gated(conn, s.gate), nil
}

// Listen implements image.Net.
func (s sockets) Listen(_ context.Context, network, address string) (net.Listener, error) {
	l, err := s.ns.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return gatedListener{l, s.gate}, nil
}

type gatedListener struct {
	net.Listener
	gate *gate
}

// Accept implements net.Listener.
func (l gatedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.gate.pass()
	return gated(conn, l.gate), nil
}

// gatedConn is a connection whose user is behind a gate.
type gatedConn struct {
	net.Conn
	gate *gate
}

// gatedHalf is one that can be closed for writing alone.
type gatedHalf struct {
	gatedConn
	half interface{ CloseWrite() error }
}

func gated(conn net.Conn, g *gate) net.Conn {
	gc := gatedConn{conn, g}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return gatedHalf{gc, half}
	}
	return gc
}

// Read implements net.Conn.
func (c gatedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.gate.pass()
	return n, err
}

// Write implements net.Conn.
func (c gatedConn) Write(b []byte) (int, error) {
	c.gate.pass()
	return c.Conn.Write(b)
}

// CloseWrite ends what is sent.
func (c gatedHalf) CloseWrite() error { return c.half.CloseWrite() }

// Pause holds up the container's programs: what they are sent waits. The error wraps ErrConflict.
func (c *Container) Pause() error {
	c.mu.Lock()
	switch {
	case c.state == Paused:
		c.mu.Unlock()
		return fail(ErrConflict, "container %s is already paused", c.id)
	case c.state == Restarting:
		c.mu.Unlock()
		return fail(ErrConflict, "container %s is restarting, wait until the container is running", c.id)
	case c.run == nil:
		c.mu.Unlock()
		return c.errNotRunning()
	}
	c.state = Paused
	c.run.gate.set(true)
	c.mu.Unlock()
	c.event("pause", nil)
	return nil
}

// Unpause lets them go on.
func (c *Container) Unpause() error {
	c.mu.Lock()
	if c.state != Paused {
		c.mu.Unlock()
		return fail(ErrConflict, "container %s is not paused", c.id)
	}
	c.state = Running
	c.run.gate.set(false)
	c.mu.Unlock()
	c.event("unpause", nil)
	return nil
}

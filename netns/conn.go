package netns

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// socket is what all sockets have in common: the namespace closes them when it ends.
type socket struct {
	ns     *Namespace
	closed atomic.Bool
}

// end notes that the socket is closed; false if it was before.
func (s *socket) end(c closer) bool {
	if s.closed.Swap(true) {
		return false
	}
	s.ns.letGo(c)
	return true
}

// fix makes of an error of the netstack's adapter what the net package returns: Linux's errno, net.ErrClosed on a
// socket that was closed, os.ErrDeadlineExceeded. The address is asked for only then: that takes the connection's lock.
func (s *socket) fix(op string, c interface{ LocalAddr() net.Addr }, err error) error {
	if err == nil {
		return nil
	}
	if s.closed.Load() {
		local := c.LocalAddr()
		return &net.OpError{Op: op, Net: local.Network(), Source: local, Err: net.ErrClosed}
	}
	return mapError(err)
}

func closedTwice(local net.Addr) error {
	return &net.OpError{Op: "close", Net: local.Network(), Source: local, Err: net.ErrClosed}
}

// hold keeps an open connection, so that it is closed when the namespace ends.
func (ns *Namespace) hold(c net.Conn) net.Conn {
	ns.holdCloser(c)
	return c
}

func (ns *Namespace) holdCloser(c closer) {
	ns.mu.Lock()
	ended := ns.closed
	if !ended {
		ns.closers[c] = struct{}{}
	}
	ns.mu.Unlock()
	if ended {
		c.Close() //nolint:errcheck // too late for it
	}
}

func (ns *Namespace) letGo(c closer) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	delete(ns.closers, c)
}

// conn is a TCP connection. It has CloseRead and CloseWrite, as *net.TCPConn does.
type conn struct {
	*gonet.TCPConn
	socket
	remote net.Addr // as it was when the connection was made
}

// newConn returns the connection c of ns, which closes it when it ends.
func (ns *Namespace) newConn(c *gonet.TCPConn) net.Conn {
	remote := c.RemoteAddr()
	if remote == nil {
		remote = &net.TCPAddr{} // it was reset before it was accepted
	}
	return ns.hold(&conn{TCPConn: c, socket: socket{ns: ns}, remote: remote})
}

// RemoteAddr implements net.Conn. The netstack forgets the address with a reset; Go's own connections keep it.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Close implements net.Conn: the peer reads what was written, and then the end.
func (c *conn) Close() error {
	if !c.end(c) {
		return closedTwice(c.LocalAddr())
	}
	return c.TCPConn.Close()
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 && !c.closed.Load() {
		return 0, nil
	}
	n, err := c.TCPConn.Read(b)
	return n, c.fix("read", c, err)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	return n, c.fix("write", c, err)
}

// reaches tells whether there is a route to dst.
func (ns *Namespace) reaches(dst netip.Addr) bool {
	c := ns.conf.Load()
	_, ok := c.fib.Lookup(dst)
	return ok || ns.isLocal(c, dst)
}

// listener is a TCP listener.
type listener struct {
	*gonet.TCPListener
	socket
}

// Accept implements net.Listener. After Close it returns net.ErrClosed.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if err != nil {
		err = mapError(err)
		var op *net.OpError
		switch {
		case l.closed.Load():
			err = net.ErrClosed
		case errors.As(err, &op):
			err = op.Err
		}
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
	}
	return l.ns.newConn(c.(*gonet.TCPConn)), nil
}

// Close implements net.Listener. Connections that wait to be accepted are reset.
func (l *listener) Close() error {
	if !l.end(l) {
		return closedTwice(l.Addr())
	}
	l.Shutdown()
	return l.TCPListener.Close()
}

// errnos are the errors of the netstack that Linux has a number for.
var errnos = []struct {
	err   tcpip.Error
	errno syscall.Errno
}{
	{&tcpip.ErrConnectionRefused{}, syscall.ECONNREFUSED},
	{&tcpip.ErrConnectionReset{}, syscall.ECONNRESET},
	{&tcpip.ErrConnectionAborted{}, syscall.ECONNABORTED},
	{&tcpip.ErrAborted{}, syscall.EPIPE},
	{&tcpip.ErrTimeout{}, syscall.ETIMEDOUT},
	{&tcpip.ErrHostUnreachable{}, syscall.EHOSTUNREACH},
	{&tcpip.ErrHostDown{}, syscall.EHOSTDOWN},
	{&tcpip.ErrNetworkUnreachable{}, syscall.ENETUNREACH},
	{&tcpip.ErrUnknownProtocolOption{}, syscall.ENOPROTOOPT},
	{&tcpip.ErrPortInUse{}, syscall.EADDRINUSE},
	{&tcpip.ErrNoPortAvailable{}, syscall.EADDRNOTAVAIL},
	{&tcpip.ErrBadLocalAddress{}, syscall.EADDRNOTAVAIL},
	{&tcpip.ErrMessageTooLong{}, syscall.EMSGSIZE},
	{&tcpip.ErrClosedForSend{}, syscall.EPIPE},
	{&tcpip.ErrInvalidEndpointState{}, syscall.EINVAL},
	{&tcpip.ErrNotConnected{}, syscall.ENOTCONN},
	{&tcpip.ErrDestinationRequired{}, syscall.EDESTADDRREQ},
	{&tcpip.ErrBroadcastDisabled{}, syscall.EACCES},
}

// errnoOf returns Linux's error for one of the netstack's.
func errnoOf(err tcpip.Error) error { return errnoNamed(errors.New(err.String())) }

// errnoNamed returns Linux's error for one that has the text of one of the netstack's; others stay.
func errnoNamed(err error) error {
	text := err.Error()
	for _, e := range errnos {
		if e.err.String() == text {
			return e.errno
		}
	}
	return err
}

// mapError replaces the text of a netstack error, which is all that its adapter keeps, by Linux's errno, and its
// timeout by that of the standard library.
func mapError(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Err == nil {
		return err
	}
	cause := errnoNamed(op.Err)
	if op.Timeout() {
		cause = os.ErrDeadlineExceeded
	}
	return &net.OpError{Op: op.Op, Net: op.Net, Source: op.Source, Addr: op.Addr, Err: cause}
}

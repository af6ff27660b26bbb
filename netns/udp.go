package netns

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// packetConn is a UDP socket, connected or not.
type packetConn struct {
	socket
	ep          tcpip.Endpoint
	wq          *waiter.Queue
	local       net.Addr
	to          net.Addr // nil: not connected
	read, write deadline
}

// listenUDP opens a UDP socket, and connects it if to is not nil.
func (s *netstack) listenUDP(ctx context.Context, local netip.AddrPort, to *netip.AddrPort) (*packetConn, error) {
	c := &packetConn{socket: socket{ns: s.ns}, wq: new(waiter.Queue)}
	ep, terr := s.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, c.wq)
	if terr != nil {
		return nil, os.NewSyscallError("socket", errnoOf(terr))
	}
	c.ep = ep
	own(ctx, ep)
	ep.SocketOptions().SetBroadcast(true) // as Go does everywhere
	// Routers may cut what is too large for them (L14): the netstack remembers no path's MTU for UDP.
	if terr := ep.SetSockOptInt(tcpip.MTUDiscoverOption, int(tcpip.PMTUDiscoveryDont)); terr != nil {
		ep.Close()
		return nil, os.NewSyscallError("setsockopt", errnoOf(terr))
	}
	if err := c.attach(local, to); err != nil {
		ep.Close()
		return nil, err
	}
	return c, nil
}

// attach gives the socket its addresses.
func (c *packetConn) attach(local netip.AddrPort, to *netip.AddrPort) error {
	if to == nil || isBound(local) {
		if terr := c.ep.Bind(fullAddress(local)); terr != nil {
			return os.NewSyscallError("bind", errnoOf(terr))
		}
	}
	if to != nil {
		if terr := c.ep.Connect(fullAddress(*to)); terr != nil {
			return os.NewSyscallError("connect", errnoOf(terr))
		}
		c.to = net.UDPAddrFromAddrPort(*to)
	}
	at, terr := c.ep.GetLocalAddress()
	if terr != nil {
		return os.NewSyscallError("getsockname", errnoOf(terr))
	}
	c.local = net.UDPAddrFromAddrPort(addrPortOf(at))
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *packetConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn; nil if the socket is not connected.
func (c *packetConn) RemoteAddr() net.Addr { return c.to }

// Close implements net.PacketConn.
func (c *packetConn) Close() error {
	if !c.end(c) {
		return closedTwice(c.LocalAddr())
	}
	c.read.set(time.Time{})
	c.write.set(time.Time{})
	c.ep.Close()
	c.wq.Notify(waiter.EventHUp)
	return nil
}

// SetDeadline implements net.Conn.
func (c *packetConn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *packetConn) SetReadDeadline(t time.Time) error { c.read.set(t); return nil }

// SetWriteDeadline implements net.Conn.
func (c *packetConn) SetWriteDeadline(t time.Time) error { c.write.set(t); return nil }

// Read implements net.Conn.
func (c *packetConn) Read(b []byte) (int, error) {
	n, _, err := c.receive(b)
	return n, err
}

// ReadFrom implements net.PacketConn.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.receive(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(addrPortOf(from)), nil
}

func (c *packetConn) receive(b []byte) (int, tcpip.FullAddress, error) {
	var n int
	var from tcpip.FullAddress
	w := tcpip.SliceWriter(b)
	err := c.await("read", waiter.ReadableEvents, &c.read, func() tcpip.Error {
		res, err := c.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		n, from = res.Count, res.RemoteAddr
		return err
	})
	return n, from, err
}

// Write implements net.Conn.
func (c *packetConn) Write(b []byte) (int, error) { return c.send(b, nil) }

// WriteTo implements net.PacketConn.
func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	ua, ok := to.(*net.UDPAddr)
	var dst netip.Addr
	if ok && ua != nil {
		dst, _ = netip.AddrFromSlice(ua.IP)
	}
	if dst = dst.Unmap(); !dst.Is4() {
		return 0, c.failed("write", syscall.EINVAL)
	}
	a := fullAddress(netip.AddrPortFrom(dst, uint16(ua.Port)))
	n, err := c.send(b, &a)
	return n, err
}

func (c *packetConn) send(b []byte, to *tcpip.FullAddress) (int, error) {
	n := 0
	r := bytes.NewReader(b)
	err := c.await("write", waiter.WritableEvents, &c.write, func() tcpip.Error {
		sent, err := c.ep.Write(r, tcpip.WriteOptions{To: to})
		n = int(sent)
		if _, ok := err.(*tcpip.ErrHostUnreachable); ok && to != nil && !c.ns.reaches(addrPortOf(*to).Addr()) {
			return &tcpip.ErrNetworkUnreachable{}
		}
		return err
	})
	return n, err
}

// await runs try until it does not have to wait. An error that an ICMP message brought comes first.
func (c *packetConn) await(op string, events waiter.EventMask, d *deadline, try func() tcpip.Error) error {
	over := d.over()
	select {
	case <-over:
		return c.failed(op, os.ErrDeadlineExceeded)
	default:
	}
	err := c.attempt(try)
	if _, wait := err.(*tcpip.ErrWouldBlock); !wait {
		return c.result(op, err)
	}
	entry, ready := waiter.NewChannelEntry(events | waiter.EventErr | waiter.EventHUp)
	c.wq.EventRegister(&entry)
	defer c.wq.EventUnregister(&entry)
	for {
		err := c.attempt(try)
		if _, wait := err.(*tcpip.ErrWouldBlock); !wait {
			return c.result(op, err)
		}
		select {
		case <-ready:
		case <-over:
			return c.failed(op, os.ErrDeadlineExceeded)
		}
	}
}

func (c *packetConn) attempt(try func() tcpip.Error) tcpip.Error {
	if c.closed.Load() {
		return &tcpip.ErrClosedForReceive{}
	}
	if err := c.ep.LastError(); err != nil {
		return err
	}
	return try()
}

func (c *packetConn) result(op string, err tcpip.Error) error {
	switch {
	case c.closed.Load() && err != nil:
		return c.failed(op, net.ErrClosed)
	case err == nil:
		return nil
	}
	return c.failed(op, os.NewSyscallError(op, errnoOf(err)))
}

func (c *packetConn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Addr: c.to, Err: err}
}

// deadline is a time after which reads or writes fail. The zero value is none.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer   // guarded by mu
	ch    chan struct{} // guarded by mu; closed when the time has come
}

// over returns what is closed when the time has come.
func (d *deadline) over() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}

// set changes the time for calls to come, and for those that wait unless their time has come already.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		d.ch = nil // it has come, or is about to
	}
	d.timer = nil
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	over := d.ch
	select {
	case <-over:
		over = make(chan struct{})
		d.ch = over
	default:
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		close(over)
		return
	}
	d.timer = time.AfterFunc(left, func() { close(over) })
}

package vxlan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/fabric"
)

const (
	socketBuffer = 4 << 20 // what is asked for; the kernel may give less
	maxReadFails = 16      // reads that may fail in a row before the socket is given up
	addrLen      = 6       // an IPv4 address and a port
)

// UDPConfig describes a real UDP transport.
type UDPConfig struct {
	Name      string         // stands in traces; empty: "udp"
	Listen    netip.AddrPort // IPv4; zero: any address, port 4789. Port 0 of a given address is any free port
	NoOffload bool           // one datagram at a time, even where the kernel could cut and join them
	Log       *slog.Logger   // nil: silent
}

// UDP is a Transport over a socket of the real host, for labs on several machines and for the kernel's vxlan devices.
//
// A socket has one port, so all datagrams leave from that one, unlike those of the simulated underlay and of Linux, whose source
// port tells the inner flows apart; a network that spreads load by ports sees one flow. Outer UDP checksums are
// filled, for the kernel refuses to segment datagrams without; Linux's vxlan accepts both.
type UDP struct {
	fabric.Counters
	receiver

	name    string
	conn    *net.UDPConn
	log     *slog.Logger
	queue   *fabric.Queue // frames with their destination in front
	out     sender
	join    bool // the kernel cuts messages into datagrams
	group   bool // the kernel may join datagrams that it received
	stopped atomic.Bool
}

// sender writes messages of buf to the socket and returns how many datagrams it could not send. An error means
// that the socket is closed.
type sender interface {
	send(buf []byte, msgs []message) (lost int, err error)
}

// ListenUDP opens the socket. It starts nothing: until Run, what is sent waits in a queue.
func ListenUDP(c UDPConfig) (*UDP, error) {
	if !c.Listen.IsValid() {
		c.Listen = netip.AddrPortFrom(netip.IPv4Unspecified(), Port)
	}
	if !c.Listen.Addr().Is4() {
		return nil, fmt.Errorf("listen for vxlan on %s: the underlay must be IPv4; give an address such as 0.0.0.0:%d", c.Listen, Port)
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(c.Listen))
	if err != nil {
		return nil, fmt.Errorf("listen for vxlan on %s: %w", c.Listen, err)
	}
	_ = conn.SetReadBuffer(socketBuffer) // best effort: a smaller buffer loses more under load
	_ = conn.SetWriteBuffer(socketBuffer)
	u := &UDP{name: cmp.Or(c.Name, "udp"), conn: conn, log: c.Log, queue: fabric.NewQueue(), out: &plainSender{conn}}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	if !c.NoOffload {
		u.offload()
	}
	return u, nil
}

// LocalAddr returns the address that the socket is bound to.
func (u *UDP) LocalAddr() netip.AddrPort {
	a, ok := u.conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
}

// LocalPort implements Transport.
func (u *UDP) LocalPort() uint16 { return u.LocalAddr().Port() }

// Close closes the socket, and ends Run if that runs. Run closes the socket itself when it ends.
func (u *UDP) Close() error {
	u.stopped.Store(true)
	u.queue.Close()
	return u.conn.Close()
}

// Send implements Transport: it queues the frames for the goroutine that writes to the socket.
func (u *UDP) Send(to netip.AddrPort, batch []*fabric.Frame) {
	start := 0
	for i, f := range batch {
		if b := f.Prepend(addrLen); b != nil && to.Addr().Is4() {
			putAddr(b, to)
			continue
		} else if b != nil {
			f.TrimFront(addrLen)
		}
		u.push(batch[start:i])
		u.Drop(f, fabric.DropTransport, u.name)
		start = i + 1
	}
	u.push(batch[start:])
}

func (u *UDP) push(batch []*fabric.Frame) {
	for _, f := range u.queue.Push(batch) {
		f.TrimFront(addrLen)
		if u.stopped.Load() {
			u.Drop(f, fabric.DropClosed, u.name)
			continue
		}
		u.Drop(f, fabric.DropQueueFull, u.name)
	}
}

func putAddr(b []byte, a netip.AddrPort) {
	ip := a.Addr().As4()
	copy(b, ip[:])
	b[4], b[5] = byte(a.Port()>>8), byte(a.Port())
}

func takeAddr(f *fabric.Frame) netip.AddrPort {
	b := f.Linear()[:addrLen]
	a := netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), uint16(b[4])<<8|uint16(b[5]))
	f.TrimFront(addrLen)
	return a
}

// Run reads and writes the socket until ctx ends, then closes it; it may run once. An error means that the socket broke.
func (u *UDP) Run(ctx context.Context) error {
	u.log.Info("vxlan socket up", "listen", u.LocalAddr(), "segmentation", u.join, "receive-offload", u.group)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return u.read(ctx) })
	g.Go(func() error { return u.write(ctx) })
	g.Go(func() error { <-ctx.Done(); return u.Close() })
	err := g.Wait()
	u.queue.Drain()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("vxlan socket %s: %w", u.LocalAddr(), err)
	}
	return nil
}

func (u *UDP) write(ctx context.Context) error {
	box := newOutbox(u.join)
	for {
		b, ok := u.queue.Next(ctx)
		if !ok {
			return nil
		}
		err := u.writeBatch(box, b.Frames())
		u.queue.Done(b)
		if err != nil {
			return err
		}
	}
}

// writeBatch sends the frames and frees them, whatever happens.
func (u *UDP) writeBatch(box *outbox, batch []*fabric.Frame) (err error) {
	for k, f := range batch {
		to := takeAddr(f)
		u.Tx(batch[k : k+1])
		cut := f.Cut()
		for i := 0; i < int(f.Segs) && err == nil; i++ {
			if box.full() {
				err = u.flush(box)
			}
			if !box.add(to, cut, i) {
				u.CountDrop(fabric.DropMTU, 1)
			}
		}
	}
	fabric.FreeAll(batch)
	if err != nil {
		return err
	}
	return u.flush(box)
}

func (u *UDP) flush(box *outbox) error {
	lost, err := u.out.send(box.buf, box.msgs)
	box.reset()
	if lost > 0 {
		u.CountDrop(fabric.DropTransport, uint64(lost))
	}
	return err
}

func (u *UDP) read(ctx context.Context) error {
	var (
		buf   = make([]byte, 1<<16)
		oob   = make([]byte, controlLen)
		c     = new(cutter)
		fails int
	)
	for {
		n, oobn, _, from, err := u.conn.ReadMsgUDPAddrPort(buf, oob)
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return net.ErrClosed
		case err != nil:
			// Some systems report here that an earlier datagram reached nobody.
			if fails++; fails == maxReadFails {
				return err
			}
			continue
		}
		fails = 0
		if n == 0 {
			u.CountDrop(fabric.DropTruncated, 1)
			continue
		}
		u.received(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), c.cut(buf[:n], datagramSize(oob[:oobn])))
	}
}

func (u *UDP) received(from netip.AddrPort, batch []*fabric.Frame) {
	at := time.Now().UnixNano()
	for _, f := range batch {
		f.At = at
	}
	u.Rx(batch)
	u.deliver(from, batch, &u.Counters, u.name)
}

// plainSender sends one datagram at a time, on any system.
type plainSender struct{ conn *net.UDPConn }

func (s *plainSender) send(buf []byte, msgs []message) (lost int, err error) {
	for _, m := range msgs {
		n, err := s.sendMessage(buf, m)
		if lost += n; err != nil {
			return lost, err
		}
	}
	return lost, nil
}

func (s *plainSender) sendMessage(buf []byte, m message) (lost int, err error) {
	for off := m.off; off < m.end; off += m.size {
		_, err := s.conn.WriteToUDPAddrPort(buf[off:min(off+m.size, m.end)], m.to)
		if errors.Is(err, net.ErrClosed) {
			return lost, err
		}
		if err != nil {
			lost++
		}
	}
	return lost, nil
}

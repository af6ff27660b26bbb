package dns

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	streamIdle = 10 * time.Second // how long a TCP client may be silent
	maxStreams = 1024             // TCP clients at once
	maxQuery   = 4096             // bytes of a query over UDP; what is cut off is malformed
)

// A handler answers messages as they come off the wire.
type handler interface {
	// answerNow appends the reply to dst if it can be given without waiting.
	answerNow(dst, msg []byte, t transport) (reply []byte, ok bool)
	// answerLater answers what answerNow did not; nil: there is to be no reply.
	answerLater(ctx context.Context, msg []byte, t transport) []byte
	// counts returns where to count.
	counts() *counters
}

// serve answers what arrives at pc and ln until ctx ends or one of them fails, and closes both.
func serve(ctx context.Context, h handler, pc net.PacketConn, ln net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() { // which Wait below ends at the latest
		defer close(closed)
		closeSockets(pc, ln)
	})
	if pc != nil {
		s := packetServer{handler: h, conn: pc, group: g}
		g.Go(func() error { return s.run(ctx) })
	}
	if ln != nil {
		s := streamServer{handler: h, listener: ln, group: g, free: make(chan struct{}, maxStreams)}
		g.Go(func() error { return s.run(ctx) })
	}
	err := g.Wait()
	<-closed
	return err
}

// closeSockets ends the reads of both servers, which then report what there is to report.
func closeSockets(pc net.PacketConn, ln net.Listener) {
	if pc != nil {
		_ = pc.Close()
	}
	if ln != nil {
		_ = ln.Close()
	}
}

// A packetServer answers over UDP: known names at once on the reading goroutine, all else on one of its own.
type packetServer struct {
	handler
	conn  net.PacketConn
	group *errgroup.Group
}

// run reads until the socket is closed.
func (s *packetServer) run(ctx context.Context) error {
	in, out := make([]byte, maxQuery), make([]byte, 0, minUDPSize)
	for {
		n, from, err := s.conn.ReadFrom(in)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read dns queries on %s: %w", s.conn.LocalAddr(), err)
		}
		reply, ok := s.answerNow(out[:0], in[:n], overUDP)
		if ok {
			out = reply
			s.send(reply, from)
			continue
		}
		msg := bytes.Clone(in[:n])
		why := ctx // whoever follows the query follows what is asked because of it
		if pc, ok := s.conn.(interface {
			BecauseOf(context.Context, net.Addr) context.Context
		}); ok {
			why = pc.BecauseOf(ctx, from)
		}
		s.group.Go(func() error {
			s.send(s.answerLater(why, msg, overUDP), from)
			return nil
		})
	}
}

// send sends a reply, if there is one.
func (s *packetServer) send(reply []byte, to net.Addr) {
	if len(reply) == 0 {
		return
	}
	if _, err := s.conn.WriteTo(reply, to); err != nil {
		s.counts().unsent.Add(1)
	}
}

// A streamServer answers over TCP, each client on a goroutine of its own.
type streamServer struct {
	handler
	listener net.Listener
	group    *errgroup.Group
	free     chan struct{} // one element for each client
}

// run accepts clients until the listener is closed. One client too many is turned away.
func (s *streamServer) run(ctx context.Context) error {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept dns clients on %s: %w", s.listener.Addr(), err)
		}
		select {
		case s.free <- struct{}{}:
			s.group.Go(func() error {
				defer func() { <-s.free }()
				s.talk(ctx, conn)
				return nil
			})
		default:
			s.counts().refused.Add(1)
			_ = conn.Close() // the client sees the end of the stream either way
		}
	}
}

// talk answers the queries of one client, in their order, until it falls silent or leaves or ctx ends.
func (s *streamServer) talk(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }() // nothing is lost with it
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if c, ok := conn.(interface {
		Because(context.Context) context.Context
	}); ok {
		ctx = c.Because(ctx)
	}
	buf := messageBuffers.Get().(*[maxMessage]byte)
	defer messageBuffers.Put(buf)
	for {
		if conn.SetDeadline(time.Now().Add(streamIdle)) != nil {
			return
		}
		n, err := readMessage(conn, buf[:], overTCP)
		if err != nil {
			return
		}
		reply, ok := s.answerNow(nil, buf[:n], overTCP)
		if !ok {
			reply = s.answerLater(ctx, buf[:n], overTCP)
		}
		if len(reply) == 0 {
			return
		}
		// An upstream may have taken longer than a client may be silent.
		if conn.SetDeadline(time.Now().Add(streamIdle)) != nil || writeMessage(conn, reply, overTCP) != nil {
			s.counts().unsent.Add(1)
			return
		}
	}
}

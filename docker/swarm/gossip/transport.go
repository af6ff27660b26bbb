package gossip

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// errDown is what a transport says that has been shut down. It is none of the errors that memberlist blames on a peer.
var errDown = errors.New("gossip has ended")

// transport carries memberlist's packets and streams over the sockets of a namespace, sealed if there are keys. It
// implements memberlist.NodeAwareTransport.
type transport struct {
	node    *Node
	ctx     context.Context // of its dials
	packets chan *memberlist.Packet
	streams chan net.Conn
	pc      net.PacketConn
	ln      net.Listener
	done    chan struct{} // closed by Shutdown
	readers sync.WaitGroup
	pings   atomic.Uint32 // the highest sequence number of a ping sent

	mu     sync.Mutex
	open   map[*stream]struct{} // guarded by mu
	served int                  // streams of open that others have opened; guarded by mu
	down   bool                 // guarded by mu
	mirror *mirror              // what the next dial of mirrorAddr gets; guarded by mu
	users  sync.WaitGroup       // of open
}

func newTransport(ctx context.Context, n *Node) (*transport, error) {
	t := &transport{
		node: n, ctx: ctx, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		done: make(chan struct{}), open: make(map[*stream]struct{}),
	}
	at := netip.AddrPortFrom(n.cfg.Addr, Port).String()
	var err error
	if t.pc, err = n.cfg.NS.ListenPacket("udp", at); err != nil {
		return nil, fmt.Errorf("gossip of %s: %w", n.cfg.Name, err)
	}
	if t.ln, err = n.cfg.NS.Listen("tcp", at); err != nil {
		return nil, errors.Join(fmt.Errorf("gossip of %s: %w", n.cfg.Name, err), t.pc.Close())
	}
	return t, nil
}

// serve reads both sockets until Shutdown.
func (t *transport) serve() {
	t.readers.Go(t.readPackets)
	t.readers.Go(t.accept)
}

func (t *transport) readPackets() {
	buf := make([]byte, packetSize+1) // one byte more than any packet that is taken has
	for {
		n, from, err := t.pc.ReadFrom(buf)
		if err != nil {
			select {
			case <-t.done:
				return
			case <-t.node.cfg.NS.Done():
				return
			default:
			}
			t.node.log.Debug("gossip packet", "node", t.node.cfg.Name, "error", err)
			continue
		}
		if n > packetSize {
			t.node.refuse(Oversized, from.String())
			continue
		}
		content, why, ok := t.node.ring.open(buf[:n])
		if !ok {
			t.node.refuse(why, from.String())
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: content, From: from, Timestamp: time.Now()}:
		case <-t.done:
			return
		}
	}
}

func (t *transport) accept() {
	for {
		c, err := t.ln.Accept()
		if err != nil {
			return
		}
		s, err := t.adopt(c, true)
		if err != nil {
			continue
		}
		t.readers.Go(func() { t.admit(s) })
	}
}

// adopt makes a stream of a connection, which Shutdown then closes if nobody else has.
func (t *transport) adopt(c net.Conn, server bool) (*stream, error) {
	s := &stream{Conn: c, t: t, remote: c.RemoteAddr(), server: server, left: maxStreamBytes}
	if s.remote == nil {
		s.remote = &net.TCPAddr{}
	}
	t.mu.Lock()
	full := server && t.served >= maxStreams
	if t.down || full {
		t.mu.Unlock()
		if full {
			t.node.refuse(TooMany, s.remote.String())
		}
		return nil, errors.Join(errDown, c.Close())
	}
	t.open[s] = struct{}{}
	if server {
		t.served++
	}
	t.users.Add(1)
	t.mu.Unlock()
	return s, nil
}

// forget is called once for each stream that has been closed.
func (t *transport) forget(s *stream) {
	t.mu.Lock()
	delete(t.open, s)
	if s.server {
		t.served--
	}
	t.mu.Unlock()
	t.users.Done()
}

// admit hands a stream that somebody has opened to whom its first byte names.
func (t *transport) admit(s *stream) {
	_ = s.SetDeadline(time.Now().Add(tcpTimeout)) // fails only when closed, as what follows does
	if t.node.ring.sealed() {
		if err := s.greet(); err != nil {
			_ = s.Close()
			return
		}
	}
	r := bufio.NewReader(s)
	first, err := r.Peek(1)
	if err != nil {
		_ = s.Close()
		return
	}
	if first[0] == syncMagic {
		t.node.answerSync(s, r)
		return
	}
	select {
	case t.streams <- &peeked{Conn: s, r: r}:
	case <-t.done:
		_ = s.Close()
	}
}

// peeked is a stream whose beginning waits in r.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn.
func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// dial opens a stream to another node.
func (t *transport) dial(ctx context.Context, addr string, timeout time.Duration) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := t.node.cfg.NS.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s, err := t.adopt(c, false)
	if err != nil || !t.node.ring.sealed() {
		return s, err
	}
	deadline, _ := ctx.Deadline()
	_ = s.SetDeadline(deadline) // fails only when closed, as greet then does
	if err := s.greet(); err != nil {
		return nil, errors.Join(fmt.Errorf("greet %s: %w", addr, err), s.Close())
	}
	return s, s.SetDeadline(time.Time{})
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.node.cfg.Addr.AsSlice(), Port, nil
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("gossip to %q: %w", addr, err)
	}
	t.notePings(b)
	select {
	case <-t.done:
		return time.Time{}, errDown
	default:
	}
	now := time.Now()
	_, err = t.pc.WriteTo(t.node.ring.seal(b), net.UDPAddrFromAddrPort(to))
	return now, err
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *transport) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, addr.Addr)
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	if addr == mirrorAddr {
		return t.takeMirror()
	}
	s, err := t.dial(t.ctx, addr, timeout)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(addr.Addr, timeout)
}

// Shutdown implements memberlist.Transport: it closes all, waits for the readers, and ends what memberlist waits for.
func (t *transport) Shutdown() error {
	if t.close() {
		t.farewell()
	}
	return nil
}

// close closes all and waits for the readers. It tells whether that was not done yet.
func (t *transport) close() bool {
	t.mu.Lock()
	if t.down {
		t.mu.Unlock()
		return false
	}
	t.down = true
	open := slices.Collect(maps.Keys(t.open))
	t.mu.Unlock()
	close(t.done)
	_, _ = t.pc.Close(), t.ln.Close() // fails only if the namespace has closed them
	for _, s := range open {
		_ = s.Conn.Close() // whoever uses the stream sees that, and closes it
	}
	t.readers.Wait()
	return true
}

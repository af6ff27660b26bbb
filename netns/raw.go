package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// rawQueue is how many packets wait for the reader of a raw socket; more are dropped and counted.
const rawQueue = 256

// RawConn is a raw IPv4 socket: it sends packets of its own making and gets a copy of each packet of its protocol that
// arrives for the namespace, errors about its own packets among them. ping and traceroute stand on it.
type RawConn struct {
	ns     *Namespace
	proto  byte
	ch     chan RawPacket
	drops  atomic.Uint64
	once   sync.Once
	origin *fabric.Origin // nil: its packets are not followed
	closed chan struct{}
}

// RawPacket is a packet that arrived.
type RawPacket struct {
	Src, Dst netip.Addr
	TTL      int
	At       int64  // nanoseconds of Unix time
	Body     []byte // what follows the IP header
	Size     int    // of the whole packet
}

// RawOptions are the fields of a packet to send that the sender may choose.
type RawOptions struct {
	Src   netip.Addr // zero: the address that the route chooses
	TTL   int        // 0: 64
	DF    bool       // refuse to fragment
	Proto byte       // 0: that of the socket
	Trace *fabric.Trace
}

// ListenRaw opens a raw socket for an IP protocol.
func (ns *Namespace) ListenRaw(proto byte) (*RawConn, error) {
	r := &RawConn{ns: ns, proto: proto, ch: make(chan RawPacket, rawQueue), closed: make(chan struct{})}
	if err := ns.change(func(c *config) error { c.raws = append(c.raws, r); return nil }); err != nil {
		return nil, err
	}
	ns.holdCloser(r)
	return r, nil
}

// Close closes the socket; Read returns.
func (r *RawConn) Close() error {
	r.once.Do(func() {
		close(r.closed)
		r.ns.letGo(r)
		r.ns.change(func(c *config) error { //nolint:errcheck // the edit returns nil
			for i, o := range c.raws {
				if o == r {
					c.raws = append(c.raws[:i:i], c.raws[i+1:]...)
					break
				}
			}
			return nil
		})
	})
	return nil
}

// Send sends one packet with that body to dst. A packet that must not be fragmented and is larger than its route takes
// is refused with an error that says the MTU, as is one that has no route.
func (r *RawConn) Send(dst netip.Addr, body []byte, o RawOptions) error {
	if len(body) > 65535-wire.IPv4Len {
		return os.NewSyscallError("sendto", syscall.EMSGSIZE)
	}
	if !dst.Is4() || o.Src.IsValid() && !o.Src.Is4() {
		return os.NewSyscallError("sendto", syscall.EAFNOSUPPORT)
	}
	c := r.ns.conf.Load()
	src, err := r.ns.source(c, dst)
	if o.Src.IsValid() {
		src = o.Src
	} else if err != nil {
		return os.NewSyscallError("sendto", err)
	}
	if route, ok := c.fib.Lookup(dst); ok && o.DF && !r.ns.isLocal(c, dst) && wire.IPv4Len+len(body) > route.mtu() {
		return &MTUError{MTU: route.mtu()}
	}
	h := ipFields{src: src, dst: dst, proto: r.proto, ttl: byte(min(max(o.TTL, 0), 255)), df: o.DF}
	if o.Proto != 0 {
		h.proto = o.Proto
	}
	f := r.ns.packetOf(h, body)
	f.Trace = o.Trace
	if h.proto == wire.ProtoUDP || h.proto == wire.ProtoTCP {
		f.Checksum = fabric.ChecksumPartial
	}
	out := r.ns.newEmitter()
	if reason := f.Parse3(wire.TypeIPv4, 0); reason != 0 {
		r.ns.Drop(f, reason, r.ns.cfg.Name)
	} else {
		if r.origin != nil {
			r.ns.open(f, r.origin)
		}
		r.ns.output(f, out)
	}
	out.release()
	return nil
}

// MTUError says that a packet is larger than the way it would take.
type MTUError struct{ MTU int }

// Error implements error in the words of Linux's ping.
func (e *MTUError) Error() string { return fmt.Sprintf("message too long, mtu=%d", e.MTU) }

// Is makes errors.Is(err, syscall.EMSGSIZE) hold.
func (e *MTUError) Is(target error) bool { return target == syscall.EMSGSIZE }

// Read waits for the next packet until ctx ends or the socket is closed.
func (r *RawConn) Read(ctx context.Context) (RawPacket, error) {
	select {
	case p := <-r.ch:
		return p, nil
	case <-ctx.Done():
		return RawPacket{}, ctx.Err()
	case <-r.closed:
		return RawPacket{}, net.ErrClosed
	}
}

// Dropped returns how many packets came while the reader was too slow.
func (r *RawConn) Dropped() uint64 { return r.drops.Load() }

// copyToRaw gives each raw socket of the packet's protocol a copy.
func (ns *Namespace) copyToRaw(c *config, f *fabric.Frame) {
	if len(c.raws) == 0 {
		return
	}
	h := f.IPv4()
	for _, r := range c.raws {
		if r.proto != h.Proto() {
			continue
		}
		p := RawPacket{Src: h.Src(), Dst: h.Dst(), TTL: int(h.TTL()), At: unixNano(), Body: f.AppendTo(nil)[h.HeaderLen():], Size: f.Len()}
		select {
		case r.ch <- p:
		default:
			r.drops.Add(1)
			ns.CountDrop(fabric.DropQueueFull, 1)
		}
	}
}

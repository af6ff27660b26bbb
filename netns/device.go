package netns

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// The methods below make a netstack the link endpoint of its own device.

// MTU implements stack.LinkEndpoint: routes carry the true ones, and cutting is the namespace's work.
func (s *netstack) MTU() uint32 { return 65535 }

// SetMTU implements stack.LinkEndpoint.
func (s *netstack) SetMTU(uint32) {}

// MaxHeaderLength implements stack.LinkEndpoint: link headers are ours.
func (s *netstack) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.LinkEndpoint.
func (s *netstack) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.LinkEndpoint.
func (s *netstack) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.LinkEndpoint: checksums are right by construction inside a lab.
func (s *netstack) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
}

// Attach implements stack.LinkEndpoint.
func (s *netstack) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		s.dispatch.Store(nil)
		return
	}
	s.dispatch.Store(&d)
}

// IsAttached implements stack.LinkEndpoint.
func (s *netstack) IsAttached() bool { return s.dispatch.Load() != nil }

// Wait waits for the stack's goroutines.
func (s *netstack) Wait() {}

// Close implements stack.LinkEndpoint.
func (s *netstack) Close() {}

// SetOnCloseAction implements stack.LinkEndpoint.
func (s *netstack) SetOnCloseAction(func()) {}

// ARPHardwareType implements stack.LinkEndpoint.
func (s *netstack) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.LinkEndpoint.
func (s *netstack) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.LinkEndpoint.
func (s *netstack) ParseHeader(*stack.PacketBuffer) bool { return true }

// GSOMaxSize implements stack.GSOEndpoint.
func (s *netstack) GSOMaxSize() uint32 { return gsoMax }

// SupportedGSO implements stack.GSOEndpoint; connections ask when they are set up.
func (s *netstack) SupportedGSO() stack.SupportedGSO {
	if s.ns.noSegments.Load() {
		return stack.GSONotSupported
	}
	return stack.HostGSOSupported
}

// WritePackets implements stack.LinkWriter: it makes trains of what the sockets send.
func (s *netstack) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	out := s.ns.newEmitter()
	list := pkts.AsSlice()
	following := s.ns.recorders.Load()
	for _, pkt := range list {
		f := frameOf(pkt)
		if f == nil {
			s.ns.CountDrop(fabric.DropMalformed, 1)
			continue
		}
		if s.closing.on.Load() && s.closing.mute(f) {
			s.ns.Drop(f, fabric.DropClosed, s.ns.cfg.Name)
			continue
		}
		if following != nil || pkt.Owner != nil {
			s.ns.follow(f, pkt.Owner)
		}
		s.send(f, out)
	}
	out.release()
	return len(list), nil
}

// send sends a packet; a train that has too many wire frames, because they are small, becomes several.
func (s *netstack) send(f *fabric.Frame, out *emitter) {
	if n := int(f.Segs); n > fabric.MaxSegs {
		for i := 0; i < n; i += fabric.MaxSegs {
			s.ns.output(f.SubTrain(i, min(fabric.MaxSegs, n-i)), out)
		}
		f.Free()
		return
	}
	s.ns.output(f, out)
}

// closing keeps the netstack from resetting connections that it ends: it aborts what has not ended when the namespace
// does, but a connection that its socket closed has told its peer already.
type closing struct {
	on       atomic.Bool
	mu       sync.Mutex
	finished map[[2]netip.AddrPort]bool // guarded by mu: flows that a FIN was sent for
}

// mute tells whether f is a reset that is not to be sent.
func (c *closing) mute(f *fabric.Frame) bool {
	t := f.TCP()
	if t == nil || t.Flags()&(wire.FIN|wire.RST) == 0 {
		return false
	}
	flow := [2]netip.AddrPort{f.Src(), f.Dst()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Flags()&wire.RST != 0 {
		return c.finished[flow]
	}
	if c.finished == nil {
		c.finished = make(map[[2]netip.AddrPort]bool)
	}
	c.finished[flow] = true
	return false
}

// frameOf wraps a packet that the netstack sends: headers are copied, a large payload is shared.
func frameOf(pkt *stack.PacketBuffer) *fabric.Frame {
	nh, th := pkt.NetworkHeader().Slice(), pkt.TransportHeader().Slice()
	f := fabric.New()
	hdr := len(nh) + len(th)
	b := f.Extend(hdr)
	if b == nil {
		f.Free()
		return nil
	}
	copy(b, nh)
	copy(b[len(nh):], th)
	data := pkt.Data().Size()
	if hdr+data <= fabric.LinearMax {
		room := f.Extend(data)
		d := pkt.Data().ToBuffer()
		d.ReadAt(room, 0) //nolint:errcheck // it holds as much
		d.Release()
	} else {
		payload := pkt.ToBuffer()
		payload.TrimFront(int64(hdr))
		f.SetPayload(payload)
	}
	if g := pkt.GSOOptions; g.Type != stack.GSONone && g.MSS > 0 && data > int(g.MSS) {
		f.Segs, f.MSS = uint16((data+int(g.MSS)-1)/int(g.MSS)), g.MSS
	}
	if reason := f.Parse3(wire.TypeIPv4, 0); reason != 0 {
		f.Free()
		return nil
	}
	if f.Proto == wire.ProtoTCP || f.Proto == wire.ProtoUDP {
		f.Checksum = fabric.ChecksumPartial
	}
	return f
}

// deliverLoop hands queued packets to the netstack until ctx ends.
func (ns *Namespace) deliverLoop(ctx context.Context) {
	for {
		b, ok := ns.queue.Next(ctx)
		if !ok {
			return
		}
		ns.deliverBatch(b.Frames())
		ns.queue.Done(b)
	}
}

// deliverBatch hands a batch to the netstack. TCP segments that came one by one go up as trains: what a packet costs up
// there is the same whatever its size.
func (ns *Namespace) deliverBatch(batch []*fabric.Frame) {
	s, err := ns.netstack()
	if err != nil || !s.IsAttached() {
		for _, f := range batch {
			ns.Drop(f, fabric.DropClosed, ns.cfg.Name)
		}
		return
	}
	d := *s.dispatch.Load()
	stats := s.Stats().UDP
	refused, full := stats.UnknownPortErrors.Value(), stats.ReceiveBufferErrors.Value()
	batch = fabric.Join(batch)
	for _, f := range batch {
		if dst := f.IPv4().Dst(); dst != localhost && dst.IsLoopback() {
			s.useLoopback(dst)
		}
		pkt := packetOf(f)
		d.DeliverNetworkPacket(ipv4.ProtocolNumber, pkt)
		pkt.DecRef()
	}
	fabric.FreeAll(batch)
	if n := stats.UnknownPortErrors.Value() - refused; n > 0 {
		ns.CountDrop(fabric.DropNoSocket, n)
	}
	if n := stats.ReceiveBufferErrors.Value() - full; n > 0 {
		ns.CountDrop(fabric.DropQueueFull, n)
	}
}

// packetOf makes a packet for the netstack of a frame, whose payload it takes.
func packetOf(f *fabric.Frame) *stack.PacketBuffer {
	payload := buffer.MakeWithData(f.L3())
	rest := f.TakePayload()
	payload.Merge(&rest)
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: payload})
	pkt.RXChecksumValidated = true // by the namespace, or right by construction
	return pkt
}

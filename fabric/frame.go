// Package fabric is what all of netsim stands on: the Frame that travels, the Ports it enters and leaves
// by, the Links between them, why it may be dropped, and what can be seen of it on its way.
package fabric

import (
	"slices"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/netsim-lab/netsim/fabric/wire"
)

const (
	// Headroom is what a new frame keeps free in front: VXLAN over IPv4 takes 50 bytes, Ethernet 14.
	Headroom = 80
	// LinearMax is how many bytes of a frame lie in its private, linear part: all of its headers, and
	// the whole of a small frame. Larger payloads are shared.
	LinearMax = 400
	// MaxHops is how many devices a frame may pass. A frame that has passed them is in a loop, and is dropped.
	MaxHops = 128
	// MaxSegs is how many wire frames a train may have.
	MaxSegs = 64
	// headersMax is as much as all headers of a frame from outside may take: IPv4 without options, UDP and VXLAN
	// around Ethernet with a tag, IPv4 and TCP with all options.
	headersMax = 192
)

// Checksum tells what a frame's TCP or UDP checksum is worth.
type Checksum uint8

// The states of a checksum.
const (
	// ChecksumComplete is a checksum that stands in the header as it would on a wire; it may be wrong.
	ChecksumComplete Checksum = iota
	// ChecksumPartial is one that nobody computed: it is right by construction and filled in where the
	// frame leaves the lab.
	ChecksumPartial
)

// Frame is a train: 1 to MaxSegs wire frames of one flow that share one header. The linear part holds the
// headers, and all of a small frame; it is private to its holder and may be changed. What follows is a
// shared payload that nobody changes once the frame is on its way.
//
// The headers of a train are those of one large packet, as Linux's segmentation offload has them: lengths
// cover the whole train; Segment makes the headers of each wire frame. Of a train of ESP packets only the headers up to the
// IP header are shared: what each seals lies one after the other, ESP header first. A frame belongs to one holder at a
// time, handing it over hands over its memory, and the last holder calls Free. The zero Frame is not usable.
type Frame struct {
	start, end uint16 // the linear part is buf[start:end]
	l3, l4     uint16 // offsets into buf of the network and transport header; 0: none
	inner      uint16 // offset into buf of the inner Ethernet header of a tunnelled frame; 0: not tunnelled

	// Segs is the number of wire frames, 1 or more. MSS is the payload of each but the last; 0 if Segs is 1.
	Segs, MSS uint16
	// EtherType and Proto are what Parse found: the network protocol behind any VLAN tag, and the transport
	// protocol (0 for a fragment that has no transport header).
	EtherType uint16
	Proto     byte
	// Checksum is the state of the transport checksum, of the inner packet if the frame is tunnelled.
	Checksum Checksum
	// Hops counts the devices passed.
	Hops uint8
	// Hash is the flow's hash, 0 until FlowHash computed it.
	Hash uint32
	// At is when the frame entered the lab or its last queue, in nanoseconds of Unix time; 0: unknown.
	At int64
	// Trace, if not nil, records the frame's way.
	Trace *Trace

	payload buffer.Buffer
	buf     [Headroom + LinearMax]byte
}

// New returns an empty frame with Headroom bytes in front, from the free list.
func New() *Frame {
	f := get()
	f.reset()
	return f
}

// NewBatch fills batch with empty frames as New does, at a fraction of the cost for each.
func NewBatch(batch []*Frame) {
	getAll(batch)
	for _, f := range batch {
		f.reset()
	}
}

func (f *Frame) reset() {
	f.start, f.end = Headroom, Headroom
	f.l3, f.l4, f.inner = 0, 0, 0
	f.Segs, f.MSS = 1, 0
	f.EtherType, f.Proto, f.Checksum, f.Hops = 0, 0, ChecksumComplete, 0
	f.Hash, f.At, f.Trace = 0, 0, nil
}

// FromBytes returns a frame that holds a copy of one wire frame, Ethernet header first.
func FromBytes(b []byte) *Frame {
	f := New()
	f.Fill(b)
	return f
}

// Fill makes an empty frame hold a copy of one wire frame, Ethernet header first.
func (f *Frame) Fill(b []byte) {
	n := min(len(b), LinearMax)
	if n < len(b) {
		n = headersMax
	}
	copy(f.Extend(n), b)
	if n < len(b) {
		f.payload = buffer.MakeWithData(b[n:])
	}
}

// Free gives the frame's memory back. The frame must not be used after.
func (f *Frame) Free() {
	f.release()
	put(f)
}

// FreeAll frees every frame of a batch, at a fraction of the cost for each.
func FreeAll(batch []*Frame) {
	for _, f := range batch {
		f.release()
	}
	putAll(batch)
}

// release lets go of what the frame refers to.
func (f *Frame) release() {
	if f.payload.Size() > 0 {
		f.payload.Release()
	}
	f.Trace = nil
}

// Clone returns a copy with headers of its own and the same shared payload.
func (f *Frame) Clone() *Frame {
	c := f.cloneLinear()
	if f.payload.Size() > 0 {
		c.payload = f.payload.Clone()
	}
	return c
}

// cloneLinear returns a copy of all but the shared payload.
func (f *Frame) cloneLinear() *Frame {
	c := get()
	c.start, c.end, c.l3, c.l4, c.inner = f.start, f.end, f.l3, f.l4, f.inner
	c.Segs, c.MSS = f.Segs, f.MSS
	c.EtherType, c.Proto, c.Checksum, c.Hops = f.EtherType, f.Proto, f.Checksum, f.Hops
	c.Hash, c.At, c.Trace = f.Hash, f.At, f.Trace
	copy(c.buf[f.start:f.end], f.buf[f.start:f.end])
	return c
}

// Linear returns the linear part: the headers and, of a small frame, all of it. It aliases the frame.
func (f *Frame) Linear() []byte { return f.buf[f.start:f.end] }

// Payload returns the shared part, which follows the linear one. Its bytes must not be changed.
func (f *Frame) Payload() *buffer.Buffer { return &f.payload }

// SetPayload makes b the shared part and releases the one before. The frame owns b from now on.
func (f *Frame) SetPayload(b buffer.Buffer) {
	if f.payload.Size() > 0 {
		f.payload.Release()
	}
	f.payload = b
}

// SetPayloadBytes makes a copy of b the shared part and releases the one before.
func (f *Frame) SetPayloadBytes(b []byte) { f.SetPayload(buffer.MakeWithData(b)) }

// TakePayload hands the shared part over to the caller and leaves none.
func (f *Frame) TakePayload() buffer.Buffer {
	b := f.payload
	f.payload = buffer.Buffer{}
	return b
}

// Len returns the length of the train as one large frame, in bytes.
func (f *Frame) Len() int { return int(f.end-f.start) + int(f.payload.Size()) }

// WireLen returns the length of all wire frames together, in bytes.
func (f *Frame) WireLen() int {
	if f.Segs <= 1 {
		return f.Len()
	}
	return f.Len() + int(f.Segs-1)*f.headerLen(f.transport())
}

// headerLen returns the length of all headers of a train whose transport header is at that place; the whole linear
// part if there is none.
func (f *Frame) headerLen(at place) int {
	switch {
	case at.off == 0:
		return int(f.end - f.start)
	case at.proto == wire.ProtoTCP:
		return at.off - int(f.start) + wire.TCP(f.buf[at.off:]).HeaderLen()
	case at.proto == wire.ProtoESP:
		return at.off - int(f.start)
	default:
		return at.off - int(f.start) + wire.UDPLen
	}
}

// PacketLen returns the length of the largest of the train's packets, from the network header on: what an
// MTU is held against.
func (f *Frame) PacketLen() int {
	if f.l3 == 0 {
		return f.Len()
	}
	if f.Segs > 1 {
		return f.headerLen(f.transport()) - int(f.l3-f.start) + int(f.MSS)
	}
	return f.Len() - int(f.l3-f.start)
}

// Prepend grows the linear part by n bytes in front and returns them. It returns nil, and leaves the frame as
// it was, if there is no room.
func (f *Frame) Prepend(n int) []byte {
	if n < 0 || n > int(f.start) {
		return nil
	}
	f.start -= uint16(n)
	return f.buf[f.start : int(f.start)+n]
}

// TrimFront takes n bytes off the front of the linear part; false, and nothing done, if it has fewer. A header that
// lay there is forgotten.
func (f *Frame) TrimFront(n int) bool {
	if n < 0 || n > int(f.end-f.start) {
		return false
	}
	f.start += uint16(n)
	if f.l3 < f.start {
		f.l3 = 0
	}
	if f.l4 < f.start {
		f.l4 = 0
	}
	if f.inner < f.start {
		f.inner = 0
	}
	return true
}

// Extend grows the linear part by n bytes at its end and returns them. It returns nil if there is no room,
// or if the frame has a shared payload, which they would come before.
func (f *Frame) Extend(n int) []byte {
	if n < 0 || int(f.end)+n > len(f.buf) || f.payload.Size() > 0 {
		return nil
	}
	f.end += uint16(n)
	return f.buf[int(f.end)-n : f.end]
}

// CapLen cuts the frame to n bytes, if it is longer: padding behind a packet, say. A header that it cuts is forgotten.
func (f *Frame) CapLen(n int) {
	lin := int(f.end - f.start)
	switch {
	case n < 0 || n >= lin+int(f.payload.Size()):
	case n <= lin:
		f.end = f.start + uint16(n)
		f.SetPayload(buffer.Buffer{})
		f.forgetCut()
	default:
		f.payload.Truncate(int64(n - lin))
	}
}

// forgetCut forgets the headers that the end of the linear part cuts.
func (f *Frame) forgetCut() {
	if f.inner > f.end {
		f.inner = 0
	}
	if f.l3 != 0 && (f.l3 > f.end || !hasIP(f.buf[f.l3:f.end])) {
		f.l3, f.l4 = 0, 0
	}
	if f.l4 == 0 {
		return
	}
	n := wire.UDPLen // and that of ICMP
	switch f.Proto {
	case wire.ProtoTCP:
		n = wire.TCP(f.buf[f.l4:]).HeaderLen()
	case wire.ProtoESP:
		n = 0
	}
	if int(f.l4)+n > int(f.end) {
		f.l4 = 0
	}
}

// AppendTo appends the bytes of the train as one large frame to b.
func (f *Frame) AppendTo(b []byte) []byte {
	b = append(b, f.Linear()...)
	return f.appendPayload(b, 0, int(f.payload.Size()))
}

// appendPayload appends n bytes of the shared part from offset off to b.
func (f *Frame) appendPayload(b []byte, off, n int) []byte {
	if n <= 0 {
		return b
	}
	at := len(b)
	b = slices.Grow(b, n)[:at+n]
	read, _ := f.payload.ReadAt(b[at:], int64(off))
	return b[:at+read]
}

// Eth returns the Ethernet header. The linear part must begin with one, as it does after ParseEthernet.
func (f *Frame) Eth() wire.Ethernet { return wire.Ethernet(f.Linear()) }

// IPv4 returns the network header, nil if the frame was not parsed to be IPv4.
func (f *Frame) IPv4() wire.IPv4 {
	if f.l3 == 0 || f.EtherType != wire.TypeIPv4 {
		return nil
	}
	return wire.IPv4(f.buf[f.l3:f.end])
}

// L3 returns the linear part from the network header on; nil if the frame has none.
func (f *Frame) L3() []byte {
	if f.l3 == 0 {
		return nil
	}
	return f.buf[f.l3:f.end]
}

// L4 returns the linear part from the transport header on; nil if the frame has none.
func (f *Frame) L4() []byte {
	if f.l4 == 0 {
		return nil
	}
	return f.buf[f.l4:f.end]
}

// TCP returns the TCP header, nil if the frame has none.
func (f *Frame) TCP() wire.TCP {
	if f.l4 == 0 || f.Proto != wire.ProtoTCP {
		return nil
	}
	return wire.TCP(f.buf[f.l4:f.end])
}

// UDP returns the UDP header, nil if the frame has none.
func (f *Frame) UDP() wire.UDP {
	if f.l4 == 0 || f.Proto != wire.ProtoUDP {
		return nil
	}
	return wire.UDP(f.buf[f.l4:f.end])
}

// ICMP returns the linear part of an ICMPv4 message, nil if the frame is none.
func (f *Frame) ICMP() wire.ICMP {
	if f.l4 == 0 || f.Proto != wire.ProtoICMP {
		return nil
	}
	return wire.ICMP(f.buf[f.l4:f.end])
}

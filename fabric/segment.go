package fabric

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Cut reads the wire frames of a train one after the other. It is good until the train changes.
type Cut struct {
	f   *Frame
	at  place
	hdr int  // the length of all headers
	one bool // it is no train
}

// Cut returns what reads the wire frames of f.
func (f *Frame) Cut() Cut {
	at := f.transport()
	return Cut{f, at, f.headerLen(at), f.Segs <= 1 || f.MSS == 0 || at.off == 0}
}

// AppendSegment appends wire frame i of the train (0 to Segs-1) to b as it stands on a wire: lengths, identification,
// sequence number, flags and checksums are those of that frame alone.
func (f *Frame) AppendSegment(b []byte, i int) []byte { return f.Cut().Append(b, i) }

// Append appends wire frame i to b, as AppendSegment does.
func (c Cut) Append(b []byte, i int) []byte {
	f, from, lin := c.f, len(b), c.f.Linear()
	if c.one {
		b = append(b, lin...)
		b = f.appendPayload(b, 0, int(f.payload.Size()))
		if f.Checksum == ChecksumPartial && c.at.off != 0 && c.at.proto != wire.ProtoESP {
			f.sum(b[from:], c.at)
		}
		return b
	}
	off := i * int(f.MSS)
	n := max(0, min(int(f.MSS), f.Len()-c.hdr-off))
	b = append(b, lin[:c.hdr]...)
	b = f.appendData(b, c.hdr, off, n)
	f.stamp(b[from:], len(b)-from, c.at, i, i >= int(f.Segs)-1)
	if !f.noChecksum(c.at) {
		f.sum(b[from:], c.at)
	}
	return b
}

// appendData appends n bytes of the train's data from offset off; data may begin in the linear part.
func (f *Frame) appendData(b []byte, hdr, off, n int) []byte {
	inLinear := int(f.end-f.start) - hdr
	if off < inLinear {
		k := min(n, inLinear-off)
		b = append(b, f.Linear()[hdr+off:hdr+off+k]...)
		off, n = off+k, n-k
	}
	return f.appendPayload(b, off-inLinear, n)
}

// noChecksum tells whether the frame is UDP whose sender chose to have no checksum, or ESP, which has none.
func (f *Frame) noChecksum(at place) bool {
	return at.proto == wire.ProtoESP || f.Checksum == ChecksumComplete && at.proto == wire.ProtoUDP && wire.UDP(f.buf[at.off:]).Checksum() == 0
}

// stamp makes the headers in b those of the part of the train that begins with wire frame i, whole bytes long as one
// frame: lengths, identification, sequence number and flags. Transport checksums are left to the caller.
func (f *Frame) stamp(b []byte, whole int, at place, i int, last bool) {
	base := int(f.start)
	stampIP(b[at.l3-base:], whole-(at.l3-base), i)
	l4 := b[at.off-base:]
	switch at.proto {
	case wire.ProtoTCP:
		stampTCP(l4, uint32(i)*uint32(f.MSS), i == 0, last)
	case wire.ProtoUDP:
		wire.UDP(l4).SetLen(whole - (at.off - base))
	}
	if f.inner == 0 {
		return
	}
	if f.l3 >= f.start && f.l3 < f.inner && hasIP(f.buf[f.l3:f.inner]) {
		stampIP(b[int(f.l3)-base:], whole-(int(f.l3)-base), i)
	}
	if f.l4 > f.l3 && f.l4 >= f.start && int(f.l4)+wire.UDPLen <= int(f.inner) && f.Proto == wire.ProtoUDP {
		u := wire.UDP(b[int(f.l4)-base:])
		u.SetLen(whole - (int(f.l4) - base))
		u.SetChecksum(0) // RFC 7348 section 5: it should be zero, and what stood there is that of the train
	}
}

// stampIP sets length, identification and checksum of the IP packet that begins with b, the i-th of its train.
func stampIP(b []byte, total, i int) {
	if b[0]>>4 == 6 {
		wire.IPv6(b).SetPayloadLen(total - wire.IPv6Len)
		return
	}
	h := wire.IPv4(b)
	h.SetTotalLen(total)
	h.SetID(h.ID() + uint16(i))
	h.FillChecksum()
}

// stampTCP sets sequence number and flags as Linux does when it cuts: what ends the train stands in the last part,
// and the echo of the congestion window in the first.
func stampTCP(t wire.TCP, ahead uint32, first, last bool) {
	t.SetSeq(t.Seq() + ahead)
	flags := t.Flags()
	if !last {
		flags &^= wire.FIN | wire.PSH
	}
	if !first {
		flags &^= wire.CWR
	}
	t.SetFlags(flags)
}

// sum computes the transport checksum of the wire frame b, which has this frame's headers.
func (f *Frame) sum(b []byte, at place) {
	l3, l4 := b[at.l3-int(f.start):], b[at.off-int(f.start):]
	field := checksumField(l4, at.proto)
	binary.BigEndian.PutUint16(field, 0)
	putChecksum(field, at.proto, wire.Sum(l4, pseudoSum(l3, at.proto, len(l4))))
}

// pseudoSum is the sum over the pseudo header for n bytes of transport in the packet l3.
func pseudoSum(l3 []byte, proto byte, n int) uint64 {
	if l3[0]>>4 == 6 {
		return wire.PseudoSum(wire.IPv6(l3).Src(), wire.IPv6(l3).Dst(), proto, n)
	}
	return wire.PseudoSum(wire.IPv4(l3).Src(), wire.IPv4(l3).Dst(), proto, n)
}

// checksumField returns the two bytes of a TCP or UDP header that hold the checksum.
func checksumField(l4 []byte, proto byte) []byte {
	if proto == wire.ProtoUDP {
		return l4[6:8]
	}
	return l4[16:18]
}

func putChecksum(field []byte, proto byte, sum uint64) {
	c := ^wire.Fold(sum)
	if c == 0 && proto == wire.ProtoUDP {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(field, c)
}

// Split cuts a train into its wire frames and appends them to out: each has headers of its own and shares the payload.
// The train is used up. A frame that is no train is appended as it is.
func (f *Frame) Split(out []*Frame) []*Frame {
	at := f.transport()
	if f.Segs <= 1 || f.MSS == 0 || at.off == 0 {
		return append(out, f)
	}
	for i := range int(f.Segs) {
		out = append(out, f.segment(at, i, 1))
	}
	f.Free()
	return out
}

// SubTrain returns the n wire frames of the train that begin with number i, as a train of its own that shares the
// payload. The train itself stays as it is. Of a frame that is no train it returns a copy.
func (f *Frame) SubTrain(i, n int) *Frame {
	at := f.transport()
	if f.Segs <= 1 || f.MSS == 0 || at.off == 0 {
		return f.Clone()
	}
	return f.segment(at, i, n)
}

func (f *Frame) segment(at place, i, n int) *Frame {
	hdr, mss := f.headerLen(at), int(f.MSS)
	off := i * mss
	size := max(0, min(n*mss, f.Len()-hdr-off))
	c := f.cloneLinear()
	c.payload = f.payload.Clone()
	if data := c.Linear()[hdr:]; len(data) > 0 {
		// Data that begins in the linear part: a clone's views are shared, so this writes into none of them.
		_ = c.payload.Prepend(buffer.NewViewWithData(data))
		c.end = c.start + uint16(hdr)
	}
	c.payload.TrimFront(int64(off))
	c.payload.Truncate(int64(size))
	c.stamp(c.Linear(), c.Len(), at, i, i+n >= int(f.Segs))
	if !f.noChecksum(at) {
		c.Checksum = ChecksumPartial
	}
	if c.Segs = uint16((size + mss - 1) / mss); c.Segs <= 1 {
		c.Segs, c.MSS = 1, 0
	}
	return c
}

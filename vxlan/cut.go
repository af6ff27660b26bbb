package vxlan

import (
	"io"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// maxHeaders is the longest run of headers from VXLAN to TCP: a tagged Ethernet header, all IPv4 and all TCP options.
const maxHeaders = HeaderLen + wire.EthernetLen + wire.VLANLen + 60 + 60

// cutter makes frames of what one read from a socket returned. It is for one goroutine, and reuses what it returns.
//
// Consecutive TCP segments of one flow become a train again, but only where the train stands for exactly those wire frames:
// headers equal but for what counts up, sizes equal but for the last, and both checksums right. The checksums are looked at
// because a train's is partial, that is right by construction, and nothing else vouches for the bytes: the outer UDP checksum
// may be 0 (RFC 7348 section 5), which a socket does not tell, and a right one says that the tunnel carried the bytes
// well, not that they went in well. That costs little next to the system call. A segment with a wrong
// checksum goes on alone, and whoever it is for judges it, as Linux's GRO does.
type cutter struct {
	batch []*fabric.Frame
	segs  [fabric.MaxSegs]segment
	n     int // of segs: segments of the train so far
	data  gather
	limit io.LimitedReader
}

// segment is a datagram that may be part of a train: a VXLAN header, Ethernet, IPv4, TCP, and data up to the end.
type segment struct {
	b           []byte
	l3, l4, hdr int // where the headers begin, and where they end
	seq         uint32
	id          uint16
	last        bool             // FIN or PSH: no other may follow
	fixed       [maxHeaders]byte // the headers without the fields that differ within a train
}

// cut makes frames of the datagrams in b: all are size bytes long but the last. Size 0 is a single datagram. The
// result is valid until the next call.
func (c *cutter) cut(b []byte, size int) []*fabric.Frame {
	c.batch = c.batch[:0]
	if size <= 0 {
		size = len(b)
	}
	for len(b) > 0 {
		d := b[:min(size, len(b))]
		b = b[len(d):]
		c.add(d)
	}
	c.flush()
	return c.batch
}

// add takes the next datagram, which must stay as it is until flush.
func (c *cutter) add(d []byte) {
	s := &c.segs[c.n]
	joins := s.parse(d)
	if c.n > 0 && !(joins && s.follows(&c.segs[0], &c.segs[c.n-1])) {
		c.emit(c.n)
		c.segs[0], c.n = *s, 0
		s = &c.segs[0]
	}
	if !joins {
		c.single(d, min(len(d), fabric.LinearMax))
		return
	}
	if c.n++; c.n == fabric.MaxSegs || s.last {
		c.flush()
	}
}

// flush makes a frame of the segments so far.
func (c *cutter) flush() {
	c.emit(c.n)
	c.n = 0
}

// parse reads the datagram b; false if it cannot be part of a train.
func (s *segment) parse(b []byte) bool {
	s.b = b
	if len(b) < HeaderLen || b[0]&flagVNI == 0 {
		return false
	}
	e, err := wire.ParseEthernet(b[HeaderLen:])
	if err != nil || e.Type() != wire.TypeIPv4 {
		return false
	}
	s.l3 = HeaderLen + e.Len()
	ip, err := wire.ParseIPv4(b[s.l3:])
	if err != nil || ip.TotalLen() != len(b)-s.l3 || ip.IsFragment() || ip.Proto() != wire.ProtoTCP || !ip.Valid() {
		return false
	}
	s.l4 = s.l3 + ip.HeaderLen()
	t, err := wire.ParseTCP(b[s.l4:])
	if err != nil || t.Flags()&(wire.SYN|wire.RST|wire.URG) != 0 {
		return false
	}
	s.hdr = s.l4 + t.HeaderLen()
	return s.hdr < len(b) && s.valid(ip, t) && s.note(ip, t)
}

// valid tells whether the checksums are those that a train would have. All ones is another way to write 0 that no
// sender computes.
func (s *segment) valid(ip wire.IPv4, t wire.TCP) bool {
	if ip.Checksum() == 0xffff || t.Checksum() == 0xffff {
		return false
	}
	return wire.Fold(wire.Sum(t, wire.PseudoSum(ip.Src(), ip.Dst(), wire.ProtoTCP, len(t)))) == 0xffff
}

// note keeps what follows compares.
func (s *segment) note(ip wire.IPv4, t wire.TCP) bool {
	s.seq, s.id = t.Seq(), ip.ID()
	s.last = t.Flags()&(wire.FIN|wire.PSH) != 0
	copy(s.fixed[:], s.b[:s.hdr])
	fip, ftcp := s.fixed[s.l3:], s.fixed[s.l4:]
	clear(fip[2:6])   // length, identification
	clear(fip[10:12]) // checksum
	clear(ftcp[4:8])  // sequence number
	ftcp[13] &^= wire.FIN | wire.PSH
	clear(ftcp[16:18]) // checksum
	return true
}

// follows tells whether s is the next wire frame of the train that head begins and prev ends so far.
func (s *segment) follows(head, prev *segment) bool {
	mss := len(head.b) - head.hdr
	return s.hdr == head.hdr && s.l3 == head.l3 && s.l4 == head.l4 &&
		len(prev.b) == len(head.b) && len(s.b) <= len(head.b) &&
		s.seq == prev.seq+uint32(mss) && s.id == prev.id+1 &&
		string(s.fixed[:s.hdr]) == string(head.fixed[:head.hdr])
}

// emit makes a frame of the first n segments.
func (c *cutter) emit(n int) {
	if n == 0 {
		return
	}
	head, last := &c.segs[0], &c.segs[n-1]
	if n == 1 {
		hdr := head.hdr
		if len(head.b) <= fabric.LinearMax {
			hdr = len(head.b)
		}
		c.single(head.b, hdr)
		return
	}
	f := fabric.New()
	copy(f.Extend(head.hdr), head.b)
	total := 0
	for i := range n {
		total += len(c.segs[i].b) - head.hdr
	}
	c.data = gather{segs: c.segs[:n]}
	c.fill(f, total)
	ip := wire.IPv4(f.Linear()[head.l3:])
	ip.SetTotalLen(head.hdr - head.l3 + total)
	ip.FillChecksum()
	wire.TCP(f.Linear()[head.l4:]).SetFlags(wire.TCP(last.b[last.l4:]).Flags())
	f.Segs, f.MSS = uint16(n), uint16(len(head.b)-head.hdr)
	f.Checksum = fabric.ChecksumPartial
	tunnelled(f)
	c.batch = append(c.batch, f)
}

// single makes a frame of one datagram, the first n bytes of it in the linear part.
func (c *cutter) single(b []byte, n int) {
	f := fabric.New()
	copy(f.Extend(n), b)
	if n < len(b) {
		c.data = gather{rest: b[n:]}
		c.fill(f, len(b)-n)
	}
	if n >= HeaderLen+wire.EthernetLen {
		tunnelled(f)
	}
	c.batch = append(c.batch, f)
}

// fill copies n bytes from c.data into the shared part of f: the only copy of the data on its way in.
func (c *cutter) fill(f *fabric.Frame, n int) {
	_, _ = f.Payload().WriteFromReaderAndLimitedReader(&c.data, int64(n), &c.limit) // a gather does not fail
}

// gather reads the rest, then the data of the segments, one after the other.
type gather struct {
	rest []byte
	segs []segment
}

// Read implements io.Reader.
func (g *gather) Read(p []byte) (int, error) {
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	for n < len(p) && len(g.segs) > 0 {
		g.rest = g.segs[0].b[g.segs[0].hdr:]
		g.segs = g.segs[1:]
		k := copy(p[n:], g.rest)
		g.rest = g.rest[k:]
		n += k
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

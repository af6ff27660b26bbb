package fabric

import (
	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Join makes trains of TCP segments that follow each other in the batch, in place, and returns what is left of that:
// receive offload, for those who keep what they get. All frames stay in order. They must begin with their IP header,
// and their checksums must be known to be right. The train has the headers of its first segment, and what
// identifications the others had is lost; so nothing that goes on over a wire may be joined.
func Join(batch []*Frame) []*Frame {
	out := batch[:0]
	for _, f := range batch {
		if n := len(out); n == 0 || !out[n-1].join(f) {
			out = append(out, f)
		}
	}
	clear(batch[len(out):])
	return out
}

// ends are the flags after which nothing may follow in a train.
const ends = wire.FIN | wire.PSH

// join appends f to the train, if it is the next segment, and uses it up. As in Linux, segments differ in nothing but
// what counts up, and all are of one size but the last; and FIN and PSH end a train.
func (f *Frame) join(next *Frame) bool {
	if next.Segs != 1 || !f.joinable() || !next.joinable() {
		return false
	}
	ip, tcp, hdr := f.IPv4(), f.TCP(), f.joinHeader()
	have, size := f.Len()-hdr, next.Len()-next.joinHeader()
	mss := int(f.MSS)
	if f.Segs == 1 {
		mss = have
	}
	if have != int(f.Segs)*mss || size == 0 || size > mss || f.Segs >= MaxSegs || hdr+have+size > 0xffff ||
		tcp.Flags()&^wire.ACK != 0 || next.TCP().Seq() != tcp.Seq()+uint32(have) || !alike(ip, next.IPv4(), tcp, next.TCP()) {
		return false
	}
	if data := next.Linear()[next.joinHeader():]; len(data) > 0 {
		_ = f.payload.Append(buffer.NewViewWithData(data)) // a view with data is always taken
	}
	f.payload.Merge(&next.payload)
	f.Segs, f.MSS, f.Checksum = f.Segs+1, uint16(mss), ChecksumPartial
	tcp.SetFlags(tcp.Flags() | next.TCP().Flags())
	ip.SetTotalLen(f.Len())
	ip.FillChecksum()
	next.Free()
	return true
}

// joinable tells whether f can be part of a train that Join makes.
func (f *Frame) joinable() bool {
	return f.EtherType == wire.TypeIPv4 && f.Proto == wire.ProtoTCP && f.l3 == f.start && f.inner == 0 && f.Trace == nil &&
		f.l4 == f.l3+wire.IPv4Len && !f.IPv4().IsFragment()
}

// joinHeader returns the length of all headers of a frame that is joinable.
func (f *Frame) joinHeader() int { return wire.IPv4Len + f.TCP().HeaderLen() }

// alike tells whether two segments' headers are equal but for length, identification, sequence number and checksums, and
// for the flags that may end a train.
func alike(a, b wire.IPv4, s, t wire.TCP) bool {
	n := s.HeaderLen()
	return string(a[:2]) == string(b[:2]) && // version, length, TOS
		string(a[6:10]) == string(b[6:10]) && // DF, TTL, protocol
		string(a[12:20]) == string(b[12:20]) && // addresses
		string(s[:4]) == string(t[:4]) && string(s[8:13]) == string(t[8:13]) && // ports; acknowledgement, header length
		s.Flags() == t.Flags()&^ends && string(s[14:16]) == string(t[14:16]) && // window
		string(s[20:n]) == string(t[20:n])
}

package netns

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// headLen is how much of a packet that the namespace puts together lies in the linear part of its frame: all headers,
// those of a packet inside a tunnel included.
const headLen = 256

func bufferOf(b []byte) buffer.Buffer { return buffer.MakeWithData(b) }

// fragment cuts a packet that is larger than its route takes and sends the parts (RFC 791 section 3.2).
func (ns *Namespace) fragment(f *fabric.Frame, r *Route, dst netip.Addr, out *emitter) {
	f.FillChecksum()
	whole := f.AppendTo(nil)
	h := wire.IPv4(whole)
	hdr := h.HeaderLen()
	size := (r.mtu() - hdr) &^ 7
	base, more := h.FragOffset(), h.MF()
	for off := hdr; off < len(whole); off += size {
		n := min(size, len(whole)-off)
		last := off+n == len(whole)
		part := fragmentOf(whole[:hdr], whole[off:off+n], base+off-hdr, !last || more)
		part.Trace, part.Hops = f.Trace, f.Hops
		if part.Parse3(wire.TypeIPv4, 0) != 0 {
			// A first part too short for its transport header still is a fragment, and goes its way.
			part.SetOuter(wire.TypeIPv4, 0, 0, 0)
		}
		ns.neighbourOut(part, r, dst, out)
	}
	f.Free()
}

// fragmentOf builds a packet with that header and body. The body must not be changed after.
func fragmentOf(header, body []byte, offset int, more bool) *fabric.Frame {
	f := fabric.New()
	head := len(body)
	if len(header)+len(body) > fabric.LinearMax {
		head = headLen - len(header)
	}
	b := f.Extend(len(header) + head)
	copy(b, header)
	copy(b[len(header):], body[:head])
	if head < len(body) {
		f.SetPayload(bufferOf(body[head:]))
	}
	h := wire.IPv4(b)
	h.SetTotalLen(len(header) + len(body))
	flags := uint16(0)
	if more {
		flags = wire.MoreFragments
	}
	h.SetFrag(flags, offset)
	h.FillChecksum()
	return f
}

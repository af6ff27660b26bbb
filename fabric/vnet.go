package fabric

import (
	"encoding/binary"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// vnetLen is the length of a vnetHeader.
const vnetLen = 10

// The flags and segmentation types of a vnetHeader (virtio 1.2, section 5.1.6).
const (
	vnetNeedsChecksum = 1    // VIRTIO_NET_HDR_F_NEEDS_CSUM
	vnetGSONone       = 0    // VIRTIO_NET_HDR_GSO_NONE
	vnetGSOTCPv4      = 1    // VIRTIO_NET_HDR_GSO_TCPV4
	vnetGSOECN        = 0x80 // VIRTIO_NET_HDR_GSO_ECN: the first segment carries CWR
)

// vnetHeader is struct virtio_net_hdr, in the byte order of the machine: what stands in front of each frame that passes
// a TAP device with IFF_VNET_HDR. It tells whether the frame is a train and whether its checksum was left out.
type vnetHeader struct {
	flags, gso            byte
	headers               uint16 // length of all headers; a hint
	size                  uint16 // payload of each segment
	sumStart, sumFromThat uint16 // where the checksum begins, and its field from there
}

// parseVnet reads a header; false if b is too short.
func parseVnet(b []byte) (vnetHeader, bool) {
	if len(b) < vnetLen {
		return vnetHeader{}, false
	}
	o := binary.NativeEndian
	return vnetHeader{b[0], b[1], o.Uint16(b[2:]), o.Uint16(b[4:]), o.Uint16(b[6:]), o.Uint16(b[8:])}, true
}

// put writes the header into the first vnetLen bytes of b.
func (h vnetHeader) put(b []byte) {
	o := binary.NativeEndian
	b[0], b[1] = h.flags, h.gso
	o.PutUint16(b[2:], h.headers)
	o.PutUint16(b[4:], h.size)
	o.PutUint16(b[6:], h.sumStart)
	o.PutUint16(b[8:], h.sumFromThat)
}

// arrive makes a frame that came in with a header what the header says of it. The reason tells why it must not be taken
// further; 0 if it may. The train may have more than MaxSegs wire frames: see split.
func (f *Frame) arrive(h vnetHeader) DropReason {
	if len(f.Linear()) < wire.EthernetLen {
		return DropTruncated
	}
	train := h.gso != vnetGSONone
	if !train && h.flags&vnetNeedsChecksum == 0 {
		return 0 // whoever takes it looks into it
	}
	if r := f.ParseEthernet(); r != 0 {
		return r
	}
	if ip := f.IPv4(); ip != nil && !ip.Valid() {
		return DropChecksum
	}
	if train {
		return f.arriveTrain(h)
	}
	if at := f.transport(); h.covers(f, at) && !f.fragment() {
		f.Checksum = ChecksumPartial
		return 0
	}
	return f.sumFrom(int(h.sumStart), int(h.sumFromThat))
}

// arriveTrain is arrive for a train, which must be TCP over IPv4: nothing else was asked for.
func (f *Frame) arriveTrain(h vnetHeader) DropReason {
	at := f.transport()
	if h.gso&^vnetGSOECN != vnetGSOTCPv4 || f.EtherType != wire.TypeIPv4 || at.proto != wire.ProtoTCP || f.fragment() ||
		h.size == 0 || h.flags&vnetNeedsChecksum == 0 || !h.covers(f, at) {
		return DropMalformed
	}
	data := f.Len() - f.headerLen(at)
	if data <= 0 {
		return DropMalformed
	}
	f.Checksum = ChecksumPartial
	if n := (data + int(h.size) - 1) / int(h.size); n > 1 {
		f.Segs, f.MSS = uint16(n), h.size
	}
	return 0
}

// covers tells whether the checksum that was left out is that of the transport header.
func (h vnetHeader) covers(f *Frame, at place) bool {
	want := uint16(16)
	if at.proto == wire.ProtoUDP {
		want = 6
	}
	return at.off != 0 && at.proto != wire.ProtoESP && int(h.sumStart) == at.off-int(f.start) && h.sumFromThat == want
}

func (f *Frame) fragment() bool {
	h := f.IPv4()
	return h != nil && h.IsFragment()
}

// sumFrom computes a checksum as the kernel's skb_checksum_help does: over all from start on, whose field holds the sum
// over what comes before.
func (f *Frame) sumFrom(start, field int) DropReason {
	lin := f.Linear()
	if start+field+2 > len(lin) {
		return DropMalformed
	}
	sum := ^wire.Fold(f.sumData(lin[start:], 0))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(lin[start+field:], sum)
	return 0
}

// depart returns the header that a frame leaves with, and prepares its checksum. false: no header says what the frame is,
// and its wire frames must leave one by one.
func (f *Frame) depart() (vnetHeader, bool) {
	at := f.transport()
	if f.Segs > 1 && (f.inner != 0 || at.proto != wire.ProtoTCP || f.buf[at.l3]>>4 != 4 || f.MSS == 0) {
		return vnetHeader{}, false
	}
	if f.Segs <= 1 && (f.Checksum == ChecksumComplete || f.inner != 0 || at.off == 0 || at.proto == wire.ProtoESP) {
		f.FillChecksum()
		return vnetHeader{}, true
	}
	l4 := f.buf[at.off:f.end]
	field := checksumField(l4, at.proto)
	length := f.Len() - (at.off - int(f.start))
	binary.BigEndian.PutUint16(field, wire.Fold(pseudoSum(f.buf[at.l3:f.end], at.proto, length)))
	h := vnetHeader{flags: vnetNeedsChecksum, sumStart: uint16(at.off) - f.start, sumFromThat: 16}
	if at.proto == wire.ProtoUDP {
		h.sumFromThat = 6
	}
	if f.Segs > 1 {
		h.gso, h.size, h.headers = vnetGSOTCPv4, f.MSS, uint16(f.headerLen(at))
		if wire.TCP(l4).Flags()&wire.CWR != 0 {
			h.gso |= vnetGSOECN
		}
	}
	return h, true
}

// cutLong appends f to out, a train that has too many wire frames as several.
func (f *Frame) cutLong(out []*Frame) []*Frame {
	n := int(f.Segs)
	if n <= MaxSegs {
		return append(out, f)
	}
	for i := 0; i < n; i += MaxSegs {
		out = append(out, f.SubTrain(i, min(MaxSegs, n-i)))
	}
	f.Free()
	return out
}

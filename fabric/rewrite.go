package fabric

import (
	"encoding/binary"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Src returns the packet's source address and port; port 0 where the protocol has none, the identifier for an
// ICMP echo. The zero AddrPort if the frame is no IPv4 packet.
func (f *Frame) Src() netip.AddrPort {
	if h := f.IPv4(); h != nil {
		return netip.AddrPortFrom(h.Src(), f.port(0))
	}
	return netip.AddrPort{}
}

// Dst returns the packet's destination address and port, as Src does the source.
func (f *Frame) Dst() netip.AddrPort {
	if h := f.IPv4(); h != nil {
		return netip.AddrPortFrom(h.Dst(), f.port(2))
	}
	return netip.AddrPort{}
}

func (f *Frame) port(off int) uint16 {
	if f.l4 == 0 {
		return 0
	}
	switch f.Proto {
	case wire.ProtoTCP, wire.ProtoUDP:
		return binary.BigEndian.Uint16(f.buf[int(f.l4)+off:])
	case wire.ProtoICMP:
		if f.isEcho() {
			return wire.ICMP(f.buf[f.l4:f.end]).ID()
		}
	}
	return 0
}

// isEcho tells whether the ICMP message has an identifier, which serves as its port.
func (f *Frame) isEcho() bool {
	t := f.buf[f.l4]
	return t == wire.ICMPEcho || t == wire.ICMPEchoReply
}

// SetSrc rewrites the source address and, for TCP and UDP, the source port (for an ICMP echo the identifier), and
// mends the checksums. Port 0 leaves the port as it is. It is once per train, whatever its length.
func (f *Frame) SetSrc(to netip.AddrPort) { f.rewrite(12, 0, to) }

// SetDst rewrites the destination as SetSrc does the source.
func (f *Frame) SetDst(to netip.AddrPort) { f.rewrite(16, 2, to) }

func (f *Frame) rewrite(addrOff, portOff int, to netip.AddrPort) {
	h := f.IPv4()
	if h == nil || !to.Addr().Is4() {
		return
	}
	f.Hash = 0
	was := [4]byte(h[addrOff : addrOff+4])
	now := to.Addr().As4()
	if was != now {
		setAddr(h, addrOff, to.Addr())
		f.adjust(be16(was[0:]), be16(now[0:]), true)
		f.adjust(be16(was[2:]), be16(now[2:]), true)
	}
	if to.Port() == 0 || f.l4 == 0 {
		return
	}
	at := int(f.l4) + portOff
	switch f.Proto {
	case wire.ProtoTCP, wire.ProtoUDP:
	case wire.ProtoICMP:
		if !f.isEcho() {
			return
		}
		at = int(f.l4) + 4
	default:
		return
	}
	old := be16(f.buf[at:])
	if old != to.Port() {
		binary.BigEndian.PutUint16(f.buf[at:], to.Port())
		f.adjust(old, to.Port(), false)
	}
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

// adjust mends the transport checksum for one word; pseudo tells that the word is of the pseudo header, which ICMP
// does not cover. A partial checksum needs no mending: it is computed where the frame leaves.
func (f *Frame) adjust(old, new uint16, pseudo bool) {
	if f.l4 == 0 {
		return
	}
	var at int
	switch f.Proto {
	case wire.ProtoTCP:
		at = int(f.l4) + 16
	case wire.ProtoUDP:
		at = int(f.l4) + 6
		if be16(f.buf[at:]) == 0 {
			return // no checksum
		}
	case wire.ProtoICMP:
		if pseudo {
			return
		}
		at = int(f.l4) + 2
	default:
		return
	}
	if f.Checksum == ChecksumPartial && f.inner == 0 && f.Proto != wire.ProtoICMP {
		return
	}
	c := wire.Adjust16(be16(f.buf[at:]), old, new)
	if c == 0 && f.Proto == wire.ProtoUDP {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(f.buf[at:], c)
}

// FillChecksum computes a partial TCP or UDP checksum of a frame that is one wire frame, and makes it complete.
func (f *Frame) FillChecksum() {
	if f.Checksum != ChecksumPartial {
		return
	}
	f.Checksum = ChecksumComplete
	at := f.transport()
	if at.off == 0 || at.proto == wire.ProtoESP {
		return
	}
	l4 := f.buf[at.off:f.end]
	field := checksumField(l4, at.proto)
	binary.BigEndian.PutUint16(field, 0)
	sum := pseudoSum(f.buf[at.l3:f.end], at.proto, len(l4)+int(f.payload.Size()))
	putChecksum(field, at.proto, f.sumData(l4, sum))
}

func setAddr(h wire.IPv4, off int, a netip.Addr) {
	if off == 12 {
		h.SetSrc(a)
		return
	}
	h.SetDst(a)
}

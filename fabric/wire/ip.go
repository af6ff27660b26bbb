package wire

import "net/netip"

// IPv4 is an IPv4 header (RFC 791) with its options.
type IPv4 []byte

// Flags of the IPv4 fragment field, in place.
const (
	DontFragment  = 0x4000
	MoreFragments = 0x2000
	fragMask      = 0x1fff
)

// ParseIPv4 checks version and header length of b, and that the header is there. It does not
// compare the total length with len(b): a caller may hold only the packet's headers.
func ParseIPv4(b []byte) (IPv4, error) {
	if len(b) < IPv4Len {
		return nil, ErrTruncated
	}
	ihl := int(b[0]&15) * 4
	if b[0]>>4 != 4 || ihl < IPv4Len || int(be.Uint16(b[2:])) < ihl {
		return nil, ErrMalformed
	}
	if len(b) < ihl {
		return nil, ErrTruncated
	}
	return IPv4(b), nil
}

// HeaderLen returns the header's length with options, 20 to 60.
func (h IPv4) HeaderLen() int { return int(h[0]&15) * 4 }

// TotalLen returns the packet's length as the header tells it.
func (h IPv4) TotalLen() int { return int(be.Uint16(h[2:])) }

// TOS returns the type-of-service byte.
func (h IPv4) TOS() byte { return h[1] }

// ID returns the identification.
func (h IPv4) ID() uint16 { return be.Uint16(h[4:]) }

// DF tells whether the packet must not be fragmented.
func (h IPv4) DF() bool { return be.Uint16(h[6:])&DontFragment != 0 }

// MF tells whether more fragments follow.
func (h IPv4) MF() bool { return be.Uint16(h[6:])&MoreFragments != 0 }

// FragOffset returns the fragment's offset in bytes.
func (h IPv4) FragOffset() int { return int(be.Uint16(h[6:])&fragMask) * 8 }

// IsFragment tells whether the packet is a part of a larger one.
func (h IPv4) IsFragment() bool { return be.Uint16(h[6:])&(MoreFragments|fragMask) != 0 }

// TTL returns the time to live.
func (h IPv4) TTL() byte { return h[8] }

// Proto returns the protocol number.
func (h IPv4) Proto() byte { return h[9] }

// Checksum returns the header checksum field.
func (h IPv4) Checksum() uint16 { return be.Uint16(h[10:]) }

// Src returns the source address.
func (h IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(h[12:16])) }

// Dst returns the destination address.
func (h IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(h[16:20])) }

// Valid tells whether the header checksum is right.
func (h IPv4) Valid() bool { return Fold(Sum(h[:h.HeaderLen()], 0)) == 0xffff }

// SetTotalLen writes the total length; the checksum is left to the caller.
func (h IPv4) SetTotalLen(n int) { be.PutUint16(h[2:], uint16(n)) }

// SetID writes the identification; the checksum is left to the caller.
func (h IPv4) SetID(id uint16) { be.PutUint16(h[4:], id) }

// SetFrag writes flags and the offset (bytes, a multiple of 8); the checksum is left to the caller.
func (h IPv4) SetFrag(flags uint16, offset int) { be.PutUint16(h[6:], flags|uint16(offset/8)) }

// FillChecksum computes the header checksum.
func (h IPv4) FillChecksum() {
	be.PutUint16(h[10:], 0)
	be.PutUint16(h[10:], ^Fold(Sum(h[:h.HeaderLen()], 0)))
}

// DecTTL takes one from the time to live and mends the checksum (RFC 1624).
func (h IPv4) DecTTL() {
	old := be.Uint16(h[8:])
	h[8]--
	h.adjust(old, be.Uint16(h[8:]))
}

// adjust mends the checksum for a 16-bit word that went from old to new (RFC 1624).
func (h IPv4) adjust(old, new uint16) {
	be.PutUint16(h[10:], Adjust16(be.Uint16(h[10:]), old, new))
}

// SetSrc writes the source address and mends the header checksum.
func (h IPv4) SetSrc(a netip.Addr) { h.setAddr(12, a) }

// SetDst writes the destination address and mends the header checksum.
func (h IPv4) SetDst(a netip.Addr) { h.setAddr(16, a) }

func (h IPv4) setAddr(at int, a netip.Addr) {
	v := a.As4()
	h.adjust(be.Uint16(h[at:]), be.Uint16(v[0:]))
	h.adjust(be.Uint16(h[at+2:]), be.Uint16(v[2:]))
	copy(h[at:at+4], v[:])
}

// IPv4Fields are the fields that PutIPv4 writes.
type IPv4Fields struct {
	TOS      byte
	TotalLen int
	ID       uint16
	Flags    uint16 // DontFragment, MoreFragments
	TTL      byte
	Proto    byte
	Src, Dst netip.Addr
}

// PutIPv4 writes a header without options, checksum filled, into the first IPv4Len bytes of b. Both addresses
// must be IPv4.
func PutIPv4(b []byte, f IPv4Fields) {
	src, dst := f.Src.As4(), f.Dst.As4()
	b[0], b[1] = 0x45, f.TOS
	be.PutUint16(b[2:], uint16(f.TotalLen))
	be.PutUint16(b[4:], f.ID)
	be.PutUint16(b[6:], f.Flags)
	b[8], b[9] = f.TTL, f.Proto
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	IPv4(b[:IPv4Len]).FillChecksum()
}

// IPv6 is an IPv6 header (RFC 8200) without its extension headers.
type IPv6 []byte

// ParseIPv6 checks that b holds an IPv6 header.
func ParseIPv6(b []byte) (IPv6, error) {
	if len(b) < IPv6Len {
		return nil, ErrTruncated
	}
	if b[0]>>4 != 6 {
		return nil, ErrMalformed
	}
	return IPv6(b), nil
}

// PayloadLen returns the length of what follows the header.
func (h IPv6) PayloadLen() int { return int(be.Uint16(h[4:])) }

// SetPayloadLen writes the payload length.
func (h IPv6) SetPayloadLen(n int) { be.PutUint16(h[4:], uint16(n)) }

// NextHeader returns the number of the next header.
func (h IPv6) NextHeader() byte { return h[6] }

// HopLimit returns the hop limit.
func (h IPv6) HopLimit() byte { return h[7] }

// Src returns the source address.
func (h IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(h[8:24])) }

// Dst returns the destination address.
func (h IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(h[24:40])) }

package wire

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds the 16-bit words of b, an odd last byte padded with zero, to sum in one's complement
// arithmetic (RFC 1071). The result is unfolded: hand it to Fold or on to the next Sum. Only the last of
// several parts may be of odd length.
func Sum(b []byte, sum uint64) uint64 {
	// Words are added with their bytes the other way round, which RFC 1071 section 2(B) allows and most processors
	// load at once, in two rows that do not wait for each other.
	var s0, s1, c0, c1 uint64
	for len(b) >= 64 {
		p := (*[64]byte)(b)
		s0, c0 = bits.Add64(s0, binary.LittleEndian.Uint64(p[0:]), 0)
		s0, c0 = bits.Add64(s0, binary.LittleEndian.Uint64(p[8:]), c0)
		s0, c0 = bits.Add64(s0, binary.LittleEndian.Uint64(p[16:]), c0)
		s0, c0 = bits.Add64(s0, binary.LittleEndian.Uint64(p[24:]), c0)
		s0 += c0 // a sum that overflowed is not all ones
		s1, c1 = bits.Add64(s1, binary.LittleEndian.Uint64(p[32:]), 0)
		s1, c1 = bits.Add64(s1, binary.LittleEndian.Uint64(p[40:]), c1)
		s1, c1 = bits.Add64(s1, binary.LittleEndian.Uint64(p[48:]), c1)
		s1, c1 = bits.Add64(s1, binary.LittleEndian.Uint64(p[56:]), c1)
		s1 += c1
		b = b[64:]
	}
	s0 = add(s0, s1)
	for len(b) >= 8 {
		s0 = add(s0, binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if len(b) >= 4 { // all that an IPv4 header without options leaves
		s0 = add(s0, uint64(binary.LittleEndian.Uint32(b)))
		b = b[4:]
	}
	for i, c := range b {
		s0 = add(s0, uint64(c)<<(8*i))
	}
	return add(sum, bits.ReverseBytes64(s0))
}

// add adds in one's complement.
func add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	return sum + carry
}

// Fold folds a sum to 16 bits. The checksum of a header is its complement.
func Fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// Adjust16 returns checksum c mended for one 16-bit word that went from old to new (RFC 1624, eqn. 3).
func Adjust16(c, old, new uint16) uint16 {
	s := uint32(^c) + uint32(^old) + uint32(new)
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return ^uint16(s)
}

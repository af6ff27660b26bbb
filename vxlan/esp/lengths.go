package esp

import (
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
)

// lengths turns the tag that AES-GCM gives to n sealed bytes as data that are not encrypted, behind a block with the header, into
// the tag of n encrypted bytes behind a header. GHASH sums up blocks, each times a power of the hash key H in GF(2^128) (NIST SP 800-38D
// section 6.4), and these two differ in the last block only, which holds the lengths of both parts in bits: so the tags differ
// by H times the difference of the lengths. Of each bit of a length lengths holds H times that bit, as far as it is in the
// integrity value. Only the lengths of what travels pick entries here, and nothing secret.
type lengths [2][maxBits]uint64

// maxBits is how many bits the length of a packet, in bits, has at most: maxLen and a block are less than 2^17 bytes.
const maxBits = 20

// newLengths returns the products for a cipher.
func newLengths(block cipher.Block) lengths {
	var l lengths
	var h [blockLen]byte
	block.Encrypt(h[:], h[:])
	hi, lo := binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])
	for i := range 128 { // hi and lo are H times x^i, whose coefficient of x^0 is the highest bit
		if p := 63 - i%64; p < maxBits {
			l[i/64][p] = hi
		}
		carry := lo & 1
		lo = lo>>1 | hi<<63
		hi = hi>>1 ^ carry*(0xe1<<56) // x^128 = 1 + x + x^2 + x^7
	}
	return l
}

// correction returns by what the first 8 bytes of the tags of n bytes differ.
func (l *lengths) correction(n int) uint64 {
	plain, sealed := uint64(blockLen+n)*8, uint64(n)*8
	sum := uint64(0)
	for v := plain ^ HeaderLen*8; v != 0; v &= v - 1 {
		sum ^= l[0][bits.TrailingZeros64(v)]
	}
	for v := sealed; v != 0; v &= v - 1 {
		sum ^= l[1][bits.TrailingZeros64(v)]
	}
	return sum
}

package node

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
)

// idLength is how many characters an identifier of swarm has: base 36, of 17 random bytes (I29).
const idLength = 25

// newID draws an identifier.
func newID(luck *rand.Rand) string {
	var b [24]byte
	for i := 0; i < len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], luck.Uint64())
	}
	random := b[:17]
	random[0] |= 0x80 // so that the number always has its full length
	return new(big.Int).SetBytes(random).Text(36)[1 : idLength+1]
}

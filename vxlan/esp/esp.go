// Package esp seals packets as IPsec does in transport mode: ESP (RFC 4303) with AES-GCM (RFC 4106), as Docker's encrypted
// overlay networks use it between hosts. It is the rules only, as plain values: security associations, what they seal and open,
// and the window against replayed packets. Who holds the keys and carries the packets is package vxlan.
//
// The integrity value has 8 bytes, which is what libnetwork asks the kernel for (X2): with 16 a packet of an overlay's MTU of
// 1424 would not fit into 1500 bytes.
package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Lengths of a packet's parts, in bytes.
const (
	HeaderLen = 8  // SPI and sequence number (RFC 4303 section 2)
	IVLen     = 8  // RFC 4106 section 3.1
	ICVLen    = 8  // RFC 4106 section 6 allows 8, 12 and 16
	KeyLen    = 16 // AES-128
	SaltLen   = 4  // RFC 4106 section 4

	// Front is what stands before the sealed part.
	Front = HeaderLen + IVLen
	// Spare is how much memory Seal needs behind the packet that it makes.
	Spare = tagLen - ICVLen

	trailerLen = 2 // pad length and next header
	align      = 4 // RFC 4303 section 2.4
	blockLen   = aes.BlockSize
	tagLen     = 16    // what AES-GCM computes, of which ICVLen bytes travel
	maxLen     = 65535 // of a packet, for an IP header tells its length
)

// The errors of Open.
var (
	ErrTruncated = wire.ErrTruncated                 // too short to be a sealed packet
	ErrMalformed = wire.ErrMalformed                 // it was sealed well, but its padding makes no sense
	ErrICV       = errors.New("esp: seal is broken") // changed on the way, or sealed with another key
)

// Key is a key of the swarm, known to all of its nodes by a tag.
type Key struct {
	Tag   uint32
	Value [KeyLen]byte
}

// SPI returns the number that both ends give to what goes from src to dst under the key of that tag (X3): FNV-1a over both
// addresses in their 16-byte form, as libnetwork has them, and the tag between them.
func SPI(src, dst netip.Addr, tag uint32) uint32 {
	h := fnv.New32a()
	a, b := src.As16(), dst.As16()
	h.Write(a[:])                                    //nolint:errcheck // a hash takes everything
	h.Write(binary.BigEndian.AppendUint32(nil, tag)) //nolint:errcheck // likewise
	h.Write(b[:])                                    //nolint:errcheck // likewise
	return h.Sum32()
}

// SA is a security association: what goes one way between two hosts under one key. It is never changed; several goroutines
// may use it at once, each with a Scratch of its own.
type SA struct {
	Src, Dst netip.Addr
	SPI      uint32
	Key      Key
	block    cipher.Block
	aead     cipher.AEAD
	lengths  lengths
}

// NewSA returns the association of what goes from src to dst under key.
func NewSA(src, dst netip.Addr, key Key) (*SA, error) {
	block, err := aes.NewCipher(key.Value[:])
	if err != nil {
		return nil, fmt.Errorf("esp key %d: %w", key.Tag, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("esp key %d: %w", key.Tag, err)
	}
	return &SA{Src: src, Dst: dst, SPI: SPI(src, dst, key.Tag), Key: key, block: block, aead: aead, lengths: newLengths(block)}, nil
}

// KeyMaterial returns the key with its salt behind it, as `ip xfrm state` and Wireshark take it. The salt is the SPI (X2).
func (s *SA) KeyMaterial() []byte { return binary.BigEndian.AppendUint32(s.Key.Value[:], s.SPI) }

// Scratch is memory to work with. Its zero value is ready.
type Scratch struct {
	nonce [SaltLen + IVLen]byte
	tag   [tagLen]byte
}

func (w *Scratch) setNonce(s *SA, iv []byte) []byte {
	binary.BigEndian.PutUint32(w.nonce[:], s.SPI)
	copy(w.nonce[SaltLen:], iv)
	return w.nonce[:]
}

// SealedLen returns the length of a packet whose sealed part carries n bytes.
func SealedLen(n int) int {
	return Front + (n+trailerLen+align-1)/align*align + ICVLen
}

// Seal makes a packet in place. b is Front bytes that Seal writes, and what is to be sealed; next says what that is, as the
// protocol field of an IP header does. b must have capacity for SealedLen of that and Spare more, which Seal overwrites. A
// sequence number and an IV must not be used twice with one SA.
func (s *SA) Seal(b []byte, seq uint32, iv uint64, next byte, w *Scratch) []byte {
	binary.BigEndian.PutUint32(b, s.SPI)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint64(b[HeaderLen:], iv)
	pad := -(len(b) - Front + trailerLen) & (align - 1)
	for i := range pad {
		b = append(b, byte(i+1)) // RFC 4303 section 2.4
	}
	b = append(b, byte(pad), next)
	sealed := s.aead.Seal(b[Front:Front], w.setNonce(s, b[HeaderLen:Front]), b[Front:], b[:HeaderLen])
	return b[:Front+len(sealed)-Spare]
}

// Number returns the SPI and the sequence number of a packet; false if it is too short to have been sealed.
func Number(b []byte) (spi, seq uint32, ok bool) {
	if len(b) < SealedLen(0) {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), true
}

// OpenRoom returns how much room Open needs for a packet of n bytes.
func OpenRoom(n int) int { return blockLen + max(0, n-Front-ICVLen) + tagLen }

// Open opens packet b into room, which must have at least OpenRoom(len(b)) bytes and not overlap b. It returns what was
// sealed, a part of room, and what that is.
//
// Go's AES-GCM opens no integrity value as short as this one, so Open asks it twice, for a tag only and for the data. The tag is that of a
// message of which nothing is encrypted, mended by what the lengths differ in. The data come of encrypting what is encrypted, for AES-GCM
// adds one stream of bytes either way; cipher.NewCTR would do that alone, but takes 512 bytes from the heap for each packet.
func (s *SA) Open(room, b []byte, w *Scratch) (data []byte, next byte, err error) {
	switch {
	case len(b) < SealedLen(0) || (len(b)-Front-ICVLen)%align != 0:
		return nil, 0, ErrTruncated
	case len(b) > maxLen:
		return nil, 0, ErrMalformed
	}
	nonce := w.setNonce(s, b[HeaderLen:Front])
	n := len(b) - Front - ICVLen
	room = room[:blockLen+n]
	copy(room, b[:HeaderLen])
	clear(room[HeaderLen:blockLen])
	data = room[blockLen:]
	copy(data, b[Front:])
	icv := binary.BigEndian.Uint64(s.aead.Seal(w.tag[:0], nonce, nil, room)) ^ s.lengths.correction(n)
	binary.BigEndian.PutUint64(w.tag[:], icv)
	if subtle.ConstantTimeCompare(w.tag[:ICVLen], b[Front+n:]) != 1 {
		return nil, 0, ErrICV
	}
	s.aead.Seal(data[:0], nonce, data, nil)
	pad, next := int(data[n-2]), data[n-1]
	if pad+trailerLen > n {
		return nil, 0, ErrMalformed
	}
	for i, p := range data[n-trailerLen-pad : n-trailerLen] {
		if p != byte(i+1) {
			return nil, 0, ErrMalformed
		}
	}
	return data[:n-trailerLen-pad], next, nil
}

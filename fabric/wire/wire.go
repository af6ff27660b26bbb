// Package wire reads and writes the headers of the protocols that netsim moves:
// Ethernet II with 802.1Q tags, ARP, IPv4, IPv6, ICMP, TCP and UDP. Every view is a byte slice
// that is changed in place; nothing here allocates, keeps state or knows of frames.
//
// A view is made by its Parse function, which checks every length once ("at the door");
// its accessors then index without further checks. All multi-byte fields are big endian.
package wire

import (
	"encoding/binary"
	"errors"
)

var be = binary.BigEndian

// Why a header cannot be read.
var (
	ErrTruncated = errors.New("truncated header")
	ErrMalformed = errors.New("malformed header")
)

// EtherTypes (IEEE 802 numbers).
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeVLAN = 0x8100 // 802.1Q customer tag
	TypeIPv6 = 0x86dd
)

// IP protocol numbers (IANA).
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoESP    = 50
	ProtoICMPv6 = 58
)

// Header lengths in bytes, without options.
const (
	EthernetLen = 14
	VLANLen     = 4
	ARPLen      = 28 // Ethernet/IPv4, RFC 826
	IPv4Len     = 20 // RFC 791
	IPv6Len     = 40 // RFC 8200
	ICMPLen     = 8  // RFC 792
	TCPLen      = 20 // RFC 9293
	UDPLen      = 8  // RFC 768
	VXLANLen    = 8  // RFC 7348
)

// MAC is an EUI-48 address.
type MAC [6]byte

// Broadcast is the all-ones MAC address.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

const hexDigits = "0123456789abcdef"

// String prints m as aa:bb:cc:dd:ee:ff.
func (m MAC) String() string {
	b := make([]byte, 0, 17)
	for i, x := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, hexDigits[x>>4], hexDigits[x&15])
	}
	return string(b)
}

// IsMulticast tells whether the group bit is set; the broadcast address is one of them.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// IsZero tells whether m is all zero.
func (m MAC) IsZero() bool { return m == MAC{} }

// Uint64 packs m into the low 48 bits.
func (m MAC) Uint64() uint64 {
	return uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it takes what ParseMAC takes.
func (m *MAC) UnmarshalText(b []byte) error {
	v, err := ParseMAC(string(b))
	if err == nil {
		*m = v
	}
	return err
}

// ParseMAC reads six hexadecimal bytes joined by colons.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	if len(s) != 17 {
		return m, errors.New("a MAC address has the form 02:42:ac:11:00:02, not " + s)
	}
	for i := range m {
		hi, lo := unhex(s[3*i]), unhex(s[3*i+1])
		if hi > 15 || lo > 15 || (i < 5 && s[3*i+2] != ':') {
			return MAC{}, errors.New("a MAC address has the form 02:42:ac:11:00:02, not " + s)
		}
		m[i] = hi<<4 | lo
	}
	return m, nil
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

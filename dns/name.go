package dns

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// maxName is the longest name on the wire, RFC 1035 section 2.3.4.
const maxName = 255

// appendLower appends name in lower case (RFC 4343: ASCII only) and without its final dot.
func appendLower(dst []byte, name string) []byte {
	name = strings.TrimSuffix(name, ".")
	for i := range len(name) {
		dst = append(dst, lowerByte(name[i]))
	}
	return dst
}

// lowerName is name in lower case and without its final dot, as zones keep it.
func lowerName(name string) string {
	var buf [maxName]byte
	return string(appendLower(buf[:0], name))
}

// lowerByte maps A to Z to lower case.
func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// plainAddr is addr without a zone, and as IPv4 if it is an IPv4 address inside IPv6.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

const (
	arpa4 = ".in-addr.arpa" // RFC 1035 section 3.5
	arpa6 = ".ip6.arpa"     // RFC 3596 section 2.5
)

// addrFromArpa returns the address that the reverse name stands for. Names of whole networks have none.
func addrFromArpa(name string) (netip.Addr, bool) {
	name = lowerName(name)
	if labels, ok := strings.CutSuffix(name, arpa4); ok {
		return addr4FromLabels(strings.Split(labels, "."))
	}
	if nibbles, ok := strings.CutSuffix(name, arpa6); ok {
		return addr6FromNibbles(nibbles)
	}
	return netip.Addr{}, false
}

// addr4FromLabels reads the four numbers of an IPv4 address, last one first.
func addr4FromLabels(labels []string) (netip.Addr, bool) {
	var raw [4]byte
	if len(labels) != len(raw) {
		return netip.Addr{}, false
	}
	for i, label := range labels {
		n, err := strconv.ParseUint(label, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		raw[3-i] = byte(n)
	}
	return netip.AddrFrom4(raw), true
}

// addr6FromNibbles reads the 32 hexadecimal digits of an IPv6 address, last one first, with dots between.
func addr6FromNibbles(nibbles string) (netip.Addr, bool) {
	var digits [32]byte
	var raw [16]byte
	if len(nibbles) != 2*len(digits)-1 {
		return netip.Addr{}, false
	}
	for i := range digits {
		if i > 0 && nibbles[2*i-1] != '.' {
			return netip.Addr{}, false
		}
		digits[len(digits)-1-i] = nibbles[2*i]
	}
	if _, err := hex.Decode(raw[:], digits[:]); err != nil {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(raw), true
}

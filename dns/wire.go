package dns

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	mdns "github.com/miekg/dns"
)

// Header bits, RFC 1035 section 4.1.1 and RFC 4035 section 3.
const (
	flagQR = 0x8000
	flagAA = 0x0400
	flagTC = 0x0200
	flagRD = 0x0100
	flagRA = 0x0080
	flagCD = 0x0010

	opcodeMask = 0x7800
	rcodeMask  = 0x000f
)

const (
	headerLen    = 12    // RFC 1035 section 4.1.1
	minUDPSize   = 512   // RFC 1035 section 4.2.1
	maxUDPSize   = 65507 // what an IPv4 datagram can carry
	maxMessage   = 65535 // RFC 1035 section 4.2.2
	optFixedLen  = 11    // root name, type, class, TTL, length: RFC 6891 section 6.1.2
	rrFixedLen   = 12    // pointer to the name, type, class, TTL, length
	namePointer  = 0xc00c
	rdataLenV4   = 4
	rdataLenV6   = 16
	maxPlainByte = 0x7e // above it, and up to a space, a label needs escapes in text
)

// A plainQuery is a query of the usual shape: one question of class IN whose name needs no escapes, and nothing more
// than an EDNS record behind it.
type plainQuery struct {
	flags   uint16
	qtype   uint16
	end     int    // where the question ends in the message
	udpSize int    // the reply's largest size over UDP
	name    []byte // lower case, dots between labels, no final dot
}

// parsePlain reads a query of the usual shape, with the name in buf. It reports false for any other message, well-formed
// or not.
func parsePlain(msg []byte, buf *[maxName]byte) (q plainQuery, ok bool) {
	if len(msg) < headerLen {
		return q, false
	}
	q.flags = binary.BigEndian.Uint16(msg[2:])
	questions := binary.BigEndian.Uint16(msg[4:])
	others := binary.BigEndian.Uint32(msg[6:])
	additional := binary.BigEndian.Uint16(msg[10:])
	if q.flags&(flagQR|opcodeMask|flagTC|rcodeMask) != 0 || questions != 1 || others != 0 || additional > 1 {
		return q, false
	}
	name, off, ok := parsePlainName(msg, headerLen, buf[:0])
	if !ok || len(msg) < off+4 || binary.BigEndian.Uint16(msg[off+2:]) != mdns.ClassINET {
		return q, false
	}
	q.name, q.qtype, q.end = name, binary.BigEndian.Uint16(msg[off:]), off+4
	q.udpSize, ok = parsePlainOPT(msg[q.end:], additional == 1)
	return q, ok
}

// parsePlainName appends the uncompressed name at off to dst in lower case, and returns where it ends. It reports false
// for a name that is malformed, compressed, the root, too long, or in need of escapes.
func parsePlainName(msg []byte, off int, dst []byte) (name []byte, end int, ok bool) {
	for off < len(msg) {
		n := int(msg[off])
		off++
		if n == 0 {
			return dst, off, len(dst) > 0
		}
		if n > 63 || off+n > len(msg) || len(dst)+1+n > maxName-2 {
			return nil, 0, false
		}
		if len(dst) > 0 {
			dst = append(dst, '.')
		}
		for _, c := range msg[off : off+n] {
			if c <= ' ' || c > maxPlainByte || needsEscape(c) {
				return nil, 0, false
			}
			dst = append(dst, lowerByte(c))
		}
		off += n
	}
	return nil, 0, false
}

// needsEscape reports whether c is special in the text form of a name.
func needsEscape(c byte) bool {
	switch c {
	case '.', '\\', '"', '(', ')', ';', '@', '$', '\'':
		return true
	}
	return false
}

// parsePlainOPT reads what follows the question: nothing, or exactly one EDNS record if there is to be one. It returns
// the largest reply that the asker takes over UDP.
func parsePlainOPT(rest []byte, wanted bool) (udpSize int, ok bool) {
	if !wanted {
		return minUDPSize, len(rest) == 0
	}
	if len(rest) < optFixedLen || rest[0] != 0 || binary.BigEndian.Uint16(rest[1:]) != mdns.TypeOPT {
		return 0, false
	}
	size := clampUDPSize(int(binary.BigEndian.Uint16(rest[3:])))
	// Options with content may be malformed inside: those are left to the general parser.
	return size, len(rest) == optFixedLen && binary.BigEndian.Uint16(rest[9:]) == 0
}

// clampUDPSize bounds the size that an EDNS record asks for.
func clampUDPSize(size int) int { return min(max(size, minUDPSize), maxUDPSize) }

// transport is how a message travels: it bounds the size of replies.
type transport bool

const (
	overUDP transport = false
	overTCP transport = true
)

// String returns the transport's name as dial functions know it.
func (t transport) String() string {
	if t == overTCP {
		return "tcp"
	}
	return "udp"
}

// limit is the largest reply, where udpSize is what the asker takes over UDP.
func (t transport) limit(udpSize int) int {
	if t == overTCP {
		return maxMessage
	}
	return udpSize
}

// A plainReply says how appendPlainReply answers a plain query.
type plainReply struct {
	addrs     []netip.Addr
	flags     uint16 // beside QR, and RD and CD, which are the asker's
	ttl       uint32
	seed      uint64 // for the order of the addresses
	transport transport
}

// appendPlainReply appends the reply to msg, of which q is the parsed form, to dst: those of the addresses that have the
// family asked for, shuffled, as many as fit.
func appendPlainReply(dst, msg []byte, q *plainQuery, r plainReply) []byte {
	start := len(dst)
	dst = append(dst, msg[:q.end]...)
	records := len(dst)
	want := rdataLen(q.qtype)
	count := 0
	for _, addr := range r.addrs {
		if want != 0 && addr.BitLen() == 8*want {
			dst = appendAddrRecord(dst, q.qtype, r.ttl, addr)
			count++
		}
	}
	size := rrFixedLen + want
	if count > 1 {
		shuffle(r.seed, count, func(i, j int) {
			swapBytes(rdataAt(dst[records:], i, size), rdataAt(dst[records:], j, size))
		})
	}
	flags := flagQR | q.flags&(flagRD|flagCD) | r.flags
	room := max(0, r.transport.limit(q.udpSize)-q.end) / size
	if count > room {
		count = room
		dst = dst[:records+count*size]
		if r.transport == overUDP {
			flags |= flagTC
		}
	}
	header := dst[start : start+headerLen]
	binary.BigEndian.PutUint16(header[2:], flags)
	binary.BigEndian.PutUint16(header[6:], uint16(count))
	binary.BigEndian.PutUint16(header[10:], 0) // no EDNS record in replies
	return dst
}

// rdataLen is the length of the data of an address record of that type, 0 for other types.
func rdataLen(qtype uint16) int {
	switch qtype {
	case mdns.TypeA:
		return rdataLenV4
	case mdns.TypeAAAA:
		return rdataLenV6
	}
	return 0
}

// appendAddrRecord appends a record for the name in the question.
func appendAddrRecord(dst []byte, qtype uint16, ttl uint32, addr netip.Addr) []byte {
	dst = binary.BigEndian.AppendUint16(dst, namePointer)
	dst = binary.BigEndian.AppendUint16(dst, qtype)
	dst = binary.BigEndian.AppendUint16(dst, mdns.ClassINET)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	dst = binary.BigEndian.AppendUint16(dst, uint16(rdataLen(qtype)))
	if qtype == mdns.TypeA {
		raw := addr.As4()
		return append(dst, raw[:]...)
	}
	raw := addr.As16()
	return append(dst, raw[:]...)
}

// rdataAt is the data of record i, where every record is of that size.
func rdataAt(records []byte, i, size int) []byte { return records[i*size+rrFixedLen : (i+1)*size] }

// swapBytes exchanges the contents of two slices of one length.
func swapBytes(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

// shuffle is Fisher and Yates's: every order of n things is as likely as any other, and the seed decides which. Seed 0
// leaves them as they are.
func shuffle(seed uint64, n int, swap func(i, j int)) {
	if seed == 0 {
		return
	}
	var luck rand.PCG
	luck.Seed(seed, seed)
	for i := n - 1; i > 0; i-- {
		j, _ := bits.Mul64(luck.Uint64(), uint64(i+1))
		swap(i, int(j))
	}
}

package wire

import "net/netip"

// TCP flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// TCP is a TCP header (RFC 9293) with its options.
type TCP []byte

// ParseTCP checks the data offset and that the header is there.
func ParseTCP(b []byte) (TCP, error) {
	if len(b) < TCPLen {
		return nil, ErrTruncated
	}
	n := int(b[12]>>4) * 4
	if n < TCPLen {
		return nil, ErrMalformed
	}
	if len(b) < n {
		return nil, ErrTruncated
	}
	return TCP(b), nil
}

// TCPFields are the fields that PutTCP writes.
type TCPFields struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            byte
	Window           uint16
	OptionsLen       int // a multiple of 4, at most 40; the options are left to the caller
}

// PutTCP writes a header with checksum 0 into the first TCPLen bytes of b.
func PutTCP(b []byte, f TCPFields) {
	be.PutUint16(b, f.SrcPort)
	be.PutUint16(b[2:], f.DstPort)
	be.PutUint32(b[4:], f.Seq)
	be.PutUint32(b[8:], f.Ack)
	b[12], b[13] = byte((TCPLen+f.OptionsLen)/4)<<4, f.Flags
	be.PutUint16(b[14:], f.Window)
	be.PutUint32(b[16:], 0)
}

// SrcPort returns the source port.
func (t TCP) SrcPort() uint16 { return be.Uint16(t) }

// DstPort returns the destination port.
func (t TCP) DstPort() uint16 { return be.Uint16(t[2:]) }

// Seq returns the sequence number.
func (t TCP) Seq() uint32 { return be.Uint32(t[4:]) }

// Ack returns the acknowledgment number.
func (t TCP) Ack() uint32 { return be.Uint32(t[8:]) }

// HeaderLen returns the header's length with options, 20 to 60.
func (t TCP) HeaderLen() int { return int(t[12]>>4) * 4 }

// Flags returns the flag byte.
func (t TCP) Flags() byte { return t[13] }

// SetFlags writes the flag byte; the checksum is left to the caller.
func (t TCP) SetFlags(f byte) { t[13] = f }

// Window returns the advertised window, unscaled.
func (t TCP) Window() uint16 { return be.Uint16(t[14:]) }

// SetSeq writes the sequence number; the checksum is left to the caller.
func (t TCP) SetSeq(s uint32) { be.PutUint32(t[4:], s) }

// SetAck writes the acknowledgment number; the checksum is left to the caller.
func (t TCP) SetAck(s uint32) { be.PutUint32(t[8:], s) }

// Checksum returns the checksum field.
func (t TCP) Checksum() uint16 { return be.Uint16(t[16:]) }

// SetChecksum writes the checksum field.
func (t TCP) SetChecksum(c uint16) { be.PutUint16(t[16:], c) }

// Options returns the bytes of the options, which ParseTCP checked to be there.
func (t TCP) Options() []byte { return t[TCPLen:t.HeaderLen()] }

// MSS returns the maximum segment size option and its offset in the header; 0, 0 if there is none.
func (t TCP) MSS() (mss uint16, at int) {
	o := t.Options()
	for i := 0; i < len(o); {
		switch kind := o[i]; {
		case kind == 0:
			return 0, 0
		case kind == 1:
			i++
		case i+1 >= len(o) || o[i+1] < 2 || i+int(o[i+1]) > len(o):
			return 0, 0
		case kind == 2 && o[i+1] == 4:
			return be.Uint16(o[i+2:]), TCPLen + i + 2
		default:
			i += int(o[i+1])
		}
	}
	return 0, 0
}

// UDP is a UDP header (RFC 768).
type UDP []byte

// ParseUDP checks that the header is there and its length field at least that of a header.
func ParseUDP(b []byte) (UDP, error) {
	if len(b) < UDPLen {
		return nil, ErrTruncated
	}
	if be.Uint16(b[4:]) < UDPLen {
		return nil, ErrMalformed
	}
	return UDP(b), nil
}

// SrcPort returns the source port.
func (u UDP) SrcPort() uint16 { return be.Uint16(u) }

// DstPort returns the destination port.
func (u UDP) DstPort() uint16 { return be.Uint16(u[2:]) }

// Len returns the length field: header and data.
func (u UDP) Len() int { return int(be.Uint16(u[4:])) }

// SetLen writes the length field.
func (u UDP) SetLen(n int) { be.PutUint16(u[4:], uint16(n)) }

// Checksum returns the checksum field; 0 means none over IPv4.
func (u UDP) Checksum() uint16 { return be.Uint16(u[6:]) }

// SetChecksum writes the checksum field.
func (u UDP) SetChecksum(c uint16) { be.PutUint16(u[6:], c) }

// PutUDP writes a header with checksum 0 into the first UDPLen bytes of b.
func PutUDP(b []byte, src, dst uint16, length int) {
	be.PutUint16(b, src)
	be.PutUint16(b[2:], dst)
	be.PutUint16(b[4:], uint16(length))
	be.PutUint16(b[6:], 0)
}

// ICMP message types and codes (RFC 792, RFC 1191).
const (
	ICMPEchoReply    = 0
	ICMPUnreachable  = 3
	ICMPEcho         = 8
	ICMPTimeExceeded = 11

	CodeNetUnreachable  = 0
	CodeHostUnreachable = 1
	CodePortUnreachable = 3
	CodeFragNeeded      = 4
	CodeAdminProhibited = 13
)

// ICMP is an ICMPv4 message (RFC 792) of at least ICMPLen bytes.
type ICMP []byte

// ParseICMP checks that the fixed part is there.
func ParseICMP(b []byte) (ICMP, error) {
	if len(b) < ICMPLen {
		return nil, ErrTruncated
	}
	return ICMP(b), nil
}

// Type returns the message type.
func (m ICMP) Type() byte { return m[0] }

// Code returns the message code.
func (m ICMP) Code() byte { return m[1] }

// ID returns the identifier of an echo message.
func (m ICMP) ID() uint16 { return be.Uint16(m[4:]) }

// Seq returns the sequence number of an echo message.
func (m ICMP) Seq() uint16 { return be.Uint16(m[6:]) }

// MTU returns the next hop's MTU in a fragmentation-needed message (RFC 1191).
func (m ICMP) MTU() int { return int(be.Uint16(m[6:])) }

// IsError tells whether the message carries the head of the packet that it is about.
func (m ICMP) IsError() bool {
	switch m[0] {
	case ICMPUnreachable, 4, 5, ICMPTimeExceeded, 12:
		return true
	}
	return false
}

// FillChecksum computes the checksum of the whole message m.
func (m ICMP) FillChecksum() {
	be.PutUint16(m[2:], 0)
	be.PutUint16(m[2:], ^Fold(Sum(m, 0)))
}

// PutICMP writes the fixed part with checksum 0 into the first ICMPLen bytes of b; rest fills bytes 4 to 7.
func PutICMP(b []byte, typ, code byte, rest uint32) {
	b[0], b[1], b[2], b[3] = typ, code, 0, 0
	be.PutUint32(b[4:], rest)
}

// PseudoSum returns the sum over the pseudo header of TCP and UDP (RFC 9293 section 3.1, RFC 8200
// section 8.1) for a segment of length bytes. Both addresses must be of one family.
func PseudoSum(src, dst netip.Addr, proto byte, length int) uint64 {
	sum := uint64(proto) + uint64(length)
	if src.Is4() && dst.Is4() {
		s, d := src.As4(), dst.As4()
		return sum + uint64(be.Uint32(s[:])) + uint64(be.Uint32(d[:])) // words of any size sum up to the same, folded
	}
	s, d := src.As16(), dst.As16()
	return Sum(d[:], Sum(s[:], sum))
}

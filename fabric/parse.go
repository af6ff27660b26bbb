package fabric

import (
	"encoding/binary"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// ParseEthernet reads a frame that begins with an Ethernet header, and what follows as Parse3 does. The
// reason tells what is wrong with a frame that must not be taken further; 0 if nothing is.
func (f *Frame) ParseEthernet() DropReason {
	e, err := wire.ParseEthernet(f.Linear())
	if err != nil {
		return DropTruncated
	}
	return f.Parse3(e.Type(), e.Len())
}

// Parse3 reads the network and transport header that begin off bytes into the linear part. Every length is
// checked here, once. What it does not know it leaves alone: the frame then has an EtherType and no headers.
func (f *Frame) Parse3(etherType uint16, off int) DropReason {
	f.EtherType, f.Proto, f.l3, f.l4, f.inner, f.Hash = etherType, 0, 0, 0, 0, 0
	if off < 0 || off > int(f.end-f.start) {
		return DropTruncated
	}
	at := int(f.start) + off
	switch etherType {
	case wire.TypeIPv4:
		return f.parse4(at)
	case wire.TypeIPv6:
		return f.parse6(at)
	}
	return 0
}

func (f *Frame) parse4(at int) DropReason {
	h, err := wire.ParseIPv4(f.buf[at:f.end])
	switch {
	case err == wire.ErrTruncated:
		return DropTruncated
	case err != nil:
		return DropMalformed
	case h.TotalLen() > f.Len()-(at-int(f.start)):
		return DropTruncated
	}
	f.CapLen(at - int(f.start) + h.TotalLen())
	f.l3 = uint16(at)
	if h.FragOffset() > 0 {
		return 0 // a later fragment has no transport header
	}
	return f.parse4Transport(h.Proto(), at+h.HeaderLen(), h.MF())
}

// parse4Transport notes the transport header at offset at. A first fragment may hold less than its header says.
func (f *Frame) parse4Transport(proto byte, at int, fragment bool) DropReason {
	var err error
	b := f.buf[at:f.end]
	switch proto {
	case wire.ProtoTCP:
		_, err = wire.ParseTCP(b)
	case wire.ProtoUDP:
		var u wire.UDP
		if u, err = wire.ParseUDP(b); err == nil && !fragment && u.Len() > f.Len()-(at-int(f.start)) {
			err = wire.ErrTruncated
		}
	case wire.ProtoICMP, wire.ProtoICMPv6:
		_, err = wire.ParseICMP(b)
	case wire.ProtoESP: // who has the keys looks into it
	default:
		f.Proto = proto
		return 0
	}
	switch {
	case err == wire.ErrTruncated:
		return DropTruncated
	case err != nil:
		return DropMalformed
	}
	f.Proto, f.l4 = proto, uint16(at)
	return 0
}

func (f *Frame) parse6(at int) DropReason {
	h, err := wire.ParseIPv6(f.buf[at:f.end])
	switch {
	case err == wire.ErrTruncated:
		return DropTruncated
	case err != nil:
		return DropMalformed
	case h.PayloadLen()+wire.IPv6Len > f.Len()-(at-int(f.start)):
		return DropTruncated
	}
	f.CapLen(at - int(f.start) + wire.IPv6Len + h.PayloadLen())
	f.l3 = uint16(at)
	return f.parse4Transport(h.NextHeader(), at+wire.IPv6Len, false)
}

// Encapsulated says that the frame now is one tunnelled in another: the outer Ethernet or IP header begins the
// linear part, the inner Ethernet header lies innerOff bytes into it. Parse3 must not be called on such a frame,
// for it would forget the inner one; SetOuter names the outer headers.
func (f *Frame) Encapsulated(innerOff int) { f.inner = f.start + uint16(innerOff) }

// Tunnelled tells whether the frame carries another.
func (f *Frame) Tunnelled() bool { return f.inner != 0 }

// Decapsulate takes off everything in front of the inner frame and parses that.
func (f *Frame) Decapsulate() DropReason {
	if f.inner < f.start || f.inner == 0 || f.inner > f.end {
		return DropMalformed
	}
	f.start = f.inner
	return f.ParseEthernet()
}

// SetOuter names the headers of a frame whose sender knows them: the network header begins l3 bytes into the linear
// part, the transport header l4 bytes (0: none).
func (f *Frame) SetOuter(etherType uint16, proto byte, l3, l4 int) {
	f.EtherType, f.Proto = etherType, proto
	f.l3, f.l4 = f.start+uint16(l3), 0
	if l4 > 0 {
		f.l4 = f.start + uint16(l4)
	}
}

// place is where a transport header lies, as an offset into buf.
type place struct {
	l3, off int
	proto   byte
}

// transport returns where the TCP, UDP or ESP header that carries the payload lies: that of the inner packet in a tunnelled
// frame. The zero place if there is none. What it returns is checked, whatever was written into the headers since they
// were parsed.
func (f *Frame) transport() place {
	if f.inner == 0 {
		return f.transportAt(int(f.l3), int(f.l4), f.Proto)
	}
	if f.inner < f.start || f.inner > f.end {
		return place{}
	}
	e, err := wire.ParseEthernet(f.buf[f.inner:f.end])
	if err != nil {
		return place{}
	}
	l3 := int(f.inner) + e.Len()
	switch e.Type() {
	case wire.TypeIPv4:
		if h, err := wire.ParseIPv4(f.buf[l3:f.end]); err == nil && h.FragOffset() == 0 {
			return f.transportAt(l3, l3+h.HeaderLen(), h.Proto())
		}
	case wire.TypeIPv6:
		if h, err := wire.ParseIPv6(f.buf[l3:f.end]); err == nil {
			return f.transportAt(l3, l3+wire.IPv6Len, h.NextHeader())
		}
	}
	return place{}
}

// transportAt checks that an IP header lies at l3 and a TCP or UDP header at l4, both within the linear part. An ESP
// header only begins at l4: it is part of what each wire frame has of its own.
func (f *Frame) transportAt(l3, l4 int, proto byte) place {
	if l3 < int(f.start) || l4 <= l3 || l4 > int(f.end) || !hasIP(f.buf[l3:l4]) {
		return place{}
	}
	switch proto {
	case wire.ProtoTCP:
		if _, err := wire.ParseTCP(f.buf[l4:f.end]); err != nil {
			return place{}
		}
	case wire.ProtoUDP:
		if int(f.end)-l4 < wire.UDPLen {
			return place{}
		}
	case wire.ProtoESP:
	default:
		return place{}
	}
	return place{l3, l4, proto}
}

// hasIP tells whether b begins with a whole IPv4 or IPv6 header, options included.
func hasIP(b []byte) bool {
	switch {
	case len(b) >= wire.IPv6Len && b[0]>>4 == 6:
		return true
	case len(b) >= wire.IPv4Len && b[0]>>4 == 4:
		n := wire.IPv4(b).HeaderLen()
		return n >= wire.IPv4Len && n <= len(b)
	}
	return false
}

// FlowHash returns a hash that is equal for all packets of one flow in one direction, and never 0. The fragments of a
// packet hash alike, and without ports, which only the first has.
func (f *Frame) FlowHash() uint32 {
	if f.Hash != 0 {
		return f.Hash
	}
	var h uint64 = 14695981039346656037
	mix := func(v uint64) { h = (h ^ v) * 0x9e3779b97f4a7c15; h ^= h >> 29 }
	ports := f.l4 != 0 && (f.Proto == wire.ProtoTCP || f.Proto == wire.ProtoUDP)
	switch {
	case f.l3 != 0 && f.EtherType == wire.TypeIPv4:
		ip := f.IPv4()
		mix(binary.BigEndian.Uint64(ip[12:]))
		mix(uint64(ip.Proto()))
		ports = ports && !ip.IsFragment()
	case f.l3 != 0 && f.EtherType == wire.TypeIPv6:
		for i := 8; i < 40; i += 8 {
			mix(binary.BigEndian.Uint64(f.buf[int(f.l3)+i:]))
		}
	case f.end-f.start >= wire.EthernetLen:
		mix(f.Eth().Dst().Uint64())
		mix(f.Eth().Src().Uint64())
	}
	if ports {
		mix(uint64(binary.BigEndian.Uint32(f.buf[f.l4:])))
	}
	f.Hash = uint32(h>>32) ^ uint32(h) | 1
	return f.Hash
}

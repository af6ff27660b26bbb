// Package fabrictest helps to test what stands on fabric: it builds frames of every kind with right checksums, checks
// what is on a wire, collects what arrives, and holds the contract that every fabric.Port must keep.
package fabrictest

import (
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// The addresses of a Packet that names none.
var (
	SrcMAC = wire.MAC{0x02, 0, 0, 0, 0, 0x01}
	DstMAC = wire.MAC{0x02, 0, 0, 0, 0, 0x02}
	Src    = netip.MustParseAddrPort("10.0.0.1:40000")
	Dst    = netip.MustParseAddrPort("10.0.0.2:80")
)

// Packet says what an IPv4 frame is to hold. Its zero value is a packet from Src to Dst without data.
type Packet struct {
	SrcMAC, DstMAC wire.MAC       // zero: SrcMAC, DstMAC
	VLAN           uint16         // zero: no 802.1Q tag
	Src, Dst       netip.AddrPort // zero: Src, Dst
	TTL, TOS       byte           // TTL zero: 64
	ID             uint16
	Frag           uint16 // flags: wire.DontFragment, wire.MoreFragments
	IPOptions      []byte // a multiple of 4 bytes, at most 40

	Flags      byte // of TCP; zero: ACK
	Seq, Ack   uint32
	TCPOptions []byte // a multiple of 4 bytes, at most 40

	Data []byte // what it carries; nil: Size bytes of Pattern, from Seq on for TCP and from 0 on for the others
	Size int

	// MSS cuts TCP or UDP data longer than it: the frame is a train then. Zero: one wire frame, whatever its size.
	MSS int
	// Partial leaves the TCP or UDP checksum to be computed, as a netstack with offloads does.
	Partial bool
}

// Pattern returns n bytes that tell their position, from position off on.
func Pattern(off uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = patternByte(off + uint32(i))
	}
	return b
}

// patternByte has a long period, so that data that moved by a segment or a power of two is not taken for right.
func patternByte(pos uint32) byte {
	pos *= 0x9e3779b1
	return byte(pos>>24) ^ byte(pos>>13)
}

// TCP returns the TCP frame or train.
func (p Packet) TCP() *fabric.Frame {
	if p.Flags == 0 {
		p.Flags = wire.ACK
	}
	p.Src, p.Dst = p.endpoints()
	h := make([]byte, wire.TCPLen+len(p.TCPOptions))
	wire.PutTCP(h, wire.TCPFields{SrcPort: p.Src.Port(), DstPort: p.Dst.Port(), Seq: p.Seq, Ack: p.Ack,
		Flags: p.Flags, Window: 65535, OptionsLen: len(p.TCPOptions)})
	copy(h[wire.TCPLen:], p.TCPOptions)
	return p.frame(wire.ProtoTCP, h, p.data(p.Seq))
}

// UDP returns the UDP frame or train.
func (p Packet) UDP() *fabric.Frame {
	p.Src, p.Dst = p.endpoints()
	data := p.data(0)
	h := make([]byte, wire.UDPLen)
	wire.PutUDP(h, p.Src.Port(), p.Dst.Port(), wire.UDPLen+len(data))
	return p.frame(wire.ProtoUDP, h, data)
}

// Echo returns an ICMP echo request. The packet's ports are not looked at.
func (p Packet) Echo(id, seq uint16) *fabric.Frame { return p.ICMP(wire.ICMPEcho, 0, rest(id, seq)) }

// EchoReply returns an ICMP echo reply.
func (p Packet) EchoReply(id, seq uint16) *fabric.Frame {
	return p.ICMP(wire.ICMPEchoReply, 0, rest(id, seq))
}

func rest(id, seq uint16) uint32 { return uint32(id)<<16 | uint32(seq) }

// ICMP returns an ICMP message of any type; rest fills bytes 4 to 7 of its header.
func (p Packet) ICMP(typ, code byte, rest uint32) *fabric.Frame {
	p.Src, p.Dst = p.endpoints()
	m := make([]byte, wire.ICMPLen, wire.ICMPLen+p.Size)
	wire.PutICMP(m, typ, code, rest)
	m = append(m, p.data(0)...)
	wire.ICMP(m).FillChecksum()
	p.MSS = 0
	return p.frame(wire.ProtoICMP, m[:wire.ICMPLen], m[wire.ICMPLen:])
}

func (p Packet) endpoints() (src, dst netip.AddrPort) {
	src, dst = p.Src, p.Dst
	if !src.IsValid() {
		src = Src
	}
	if !dst.IsValid() {
		dst = Dst
	}
	return src, dst
}

func (p Packet) data(off uint32) []byte {
	if p.Data != nil {
		return p.Data
	}
	return Pattern(off, p.Size)
}

// frame joins the headers and the data, cuts it in a train's segments and fills the checksums.
func (p Packet) frame(proto byte, l4, data []byte) *fabric.Frame {
	f := fabric.New()
	p.ethernet(f, wire.TypeIPv4)
	n := wire.IPv4Len + len(p.IPOptions)
	if p.TTL == 0 {
		p.TTL = 64
	}
	ip := f.Extend(n)
	wire.PutIPv4(ip, wire.IPv4Fields{TOS: p.TOS, TotalLen: n + len(l4) + len(data), ID: p.ID, Flags: p.Frag, TTL: p.TTL,
		Proto: proto, Src: p.Src.Addr(), Dst: p.Dst.Addr()})
	ip[0] = 0x40 | byte(n/4)
	copy(ip[wire.IPv4Len:], p.IPOptions)
	wire.IPv4(ip).FillChecksum()
	copy(f.Extend(len(l4)), l4)
	train := p.MSS > 0 && len(data) > p.MSS
	if room := f.Extend(len(data)); room != nil && !train {
		copy(room, data)
	} else {
		f.CapLen(f.Len() - len(room))
		f.SetPayloadBytes(data)
	}
	if reason := f.ParseEthernet(); reason != 0 {
		panic("fabrictest: a packet that is " + reason.String()) // a mistake in the test that asked for it
	}
	if train {
		f.Segs, f.MSS = uint16((len(data)+p.MSS-1)/p.MSS), uint16(p.MSS)
	}
	if proto != wire.ProtoICMP {
		f.Checksum = fabric.ChecksumPartial
		if !p.Partial {
			f.FillChecksum()
		}
	}
	return f
}

func (p Packet) ethernet(f *fabric.Frame, etherType uint16) {
	if p.SrcMAC.IsZero() {
		p.SrcMAC = SrcMAC
	}
	if p.DstMAC.IsZero() {
		p.DstMAC = DstMAC
	}
	if p.VLAN == 0 {
		wire.PutEthernet(f.Extend(wire.EthernetLen), p.DstMAC, p.SrcMAC, etherType)
		return
	}
	b := f.Extend(wire.EthernetLen + wire.VLANLen)
	wire.PutEthernet(b, p.DstMAC, p.SrcMAC, wire.TypeVLAN)
	b[14], b[15] = byte(p.VLAN>>8), byte(p.VLAN)
	b[16], b[17] = byte(etherType>>8), byte(etherType)
}

// ARPRequest returns the question who has target, from the one who has mac and ip.
func ARPRequest(mac wire.MAC, ip, target netip.Addr) *fabric.Frame {
	return arp(wire.Broadcast, wire.ARPRequest, mac, ip, wire.MAC{}, target)
}

// ARPReply returns the answer of the one who has mac and ip to the one who asked.
func ARPReply(mac wire.MAC, ip netip.Addr, toMAC wire.MAC, toIP netip.Addr) *fabric.Frame {
	return arp(toMAC, wire.ARPReply, mac, ip, toMAC, toIP)
}

func arp(dst wire.MAC, op uint16, mac wire.MAC, ip netip.Addr, targetMAC wire.MAC, target netip.Addr) *fabric.Frame {
	f := fabric.New()
	Packet{SrcMAC: mac, DstMAC: dst}.ethernet(f, wire.TypeARP)
	wire.PutARP(f.Extend(wire.ARPLen), op, mac, ip, targetMAC, target)
	f.ParseEthernet()
	return f
}

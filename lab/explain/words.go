package explain

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

func protoName(p byte) string {
	switch p {
	case wire.ProtoTCP:
		return "tcp"
	case wire.ProtoUDP:
		return "udp"
	case wire.ProtoICMP:
		return "icmp"
	}
	return strconv.Itoa(int(p))
}

// describe says in a few words what a packet is; dns tells that it is of a conversation with a name server.
func describe(p *fabric.PacketInfo, dns bool) string {
	switch {
	case p.EtherType == wire.TypeARP && p.Code == byte(wire.ARPReply):
		return fmt.Sprintf("ARP: %s is here", p.Src.Addr())
	case p.EtherType == wire.TypeARP:
		return fmt.Sprintf("ARP: who has %s?", p.Dst.Addr())
	case p.Proto == wire.ProtoTCP:
		return describeTCP(p)
	case p.Proto == wire.ProtoUDP:
		if text := describeDNS(p); dns && text != "" {
			return text
		}
		return fmt.Sprintf("UDP, %s", bytesText(p.Size))
	case p.Proto == wire.ProtoICMP:
		return describeICMP(p)
	}
	return fmt.Sprintf("IP protocol %d", p.Proto)
}

func describeTCP(p *fabric.PacketInfo) string {
	var flags []string
	for _, f := range []struct {
		bit  byte
		name string
	}{{wire.SYN, "SYN"}, {wire.FIN, "FIN"}, {wire.RST, "RST"}, {wire.ACK, "ACK"}} {
		if p.Flags&f.bit != 0 {
			flags = append(flags, f.name)
		}
	}
	if p.Size == 0 {
		return strings.Join(flags, " ")
	}
	text := bytesText(p.Size)
	if line := firstLine(p.Head); line != "" {
		text += ", " + strconv.Quote(line)
	}
	if p.Flags&(wire.SYN|wire.FIN|wire.RST) != 0 {
		text = strings.Join(flags, " ") + ", " + text
	}
	return text
}

func bytesText(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// firstLineMax is how much of a line of text is told.
const firstLineMax = 40

// firstLine returns the first line of a payload that begins with text; of redis' protocol the first word.
func firstLine(b []byte) string {
	line, rest, _ := strings.Cut(string(b), "\r\n")
	if strings.HasPrefix(line, "*") {
		if _, word, ok := strings.Cut(rest, "\r\n"); ok {
			line, _, _ = strings.Cut(word, "\r\n")
		}
	}
	for i, c := range line {
		if c < ' ' || c > '~' {
			return ""
		}
		if i == firstLineMax {
			return line[:i] + "..."
		}
	}
	if len(line) < 3 {
		return ""
	}
	return line
}

// describeDNS says what a query or reply is about; empty if it is none.
func describeDNS(p *fabric.PacketInfo) string {
	b := p.Head
	if len(b) < 12 {
		return ""
	}
	name, qtype, ok := question(b[12:])
	if !ok {
		return ""
	}
	if b[2]&0x80 == 0 {
		return fmt.Sprintf("DNS query, %s of %s", qtype, name)
	}
	switch rcode, answers := b[3]&0xf, binary.BigEndian.Uint16(b[6:]); {
	case rcode == 3:
		return fmt.Sprintf("DNS reply, there is no %s", name)
	case rcode != 0:
		return fmt.Sprintf("DNS reply, error %d for %s", rcode, name)
	case answers == 0:
		return fmt.Sprintf("DNS reply, no %s of %s", qtype, name)
	default:
		return fmt.Sprintf("DNS reply, %s of %s", qtype, name)
	}
}

// question reads the first question of a DNS message (RFC 1035 section 4.1.2).
func question(b []byte) (name, qtype string, ok bool) {
	for len(b) > 0 && b[0] != 0 {
		n := int(b[0])
		if n > 63 || len(b) < n+1 {
			return "", "", false
		}
		name += string(b[1:n+1]) + "."
		b = b[n+1:]
	}
	if len(b) < 5 {
		return "", "", false
	}
	qtype = fmt.Sprintf("type %d", binary.BigEndian.Uint16(b[1:]))
	switch binary.BigEndian.Uint16(b[1:]) {
	case 1:
		qtype = "address"
	case 12:
		qtype = "name"
	case 28:
		qtype = "IPv6 address"
	}
	if name = strings.TrimSuffix(name, "."); name == "" {
		name = "."
	}
	return strings.ToValidUTF8(name, "?"), qtype, true
}

func describeICMP(p *fabric.PacketInfo) string {
	switch p.Type {
	case wire.ICMPEcho:
		return fmt.Sprintf("echo request %d", p.Seq)
	case wire.ICMPEchoReply:
		return fmt.Sprintf("echo reply %d", p.Seq)
	case wire.ICMPUnreachable, wire.ICMPTimeExceeded:
		return "ICMP error: " + netns.UnreachableText(p.Type, p.Code)
	}
	return fmt.Sprintf("ICMP type %d", p.Type)
}

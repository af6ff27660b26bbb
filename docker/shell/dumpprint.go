package shell

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// dumpPrinter prints packets as tcpdump -n does. It remembers where connections began, for relative sequence numbers.
type dumpPrinter struct {
	ethernet bool // -e
	verbose  bool // -v
	quick    bool // -q
	noTime   bool // -t
	absolute bool // -S
	begun    map[flow]uint32
}

// flow is one direction of a TCP connection.
type flow struct{ src, dst netip.AddrPort }

// maxFlows bounds what a printer remembers.
const maxFlows = 4096

func newDumpPrinter(opts options) *dumpPrinter {
	return &dumpPrinter{ethernet: opts.has("e"), verbose: opts.has("v"), quick: opts.has("q"), noTime: opts.has("t"), absolute: opts.has("S"),
		begun: map[flow]uint32{}}
}

// line prints a packet: a line, and one more for each that is tunnelled in it.
func (d *dumpPrinter) line(p *packet, at time.Time) string {
	var b strings.Builder
	if !d.noTime {
		b.WriteString(at.Format("15:04:05.000000 "))
	}
	d.packet(&b, p, 0)
	b.WriteByte('\n')
	return b.String()
}

// maxTunnels bounds the tunnels in tunnels that are printed.
const maxTunnels = 4

func (d *dumpPrinter) packet(b *strings.Builder, p *packet, depth int) {
	if d.ethernet && p.eth != nil {
		d.link(b, p)
	}
	switch {
	case p.eth == nil:
		b.WriteString("[|ether]")
	case p.arp != nil:
		b.WriteString(arpText(p))
	case p.ip != nil:
		d.ip(b, p, depth)
	case p.typ == wire.TypeIPv6:
		b.WriteString(ip6Text(p.raw[p.eth.Len():]))
	default:
		fmt.Fprintf(b, "ethertype %s, length %d", etherType(p.typ), len(p.raw))
	}
}

// link prints the Ethernet header.
func (d *dumpPrinter) link(b *strings.Builder, p *packet) {
	fmt.Fprintf(b, "%s > %s, ethertype ", p.eth.Src(), p.eth.Dst())
	if p.tagged {
		fmt.Fprintf(b, "802.1Q (0x8100), length %d: vlan %d, p 0, ethertype %s, ", len(p.raw), p.vlan, strings.SplitN(etherType(p.typ), " (", 2)[0])
		return
	}
	fmt.Fprintf(b, "%s, length %d: ", etherType(p.typ), len(p.raw))
}

func etherType(t uint16) string {
	switch t {
	case wire.TypeIPv4:
		return "IPv4 (0x0800)"
	case wire.TypeARP:
		return "ARP (0x0806)"
	case wire.TypeIPv6:
		return "IPv6 (0x86dd)"
	}
	return fmt.Sprintf("Unknown (0x%04x)", t)
}

func arpText(p *packet) string {
	a, n := p.arp, len(p.raw)-p.eth.Len()
	switch a.Op() {
	case wire.ARPRequest:
		return fmt.Sprintf("ARP, Request who-has %s tell %s, length %d", a.TargetIP(), a.SenderIP(), n)
	case wire.ARPReply:
		return fmt.Sprintf("ARP, Reply %s is-at %s, length %d", a.SenderIP(), a.SenderMAC(), n)
	}
	return fmt.Sprintf("ARP, Unknown (%d), length %d", a.Op(), n)
}

func ip6Text(b []byte) string {
	h, err := wire.ParseIPv6(b)
	if err != nil {
		return "[|ip6]"
	}
	return fmt.Sprintf("IP6 %s > %s: ip-proto-%d, length %d", h.Src(), h.Dst(), h.NextHeader(), h.PayloadLen())
}

// ip prints an IPv4 packet.
func (d *dumpPrinter) ip(b *strings.Builder, p *packet, depth int) {
	h := p.ip
	b.WriteString("IP ")
	if d.verbose {
		flags := "none"
		if h.DF() {
			flags = "DF"
		} else if h.MF() {
			flags = "+"
		}
		fmt.Fprintf(b, "(tos 0x%x, ttl %d, id %d, offset %d, flags [%s], proto %s (%d), length %d)\n    ", h.TOS(), h.TTL(), h.ID(), h.FragOffset(),
			flags, protoText(h.Proto()), h.Proto(), h.TotalLen())
	}
	src, dst, hasPorts := p.ports()
	if !hasPorts {
		fmt.Fprintf(b, "%s > %s: ", h.Src(), h.Dst())
	} else {
		fmt.Fprintf(b, "%s.%d > %s.%d: ", h.Src(), src, h.Dst(), dst)
	}
	switch {
	case h.FragOffset() > 0:
		b.WriteString(strings.ToLower(protoText(h.Proto())))
	case p.tcp != nil:
		d.tcp(b, p)
	case p.udp != nil:
		d.udp(b, p, depth)
	case p.icmp != nil:
		b.WriteString(icmpText(p.icmp))
	case h.Proto() == wire.ProtoESP && len(p.body) >= 8:
		fmt.Fprintf(b, "ESP(spi=0x%08x,seq=0x%x), length %d", binary.BigEndian.Uint32(p.body), binary.BigEndian.Uint32(p.body[4:]), len(p.body))
	default:
		fmt.Fprintf(b, "ip-proto-%d %d", h.Proto(), len(p.body))
	}
}

func protoText(proto byte) string {
	switch proto {
	case wire.ProtoICMP:
		return "ICMP"
	case wire.ProtoTCP:
		return "TCP"
	case wire.ProtoUDP:
		return "UDP"
	case wire.ProtoESP:
		return "ESP"
	}
	return fmt.Sprintf("ip-proto-%d", proto)
}

// tcp prints a segment.
func (d *dumpPrinter) tcp(b *strings.Builder, p *packet) {
	t, n := p.tcp, len(p.data)
	if d.quick {
		fmt.Fprintf(b, "tcp %d", n)
		return
	}
	seq, ack := d.relative(p)
	fmt.Fprintf(b, "Flags [%s]", tcpFlags(t.Flags()))
	if n > 0 {
		fmt.Fprintf(b, ", seq %d:%d", seq, seq+uint32(n))
	} else if t.Flags()&(wire.SYN|wire.FIN|wire.RST) != 0 {
		fmt.Fprintf(b, ", seq %d", seq)
	}
	if t.Flags()&wire.ACK != 0 {
		fmt.Fprintf(b, ", ack %d", ack)
	}
	fmt.Fprintf(b, ", win %d", t.Window())
	if o := tcpOptions(t.Options()); o != "" {
		fmt.Fprintf(b, ", options [%s]", o)
	}
	fmt.Fprintf(b, ", length %d", n)
}

// relative returns sequence and acknowledgment number, counted from where the connection began once that was seen.
func (d *dumpPrinter) relative(p *packet) (seq, ack uint32) {
	t := p.tcp
	seq, ack = t.Seq(), t.Ack()
	if d.absolute {
		return seq, ack
	}
	out := flow{netip.AddrPortFrom(p.ip.Src(), t.SrcPort()), netip.AddrPortFrom(p.ip.Dst(), t.DstPort())}
	back := flow{out.dst, out.src}
	if len(d.begun) > maxFlows {
		clear(d.begun)
	}
	if t.Flags()&wire.SYN != 0 {
		d.begun[out] = seq
		if t.Flags()&wire.ACK != 0 {
			d.begun[back] = ack - 1
		}
		return seq, ack
	}
	first, known := d.begun[out]
	if !known { // begun before the capture: count from here on
		d.begun[out] = seq - 1
		if _, ok := d.begun[back]; !ok && t.Flags()&wire.ACK != 0 {
			d.begun[back] = ack - 1
			return seq, ack
		}
		if base, ok := d.begun[back]; ok {
			ack -= base
		}
		return seq, ack
	}
	if base, ok := d.begun[back]; ok {
		ack -= base
	}
	return seq - first, ack
}

func tcpFlags(f byte) string {
	var b strings.Builder
	for _, x := range []struct {
		bit  byte
		sign string
	}{{wire.FIN, "F"}, {wire.SYN, "S"}, {wire.RST, "R"}, {wire.PSH, "P"}, {wire.ACK, "."}, {wire.URG, "U"}, {wire.ECE, "E"}, {wire.CWR, "W"}} {
		if f&x.bit != 0 {
			b.WriteString(x.sign)
		}
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

func tcpOptions(o []byte) string {
	var parts []string
	for len(o) > 0 && len(parts) < 40 {
		kind := o[0]
		if kind == 1 || kind == 0 {
			parts = append(parts, map[byte]string{0: "eol", 1: "nop"}[kind])
			if o = o[1:]; kind == 0 {
				break
			}
			continue
		}
		if len(o) < 2 || int(o[1]) < 2 || int(o[1]) > len(o) {
			parts = append(parts, "[bad opt]")
			break
		}
		parts = append(parts, tcpOption(kind, o[2:o[1]]))
		o = o[o[1]:]
	}
	return strings.Join(parts, ",")
}

func tcpOption(kind byte, v []byte) string {
	switch {
	case kind == 2 && len(v) == 2:
		return fmt.Sprintf("mss %d", binary.BigEndian.Uint16(v))
	case kind == 3 && len(v) == 1:
		return fmt.Sprintf("wscale %d", v[0])
	case kind == 4:
		return "sackOK"
	case kind == 5 && len(v)%8 == 0:
		text := fmt.Sprintf("sack %d ", len(v)/8)
		for i := 0; i < len(v); i += 8 {
			text += fmt.Sprintf("{%d:%d}", binary.BigEndian.Uint32(v[i:]), binary.BigEndian.Uint32(v[i+4:]))
		}
		return text
	case kind == 8 && len(v) == 8:
		return fmt.Sprintf("TS val %d ecr %d", binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:]))
	}
	return fmt.Sprintf("unknown-%d", kind)
}

// udp prints a datagram, and what it carries if that is VXLAN or a question of names.
func (d *dumpPrinter) udp(b *strings.Builder, p *packet, depth int) {
	if vni, inner, ok := p.tunnelled(); ok && !d.quick {
		flags := p.data[0]
		sign := "."
		if flags&0x08 != 0 {
			sign = "I"
		}
		fmt.Fprintf(b, "VXLAN, flags [%s] (0x%02x), vni %d\n", sign, flags, vni)
		if depth < maxTunnels {
			d.packet(b, decode(inner), depth+1)
		}
		return
	}
	src, dst, _ := p.ports()
	if text, ok := dnsText(p.data); ok && (src == 53 || dst == 53) && !d.quick {
		b.WriteString(text)
		return
	}
	fmt.Fprintf(b, "UDP, length %d", len(p.data))
}

func icmpText(m wire.ICMP) string {
	switch m.Type() {
	case wire.ICMPEcho:
		return fmt.Sprintf("ICMP echo request, id %d, seq %d, length %d", m.ID(), m.Seq(), len(m))
	case wire.ICMPEchoReply:
		return fmt.Sprintf("ICMP echo reply, id %d, seq %d, length %d", m.ID(), m.Seq(), len(m))
	case wire.ICMPTimeExceeded:
		return fmt.Sprintf("ICMP time exceeded in-transit, length %d", len(m))
	case wire.ICMPUnreachable:
		return "ICMP " + unreachableText(m) + fmt.Sprintf(", length %d", len(m))
	}
	return fmt.Sprintf("ICMP type-#%d, length %d", m.Type(), len(m))
}

func unreachableText(m wire.ICMP) string {
	inner := decode(append([]byte{12: 0x08, 13: 0}, m[wire.ICMPLen:]...))
	if inner.ip == nil {
		return fmt.Sprintf("unreachable - #%d", m.Code())
	}
	switch dst := inner.ip.Dst(); m.Code() {
	case wire.CodeNetUnreachable:
		return fmt.Sprintf("net %s unreachable", dst)
	case wire.CodeHostUnreachable:
		return fmt.Sprintf("host %s unreachable", dst)
	case wire.CodePortUnreachable:
		_, port, _ := inner.ports()
		return fmt.Sprintf("%s %s port %d unreachable", dst, strings.ToLower(protoText(inner.ip.Proto())), port)
	case wire.CodeFragNeeded:
		return fmt.Sprintf("%s unreachable - need to frag (mtu %d)", dst, m.MTU())
	case 9, 10, wire.CodeAdminProhibited:
		return fmt.Sprintf("host %s unreachable - admin prohibited", dst)
	default:
		return fmt.Sprintf("%s unreachable - #%d", dst, m.Code())
	}
}

var dnsTypes = map[uint16]string{1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 255: "ANY"}

func dnsType(t uint16) string {
	if n, ok := dnsTypes[t]; ok {
		return n
	}
	return fmt.Sprintf("Type%d", t)
}

var dnsCodes = map[byte]string{1: "FormErr", 2: "ServFail", 3: "NXDomain", 4: "NotImp", 5: "Refused"}

// dnsText prints a message of the name service: 12931+ A? web. (21), and 12931 1/0/0 A 10.0.0.2 (37).
func dnsText(m []byte) (string, bool) {
	if len(m) < 12 {
		return "", false
	}
	u16 := func(at int) uint16 { return binary.BigEndian.Uint16(m[at:]) }
	id, flags := u16(0), u16(2)
	name, at := dnsName(m, 12)
	if flags&0x8000 == 0 {
		sign := ""
		if flags&0x0100 != 0 {
			sign = "+"
		}
		if u16(4) == 0 || at == 0 || at+4 > len(m) {
			return "", false
		}
		return fmt.Sprintf("%d%s %s? %s (%d)", id, sign, dnsType(u16(at)), name, len(m)), true
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d", id)
	if code := dnsCodes[byte(flags&15)]; code != "" {
		b.WriteString(" " + code)
	}
	if flags&0x0400 != 0 {
		b.WriteString("*")
	}
	fmt.Fprintf(&b, " %d/%d/%d", u16(6), u16(8), u16(10))
	if u16(4) == 1 && at > 0 {
		b.WriteString(dnsAnswers(m, at+4, int(u16(6))))
	}
	fmt.Fprintf(&b, " (%d)", len(m))
	return b.String(), true
}

// dnsAnswers prints the records of an answer.
func dnsAnswers(m []byte, at, n int) string {
	var parts []string
	for range min(n, 20) {
		_, at = dnsName(m, at)
		if at == 0 || at+10 > len(m) {
			break
		}
		typ, size := binary.BigEndian.Uint16(m[at:]), int(binary.BigEndian.Uint16(m[at+8:]))
		at += 10
		if at+size > len(m) {
			break
		}
		text := dnsType(typ)
		switch {
		case typ == 1 && size == 4:
			text += " " + netip.AddrFrom4([4]byte(m[at:at+4])).String()
		case typ == 12, typ == 5, typ == 2:
			name, _ := dnsName(m, at)
			text += " " + name
		}
		parts = append(parts, text)
		at += size
	}
	if len(parts) == 0 {
		return ""
	}
	return " " + strings.Join(parts, ", ")
}

// dnsName reads a name, following pointers back; at is 0 if it cannot be read.
func dnsName(m []byte, at int) (name string, next int) {
	var b strings.Builder
	for jumps := 0; at > 0 && at < len(m); {
		n := int(m[at])
		switch {
		case n == 0:
			if next == 0 {
				next = at + 1
			}
			if b.Len() == 0 {
				b.WriteByte('.')
			}
			return b.String(), next
		case n&0xc0 == 0xc0 && at+1 < len(m) && jumps < 16:
			if next == 0 {
				next = at + 2
			}
			at = (n&0x3f)<<8 | int(m[at+1])
			jumps++
		case n < 64 && at+1+n <= len(m) && b.Len() < 256:
			fmt.Fprintf(&b, "%s.", strings.ToValidUTF8(string(m[at+1:at+1+n]), "?"))
			at += 1 + n
		default:
			return "", 0
		}
	}
	return "", 0
}

package shell

import "github.com/netsim-lab/netsim/fabric/wire"

// packet is a captured wire frame with its headers: those that are nil are not there, or cut.
type packet struct {
	raw    []byte // from the Ethernet header on
	eth    wire.Ethernet
	typ    uint16 // behind a tag
	vlan   uint16
	tagged bool
	arp    wire.ARP
	ip     wire.IPv4
	body   []byte // behind the IP header, as long as the header says
	tcp    wire.TCP
	udp    wire.UDP
	icmp   wire.ICMP
	data   []byte // behind the TCP or UDP header
	ends   bool   // a filter looked behind the end of it: it takes none such
}

// decode reads the headers of a frame.
func decode(b []byte) *packet {
	p := &packet{raw: b}
	e, err := wire.ParseEthernet(b)
	if err != nil {
		return p
	}
	p.eth, p.typ = e, e.Type()
	p.vlan, p.tagged = e.VLAN()
	rest := b[e.Len():]
	switch p.typ {
	case wire.TypeARP:
		p.arp, _ = wire.ParseARP(rest)
	case wire.TypeIPv4:
		if h, err := wire.ParseIPv4(rest); err == nil {
			p.ip = h
			p.decode4(rest)
		}
	}
	return p
}

func (p *packet) decode4(b []byte) {
	h := p.ip
	end := min(max(h.TotalLen(), h.HeaderLen()), len(b))
	p.body = b[h.HeaderLen():end]
	if h.FragOffset() > 0 {
		return
	}
	switch h.Proto() {
	case wire.ProtoTCP:
		if t, err := wire.ParseTCP(p.body); err == nil {
			p.tcp, p.data = t, p.body[t.HeaderLen():]
		}
	case wire.ProtoUDP:
		if u, err := wire.ParseUDP(p.body); err == nil {
			p.udp, p.data = u, p.body[wire.UDPLen:]
		}
	case wire.ProtoICMP:
		p.icmp, _ = wire.ParseICMP(p.body)
		if p.icmp != nil {
			p.icmp = p.body
		}
	}
}

// ports returns source and destination port of TCP and UDP.
func (p *packet) ports() (src, dst uint16, ok bool) {
	switch {
	case p.tcp != nil:
		return p.tcp.SrcPort(), p.tcp.DstPort(), true
	case p.udp != nil:
		return p.udp.SrcPort(), p.udp.DstPort(), true
	}
	return 0, 0, false
}

// vxlanPort is the port of VXLAN with Docker, and vxlanLinux that of Linux itself.
const (
	vxlanPort  = 4789
	vxlanLinux = 8472
)

// tunnelled returns the network id and the frame that the packet carries in VXLAN.
func (p *packet) tunnelled() (vni uint32, inner []byte, ok bool) {
	if _, dst, has := p.ports(); !has || p.udp == nil || dst != vxlanPort && dst != vxlanLinux || len(p.data) < wire.VXLANLen {
		return 0, nil, false
	}
	return uint32(p.data[4])<<16 | uint32(p.data[5])<<8 | uint32(p.data[6]), p.data[wire.VXLANLen:], true
}

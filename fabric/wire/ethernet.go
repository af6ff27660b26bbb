package wire

import "net/netip"

// Ethernet is an Ethernet II header of at least EthernetLen bytes.
type Ethernet []byte

// ParseEthernet checks that b holds an Ethernet II header and its 802.1Q tag if it has one.
func ParseEthernet(b []byte) (Ethernet, error) {
	if len(b) < EthernetLen {
		return nil, ErrTruncated
	}
	e := Ethernet(b)
	if be.Uint16(b[12:]) == TypeVLAN && len(b) < EthernetLen+VLANLen {
		return nil, ErrTruncated
	}
	return e, nil
}

// Dst returns the destination address.
func (e Ethernet) Dst() MAC { return MAC(e[0:6]) }

// Src returns the source address.
func (e Ethernet) Src() MAC { return MAC(e[6:12]) }

// SetDst writes the destination address.
func (e Ethernet) SetDst(m MAC) { copy(e[0:6], m[:]) }

// SetSrc writes the source address.
func (e Ethernet) SetSrc(m MAC) { copy(e[6:12], m[:]) }

// Tagged tells whether an 802.1Q tag follows the addresses.
func (e Ethernet) Tagged() bool { return be.Uint16(e[12:]) == TypeVLAN }

// VLAN returns the VLAN id (1 to 4094; 0 is a priority tag) and whether the frame is tagged.
func (e Ethernet) VLAN() (id uint16, tagged bool) {
	if !e.Tagged() {
		return 0, false
	}
	return be.Uint16(e[14:]) & 0x0fff, true
}

// Type returns the EtherType of what the frame carries, behind the tag if there is one.
func (e Ethernet) Type() uint16 {
	if e.Tagged() {
		return be.Uint16(e[16:])
	}
	return be.Uint16(e[12:])
}

// Len returns the header's length: 14, or 18 with a tag.
func (e Ethernet) Len() int {
	if e.Tagged() {
		return EthernetLen + VLANLen
	}
	return EthernetLen
}

// PutEthernet writes an untagged header into the first EthernetLen bytes of b.
func PutEthernet(b []byte, dst, src MAC, etherType uint16) {
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	be.PutUint16(b[12:], etherType)
}

// ARP is an Ethernet/IPv4 ARP packet (RFC 826) of at least ARPLen bytes.
type ARP []byte

// ARP operations.
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ParseARP checks that b holds an ARP packet for IPv4 over Ethernet.
func ParseARP(b []byte) (ARP, error) {
	if len(b) < ARPLen {
		return nil, ErrTruncated
	}
	if be.Uint16(b) != 1 || be.Uint16(b[2:]) != TypeIPv4 || b[4] != 6 || b[5] != 4 {
		return nil, ErrMalformed
	}
	return ARP(b), nil
}

// Op returns the operation.
func (a ARP) Op() uint16 { return be.Uint16(a[6:]) }

// SenderMAC returns the sender's hardware address.
func (a ARP) SenderMAC() MAC { return MAC(a[8:14]) }

// SenderIP returns the sender's protocol address; 0.0.0.0 in a probe.
func (a ARP) SenderIP() netip.Addr { return netip.AddrFrom4([4]byte(a[14:18])) }

// TargetMAC returns the target's hardware address.
func (a ARP) TargetMAC() MAC { return MAC(a[18:24]) }

// TargetIP returns the target's protocol address.
func (a ARP) TargetIP() netip.Addr { return netip.AddrFrom4([4]byte(a[24:28])) }

// PutARP writes an ARP packet into the first ARPLen bytes of b. Both addresses must be IPv4.
func PutARP(b []byte, op uint16, senderMAC MAC, senderIP netip.Addr, targetMAC MAC, targetIP netip.Addr) {
	be.PutUint16(b, 1)
	be.PutUint16(b[2:], TypeIPv4)
	b[4], b[5] = 6, 4
	be.PutUint16(b[6:], op)
	s, t := senderIP.As4(), targetIP.As4()
	copy(b[8:], senderMAC[:])
	copy(b[14:], s[:])
	copy(b[18:], targetMAC[:])
	copy(b[24:], t[:])
}

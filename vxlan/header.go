// Package vxlan carries Ethernet frames between hosts as RFC 7348 does: a VTEP per host, a Device per network, which is the
// interface that a bridge sees, and two transports behind one interface: the simulated underlay and a real UDP socket. A third,
// ESP, carries encrypted networks over the simulated underlay.
//
// What a device knows of its peers is a Table, a plain value: which VTEP holds a MAC address, static or learned, which
// MAC address an IP address has (for answering ARP on behalf of remote hosts, as Docker's overlay driver wants it), and
// who gets what has no single receiver. Trains travel whole; the real socket sends them with UDP segmentation offload.
package vxlan

import (
	"encoding/binary"

	"github.com/netsim-lab/netsim/fabric/wire"
)

const (
	// Port is the UDP port of VXLAN (RFC 7348 section 5). Linux's own default is 8472; Docker uses this one.
	Port = 4789
	// HeaderLen is the length of the VXLAN header.
	HeaderLen = wire.VXLANLen
	// Overhead is what VXLAN over IPv4 adds to a packet: the inner Ethernet header, VXLAN, UDP and the outer IPv4 header.
	Overhead = wire.EthernetLen + HeaderLen + wire.UDPLen + wire.IPv4Len
	// MaxVNI is the largest network identifier; it has 24 bits.
	MaxVNI = 1<<24 - 1

	flagVNI = 0x08 // the I flag: the VNI is valid
)

// Header is a VXLAN header of at least HeaderLen bytes (RFC 7348 section 5).
type Header []byte

// ParseHeader checks that b holds a VXLAN header with a valid VNI. Reserved bits are ignored on receipt.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return nil, wire.ErrTruncated
	}
	if b[0]&flagVNI == 0 {
		return nil, wire.ErrMalformed
	}
	return Header(b), nil
}

// VNI returns the network identifier.
func (h Header) VNI() uint32 { return binary.BigEndian.Uint32(h[4:]) >> 8 }

// Put writes a header into the first HeaderLen bytes of b. Only the low 24 bits of vni count.
func Put(b []byte, vni uint32) {
	binary.BigEndian.PutUint32(b, flagVNI<<24)
	binary.BigEndian.PutUint32(b[4:], vni<<8)
}

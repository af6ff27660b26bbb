package fabrictest

import (
	"errors"
	"fmt"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Wire returns the bytes of every wire frame of f, as a capture would see them. It does not free f.
func Wire(f *fabric.Frame) [][]byte {
	out := make([][]byte, max(1, int(f.Segs)))
	for i := range out {
		out[i] = f.AppendSegment(nil, i)
	}
	return out
}

// CheckWire tells what is wrong with the lengths and checksums of one wire frame that begins with an Ethernet header;
// nil if nothing is. What it cannot read it takes for right.
func CheckWire(b []byte) error {
	e, err := wire.ParseEthernet(b)
	if err != nil {
		return fmt.Errorf("ethernet: %w", err)
	}
	p := b[e.Len():]
	switch e.Type() {
	case wire.TypeARP:
		if _, err := wire.ParseARP(p); err != nil {
			return fmt.Errorf("arp: %w", err)
		}
	case wire.TypeIPv4:
		return checkIPv4(p)
	}
	return nil
}

func checkIPv4(p []byte) error {
	h, err := wire.ParseIPv4(p)
	switch {
	case err != nil:
		return fmt.Errorf("ipv4: %w", err)
	case h.TotalLen() != len(p):
		return fmt.Errorf("ipv4: total length is %d, but the packet has %d bytes", h.TotalLen(), len(p))
	case !h.Valid():
		return fmt.Errorf("ipv4: bad checksum %#04x", h.Checksum())
	case h.IsFragment():
		return nil
	}
	return checkTransport(h, p[h.HeaderLen():])
}

func checkTransport(h wire.IPv4, b []byte) error {
	pseudo := wire.PseudoSum(h.Src(), h.Dst(), h.Proto(), len(b))
	switch h.Proto() {
	case wire.ProtoTCP:
		if _, err := wire.ParseTCP(b); err != nil {
			return fmt.Errorf("tcp: %w", err)
		}
	case wire.ProtoUDP:
		u, err := wire.ParseUDP(b)
		switch {
		case err != nil:
			return fmt.Errorf("udp: %w", err)
		case u.Len() != len(b):
			return fmt.Errorf("udp: length is %d, but the datagram has %d bytes", u.Len(), len(b))
		case u.Checksum() == 0:
			return checkVXLAN(u, b)
		}
	case wire.ProtoICMP:
		if _, err := wire.ParseICMP(b); err != nil {
			return fmt.Errorf("icmp: %w", err)
		}
		pseudo = 0
	default:
		return nil
	}
	if wire.Fold(wire.Sum(b, pseudo)) != 0xffff {
		return fmt.Errorf("protocol %d: bad checksum", h.Proto())
	}
	return nil
}

// checkVXLAN checks the frame within a VXLAN packet.
func checkVXLAN(u wire.UDP, b []byte) error {
	if u.DstPort() != 4789 || len(b) < wire.UDPLen+wire.VXLANLen {
		return nil
	}
	if err := CheckWire(b[wire.UDPLen+wire.VXLANLen:]); err != nil {
		return fmt.Errorf("vxlan: %w", err)
	}
	return nil
}

// CheckFrame runs CheckWire over all wire frames of f.
func CheckFrame(f *fabric.Frame) error {
	var errs []error
	for i, b := range Wire(f) {
		if err := CheckWire(b); err != nil {
			errs = append(errs, fmt.Errorf("wire frame %d of %d: %w", i+1, max(1, f.Segs), err))
		}
	}
	return errors.Join(errs...)
}

// CheckPattern tells whether the data of a TCP frame or train is Pattern at its sequence number, and that of a UDP
// frame Pattern from off on, after checking each wire frame as CheckFrame does.
func CheckPattern(f *fabric.Frame, off uint32) error {
	if err := CheckFrame(f); err != nil {
		return err
	}
	for i, b := range Wire(f) {
		g := fabric.FromBytes(b)
		data, pos, err := patternOf(g, b, off)
		g.Free()
		if err != nil {
			return fmt.Errorf("wire frame %d: %w", i+1, err)
		}
		for k, c := range data {
			if c != patternByte(pos+uint32(k)) {
				return fmt.Errorf("wire frame %d of %d: byte %d of its data is not that of position %d", i+1, f.Segs, k, pos+uint32(k))
			}
		}
		off += uint32(len(data))
	}
	return nil
}

func patternOf(g *fabric.Frame, b []byte, off uint32) (data []byte, pos uint32, err error) {
	if reason := g.ParseEthernet(); reason != 0 {
		return nil, 0, errors.New(reason.String())
	}
	hdr := len(g.Linear()) - len(g.L4())
	switch {
	case g.TCP() != nil:
		return b[hdr+g.TCP().HeaderLen():], g.TCP().Seq(), nil
	case g.UDP() != nil:
		return b[hdr+wire.UDPLen:], off, nil
	}
	return nil, 0, errors.New("neither TCP nor UDP")
}

package wire_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
)

var (
	macA = wire.MAC{0x02, 0x42, 0xac, 0x11, 0, 2}
	macB = wire.MAC{0x02, 0x42, 0xac, 0x11, 0, 3}
	ipA  = netip.MustParseAddr("172.17.0.2")
	ipB  = netip.MustParseAddr("172.17.0.3")
)

func TestMAC(t *testing.T) {
	for _, c := range []struct {
		in   string
		want wire.MAC
		ok   bool
	}{
		{"02:42:ac:11:00:02", macA, true},
		{"02:42:AC:11:00:02", macA, true},
		{"ff:ff:ff:ff:ff:ff", wire.Broadcast, true},
		{"", wire.MAC{}, false},
		{"02:42:ac:11:00", wire.MAC{}, false},
		{"02:42:ac:11:00:0g", wire.MAC{}, false},
		{"02-42-ac-11-00-02", wire.MAC{}, false},
		{"02:42:ac:11:00:02:", wire.MAC{}, false},
	} {
		got, err := wire.ParseMAC(c.in)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("ParseMAC(%q) = %v, %v; want %v", c.in, got, err, c.want)
		}
	}
	var m wire.MAC
	if b, _ := macA.MarshalText(); m.UnmarshalText(b) != nil || m != macA {
		t.Errorf("a MAC as text is %s, and back %v", b, m)
	}
	if m.UnmarshalText([]byte("x")) == nil || m != macA {
		t.Error("UnmarshalText took x, or changed its receiver")
	}
	if macA.IsMulticast() || !wire.Broadcast.IsMulticast() || macA.IsZero() || !(wire.MAC{}).IsZero() || macA.Uint64() != 0x0242ac110002 {
		t.Error("a MAC is not what it is")
	}
}

// sum is the checksum as RFC 1071 section 4.1 has it.
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
			if n%3 == 0 {
				b[i] = 0xff
			}
		}
		if got, want := wire.Fold(wire.Sum(b, 0)), sum(b); got != want {
			t.Errorf("Sum of %d bytes = %#x; want %#x", n, got, want)
		}
		k := n / 4 * 2
		if got, want := wire.Fold(wire.Sum(b[k:], wire.Sum(b[:k], 0))), sum(b); got != want {
			t.Errorf("Sum of %d and %d bytes = %#x; want %#x", k, n-k, got, want)
		}
	}
	if got := wire.Fold(wire.Sum([]byte{0, 1}, ^uint64(0))); got != 1 { // ones are a zero
		t.Errorf("a carry was lost: %#x; want 1", got)
	}
}

func TestAdjust16(t *testing.T) {
	edges := []uint16{0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x1234}
	for _, a := range edges {
		for _, old := range edges {
			for _, now := range edges {
				b := []byte{byte(a >> 8), byte(a), byte(old >> 8), byte(old), 0x12, 0x34, 0, 0}
				c := ^sum(b)
				b[2], b[3] = byte(now>>8), byte(now)
				c = wire.Adjust16(c, old, now)
				b[6], b[7] = byte(c>>8), byte(c)
				if sum(b) != 0xffff {
					t.Errorf("Adjust16 of %#x from %#x to %#x = %#x, which is wrong", a, old, now, c)
				}
			}
		}
	}
}

func TestEthernet(t *testing.T) {
	b := make([]byte, 18)
	wire.PutEthernet(b, macA, macB, wire.TypeARP)
	e, err := wire.ParseEthernet(b)
	if err != nil || e.Dst() != macA || e.Src() != macB || e.Type() != wire.TypeARP || e.Len() != 14 || e.Tagged() {
		t.Errorf("untagged: %v to %v, type %#x, %v", e.Src(), e.Dst(), e.Type(), err)
	}
	e.SetDst(macB)
	e.SetSrc(macA)
	copy(b[12:], []byte{0x81, 0, 0xe0, 100, 8, 0}) // priority 7, VLAN 100
	if id, tagged := e.VLAN(); id != 100 || !tagged || e.Len() != 18 || e.Type() != wire.TypeIPv4 || e.Dst() != macB || e.Src() != macA {
		t.Errorf("tagged: VLAN %d, %v, type %#x", id, tagged, e.Type())
	}
}

func TestARP(t *testing.T) {
	b := make([]byte, 28)
	wire.PutARP(b, wire.ARPReply, macA, ipA, macB, ipB)
	a, err := wire.ParseARP(b)
	if err != nil || a.Op() != wire.ARPReply || a.SenderMAC() != macA || a.SenderIP() != ipA || a.TargetMAC() != macB || a.TargetIP() != ipB {
		t.Errorf("ParseARP = % x, %v", a, err)
	}
}

func TestIPv4(t *testing.T) {
	b := make([]byte, 20)
	wire.PutIPv4(b, wire.IPv4Fields{TOS: 4, TotalLen: 1500, ID: 77, Flags: wire.DontFragment, TTL: 64, Proto: wire.ProtoTCP, Src: ipA, Dst: ipB})
	h, err := wire.ParseIPv4(b)
	if err != nil || h.TOS() != 4 || h.TotalLen() != 1500 || h.ID() != 77 || !h.DF() || h.MF() || h.IsFragment() || h.TTL() != 64 ||
		h.Proto() != wire.ProtoTCP || h.Src() != ipA || h.Dst() != ipB || !h.Valid() || h.HeaderLen() != 20 {
		t.Fatalf("ParseIPv4 = % x, %v", h, err)
	}
	for range 256 { // all the way round: the rule is the caller's, the checksum is ours
		if h.DecTTL(); !h.Valid() {
			t.Fatalf("DecTTL to %d: bad checksum", h.TTL())
		}
	}
	h.SetSrc(ipB)
	h.SetDst(netip.MustParseAddr("255.255.255.255"))
	if !h.Valid() || h.Src() != ipB {
		t.Errorf("addresses: % x", h)
	}
	h.SetFrag(wire.MoreFragments, 1480)
	h.SetID(5)
	h.SetTotalLen(100)
	h.FillChecksum()
	if !h.MF() || h.DF() || h.FragOffset() != 1480 || !h.IsFragment() || !h.Valid() {
		t.Errorf("fragment: % x", h)
	}
}

// Every header is refused one byte short of what it says.
func TestParseRefuses(t *testing.T) {
	parse := map[string]func(b []byte) error{
		"ethernet": func(b []byte) error { _, err := wire.ParseEthernet(b); return err },
		"arp":      func(b []byte) error { _, err := wire.ParseARP(b); return err },
		"ipv4":     func(b []byte) error { _, err := wire.ParseIPv4(b); return err },
		"ipv6":     func(b []byte) error { _, err := wire.ParseIPv6(b); return err },
		"icmp":     func(b []byte) error { _, err := wire.ParseICMP(b); return err },
		"tcp":      func(b []byte) error { _, err := wire.ParseTCP(b); return err },
		"udp":      func(b []byte) error { _, err := wire.ParseUDP(b); return err },
	}
	arp := make([]byte, 28)
	wire.PutARP(arp, 1, macA, ipA, macB, ipB)
	with := func(n, at int, v ...byte) []byte { b := make([]byte, n); copy(b[at:], v); return b }
	for _, c := range []struct {
		name, view string
		b          []byte
		want       error
	}{
		{"whole", "ethernet", make([]byte, 14), nil},
		{"short", "ethernet", make([]byte, 13), wire.ErrTruncated},
		{"tag cut", "ethernet", with(17, 12, 0x81), wire.ErrTruncated},
		{"tag", "ethernet", with(18, 12, 0x81), nil},
		{"whole", "arp", arp, nil},
		{"short", "arp", arp[:27], wire.ErrTruncated},
		{"of another network", "arp", make([]byte, 28), wire.ErrMalformed},
		{"whole", "ipv4", with(20, 0, 0x45, 0, 0, 20), nil},
		{"short", "ipv4", with(19, 0, 0x45, 0, 0, 20), wire.ErrTruncated},
		{"options cut", "ipv4", with(23, 0, 0x46, 0, 0, 24), wire.ErrTruncated},
		{"options", "ipv4", with(24, 0, 0x46, 0, 0, 24), nil},
		{"length below the header", "ipv4", with(24, 0, 0x46, 0, 0, 23), wire.ErrMalformed},
		{"header length 4", "ipv4", with(20, 0, 0x44, 0, 0, 20), wire.ErrMalformed},
		{"version 6", "ipv4", with(20, 0, 0x65, 0, 0, 20), wire.ErrMalformed},
		{"whole", "ipv6", with(40, 0, 0x60), nil},
		{"short", "ipv6", with(39, 0, 0x60), wire.ErrTruncated},
		{"version 4", "ipv6", with(40, 0, 0x40), wire.ErrMalformed},
		{"whole", "icmp", make([]byte, 8), nil},
		{"short", "icmp", make([]byte, 7), wire.ErrTruncated},
		{"whole", "tcp", with(20, 12, 0x50), nil},
		{"short", "tcp", with(19, 12, 0x50), wire.ErrTruncated},
		{"offset 4", "tcp", with(20, 12, 0x40), wire.ErrMalformed},
		{"options cut", "tcp", with(23, 12, 0x60), wire.ErrTruncated},
		{"whole", "udp", with(8, 5, 8), nil},
		{"short", "udp", with(7, 5, 8), wire.ErrTruncated},
		{"length 7", "udp", with(8, 5, 7), wire.ErrMalformed},
	} {
		if err := parse[c.view](c.b); !errors.Is(err, c.want) {
			t.Errorf("%s, %s: %v; want %v", c.view, c.name, err, c.want)
		}
	}
}

func TestTCP(t *testing.T) {
	b := make([]byte, 24)
	wire.PutTCP(b, wire.TCPFields{SrcPort: 1, DstPort: 2, Seq: 3, Ack: 4, Flags: wire.SYN, Window: 5, OptionsLen: 4})
	copy(b[20:], []byte{2, 4, 5, 0xb4})
	h, err := wire.ParseTCP(b)
	if err != nil || h.SrcPort() != 1 || h.DstPort() != 2 || h.Seq() != 3 || h.Ack() != 4 || h.Flags() != wire.SYN || h.Window() != 5 ||
		h.HeaderLen() != 24 || !bytes.Equal(h.Options(), b[20:]) || h.Checksum() != 0 {
		t.Errorf("ParseTCP = % x, %v", h, err)
	}
	h.SetSeq(0xffffffff)
	h.SetAck(9)
	h.SetFlags(wire.FIN | wire.ACK)
	h.SetChecksum(0xabcd)
	if h.Seq() != 0xffffffff || h.Ack() != 9 || h.Flags() != wire.FIN|wire.ACK || h.Checksum() != 0xabcd {
		t.Errorf("after setting: % x", h)
	}
}

func TestTCPMSSOption(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []byte
		mss     uint16
		at      int
	}{
		{"first", []byte{2, 4, 5, 0xb4}, 1460, 22},
		{"behind others", []byte{1, 3, 3, 7, 2, 4, 5, 0xb4}, 1460, 26},
		{"behind the end", []byte{0, 2, 4, 5, 0xb4, 0, 0, 0}, 0, 0},
		{"none", []byte{1, 1, 1, 1}, 0, 0},
		{"of length 3", []byte{2, 3, 5, 1}, 0, 0},
		{"cut", []byte{1, 1, 2, 4}, 0, 0},
		{"without length", []byte{1, 1, 1, 2}, 0, 0},
		{"behind one of length 0", []byte{8, 0, 2, 4, 5, 0xb4, 0, 0}, 0, 0},
		{"behind one that is too long", []byte{8, 200, 2, 4, 5, 0xb4, 0, 0}, 0, 0},
	} {
		b := make([]byte, 20+len(c.options))
		wire.PutTCP(b, wire.TCPFields{OptionsLen: len(c.options)})
		copy(b[20:], c.options)
		if mss, at := wire.TCP(b).MSS(); mss != c.mss || at != c.at {
			t.Errorf("%s: MSS = %d, %d; want %d, %d", c.name, mss, at, c.mss, c.at)
		}
	}
}

func TestUDPAndICMP(t *testing.T) {
	b := make([]byte, 8)
	wire.PutUDP(b, 53, 5353, 100)
	u, err := wire.ParseUDP(b)
	if err != nil || u.SrcPort() != 53 || u.DstPort() != 5353 || u.Len() != 100 || u.Checksum() != 0 {
		t.Errorf("ParseUDP = % x, %v", u, err)
	}
	u.SetLen(9)
	u.SetChecksum(7)
	if u.Len() != 9 || u.Checksum() != 7 {
		t.Errorf("after setting: % x", u)
	}
	wire.PutICMP(b, wire.ICMPUnreachable, wire.CodeFragNeeded, 1450)
	m := wire.ICMP(b)
	m.FillChecksum()
	if m.Type() != 3 || m.Code() != 4 || m.MTU() != 1450 || m.Seq() != 1450 || m.ID() != 0 || !m.IsError() || sum(m) != 0xffff {
		t.Errorf("ICMP = % x", m)
	}
	if wire.PutICMP(b, wire.ICMPEcho, 0, 0); m.IsError() {
		t.Error("an echo is taken for an error")
	}
}

func TestPseudoSum(t *testing.T) {
	v4 := append(append(ipA.AsSlice(), ipB.AsSlice()...), 0, 17, 0, 100)
	if got := wire.Fold(wire.PseudoSum(ipA, ipB, 17, 100)); got != sum(v4) {
		t.Errorf("IPv4: %#x; want %#x", got, sum(v4))
	}
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	v6 := append(append(a.AsSlice(), b.AsSlice()...), 0, 1, 0, 0, 0, 0, 0, 6) // length 65536
	if got := wire.Fold(wire.PseudoSum(a, b, 6, 65536)); got != sum(v6) {
		t.Errorf("IPv6: %#x; want %#x", got, sum(v6))
	}
}

func TestIPv6(t *testing.T) {
	b := make([]byte, 40)
	b[0], b[6], b[7], b[23], b[39] = 0x60, 17, 64, 1, 2
	h, err := wire.ParseIPv6(b)
	if err != nil {
		t.Fatal(err)
	}
	h.SetPayloadLen(1234)
	if h.PayloadLen() != 1234 || h.NextHeader() != 17 || h.HopLimit() != 64 || h.Src().String() != "::1" || h.Dst().String() != "::2" {
		t.Errorf("ParseIPv6 = % x", h)
	}
}

func BenchmarkSum1448(b *testing.B) {
	data := make([]byte, 1448)
	b.SetBytes(1448)
	b.ReportAllocs()
	for b.Loop() {
		wire.Sum(data, 0)
	}
}

// BenchmarkSum20 is an IPv4 header without options.
func BenchmarkSum20(b *testing.B) {
	data := make([]byte, 20)
	b.ReportAllocs()
	for b.Loop() {
		wire.Sum(data, 0)
	}
}

func BenchmarkPseudoSum(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		wire.PseudoSum(ipA, ipB, wire.ProtoTCP, 1448)
	}
}

func BenchmarkDecTTL(b *testing.B) {
	h := make(wire.IPv4, 20)
	wire.PutIPv4(h, wire.IPv4Fields{TTL: 64, TotalLen: 20, Src: ipA, Dst: ipB})
	b.ReportAllocs()
	for b.Loop() {
		h.DecTTL()
	}
}

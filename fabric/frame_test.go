package fabric_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

func TestFromBytesHoldsAll(t *testing.T) {
	for _, n := range []int{0, 1, 14, 60, 192, 399, 400, 401, 1514, 9000, 65535} {
		want := fabrictest.Pattern(0, n)
		f := fabric.FromBytes(want)
		if got := f.AppendTo(nil); !bytes.Equal(got, want) || f.Len() != n || f.WireLen() != n {
			t.Errorf("FromBytes of %d bytes holds %d, Len %d, WireLen %d", n, len(got), f.Len(), f.WireLen())
		}
		f.Free()
	}
}

// The largest headers of a large frame are found: VLAN tag, all IPv4 and all TCP options.
func TestFromBytesParsesLargestHeaders(t *testing.T) {
	g := fabrictest.Packet{VLAN: 5, IPOptions: bytes.Repeat([]byte{1}, 40), TCPOptions: bytes.Repeat([]byte{1}, 40), Size: 1000}.TCP()
	f := fabric.FromBytes(tunnel(g).AppendTo(nil))
	g.Free()
	if r := f.ParseEthernet(); r != 0 || f.UDP().DstPort() != 4789 {
		t.Fatalf("ParseEthernet = %v, Proto %d", r, f.Proto)
	}
	f.Encapsulated(vxlanOverhead)
	if r := f.Decapsulate(); r != 0 || f.TCP().HeaderLen() != 60 || f.IPv4().HeaderLen() != 60 {
		t.Fatalf("Decapsulate = %v, Proto %d", r, f.Proto)
	}
	if err := fabrictest.CheckFrame(f); err != nil {
		t.Error(err)
	}
	f.Free()
}

func TestParseEthernet(t *testing.T) {
	whole := func(f *fabric.Frame) []byte { return f.AppendTo(nil) }
	change := func(b []byte, at int, to ...byte) []byte { copy(b[at:], to); return b }
	udp := fabrictest.Packet{Size: 10}.UDP
	ip6 := make([]byte, 14+40+8)
	ip6[12], ip6[13], ip6[14], ip6[19], ip6[20], ip6[59] = 0x86, 0xdd, 0x60, 8, 17, 8
	for _, c := range []struct {
		name  string
		bytes []byte
		want  fabric.DropReason
		proto byte
		l3    bool
		l4    bool
	}{
		{"udp", whole(udp()), 0, wire.ProtoUDP, true, true},
		{"tcp behind a tag", whole(fabrictest.Packet{VLAN: 9}.TCP()), 0, wire.ProtoTCP, true, true},
		{"icmp", whole(fabrictest.Packet{}.Echo(1, 1)), 0, wire.ProtoICMP, true, true},
		{"udp over ipv6", ip6, 0, wire.ProtoUDP, true, true},
		{"arp", whole(fabrictest.ARPRequest(fabrictest.SrcMAC, fabrictest.Src.Addr(), fabrictest.Dst.Addr())), 0, 0, false, false},
		{"no header", whole(udp())[:13], fabric.DropTruncated, 0, false, false},
		{"half a tag", change(whole(udp())[:16], 12, 0x81, 0), fabric.DropTruncated, 0, false, false},
		{"half an ip header", whole(udp())[:30], fabric.DropTruncated, 0, false, false},
		{"ip version 5", change(whole(udp()), 14, 0x55), fabric.DropMalformed, 0, false, false},
		{"ip header of 16 bytes", change(whole(udp()), 14, 0x44), fabric.DropMalformed, 0, false, false},
		{"ip longer than the frame", change(whole(udp()), 16, 1, 0), fabric.DropTruncated, 0, false, false},
		{"udp longer than the packet", change(whole(udp()), 38, 1, 0), fabric.DropTruncated, 0, true, false},
		{"udp length below its header", change(whole(udp()), 38, 0, 7), fabric.DropMalformed, 0, true, false},
		{"first fragment", whole(fabrictest.Packet{Frag: wire.MoreFragments, Size: 8}.UDP()), 0, wire.ProtoUDP, true, true},
		{"later fragment", change(whole(udp()), 20, 0, 1), 0, 0, true, false},
		{"tcp offset below its header", change(whole(fabrictest.Packet{}.TCP()), 46, 0x40), fabric.DropMalformed, 0, true, false},
		{"tcp options beyond the packet", change(whole(fabrictest.Packet{}.TCP()), 46, 0xf0), fabric.DropTruncated, 0, true, false},
		{"esp", change(whole(udp()), 23, wire.ProtoESP), 0, wire.ProtoESP, true, true},
	} {
		f := fabric.FromBytes(c.bytes)
		got := f.ParseEthernet()
		if got != c.want || f.Proto != c.proto || (f.L3() != nil) != c.l3 || (f.L4() != nil) != c.l4 {
			t.Errorf("%s: ParseEthernet = %v, Proto %d, L3 %v, L4 %v; want %v, %d, %v, %v", c.name, got, f.Proto,
				f.L3() != nil, f.L4() != nil, c.want, c.proto, c.l3, c.l4)
		}
		f.Free()
	}
}

func TestParseCutsPadding(t *testing.T) {
	for _, size := range []int{0, 10, 1000} {
		p := fabrictest.Packet{Size: size}.UDP()
		want := p.AppendTo(nil)
		p.Free()
		f := fabric.FromBytes(append(want[:len(want):len(want)], make([]byte, 46)...))
		if r := f.ParseEthernet(); r != 0 || !bytes.Equal(f.AppendTo(nil), want) {
			t.Errorf("%d bytes of data: ParseEthernet = %v, %d bytes are left; want %d", size, r, f.Len(), len(want))
		}
		f.Free()
	}
}

func TestRoomInFront(t *testing.T) {
	f := fabrictest.Packet{}.UDP()
	if f.Prepend(fabric.Headroom+1) != nil || f.Prepend(-1) != nil || f.Extend(-1) != nil || f.Extend(fabric.LinearMax) != nil {
		t.Error("Prepend or Extend gave more than there is")
	}
	if b := f.Prepend(fabric.Headroom); len(b) != fabric.Headroom {
		t.Errorf("Prepend gave %d bytes; want %d", len(b), fabric.Headroom)
	}
	if f.TrimFront(f.Len()+1) || f.TrimFront(-1) || !f.TrimFront(fabric.Headroom) {
		t.Error("TrimFront took what it must not, or not what it must")
	}
	f.Free()
}

// Headers that were cut off are forgotten, so that nothing reads or writes where they were.
func TestCutHeadersAreForgotten(t *testing.T) {
	for n := range 60 {
		f := fabrictest.Packet{Size: 20}.TCP()
		f.TrimFront(n)
		if (f.L3() != nil) != (n <= 14) || (f.L4() != nil) != (n <= 34) {
			t.Errorf("TrimFront(%d): L3 %v, L4 %v", n, f.L3() != nil, f.L4() != nil)
		}
		f.Free()
		f = fabrictest.Packet{Size: 20}.TCP()
		f.CapLen(n)
		if (f.L3() != nil) != (n >= 34) || (f.L4() != nil) != (n >= 54) || f.Len() != n {
			t.Errorf("CapLen(%d): L3 %v, L4 %v, Len %d", n, f.L3() != nil, f.L4() != nil, f.Len())
		}
		f.Free()
	}
}

func TestCapLen(t *testing.T) {
	for _, size := range []int{10, 2000} {
		for _, n := range []int{54, 60, 1000, 2054, 3000} {
			f := fabrictest.Packet{Size: size}.TCP()
			want := f.AppendTo(nil)
			want = want[:min(n, len(want))]
			f.CapLen(n)
			if !bytes.Equal(f.AppendTo(nil), want) {
				t.Errorf("CapLen(%d) of %d bytes of data leaves %d bytes; want %d", n, size, f.Len(), len(want))
			}
			f.Free()
		}
	}
}

func TestClone(t *testing.T) {
	f := fabrictest.Packet{Size: 3000, MSS: 1000}.TCP()
	f.At, f.Hops, f.Trace = 5, 6, new(fabric.Trace)
	f.FlowHash()
	want := f.AppendTo(nil)
	c := f.Clone()
	if c.Segs != f.Segs || c.MSS != f.MSS || c.At != 5 || c.Hops != 6 || c.Trace != f.Trace || c.Hash != f.Hash || c.TCP() == nil {
		t.Errorf("Clone lost a field")
	}
	clear(f.Linear())
	f.Free()
	fabrictest.Packet{Size: 3000}.UDP().Free() // what was freed is used again
	if !bytes.Equal(c.AppendTo(nil), want) {
		t.Error("the copy changed with the original")
	}
	c.Free()
}

func TestNewIsClean(t *testing.T) {
	f := fabrictest.Packet{Size: 3000, MSS: 1000, Partial: true}.TCP()
	f.At, f.Hops, f.Trace = 5, 6, new(fabric.Trace)
	f.FlowHash()
	f.Free()
	for range 200 {
		g := fabric.New()
		if g.Len() != 0 || g.Segs != 1 || g.MSS != 0 || g.Hash != 0 || g.At != 0 || g.Hops != 0 || g.Trace != nil ||
			g.Checksum != fabric.ChecksumComplete || g.EtherType != 0 || g.Proto != 0 || g.L3() != nil || g.L4() != nil || g.Tunnelled() {
			t.Fatalf("New gave a used frame")
		}
	}
}

func TestPayloadIsHandedOver(t *testing.T) {
	f := fabrictest.Packet{Size: 1000}.UDP()
	b := f.TakePayload()
	if b.Size() != 1000 || f.Payload().Size() != 0 {
		t.Errorf("TakePayload gave %d bytes and left %d; want 1000 and 0", b.Size(), f.Payload().Size())
	}
	f.SetPayload(b)
	if err := fabrictest.CheckPattern(f, 0); err != nil {
		t.Error(err)
	}
	f.Free()
}

// rewrites are all kinds of packets whose addresses NAT rewrites.
func rewrites() map[string]*fabric.Frame {
	noSum := fabrictest.Packet{Size: 9}.UDP()
	noSum.UDP().SetChecksum(0)
	return map[string]*fabric.Frame{
		"tcp":           fabrictest.Packet{Size: 777}.TCP(),
		"tcp train":     fabrictest.Packet{Size: 7777, MSS: 1000}.TCP(),
		"tcp partial":   fabrictest.Packet{Size: 7777, MSS: 1000, Partial: true}.TCP(),
		"tcp options":   fabrictest.Packet{Size: 7, IPOptions: []byte{1, 1, 1, 1}, TCPOptions: []byte{1, 1, 1, 1}}.TCP(),
		"udp":           fabrictest.Packet{Size: 9, VLAN: 3}.UDP(),
		"udp no sum":    noSum,
		"echo":          fabrictest.Packet{Size: 56}.Echo(9, 1),
		"icmp error":    fabrictest.Packet{Size: 28}.ICMP(wire.ICMPUnreachable, wire.CodeFragNeeded, 1450),
		"tunnelled tcp": tunnel(fabrictest.Packet{Size: 100, Partial: true}.TCP()),
	}
}

func TestRewriteKeepsChecksums(t *testing.T) {
	to := []netip.AddrPort{netip.MustParseAddrPort("172.17.0.2:8080"), netip.MustParseAddrPort("255.255.255.255:65535"),
		netip.MustParseAddrPort("0.0.0.0:1"), netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("192.0.2.1:0")}
	for _, a := range to {
		for name, f := range rewrites() {
			data, srcPort := f.Clone(), f.Src().Port()
			hash := f.FlowHash()
			f.SetSrc(a)
			f.SetDst(a)
			if f.Src().Addr() != a.Addr() || f.Dst().Addr() != a.Addr() {
				t.Errorf("%s to %v: it is from %v to %v", name, a, f.Src(), f.Dst())
			}
			if want := a.Port(); name != "icmp error" && f.Src().Port() != cmpOr(want, srcPort) {
				t.Errorf("%s to %v: source port %d", name, a, f.Src().Port())
			}
			if f.FlowHash() == hash {
				t.Errorf("%s to %v: the hash is the old one", name, a)
			}
			if err := fabrictest.CheckFrame(f); err != nil {
				t.Errorf("%s to %v: %v", name, a, err)
			}
			f.SetSrc(netip.MustParseAddrPort("[2001:db8::1]:1")) // changes nothing
			if f.Src().Addr() != a.Addr() || f.Len() != data.Len() {
				t.Errorf("%s: an IPv6 address was written", name)
			}
			f.Free()
			data.Free()
		}
	}
}

func cmpOr(a, b uint16) uint16 {
	if a != 0 {
		return a
	}
	return b
}

func TestICMPErrorHasNoPort(t *testing.T) {
	f := fabrictest.Packet{Size: 28}.ICMP(wire.ICMPUnreachable, wire.CodeFragNeeded, 1450)
	f.SetSrc(netip.MustParseAddrPort("172.17.0.2:8080"))
	if f.ICMP().MTU() != 1450 || f.ICMP().ID() != 0 || f.Src().Port() != 0 {
		t.Errorf("MTU %d, bytes 4 and 5 %d; want 1450, 0", f.ICMP().MTU(), f.ICMP().ID())
	}
	f.Free()
}

func TestFlowHash(t *testing.T) {
	other := netip.MustParseAddrPort("10.0.0.9:1")
	p := fabrictest.Packet{}
	base := p.UDP().FlowHash()
	for _, c := range []struct {
		name string
		f    *fabric.Frame
		same bool
	}{
		{"same flow", fabrictest.Packet{Size: 100, ID: 7, TTL: 3, VLAN: 7}.UDP(), true},
		{"other protocol", p.TCP(), false},
		{"other source", fabrictest.Packet{Src: other}.UDP(), false},
		{"other destination port", fabrictest.Packet{Dst: netip.AddrPortFrom(fabrictest.Dst.Addr(), 81)}.UDP(), false},
	} {
		if got := c.f.FlowHash(); (got == base) != c.same || got == 0 {
			t.Errorf("%s: hash %#x, the first is %#x", c.name, got, base)
		}
	}
}

// All fragments of a packet go the same way, though only the first tells the ports.
func TestFlowHashOfFragments(t *testing.T) {
	first := fabrictest.Packet{Frag: wire.MoreFragments, Size: 8}.UDP()
	b := first.AppendTo(nil)
	wire.IPv4(b[14:]).SetFrag(0, 1480)
	later := fabric.FromBytes(b)
	if r := later.ParseEthernet(); r != 0 || later.L4() != nil {
		t.Fatalf("ParseEthernet = %v", r)
	}
	if first.FlowHash() != later.FlowHash() {
		t.Error("two fragments of a packet have two hashes")
	}
}

func TestEncapsulateLyingLengths(t *testing.T) {
	f := fabrictest.Packet{Size: 5000, MSS: 1000}.TCP()
	for _, off := range []int{0, 50, 100, 400, 5000, 65535} {
		g := f.Clone()
		g.Encapsulated(off)
		g.SetOuter(wire.TypeIPv4, wire.ProtoUDP, off, 2*off)
		g.WireLen()
		g.PacketLen()
		for i := range 6 {
			g.AppendSegment(nil, i)
		}
		g.FillChecksum()
		fabric.FreeAll(g.Split(nil))
	}
	f.Free()
}

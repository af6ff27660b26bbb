package fabric

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// vnetFrame returns Ethernet, IPv4 and TCP or UDP with size bytes of data, and the pseudo header's sum where the checksum
// belongs, as the kernel hands it over.
func vnetFrame(proto byte, size int) []byte {
	l4 := wire.TCPLen
	if proto == wire.ProtoUDP {
		l4 = wire.UDPLen
	}
	b := make([]byte, wire.EthernetLen+wire.IPv4Len+l4+size)
	src, dst := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	wire.PutEthernet(b, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.TypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{TotalLen: len(b) - 14, TTL: 64, Proto: proto, Src: src, Dst: dst})
	for i := range size {
		b[len(b)-size+i] = byte(i * 7)
	}
	if proto == wire.ProtoUDP {
		wire.PutUDP(b[34:], 1000, 2000, l4+size)
	} else {
		wire.PutTCP(b[34:], wire.TCPFields{SrcPort: 1000, DstPort: 2000, Seq: 77, Flags: wire.ACK | wire.PSH | wire.CWR, Window: 500})
	}
	binary.BigEndian.PutUint16(checksumField(b[34:], proto), wire.Fold(wire.PseudoSum(src, dst, proto, l4+size)))
	return b
}

func TestArrive(t *testing.T) {
	tcp, udp := vnetFrame(wire.ProtoTCP, 3000), vnetFrame(wire.ProtoUDP, 300)
	train := vnetHeader{flags: vnetNeedsChecksum, gso: vnetGSOTCPv4, size: 1000, sumStart: 34, sumFromThat: 16}
	with := func(change func(*vnetHeader)) vnetHeader { h := train; change(&h); return h }
	for _, c := range []struct {
		name   string
		b      []byte
		h      vnetHeader
		reason DropReason
		segs   uint16
		sum    Checksum
	}{
		{"a train", tcp, train, 0, 3, ChecksumPartial},
		{"with a congestion mark", tcp, with(func(h *vnetHeader) { h.gso |= vnetGSOECN }), 0, 3, ChecksumPartial},
		{"a train of one", tcp, with(func(h *vnetHeader) { h.size = 3000 }), 0, 1, ChecksumPartial},
		{"no train", tcp, with(func(h *vnetHeader) { h.gso = 0 }), 0, 1, ChecksumPartial},
		{"UDP", udp, vnetHeader{flags: vnetNeedsChecksum, sumStart: 34, sumFromThat: 6}, 0, 1, ChecksumPartial},
		{"a complete frame", udp, vnetHeader{}, 0, 1, ChecksumComplete},
		{"another checksum, which is filled in", udp, vnetHeader{flags: vnetNeedsChecksum, sumStart: 36, sumFromThat: 4}, 0, 1, ChecksumComplete},
		{"a checksum beyond the headers", udp, vnetHeader{flags: vnetNeedsChecksum, sumStart: 340, sumFromThat: 6}, DropMalformed, 1, ChecksumComplete},
		{"segments of nothing", tcp, with(func(h *vnetHeader) { h.size = 0 }), DropMalformed, 1, ChecksumComplete},
		{"a train that is UDP", udp, train, DropMalformed, 1, ChecksumComplete},
		{"a train over IPv6", tcp, with(func(h *vnetHeader) { h.gso = 4 }), DropMalformed, 1, ChecksumComplete},
		{"a train with its checksum", tcp, with(func(h *vnetHeader) { h.flags = 0 }), DropMalformed, 1, ChecksumComplete},
		{"a train without data", vnetFrame(wire.ProtoTCP, 0), train, DropMalformed, 1, ChecksumComplete},
		{"less than Ethernet", tcp[:13], vnetHeader{}, DropTruncated, 1, ChecksumComplete},
		{"less than its length", tcp[:2000], train, DropTruncated, 1, ChecksumComplete},
	} {
		f := FromBytes(c.b)
		if r := f.arrive(c.h); r != c.reason || f.Segs != c.segs || f.Checksum != c.sum {
			t.Errorf("%s: arrive = %v, %d segments, checksum %d; want %v, %d, %d", c.name, r, f.Segs, f.Checksum, c.reason, c.segs, c.sum)
		}
		f.Free()
	}
}

// What the kernel handed over goes back to it as it came.
func TestDepartGivesBackWhatArrived(t *testing.T) {
	for _, proto := range []byte{wire.ProtoTCP, wire.ProtoUDP} {
		b := vnetFrame(proto, 3000)
		in := vnetHeader{flags: vnetNeedsChecksum, sumStart: 34, sumFromThat: 6}
		if proto == wire.ProtoTCP {
			in = vnetHeader{flags: vnetNeedsChecksum, gso: vnetGSOTCPv4 | vnetGSOECN, headers: 54, size: 1000, sumStart: 34, sumFromThat: 16}
		}
		f := FromBytes(b)
		if r := f.arrive(in); r != 0 {
			t.Fatal(r)
		}
		clear(checksumField(f.L4(), proto)) // inside of a lab anything may stand there
		if out, ok := f.depart(); !ok || out != in {
			t.Errorf("depart = %+v, %v; want %+v", out, ok, in)
		}
		if got := f.AppendTo(nil); !bytes.Equal(got, b) {
			t.Errorf("the frame is\n% x; want\n% x", got[:60], b[:60])
		}
		f.Free()
	}
}

// FuzzVnet has any bytes come from a TAP device: nothing may panic, and what goes back means the same wire frames.
func FuzzVnet(f *testing.F) {
	for _, proto := range []byte{wire.ProtoTCP, wire.ProtoUDP} {
		var h [vnetLen]byte
		vnetHeader{flags: vnetNeedsChecksum, gso: vnetGSOTCPv4, headers: 54, size: 13, sumStart: 34, sumFromThat: 16}.put(h[:])
		f.Add(append(h[:], vnetFrame(proto, 90)...))
		vnetHeader{flags: vnetNeedsChecksum, sumStart: 34, sumFromThat: 6}.put(h[:])
		f.Add(append(h[:], vnetFrame(proto, 40)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseVnet(b)
		if !ok {
			return
		}
		in := FromBytes(b[vnetLen:])
		if in.arrive(h) != 0 {
			in.Free()
			return
		}
		for _, f := range in.cutLong(nil) {
			checkDepart(t, f)
			f.Free()
		}
	})
}

func checkDepart(t *testing.T, f *Frame) {
	if f.Segs < 1 || f.Segs > MaxSegs {
		t.Fatalf("a train of %d wire frames", f.Segs)
	}
	var want [][]byte
	for i := range int(f.Segs) {
		want = append(want, f.AppendSegment(nil, i))
	}
	h, ok := f.depart()
	if !ok {
		t.Fatal("what came in whole cannot go out whole")
	}
	var raw [vnetLen]byte
	h.put(raw[:])
	if back, _ := parseVnet(raw[:]); back != h {
		t.Fatalf("parse of %+v gives %+v", h, back)
	}
	g := FromBytes(f.AppendTo(nil))
	defer g.Free()
	if r := g.arrive(h); r != 0 || g.Segs != f.Segs {
		t.Fatalf("arrive with %+v = %v, %d wire frames; want %d", h, r, g.Segs, f.Segs)
	}
	for i := range want {
		if got := g.AppendSegment(nil, i); !bytes.Equal(got, want[i]) {
			t.Fatalf("wire frame %d is\n% x; want\n% x", i, got, want[i])
		}
	}
}

// BenchmarkVnet is a train's way in and out, without the system calls.
func BenchmarkVnet(b *testing.B) {
	f := FromBytes(vnetFrame(wire.ProtoTCP, 60000))
	defer f.Free()
	h := vnetHeader{flags: vnetNeedsChecksum, gso: vnetGSOTCPv4, headers: 54, size: 1448, sumStart: 34, sumFromThat: 16}
	b.ReportAllocs()
	for b.Loop() {
		f.Segs, f.MSS = 1, 0
		if r := f.arrive(h); r != 0 {
			b.Fatal(r)
		}
		if _, ok := f.depart(); !ok {
			b.Fatal("it has no header")
		}
	}
}

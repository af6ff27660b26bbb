package fabric_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

const vxlanOverhead = wire.EthernetLen + wire.IPv4Len + wire.UDPLen + wire.VXLANLen

// tunnel wraps f as a VTEP does: Ethernet, IPv4, UDP and VXLAN in front.
func tunnel(f *fabric.Frame) *fabric.Frame {
	inner := f.Len()
	b := f.Prepend(vxlanOverhead)
	clear(b)
	wire.PutEthernet(b, fabrictest.DstMAC, fabrictest.SrcMAC, wire.TypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{TotalLen: 36 + inner, ID: 7, TTL: 64, Proto: wire.ProtoUDP,
		Src: netip.MustParseAddr("192.168.1.2"), Dst: netip.MustParseAddr("192.168.1.3")})
	wire.PutUDP(b[34:], 50000, 4789, 16+inner)
	b[42], b[48] = 8, 42
	f.Encapsulated(vxlanOverhead)
	f.SetOuter(wire.TypeIPv4, wire.ProtoUDP, 14, 34)
	return f
}

// trainCase is one train and how to build it as a packet.
type trainCase struct {
	p      fabrictest.Packet
	udp    bool
	tunnel bool
}

func (c trainCase) String() string {
	return fmt.Sprintf("udp=%v tunnel=%v size=%d mss=%d vlan=%d ipopt=%d tcpopt=%d partial=%v", c.udp, c.tunnel, c.p.Size,
		c.p.MSS, c.p.VLAN, len(c.p.IPOptions), len(c.p.TCPOptions), c.p.Partial)
}

func (c trainCase) build(p fabrictest.Packet) *fabric.Frame {
	build := p.TCP
	if c.udp {
		build = p.UDP
	}
	if c.tunnel {
		return tunnel(build())
	}
	return build()
}

// wire returns the wire frames of the train, each built as a packet of its own: what every way of cutting must give.
func (c trainCase) wire() [][]byte {
	var out [][]byte
	segs := (c.p.Size + c.p.MSS - 1) / c.p.MSS
	for i := range segs {
		p := c.p
		p.Data = fabrictest.Pattern(p.Seq, c.p.Size)[i*p.MSS : min((i+1)*p.MSS, c.p.Size)]
		if c.udp {
			p.Data = fabrictest.Pattern(0, c.p.Size)[i*p.MSS : min((i+1)*p.MSS, c.p.Size)]
		}
		p.Seq += uint32(i * p.MSS)
		p.ID += uint16(i)
		p.MSS, p.Partial = 0, false
		if i < segs-1 {
			p.Flags &^= wire.FIN | wire.PSH
		}
		if i > 0 {
			p.Flags &^= wire.CWR
		}
		f := c.build(p)
		if c.tunnel {
			ip := wire.IPv4(f.Linear()[14:])
			ip.SetID(7 + uint16(i))
			ip.FillChecksum()
		}
		out = append(out, f.AppendSegment(nil, 0))
		f.Free()
	}
	return out
}

func randomTrain(r *rand.Rand) trainCase {
	c := trainCase{udp: r.IntN(3) == 0, tunnel: r.IntN(2) == 0}
	c.p = fabrictest.Packet{MSS: 1 + r.IntN(1448), ID: uint16(r.Uint32()), Seq: r.Uint32(), Ack: r.Uint32(), Partial: r.IntN(2) == 0,
		IPOptions: bytes.Repeat([]byte{1}, 4*r.IntN(3)), TCPOptions: bytes.Repeat([]byte{1}, 4*r.IntN(11)),
		Flags: wire.ACK | byte(r.UintN(256))&^(wire.SYN|wire.RST), VLAN: uint16(r.IntN(2) * r.IntN(4095))}
	c.p.Size = c.p.MSS + 1 + r.IntN(c.p.MSS*(fabric.MaxSegs-1))
	c.p.Size = min(c.p.Size, 65000)
	return c
}

func trains(t *testing.T, check func(t *testing.T, c trainCase)) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 120 {
		c := randomTrain(r)
		check(t, c)
		if t.Failed() {
			t.Fatalf("with %v", c)
		}
	}
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		n := 0
		for n < min(len(got), len(want)) && got[n] == want[n] {
			n++
		}
		t.Errorf("%s: %d bytes, want %d; they differ from byte %d on", what, len(got), len(want), n)
	}
	if err := fabrictest.CheckWire(got); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestAppendSegmentEqualsPackets(t *testing.T) {
	trains(t, func(t *testing.T, c trainCase) {
		f, want, total := c.build(c.p), c.wire(), 0
		if int(f.Segs) != len(want) {
			t.Fatalf("Segs = %d; want %d", f.Segs, len(want))
		}
		for i, w := range want {
			equal(t, fmt.Sprintf("wire frame %d", i), f.AppendSegment(nil, i), w)
			total += len(w)
		}
		if n := f.WireLen(); n != total {
			t.Errorf("WireLen = %d; want %d", n, total)
		}
		if n, w := f.PacketLen(), len(want[0])-(len(f.Linear())-len(f.L3())); n != w {
			t.Errorf("PacketLen = %d; want %d", n, w)
		}
		f.Free()
	})
}

func TestSplitEqualsPackets(t *testing.T) {
	trains(t, func(t *testing.T, c trainCase) {
		want := c.wire()
		got := c.build(c.p).Split(nil)
		if len(got) != len(want) {
			t.Fatalf("Split gave %d frames; want %d", len(got), len(want))
		}
		for i, f := range got {
			equal(t, fmt.Sprintf("frame %d", i), f.AppendSegment(nil, 0), want[i])
			f.FillChecksum()
			equal(t, fmt.Sprintf("frame %d filled", i), f.AppendTo(nil), want[i])
		}
		fabric.FreeAll(got)
	})
}

func TestSubTrainEqualsPackets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	trains(t, func(t *testing.T, c trainCase) {
		f, want := c.build(c.p), c.wire()
		before := f.AppendTo(nil)
		for at := 0; at < len(want); {
			n := 1 + r.IntN(len(want)-at)
			s := f.SubTrain(at, n)
			if int(s.Segs) != n {
				t.Errorf("SubTrain(%d, %d) has %d wire frames", at, n, s.Segs)
			}
			for i := range n {
				equal(t, fmt.Sprintf("wire frame %d of SubTrain(%d, %d)", i, at, n), s.AppendSegment(nil, i), want[at+i])
			}
			s.Free()
			at += n
		}
		if !bytes.Equal(f.AppendTo(nil), before) {
			t.Error("SubTrain changed the train")
		}
		f.Free()
	})
}

// A train whose data begins in the linear part, as one from a TAP does, is cut like any other.
func TestSplitDataInLinearPart(t *testing.T) {
	p := fabrictest.Packet{Size: 3000}
	whole := p.TCP()
	f := fabric.FromBytes(whole.AppendTo(nil))
	whole.Free()
	if r := f.ParseEthernet(); r != 0 {
		t.Fatal(r)
	}
	f.Segs, f.MSS, f.Checksum = 3, 1000, fabric.ChecksumPartial
	p.MSS = 1000
	want := trainCase{p: p}.wire()
	sub := f.SubTrain(1, 2)
	for i := range 2 {
		equal(t, "sub train", sub.AppendSegment(nil, i), want[i+1])
	}
	sub.Free()
	for i, g := range f.Split(nil) {
		equal(t, "split", g.AppendSegment(nil, 0), want[i])
		g.Free()
	}
}

func TestDecapsulatedTrain(t *testing.T) {
	c := trainCase{p: fabrictest.Packet{Size: 5000, MSS: 1400, Partial: true}}
	f := tunnel(c.build(c.p))
	if !f.Tunnelled() || f.PacketLen() != 1400+40+vxlanOverhead {
		t.Errorf("Tunnelled = %v, PacketLen = %d; want true, %d", f.Tunnelled(), f.PacketLen(), 1400+40+vxlanOverhead)
	}
	if r := f.Decapsulate(); r != 0 || f.Tunnelled() {
		t.Fatalf("Decapsulate = %v", r)
	}
	for i, w := range c.wire() {
		equal(t, "decapsulated", f.AppendSegment(nil, i), w)
	}
	f.Free()
}

// UDP without checksum stays so when it is cut.
func TestSplitKeepsNoChecksum(t *testing.T) {
	f := fabrictest.Packet{Size: 2500, MSS: 1000}.UDP()
	f.UDP().SetChecksum(0)
	for i, g := range f.Clone().Split(nil) {
		if c := g.UDP().Checksum(); c != 0 || g.Checksum != fabric.ChecksumComplete {
			t.Errorf("frame %d: checksum %#x, state %v; want none", i, c, g.Checksum)
		}
		if !bytes.Equal(g.AppendSegment(nil, 0), f.AppendSegment(nil, i)) {
			t.Errorf("frame %d: Split and AppendSegment differ", i)
		}
		g.Free()
	}
	f.Free()
}

func TestCutIsCopyOnWrite(t *testing.T) {
	f := fabrictest.Packet{Size: 4000, MSS: 1000, Partial: true}.TCP()
	want := f.AppendTo(nil)
	parts := f.Clone().Split(nil)
	for _, g := range parts {
		clear(g.Linear())
		g.SetPayloadBytes([]byte("changed"))
	}
	fabric.FreeAll(parts)
	for range 100 { // what was freed is used again
		fabrictest.Packet{Size: 1000}.UDP().Free()
	}
	if !bytes.Equal(f.AppendTo(nil), want) {
		t.Error("the train changed with its parts")
	}
	f.Free()
}

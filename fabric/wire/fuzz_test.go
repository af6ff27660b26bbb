package wire_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Each target parses any bytes, reads every field, builds a header of what it read, and expects the same bytes.

func FuzzEthernet(f *testing.F) {
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\x02\x42\xac\x11\x00\x02\x08\x00"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\x02\x42\xac\x11\x00\x02\x81\x00\x00\x64\x08\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := wire.ParseEthernet(b)
		if err != nil {
			return
		}
		if e.Len() > len(b) {
			t.Fatalf("Len = %d of %d bytes", e.Len(), len(b))
		}
		if _, tagged := e.VLAN(); tagged {
			return
		}
		built := make([]byte, wire.EthernetLen)
		wire.PutEthernet(built, e.Dst(), e.Src(), e.Type())
		same(t, built, b)
	})
}

func FuzzARP(f *testing.F) {
	seed := make([]byte, wire.ARPLen)
	wire.PutARP(seed, wire.ARPRequest, macA, ipA, wire.MAC{}, ipB)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := wire.ParseARP(b)
		if err != nil {
			return
		}
		built := make([]byte, wire.ARPLen)
		wire.PutARP(built, a.Op(), a.SenderMAC(), a.SenderIP(), a.TargetMAC(), a.TargetIP())
		same(t, built, b)
	})
}

func FuzzIPv4(f *testing.F) {
	seed := make([]byte, wire.IPv4Len)
	wire.PutIPv4(seed, wire.IPv4Fields{TotalLen: 20, TTL: 64, Proto: wire.ProtoUDP, Src: ipA, Dst: ipB})
	f.Add(seed)
	f.Add(append([]byte{0x4f, 0, 0, 60}, make([]byte, 56)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wire.ParseIPv4(b)
		if err != nil {
			return
		}
		h.FillChecksum()
		if !h.Valid() {
			t.Fatal("FillChecksum left a wrong checksum")
		}
		if h.HeaderLen() == wire.IPv4Len && b[6]&0x80 == 0 {
			built := make([]byte, wire.IPv4Len)
			wire.PutIPv4(built, wire.IPv4Fields{TOS: h.TOS(), TotalLen: h.TotalLen(), ID: h.ID(), TTL: h.TTL(), Proto: h.Proto(),
				Src: h.Src(), Dst: h.Dst()})
			var flags uint16
			if h.DF() {
				flags |= wire.DontFragment
			}
			if h.MF() {
				flags |= wire.MoreFragments
			}
			wire.IPv4(built).SetFrag(flags, h.FragOffset())
			wire.IPv4(built).FillChecksum()
			same(t, built, b)
		}
		h.DecTTL()
		h.SetSrc(h.Dst())
		h.SetDst(ipA)
		if !h.Valid() {
			t.Fatal("a change left a wrong checksum")
		}
	})
}

func FuzzICMP(f *testing.F) {
	f.Add([]byte{8, 0, 0, 0, 0, 1, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wire.ParseICMP(b)
		if err != nil {
			return
		}
		m.IsError()
		built := bytes.Clone(b)
		wire.PutICMP(built, m.Type(), m.Code(), uint32(m.ID())<<16|uint32(m.MTU()))
		wire.ICMP(built).FillChecksum()
		m.FillChecksum()
		same(t, built, b)
		if wire.Fold(wire.Sum(b, 0)) != 0xffff {
			t.Fatal("FillChecksum left a wrong checksum")
		}
	})
}

// Sum agrees with the plainest way of summing, in one part and in two, whatever was summed before.
func FuzzSum(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint64(0), uint16(2))
	f.Add(bytes.Repeat([]byte{0xff}, 200), ^uint64(0), uint16(64))
	f.Fuzz(func(t *testing.T, b []byte, before uint64, cut uint16) {
		want := sum(append(binary.BigEndian.AppendUint64(nil, before), b...))
		k := min(int(cut), len(b)) &^ 1
		for _, got := range []uint16{wire.Fold(wire.Sum(b, before)), wire.Fold(wire.Sum(b[k:], wire.Sum(b[:k], before)))} {
			if got != want && (got|want != 0xffff || got&want != 0) { // 0 and all ones are the same number
				t.Fatalf("Sum of % x after %#x is %#x; want %#x", b, before, got, want)
			}
		}
	})
}

func FuzzTCP(f *testing.F) {
	seed := make([]byte, 28)
	wire.PutTCP(seed, wire.TCPFields{SrcPort: 80, DstPort: 40000, Seq: 1, Flags: wire.SYN, OptionsLen: 8})
	copy(seed[20:], []byte{1, 3, 3, 7, 2, 4, 5, 0xb4})
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wire.ParseTCP(b)
		if err != nil {
			return
		}
		if mss, at := h.MSS(); at != 0 && (at+2 > h.HeaderLen() || mss != uint16(b[at])<<8|uint16(b[at+1])) {
			t.Fatalf("MSS = %d at %d of a header of %d bytes", mss, at, h.HeaderLen())
		}
		built := make([]byte, wire.TCPLen)
		wire.PutTCP(built, wire.TCPFields{SrcPort: h.SrcPort(), DstPort: h.DstPort(), Seq: h.Seq(), Ack: h.Ack(), Flags: h.Flags(),
			Window: h.Window(), OptionsLen: len(h.Options())})
		copy(built[16:], b[16:20]) // checksum and urgent pointer
		built[12] |= b[12] & 15    // reserved bits
		same(t, built, b)
	})
}

func FuzzUDP(f *testing.F) {
	f.Add([]byte{0, 53, 0x9c, 0x40, 0, 9, 0, 0, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := wire.ParseUDP(b)
		if err != nil {
			return
		}
		built := make([]byte, wire.UDPLen)
		wire.PutUDP(built, u.SrcPort(), u.DstPort(), u.Len())
		wire.UDP(built).SetChecksum(u.Checksum())
		same(t, built, b)
	})
}

// same compares what was built with the beginning of what was parsed.
func same(t *testing.T, built, parsed []byte) {
	t.Helper()
	if !bytes.Equal(built, parsed[:len(built)]) {
		t.Fatalf("built % x of % x", built, parsed[:len(built)])
	}
}

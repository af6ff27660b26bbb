package lb

import (
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
)

func BenchmarkPickNew(b *testing.B) {
	table := marked(b, Config{}, "rr", realA, realB, realC)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 16), byte(i >> 8)}), uint16(i&0xff)+1)
		table.Pick(syn(from), start+int64(i)*1e6) // 1000 a second, of which 60 s are kept
	}
}

func BenchmarkPickHit(b *testing.B) {
	table := marked(b, Config{}, "rr", realA, realB)
	for i := range 10000 {
		table.Pick(syn(port(i+1)), start)
	}
	f := segment(port(77), wire.ACK)
	b.ReportAllocs()
	for b.Loop() {
		table.Pick(f, start)
	}
}

func BenchmarkRequest(b *testing.B) {
	lb := balancer(b, realA)
	lb.Request(packet(b, wire.ProtoTCP, wire.SYN, client, vip, ""), 256, start)
	f := packet(b, wire.ProtoTCP, wire.ACK, client, vip, "data")
	b.ReportAllocs()
	for b.Loop() {
		lb.Request(f, 256, start)
		f.SetDst(vip)
	}
}

func BenchmarkReply(b *testing.B) {
	lb := balancer(b, realA)
	to, _ := lb.Request(packet(b, wire.ProtoTCP, wire.SYN, client, vip, ""), 256, start)
	f := packet(b, wire.ProtoTCP, wire.ACK, to, client, "data")
	b.ReportAllocs()
	for b.Loop() {
		lb.Reply(f, start)
		f.SetSrc(to)
	}
}

func TestHitDoesNotAllocate(t *testing.T) {
	b := balancer(t, realA)
	to, _ := b.Request(packet(t, wire.ProtoTCP, wire.SYN, client, vip, ""), 256, start)
	f, r := packet(t, wire.ProtoTCP, wire.ACK, client, vip, ""), packet(t, wire.ProtoTCP, wire.ACK, to, client, "")
	if n := testing.AllocsPerRun(100, func() {
		b.Request(f, 256, start)
		f.SetDst(vip)
		b.Reply(r, start)
		r.SetSrc(to)
	}); n != 0 {
		t.Errorf("%v allocations for a request and its reply", n)
	}
}

package lb

import (
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// balancer returns one with service mark 256 and these destinations, its clock at start.
func balancer(t testing.TB, dests ...netip.AddrPort) *Balancer {
	t.Helper()
	b := New(Config{Place: "host-a/ingress-sbox", Now: func() int64 { return start }})
	must(t, b.AddService(Mark(256), "rr"))
	for _, d := range dests {
		must(t, b.AddDestination(Mark(256), d, 1))
	}
	return b
}

func TestRewrite(t *testing.T) {
	for _, proto := range []byte{wire.ProtoTCP, wire.ProtoUDP} {
		t.Run(protoName(proto), func(t *testing.T) {
			b := balancer(t, ap("10.0.0.6:8080"))
			f := packet(t, proto, wire.SYN, client, vip, "hello")
			f.Trace = new(fabric.Trace)
			to, v := b.Request(f, 256, start)
			if v != Handled || to != ap("10.0.0.6:8080") || f.Dst() != to || f.Src() != client {
				t.Fatalf("Request = %v, %v; frame %v to %v", to, v, f.Src(), f.Dst())
			}
			checksums(t, f)
			r := packet(t, proto, wire.SYN|wire.ACK, to, client, "hello yourself")
			if !b.Reply(r, start) || r.Src() != vip || r.Dst() != client {
				t.Fatalf("reply is %v to %v, want from %v", r.Src(), r.Dst(), vip)
			}
			checksums(t, r)
			events, _ := f.Trace.Events()
			want := fabric.Event{Kind: fabric.EventIPVS, Place: "host-a/ingress-sbox", Before: vip.String(), After: to.String(), By: "FWM 256, rr, 1 real server", At: start}
			if len(events) != 1 || events[0] != want {
				t.Errorf("trace = %+v, want %+v", events, want)
			}
			wantStats := Stats{Conns: 1, InPackets: 1, OutPackets: 1, InBytes: uint64(len(f.L3())), OutBytes: uint64(len(r.L3()))}
			if s := b.Services()[0]; s.Stats != wantStats || s.Destinations[0].Stats != wantStats {
				t.Errorf("stats = %+v and %+v, want %+v", s.Stats, s.Destinations[0].Stats, wantStats)
			}
		})
	}
}

func TestTrainIsOneRewrite(t *testing.T) {
	b := balancer(t, realA)
	b.Request(packet(t, wire.ProtoTCP, wire.SYN, client, vip, ""), 256, start)
	f := packet(t, wire.ProtoTCP, wire.ACK, client, vip, strings.Repeat("x", 300))
	f.Segs, f.MSS = 3, 100
	if to, v := b.Request(f, 256, start); v != Handled || to != ap("10.0.0.6:80") {
		t.Fatalf("Request = %v, %v", to, v)
	}
	if s := b.Services()[0].Stats; s.InPackets != 4 || s.InBytes != 40+3*140 {
		t.Errorf("stats = %+v; want 4 packets, %d bytes", s, 40+3*140)
	}
	for i := range 3 {
		checksums(t, parsed(t, f.AppendSegment(nil, i)))
	}
}

func TestNotMine(t *testing.T) {
	b := New(Config{})
	f := packet(t, wire.ProtoTCP, wire.SYN, client, vip, "")
	if _, v := b.Request(f, 256, start); b.Enabled() || v != NotMine || b.Reply(f, start) {
		t.Errorf("without services: enabled %v, verdict %v", b.Enabled(), v)
	}
	b = balancer(t, realA)
	fragment := packet(t, wire.ProtoUDP, 0, client, vip, "data")
	fragment.IPv4().SetFrag(wire.MoreFragments, 0)
	echo := message(t, client, vip, wire.ICMPEcho, nil)
	for name, f := range map[string]*fabric.Frame{"fragment": fragment, "echo": echo, "unknown": packet(t, wire.ProtoTCP, wire.ACK, client, vip, "")} {
		dst := f.Dst()
		if _, v := b.Request(f, 256, start); v != NotMine || f.Dst() != dst || b.Reply(f, start) {
			t.Errorf("%s: verdict %v, frame to %v", name, v, f.Dst())
		}
	}
}

func TestEnabled(t *testing.T) {
	b := balancer(t, realA)
	b.Request(packet(t, wire.ProtoTCP, wire.SYN, client, vip, ""), 256, start)
	must(t, b.DelService(Mark(256)))
	if !b.Enabled() {
		t.Error("a connection is left, and the balancer is off")
	}
	f := packet(t, wire.ProtoTCP, wire.ACK, client, vip, "")
	if _, v := b.Request(f, 0, after(1)); v != Drop {
		t.Errorf("its packet: %v, want drop", v)
	}
	if _, v := b.Request(f, 0, after(100)); v != NotMine || b.Enabled() {
		t.Errorf("after its end: %v, enabled %v", v, b.Enabled())
	}
}

func TestS5NoDestinationLeavesFrame(t *testing.T) {
	b := balancer(t)
	f := packet(t, wire.ProtoTCP, wire.SYN, client, vip, "")
	f.Trace = new(fabric.Trace)
	if to, v := b.Request(f, 256, start); v != NoDestination || to.IsValid() || f.Dst() != vip {
		t.Errorf("Request = %v, %v; frame to %v", to, v, f.Dst())
	}
	if events, _ := f.Trace.Events(); len(events) != 1 || events[0].After != "no-destination" {
		t.Errorf("trace = %+v", events)
	}
	if n := b.Refused(NoDestination); n != 1 {
		t.Errorf("Refused = %d, want 1", n)
	}
}

// message returns an ICMP message that quotes the packet of f, nil: nothing.
func message(t testing.TB, src, dst netip.AddrPort, typ byte, f *fabric.Frame) *fabric.Frame {
	t.Helper()
	b := make([]byte, wire.EthernetLen+wire.IPv4Len+wire.ICMPLen)
	if f != nil {
		b = append(b, f.L3()...)
	}
	wire.PutEthernet(b, wire.MAC{2, 0, 0, 0, 0, 1}, wire.MAC{2, 0, 0, 0, 0, 2}, wire.TypeIPv4)
	ip := b[wire.EthernetLen:]
	wire.PutIPv4(ip, wire.IPv4Fields{TotalLen: len(ip), TTL: 64, Proto: wire.ProtoICMP, Src: src.Addr(), Dst: dst.Addr()})
	m := wire.ICMP(ip[wire.IPv4Len:])
	wire.PutICMP(m, typ, wire.CodePortUnreachable, 0)
	m.FillChecksum()
	return parsed(t, b)
}

func TestICMPErrorsFollow(t *testing.T) {
	b := balancer(t, ap("10.0.0.6:8053"))
	f := packet(t, wire.ProtoUDP, 0, client, vip, "query")
	to, _ := b.Request(f, 256, start)
	e := message(t, to, client, wire.ICMPUnreachable, f)
	if !b.Reply(e, start) {
		t.Fatal("the server's error is not of the connection")
	}
	checksums(t, e)
	q, ok := readQuote(e.ICMP())
	if !ok || e.Src().Addr() != vip.Addr() || q.tuple.src.unpack() != client || q.tuple.dst.unpack() != vip {
		t.Errorf("error from %v about %v to %v; want from %v about %v to it", e.Src(), q.tuple.src.unpack(), q.tuple.dst.unpack(), vip, client)
	}
	r := packet(t, wire.ProtoUDP, 0, vip, client, "answer")
	e = message(t, client, vip, wire.ICMPUnreachable, r)
	if dst, v := b.Request(e, 0, start); v != Handled || dst.Addr() != to.Addr() || e.Dst().Addr() != to.Addr() {
		t.Fatalf("the client's error: %v, %v", dst, v)
	}
	checksums(t, e)
	if q, ok = readQuote(e.ICMP()); !ok || q.tuple.src.unpack() != to || q.tuple.dst.unpack() != client {
		t.Errorf("it is about %v to %v, want from %v", q.tuple.src.unpack(), q.tuple.dst.unpack(), to)
	}
	if h := wire.IPv4(e.ICMP()[wire.ICMPLen:]); !h.Valid() {
		t.Error("the quoted IP checksum is wrong")
	}
}

func TestConcurrent(t *testing.T) {
	b := balancer(t, realA, realB)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(w)}), uint16(1000+i))
				f := packet(t, wire.ProtoTCP, wire.SYN, src, vip, "")
				to, v := b.Request(f, 256, start)
				if v == Handled && !b.Reply(packet(t, wire.ProtoTCP, wire.SYN|wire.ACK, to, src, ""), start) {
					t.Errorf("no reply for %v", src)
				}
				f.Free()
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			_ = b.EditDestination(Mark(256), realB, i%2)
			_, _ = b.Command([]string{"-lnc"})
			_, _ = b.Command([]string{"-ln", "--stats"})
		}
	})
	wg.Wait()
	if got := b.Services()[0].Stats.Conns; got != 1200 {
		t.Errorf("%d connections, want 1200", got)
	}
}

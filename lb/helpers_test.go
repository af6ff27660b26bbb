package lb

import (
	"net/netip"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

var (
	vip    = ap("10.0.0.5:80")
	realA  = ap("10.0.0.6:0")
	realB  = ap("10.0.0.7:0")
	realC  = ap("10.0.0.8:0")
	client = ap("10.0.0.2:41210")
)

const start = int64(1_700_000_000) * int64(time.Second)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// after returns the time that many seconds after start.
func after(seconds float64) int64 { return start + int64(seconds*float64(time.Second)) }

// port returns the client's address with another port.
func port(n int) netip.AddrPort { return netip.AddrPortFrom(client.Addr(), uint16(n)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// marked returns a table with service mark 256 and these destinations of weight 1.
func marked(t testing.TB, cfg Config, scheduler string, dests ...netip.AddrPort) *Table {
	t.Helper()
	table := NewTable(cfg)
	must(t, table.AddService(Mark(256), scheduler))
	for _, d := range dests {
		must(t, table.AddDestination(Mark(256), d, 1))
	}
	return table
}

func syn(from netip.AddrPort) Flow { return segment(from, wire.SYN) }

func segment(from netip.AddrPort, flags byte) Flow {
	return Flow{Proto: wire.ProtoTCP, Flags: flags, Src: from, Dst: vip, Mark: 256, Packets: 1, Bytes: 60}
}

func datagram(from netip.AddrPort) Flow {
	return Flow{Proto: wire.ProtoUDP, Src: from, Dst: vip, Mark: 256, Packets: 1, Bytes: 60}
}

// packet returns an Ethernet frame with a TCP or UDP packet and right checksums.
func packet(t testing.TB, proto, flags byte, src, dst netip.AddrPort, data string) *fabric.Frame {
	t.Helper()
	n := wire.UDPLen
	if proto == wire.ProtoTCP {
		n = wire.TCPLen
	}
	b := make([]byte, wire.EthernetLen+wire.IPv4Len+n, 512)
	b = append(b, data...)
	wire.PutEthernet(b, wire.MAC{2, 0, 0, 0, 0, 1}, wire.MAC{2, 0, 0, 0, 0, 2}, wire.TypeIPv4)
	ip := b[wire.EthernetLen:]
	wire.PutIPv4(ip, wire.IPv4Fields{TotalLen: len(ip), TTL: 64, Proto: proto, Src: src.Addr(), Dst: dst.Addr()})
	l4 := ip[wire.IPv4Len:]
	wire.PutUDP(l4, src.Port(), dst.Port(), len(l4))
	if proto == wire.ProtoTCP {
		l4[4], l4[5], l4[6], l4[7] = 0, 0, 0, 1
		l4[12], l4[13] = 5<<4, flags
	}
	sum := ^wire.Fold(wire.Sum(l4, wire.PseudoSum(src.Addr(), dst.Addr(), proto, len(l4))))
	if proto == wire.ProtoTCP {
		wire.TCP(l4).SetChecksum(sum)
	} else {
		wire.UDP(l4).SetChecksum(sum)
	}
	return parsed(t, b)
}

func parsed(t testing.TB, b []byte) *fabric.Frame {
	t.Helper()
	f := fabric.FromBytes(b)
	if r := f.ParseEthernet(); r != 0 {
		t.Fatalf("frame does not parse: %v", r)
	}
	return f
}

// checksums fails the test unless IP and transport checksum of f are right.
func checksums(t testing.TB, f *fabric.Frame) {
	t.Helper()
	h := f.IPv4()
	if !h.Valid() {
		t.Errorf("IP checksum of %v to %v is wrong", f.Src(), f.Dst())
	}
	var sum uint64
	if f.Proto != wire.ProtoICMP {
		sum = wire.PseudoSum(h.Src(), h.Dst(), f.Proto, len(f.L4()))
	}
	if got := wire.Fold(wire.Sum(f.L4(), sum)); got != 0xffff {
		t.Errorf("transport checksum of %v to %v is wrong: sum %#04x", f.Src(), f.Dst(), got)
	}
}

package nat

import (
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// sec is a time in these tests: seconds since the tests' beginning.
func sec(n int64) int64 { return 1_500_000_000*second + n*second }

// host is a namespace with one address per interface.
type host map[string]string

func (h host) IsLocal(a netip.Addr) bool {
	for _, x := range h {
		if netip.MustParseAddr(x) == a {
			return true
		}
	}
	return a.IsLoopback()
}
func (host) IsBroadcast(a netip.Addr) bool { return a == netip.MustParseAddr("172.17.255.255") }
func (h host) MasqueradeAddr(out string, _ netip.Addr) (netip.Addr, bool) {
	return h.IfaceAddr(out)
}
func (h host) IfaceAddr(in string) (netip.Addr, bool) {
	x, ok := h[in]
	if !ok {
		return netip.Addr{}, false
	}
	return netip.MustParseAddr(x), true
}

var dockerHost = host{"eth0": "192.168.56.11", "docker0": "172.17.0.1", "br-1": "172.18.0.1"}

// build returns an Ethernet frame with an IPv4 packet whose transport part is l4, checksums filled.
func build(proto byte, src, dst netip.Addr, l4 []byte) *fabric.Frame {
	b := make([]byte, 34+len(l4))
	wire.PutEthernet(b, wire.MAC{2, 0, 0, 0, 0, 1}, wire.MAC{2, 0, 0, 0, 0, 2}, wire.TypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{TotalLen: 20 + len(l4), ID: 7, TTL: 64, Proto: proto, Src: src, Dst: dst})
	copy(b[34:], l4)
	switch proto {
	case wire.ProtoTCP, wire.ProtoUDP:
		at := 16
		if proto == wire.ProtoUDP {
			at = 6
		}
		sum := ^wire.Fold(wire.Sum(b[34:], wire.PseudoSum(src, dst, proto, len(l4))))
		if sum == 0 && proto == wire.ProtoUDP {
			sum = 0xffff
		}
		be.PutUint16(b[34+at:], sum)
	case wire.ProtoICMP:
		wire.ICMP(b[34:]).FillChecksum()
	}
	f := fabric.FromBytes(b)
	if r := f.ParseEthernet(); r != 0 {
		panic(r.String())
	}
	return f
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func tcpFrame(src, dst string, flags byte) *fabric.Frame {
	s, d := ap(src), ap(dst)
	l4 := make([]byte, 24)
	be.PutUint16(l4, s.Port())
	be.PutUint16(l4[2:], d.Port())
	be.PutUint32(l4[4:], 1000)
	l4[12], l4[13] = 5<<4, flags
	copy(l4[20:], "data")
	if flags&wire.SYN != 0 {
		l4 = l4[:20]
	}
	return build(wire.ProtoTCP, s.Addr(), d.Addr(), l4)
}

func udpFrame(src, dst string) *fabric.Frame {
	s, d := ap(src), ap(dst)
	l4 := make([]byte, 8+32)
	wire.PutUDP(l4, s.Port(), d.Port(), len(l4))
	copy(l4[8:], "a payload that is long enough")
	return build(wire.ProtoUDP, s.Addr(), d.Addr(), l4)
}

func echoFrame(typ byte, src, dst string, id uint16) *fabric.Frame {
	l4 := make([]byte, 8+56)
	wire.PutICMP(l4, typ, 0, uint32(id)<<16|1)
	return build(wire.ProtoICMP, netip.MustParseAddr(src), netip.MustParseAddr(dst), l4)
}

// errorFrame returns an ICMP error from a router about the packet in f, with as much of it as quote says.
func errorFrame(from string, typ, code byte, about *fabric.Frame, quote int) *fabric.Frame {
	ip := about.AppendTo(nil)[14:]
	l4 := make([]byte, 8, 8+len(ip))
	wire.PutICMP(l4, typ, code, 0)
	l4 = append(l4, ip[:min(quote, len(ip))]...)
	return build(wire.ProtoICMP, netip.MustParseAddr(from), about.IPv4().Src(), l4)
}

// valid checks every checksum of a frame, those of a packet quoted in an ICMP error too.
func valid(t *testing.T, f *fabric.Frame) {
	t.Helper()
	b := f.AppendTo(nil)[14:]
	if !wire.IPv4(b).Valid() {
		t.Errorf("bad IPv4 checksum")
	}
	validPacket(t, b, true)
}

func validPacket(t *testing.T, ip []byte, whole bool) {
	t.Helper()
	h := wire.IPv4(ip)
	l4 := ip[h.HeaderLen():]
	if len(ip) < h.TotalLen() {
		return
	}
	switch h.Proto() {
	case wire.ProtoTCP, wire.ProtoUDP:
		if wire.Fold(wire.Sum(l4, wire.PseudoSum(h.Src(), h.Dst(), h.Proto(), len(l4)))) != 0xffff {
			t.Errorf("bad transport checksum (outermost: %v)", whole)
		}
	case wire.ProtoICMP:
		if wire.Fold(wire.Sum(l4, 0)) != 0xffff {
			t.Errorf("bad ICMP checksum (outermost: %v)", whole)
		}
		if wire.ICMP(l4).IsError() && whole {
			if !wire.IPv4(l4[8:]).Valid() {
				t.Errorf("bad checksum of the quoted IPv4 header")
			}
			validPacket(t, l4[8:], false)
		}
	}
}

// forward takes a frame through the hooks of a router and returns the verdict of the first hook that does not accept.
func forward(n *Netfilter, f *fabric.Frame, in, out string, at int64) (*Packet, Verdict) {
	p := &Packet{Frame: f, In: in}
	if v := n.Run(Prerouting, p, at); v.Action != Accept {
		return p, v
	}
	p.Out = out
	if v := n.Run(Forward, p, at); v.Action != Accept {
		return p, v
	}
	return p, n.Run(Postrouting, p, at)
}

// deliver takes a frame that is for the namespace itself through the hooks.
func deliver(n *Netfilter, f *fabric.Frame, in string, at int64) (*Packet, Verdict) {
	p := &Packet{Frame: f, In: in}
	if v := n.Run(Prerouting, p, at); v.Action != Accept {
		return p, v
	}
	return p, n.Run(Input, p, at)
}

// send takes a frame of the namespace's own through the hooks.
func send(n *Netfilter, f *fabric.Frame, out string, at int64) (*Packet, Verdict) {
	p := &Packet{Frame: f, Out: out}
	if v := n.Run(Output, p, at); v.Action != Accept {
		return p, v
	}
	return p, n.Run(Postrouting, p, at)
}

func flow(f *fabric.Frame) string {
	if f.Proto == wire.ProtoTCP || f.Proto == wire.ProtoUDP {
		return f.Src().String() + " > " + f.Dst().String()
	}
	return f.Src().Addr().String() + " > " + f.Dst().Addr().String()
}

// rules runs iptables command lines, one a line.
func rules(t testing.TB, n *Netfilter, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if _, err := n.Command(splitWords(line)); err != nil {
			t.Fatalf("iptables %s: %v", line, err)
		}
	}
}

func command(t testing.TB, n *Netfilter, line string) string {
	t.Helper()
	out, err := n.Command(splitWords(line))
	if err != nil {
		t.Fatalf("iptables %s: %v", line, err)
	}
	return out
}

func newHost(t testing.TB, lines ...string) *Netfilter {
	n := New(Config{Env: dockerHost, Place: "host-a"})
	rules(t, n, lines...)
	return n
}

package nat

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// FuzzPacket runs any frame through all hooks: nothing may panic, and what is translated keeps right checksums right.
func FuzzPacket(f *testing.F) {
	sent := udpFrame("192.168.56.1:5000", "192.168.56.11:8080")
	for _, frame := range []*fabric.Frame{sent, tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.SYN), echoFrame(8, "172.17.0.2", "8.8.8.8", 0),
		errorFrame("10.1.1.1", 3, 4, udpFrame("172.17.0.2:80", "192.168.56.1:5000"), 28), errorFrame("10.1.1.1", 11, 0, echoFrame(8, "192.168.56.11", "8.8.8.8", 0), 200)} {
		f.Add(frame.AppendTo(nil), frame.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		n := newHost(t, guideEra...)
		rules(t, n, "-t nat -A PREROUTING -p udp -j DNAT --to-destination 172.17.0.2-172.17.0.9:80", "-t nat -A POSTROUTING -j MASQUERADE")
		forward(n, udpFrame("192.168.56.1:5000", "192.168.56.11:8080"), "eth0", "docker0", sec(0))
		for i, raw := range [][]byte{a, b, a} {
			frame := fabric.FromBytes(raw)
			if frame.ParseEthernet() != 0 {
				return
			}
			before := goodSum(frame)
			forward(n, frame, []string{"eth0", "docker0"}[i&1], []string{"docker0", "eth0"}[i&1], sec(int64(i)))
			if before && !goodSum(frame) {
				t.Errorf("%x: a right checksum became wrong: %x", raw, frame.AppendTo(nil))
			}
			send(n, frame, "eth0", sec(int64(i)))
			deliver(n, frame, "eth0", sec(int64(i)))
		}
		n.FormatConntrack(sec(0))
	})
}

// goodSum tells whether the checksums of a packet's headers hold.
func goodSum(f *fabric.Frame) bool {
	h := f.IPv4()
	if h == nil || !h.Valid() || h.IsFragment() {
		return false
	}
	l4 := f.AppendTo(nil)[len(f.Linear())-len(f.L4()):]
	switch {
	case f.L4() == nil:
		return false
	case f.Proto == wire.ProtoICMP:
		return wire.Fold(wire.Sum(l4, 0)) == 0xffff
	case f.Proto == wire.ProtoTCP, f.Proto == wire.ProtoUDP && f.UDP().Checksum() != 0:
		return wire.Fold(wire.Sum(l4, wire.PseudoSum(h.Src(), h.Dst(), f.Proto, len(l4)))) == 0xffff
	}
	return false
}

// TestRulesChangeWhilePacketsFlow is for the race detector.
func TestRulesChangeWhilePacketsFlow(t *testing.T) {
	n := newHost(t, guideEra...)
	ctx, cancel := context.WithCancel(context.Background())
	var flows, other sync.WaitGroup
	for g := range 4 {
		flows.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 500 {
				src := fmt.Sprintf("192.168.56.%d:%d", 1+r.IntN(3), 5000+r.IntN(20))
				f := tcpFrame(src, "192.168.56.11:8080", wire.SYN)
				if _, v := forward(n, f, "eth0", "docker0", sec(int64(i))); v.Action == Accept {
					forward(n, tcpFrame(f.Dst().String(), f.Src().String(), wire.SYN|wire.ACK), "docker0", "eth0", sec(int64(i)))
				}
			}
		})
	}
	other.Go(func() {
		for ctx.Err() == nil {
			rules(t, n, "-I FORWARD -s 1.2.3.4 -j DROP", "-D FORWARD -s 1.2.3.4 -j DROP", "-N X", "-A FORWARD -j X", "-D FORWARD -j X", "-X X", "-t mangle -L -v", "-Z")
			n.FormatConntrack(sec(0))
			n.Save(true)
			n.Forget(sec(0), func(c Connection) bool { return c.Original.Src.Port() == 5000 })
		}
	})
	flows.Wait()
	cancel()
	other.Wait()
}

func benchPair(b *testing.B, n *Netfilter) (there, back *fabric.Frame) {
	b.Helper()
	at := sec(0)
	f := tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.SYN)
	if _, v := forward(n, f, "eth0", "docker0", at); v.Action != Accept {
		b.Fatal(v.Where())
	}
	forward(n, tcpFrame("172.17.0.2:80", "192.168.56.1:5000", wire.SYN|wire.ACK), "docker0", "eth0", at)
	there = tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.ACK)
	return there, tcpFrame("172.17.0.2:80", "192.168.56.1:5000", wire.ACK)
}

// BenchmarkHit is a packet of an established connection at the first hook, without rules: the lookup.
func BenchmarkHit(b *testing.B) {
	n := New(Config{})
	f := udpFrame(client, server)
	forward(n, f, "a", "b", sec(0))
	b.ReportAllocs()
	for b.Loop() {
		p := Packet{Frame: f, In: "a"}
		n.Run(Prerouting, &p, sec(0))
	}
}

// BenchmarkHitAmongMany is the same with 100,000 connections, each in its turn.
func BenchmarkHitAmongMany(b *testing.B) {
	n := New(Config{})
	const flows = 100_000
	f := udpFrame(client, server)
	for i := range flows {
		f.SetSrc(netip.AddrPortFrom(addr4(10<<24|uint32(i>>12)), uint16(i&4095+1)))
		forward(n, f, "a", "b", sec(0))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7919) % flows
		be.PutUint32(f.IPv4()[12:], 10<<24|uint32(i>>12))
		be.PutUint16(f.L4(), uint16(i&4095+1))
		p := Packet{Frame: f, In: "a"}
		n.Run(Prerouting, &p, sec(0))
	}
}

// BenchmarkForwardRewrite is a packet of a published port's connection through the three hooks of a Docker host: lookup, translation, filter.
func BenchmarkForwardRewrite(b *testing.B) {
	n := newHost(b, guideEra...)
	there, _ := benchPair(b, n)
	out := ap("192.168.56.11:8080")
	b.ReportAllocs()
	for b.Loop() {
		there.SetDst(out)
		p := Packet{Frame: there, In: "eth0"}
		n.Run(Prerouting, &p, sec(0))
		p.Out = "docker0"
		n.Run(Forward, &p, sec(0))
		n.Run(Postrouting, &p, sec(0))
	}
}

// BenchmarkNew is the first packet of a connection through a published port.
func BenchmarkNew(b *testing.B) {
	n := newHost(b, guideEra...)
	f := tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.SYN)
	b.ReportAllocs()
	i := uint32(0)
	for b.Loop() {
		i++
		be.PutUint32(f.IPv4()[12:], 10<<24|i>>15)
		be.PutUint16(f.L4(), uint16(i&32767+1))
		f.SetDst(ap("192.168.56.11:8080"))
		p := Packet{Frame: f, In: "eth0"}
		n.Run(Prerouting, &p, sec(int64(i>>12)))
		p.Out = "docker0"
		n.Run(Forward, &p, sec(int64(i>>12)))
		n.Run(Postrouting, &p, sec(int64(i>>12)))
	}
}

func TestNoAllocationsOnAHit(t *testing.T) {
	n := newHost(t, guideEra...)
	forward(n, tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.SYN), "eth0", "docker0", sec(0))
	forward(n, tcpFrame("172.17.0.2:80", "192.168.56.1:5000", wire.SYN|wire.ACK), "docker0", "eth0", sec(0))
	f := tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.ACK)
	allocs := testing.AllocsPerRun(100, func() {
		f.SetDst(ap("192.168.56.11:8080"))
		p := Packet{Frame: f, In: "eth0"}
		n.Run(Prerouting, &p, sec(0))
		p.Out = "docker0"
		n.Run(Forward, &p, sec(0))
		n.Run(Postrouting, &p, sec(0))
	})
	if allocs != 0 {
		t.Errorf("allocations per packet = %v; want 0", allocs)
	}
}

package netns

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// stream measures one TCP connection from one namespace to another.
func stream(b *testing.B, l *lab, from, to *Namespace, address string) {
	ln := must(to.Listen("tcp", ":5001"))
	got := make(chan int64)
	go func() {
		c := must(ln.Accept())
		buf := make([]byte, 256<<10)
		var n int64
		for {
			k, err := c.Read(buf)
			n += int64(k)
			if err != nil {
				got <- n
				return
			}
		}
	}()
	c := must(from.Dial(l.ctx, "tcp", address+":5001"))
	buf := make([]byte, 256<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	start := time.Now()
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	c.(*conn).CloseWrite()
	b.ReportMetric(float64(<-got)*8/time.Since(start).Seconds()/1e9, "Gbit/s")
}

// BenchmarkTCPBridge is one connection between two containers on a bridge.
func BenchmarkTCPBridge(b *testing.B) {
	l := newLab(b)
	_, cs := l.bridged(2)
	stream(b, l, cs[0], cs[1], "10.0.0.3")
}

// BenchmarkTCPRouted is one connection across three routers.
func BenchmarkTCPRouted(b *testing.B) {
	l := newLab(b)
	client, server, _ := l.routed(3)
	stream(b, l, client, server, "10.9.0.2")
}

// BenchmarkTCPNAT is one connection out of a container by masquerade.
func BenchmarkTCPNAT(b *testing.B) {
	l := newLab(b)
	_, outside, cs := l.docker()
	stream(b, l, cs[0], outside, "192.168.1.10")
}

// BenchmarkUDPSmall sends datagrams of 64 bytes between two containers, 128 under way at once.
func BenchmarkUDPSmall(b *testing.B) {
	l := newLab(b)
	_, cs := l.bridged(2)
	s := must(cs[1].ListenPacket("udp", ":53"))
	c := must(cs[0].Dial(l.ctx, "udp", "10.0.0.3:53"))
	window := make(chan struct{}, 128)
	go func() {
		buf := make([]byte, 100)
		for {
			if _, _, err := s.ReadFrom(buf); err != nil {
				return
			}
			<-window
		}
	}()
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		window <- struct{}{}
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPing is an echo request and its reply between two containers.
func BenchmarkPing(b *testing.B) {
	l := newLab(b)
	_, cs := l.bridged(2)
	p := must(cs[0].NewPinger())
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Send(addr("10.0.0.3"), PingOptions{Size: 56}); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Receive(l.ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// again is a port that keeps the last frame.
type again struct {
	sink
	f *fabric.Frame
}

func (a *again) Send(batch []*fabric.Frame) { a.f = batch[0] }

// BenchmarkForward sends one train of 40 wire frames through a router.
func BenchmarkForward(b *testing.B) {
	ns := New(Config{Forward: true})
	defer ns.Close()
	in, out := &again{}, &again{}
	eth0 := must(ns.AddInterface(InterfaceConfig{Name: "eth0", Port: in, Addr: prefix("10.0.0.1/24")}))
	eth1 := must(ns.AddInterface(InterfaceConfig{Name: "eth1", Port: out, Addr: prefix("10.5.0.1/24")}))
	eth1.AddNeighbour(addr("10.5.0.9"), wire.MAC{2, 9})
	head := make([]byte, wire.EthernetLen+wire.IPv4Len+wire.TCPLen)
	data := make([]byte, 40*1460)
	wire.PutEthernet(head, eth0.mac, wire.MAC{2, 8}, wire.TypeIPv4)
	ip := head[wire.EthernetLen:]
	wire.PutIPv4(ip, wire.IPv4Fields{TotalLen: len(ip) + len(data), TTL: 64, Proto: wire.ProtoTCP, Src: addr("10.0.0.9"), Dst: addr("10.5.0.9")})
	wire.PutTCP(ip[wire.IPv4Len:], wire.TCPFields{SrcPort: 1, DstPort: 2, Flags: wire.ACK})
	f := fabric.New()
	copy(f.Extend(len(head)), head)
	f.SetPayloadBytes(data)
	if reason := f.ParseEthernet(); reason != 0 {
		b.Fatal(reason)
	}
	f.Segs, f.MSS, f.Checksum = 40, 1460, fabric.ChecksumPartial
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	batch := make([]*fabric.Frame, 1)
	for b.Loop() {
		batch[0] = f
		(*in.r.Load()).Receive(batch)
		f = out.f
		if f == nil {
			b.Fatal(eth0.Read())
		}
		e, h := f.Eth(), f.IPv4()
		e.SetDst(eth0.mac)
		h[8] = 64
		h.FillChecksum()
	}
}

// BenchmarkNamespaces1000 makes 1,000 namespaces on one bridge, each with a socket that listens.
func BenchmarkNamespaces1000(b *testing.B) {
	const n = 1000
	most := 0.0 // of all rounds: later ones use the memory of the first again
	for b.Loop() {
		before := resident()
		start := time.Now()
		host := New(Config{Name: "host"})
		br := must(host.AddBridge(InterfaceConfig{Name: "br0", Addr: prefix("10.0.0.1/16")}))
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		for i := range n {
			c := New(Config{Name: fmt.Sprint("c", i)})
			go func() { ended <- c.Run(ctx) }()
			h, _, err := NewVethPair(host, InterfaceConfig{Name: fmt.Sprint("veth", i)}, c, InterfaceConfig{Name: "eth0", Addr: netipPrefix(i)})
			if err != nil {
				b.Fatal(err)
			}
			if err := h.SetMaster(br); err != nil {
				b.Fatal(err)
			}
			must(c.Listen("tcp", ":80"))
		}
		b.ReportMetric(time.Since(start).Seconds(), "s-to-create")
		most = max(most, float64(resident()-before)/n/1024)
		b.ReportMetric(most, "KB-each")
		start = time.Now()
		stop()
		for range n {
			<-ended
		}
		b.ReportMetric(time.Since(start).Seconds(), "s-to-close")
		host.Close()
	}
}

// resident returns the memory that the process holds.
func resident() int64 {
	runtime.GC()
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range strings.Lines(string(status)) {
			if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				if n, err := strconv.ParseInt(strings.Fields(kb)[0], 10, 64); err == nil {
					return n << 10
				}
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}

package l2switch

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// sink is an in-memory port that frees and counts what it is sent.
type sink struct{ n atomic.Int64 }

func (s *sink) Send(batch []*fabric.Frame) {
	s.n.Add(int64(len(batch)))
	fabric.FreeAll(batch)
}

func (s *sink) SetReceiver(fabric.Receiver) {}

// Ports come, go and change while others send. The counters tell what the others were sent, and nothing of a port that
// is gone is left.
func TestPortsChangeWhileFramesPass(t *testing.T) {
	sw := New(Config{Name: "br0"})
	var senders []*Port
	for i := range 3 {
		p, err := sw.AddPort(fmt.Sprintf("p%d", i), new(sink), PortConfig{})
		if err != nil {
			t.Fatal(err)
		}
		senders = append(senders, p)
	}
	var wg sync.WaitGroup
	for i, p := range senders {
		wg.Go(func() { sendMany(p, i) })
	}
	wg.Go(func() { churn(t, sw) })
	wg.Wait()
	for _, p := range senders {
		if n := p.Read().RxFrames; n != 400*8 {
			t.Errorf("%s received %d frames; want %d", p.Name(), n, 400*8)
		}
		if d := p.Dropped(fabric.DropHairpin); d != p.Read().Dropped() {
			t.Errorf("%s dropped %v; want only hairpins", p.Name(), p.Read().Drops)
		}
		if tx, n := p.Read().TxFrames, p.wire.(*sink).n.Load(); tx != uint64(n) {
			t.Errorf("%s counted %d frames sent; %d came out", p.Name(), tx, n)
		}
	}
	if n := len(sw.Ports()); n != 3 {
		t.Errorf("%d ports left; want 3", n)
	}
	for _, e := range sw.Entries() {
		if sw.Port(e.Port) == nil {
			t.Errorf("entry of a port that is gone: %+v", e)
		}
	}
}

func sendMany(p *Port, i int) {
	for round := range 400 {
		batch := make([]*fabric.Frame, 8)
		for j := range batch {
			dst := mac(round*7 + j)
			if j == 0 {
				dst = wire.Broadcast
			}
			batch[j] = fabric.FromBytes(eth(dst, mac(round*3+i+j)))
		}
		p.Receive(batch)
	}
}

func churn(t *testing.T, sw *Switch) {
	for i := range 200 {
		name := fmt.Sprintf("x%d", i%2)
		p, err := sw.AddPort(name, new(sink), PortConfig{})
		if err != nil {
			t.Error(err)
			return
		}
		_ = sw.AddLocal(name, mac(1000+i))
		p.SetHairpin(i%2 == 0)
		p.Receive([]*fabric.Frame{fabric.FromBytes(eth(wire.Broadcast, mac(2000+i)))})
		sw.Entries()
		sw.Ports()
		sw.SetAgeing(DefaultAgeing)
		if i%10 == 0 {
			sw.Flush()
		}
		if err := sw.RemovePort(name); err != nil {
			t.Error(err)
		}
		p.Receive([]*fabric.Frame{fabric.FromBytes(eth(wire.Broadcast, mac(2000+i)))})
	}
}

// line is a switch of n ports that free what they are sent, each of which has sent from its own address, mac(i).
func line(tb testing.TB, cfg Config, n int) []*Port {
	sw := New(cfg)
	ports := make([]*Port, n)
	for i := range ports {
		p, err := sw.AddPort(fmt.Sprintf("p%d", i), new(sink), PortConfig{})
		if err != nil {
			tb.Fatal(err)
		}
		p.Receive([]*fabric.Frame{fabric.FromBytes(eth(wire.Broadcast, mac(i)))})
		ports[i] = p
	}
	return ports
}

// fill takes frames off the free list and copies the header into each.
func fill(batch []*fabric.Frame, header []byte) {
	for i := range batch {
		batch[i] = fabric.FromBytes(header)
	}
}

func TestForwardDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop what it holds")
	}
	for name, cfg := range map[string]Config{"plain": {}, "vlan": {VLANFiltering: true}} {
		for what, dst := range map[string]wire.MAC{"unicast": mac(1), "broadcast": wire.Broadcast} {
			ports := line(t, cfg, 4)
			batch, frame := make([]*fabric.Frame, 32), eth(dst, mac(0))
			run := func() {
				fill(batch, frame)
				ports[0].Receive(batch)
			}
			run()
			if n := testing.AllocsPerRun(1000, run); n != 0 {
				t.Errorf("%s %s: %v allocations per batch; want 0", name, what, n)
			}
			if n := ports[1].Read().TxFrames; n < 1000*32 {
				t.Errorf("%s %s: only %d frames came out", name, what, n)
			}
		}
	}
}

// BenchmarkForward moves batches of 32 frames of 60 bytes from one in-memory port to another: taken off the free list,
// filled, bridged and freed.
func BenchmarkForward(b *testing.B) {
	for name, cfg := range map[string]Config{"plain": {}, "vlan": {VLANFiltering: true}} {
		b.Run(name, func(b *testing.B) {
			ports := line(b, cfg, 2)
			forward(b, ports[0], eth(mac(1), mac(0)), 32)
		})
	}
	b.Run("single", func(b *testing.B) {
		ports := line(b, Config{}, 2)
		forward(b, ports[0], eth(mac(1), mac(0)), 1)
	})
	b.Run("flood-to-7", func(b *testing.B) {
		ports := line(b, Config{}, 8)
		forward(b, ports[0], eth(wire.Broadcast, mac(0)), 32)
	})
	b.Run("1000-hosts", func(b *testing.B) {
		ports := line(b, Config{}, 1000)
		batch, frames := make([]*fabric.Frame, 32), make([][]byte, 1000)
		for i := range frames {
			frames[i] = eth(mac(i), mac(0))
		}
		b.ReportAllocs()
		n := 1
		for b.Loop() {
			for i := range batch {
				batch[i] = fabric.FromBytes(frames[n])
				n = n%999 + 1
			}
			ports[0].Receive(batch)
		}
		perFrame(b, 32)
	})
}

func forward(b *testing.B, in *Port, frame []byte, size int) {
	batch := make([]*fabric.Frame, size)
	dropped := in.Read().Dropped()
	b.ReportAllocs()
	for b.Loop() {
		fill(batch, frame)
		in.Receive(batch)
	}
	perFrame(b, size)
	if in.Read().Dropped() != dropped {
		b.Errorf("dropped %v", in.Read().Drops)
	}
}

func perFrame(b *testing.B, size int) {
	ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N*size)
	b.ReportMetric(ns, "ns/frame")
	b.ReportMetric(1000/ns, "Mpps")
}

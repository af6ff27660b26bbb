package vxlan_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

var shapes = []struct {
	name string
	vxlantest.TrainConfig
}{
	{"frame-64", vxlantest.TrainConfig{Segs: 1, MSS: 10}},
	{"frame-1450", vxlantest.TrainConfig{Segs: 1, MSS: 1398}},
	{"train-44", vxlantest.TrainConfig{Segs: 44, MSS: 1398}},
}

// sink is a transport that keeps a frame for the next turn.
type sink struct{ last *fabric.Frame }

func (s *sink) Send(_ netip.AddrPort, batch []*fabric.Frame)             { s.last = batch[0] }
func (s *sink) SetReceiver(func(from netip.AddrPort, b []*fabric.Frame)) {}
func (s *sink) LocalPort() uint16                                        { return vxlan.Port }

func BenchmarkEncapsulate(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			s := new(sink)
			dev, err := vxlan.New(vxlan.Config{Transport: s}).Add(docker)
			if err != nil {
				b.Fatal(err)
			}
			dev.Update(toDst)
			batch := []*fabric.Frame{vxlantest.Train(shape.TrainConfig)}
			b.SetBytes(int64(batch[0].WireLen()))
			b.ReportAllocs()
			for b.Loop() {
				dev.Send(batch)
				s.last.Decapsulate()
			}
		})
	}
}

func BenchmarkDecapsulate(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			addr := netip.AddrPortFrom(vtep3, vxlan.Port)
			ends := vxlan.NewPipe(addr)
			dev, err := vxlan.New(vxlan.Config{Transport: ends[0]}).Add(docker)
			if err != nil {
				b.Fatal(err)
			}
			dev.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) { batch[0].Hops = 0 }))
			batch := []*fabric.Frame{vxlantest.Wrap(vxlantest.Train(shape.TrainConfig), 257)}
			b.SetBytes(int64(batch[0].WireLen()))
			b.ReportAllocs()
			for b.Loop() {
				ends[0].Send(addr, batch)
				vxlantest.Wrap(batch[0], 257)
			}
		})
	}
}

// One endpoint more, and one fewer, on a network with a thousand.
func BenchmarkUpdate(b *testing.B) {
	d, err := vxlan.New(vxlan.Config{Transport: new(sink)}).Add(docker)
	if err != nil {
		b.Fatal(err)
	}
	mac := func(i int) wire.MAC { return wire.MAC{2, 0x42, 10, 1, byte(i >> 8), byte(i)} }
	ip := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }
	add := func(t *vxlan.Table, i int) { t.AddRemote("ep", mac(i), vtep3); t.AddNeighbour("ep", ip(i), mac(i)) }
	d.Update(func(t *vxlan.Table) {
		for i := range 1000 {
			add(t, i)
		}
	})
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) % 1000 {
		d.Update(func(t *vxlan.Table) { t.RemoveRemote("ep", mac(i)); t.RemoveNeighbour("ep", ip(i)) })
		d.Update(func(t *vxlan.Table) { add(t, i) })
	}
}

// BenchmarkCut is what a read from a socket costs after the system call.
func BenchmarkCut(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			d := datagrams(shape.TrainConfig)
			all, cut := slices.Concat(d...), vxlan.NewCut()
			b.SetBytes(int64(len(all)))
			b.ReportAllocs()
			for b.Loop() {
				fabric.FreeAll(cut(all, len(d[0])))
			}
		})
	}
}

// BenchmarkUDP sends over a real socket and waits for each burst to arrive.
func BenchmarkUDP(b *testing.B) {
	for _, mode := range []struct {
		name  string
		plain bool
	}{{"offload", false}, {"plain", true}} {
		b.Run(mode.name, func(b *testing.B) {
			x, y := listen(b, mode.plain), listen(b, mode.plain)
			run(b, x)
			run(b, y)
			arrived := make(chan int, 1024)
			y.SetReceiver(func(_ netip.AddrPort, batch []*fabric.Frame) {
				n := 0
				for _, f := range batch {
					n += int(f.Segs)
				}
				fabric.FreeAll(batch)
				arrived <- n
			})
			train := vxlantest.Wrap(vxlantest.Train(vxlantest.TrainConfig{Segs: 40, MSS: 1398}), 257)
			b.SetBytes(int64(train.WireLen()))
			b.ReportAllocs()
			for b.Loop() {
				x.Send(y.LocalAddr(), []*fabric.Frame{train.Clone()})
				for n := 0; n < 40; {
					n += <-arrived
				}
			}
		})
	}
}

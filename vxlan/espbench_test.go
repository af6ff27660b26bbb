package vxlan_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// FuzzESPReceive hands a host what claims to be ESP.
func FuzzESPReceive(f *testing.F) {
	_, ends, pipes := secured(f, 257)
	spi := ends[1].States()[0].SPI
	f.Add([]byte{})
	f.Add(append([]byte{byte(spi >> 24), byte(spi >> 16), byte(spi >> 8), byte(spi)}, bytes.Repeat([]byte{7}, 60)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := fabric.New()
		h := g.Extend(wire.IPv4Len)
		wire.PutIPv4(h, wire.IPv4Fields{TotalLen: min(65535, len(h)+len(b)), TTL: 64, Proto: wire.ProtoESP, Src: vtep2, Dst: vtep3})
		g.SetPayloadBytes(b)
		g.SetOuter(wire.TypeIPv4, wire.ProtoESP, 0, wire.IPv4Len)
		if n := len(b) / 100; n > 1 {
			g.Segs, g.MSS = uint16(min(n, fabric.MaxSegs)), 100
		}
		pipes[1].rx([]*fabric.Frame{g})
	})
}

func BenchmarkESP(b *testing.B) {
	for _, shape := range []vxlantest.TrainConfig{{Segs: 1, MSS: 10}, {Segs: 1, MSS: 1372}, {Segs: 44, MSS: 1372}} {
		b.Run(fmt.Sprintf("%dx%d", shape.Segs, shape.MSS), func(b *testing.B) {
			devs, ends, pipes := secured(b, 257)
			devs[0].Update(toDst)
			pipes[0].quick = true
			devs[1].SetReceiver(fabric.ReceiverFunc(fabric.FreeAll))
			f, batch := vxlantest.Train(shape), make([]*fabric.Frame, 1)
			b.SetBytes(int64(f.WireLen()))
			b.ReportAllocs()
			for b.Loop() {
				batch[0] = f.Clone()
				devs[0].Send(batch)
			}
			if ends[1].Read().Dropped() != 0 {
				b.Fatal(ends[1].Read().Drops)
			}
		})
	}
}

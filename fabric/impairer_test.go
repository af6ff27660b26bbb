package fabric

import (
	"math/rand/v2"
	"testing"
	"time"
)

func BenchmarkImpair(b *testing.B) {
	for _, c := range []struct {
		name string
		set  Impairment
	}{
		{"delay", Impairment{Delay: time.Microsecond}},
		{"loss", Impairment{Loss: 0.001}},
		{"rate", Impairment{Rate: 1e9}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := impairer{rng: rand.New(rand.NewPCG(1, 2)), drops: new(Counters), place: "a"}
			train := benchTrain()
			defer train.Free()
			var out []passage
			at := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				out = m.pass(&c.set, train.Clone(), at, out[:0])
				for _, p := range out {
					p.f.Free()
				}
				at += 1_000_000
			}
		})
	}
}

// benchTrain is a train of 40 wire frames.
func benchTrain() *Frame {
	const mss, segs = 1448, 40
	b := make([]byte, 54+mss*segs)
	copy(b[12:], []byte{8, 0, 0x45, 0, byte((len(b) - 14) >> 8), byte(len(b) - 14), 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	b[46] = 5 << 4
	f := FromBytes(b)
	if f.ParseEthernet() != 0 {
		panic("the train is malformed")
	}
	f.Segs, f.MSS, f.Checksum = segs, mss, ChecksumPartial
	return f
}

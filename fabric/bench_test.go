package fabric_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

func BenchmarkNewFree(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		fabric.New().Free()
	}
}

// BenchmarkNewFreeBatch takes and frees 32 frames at a time; the figures are per frame.
func BenchmarkNewFreeBatch(b *testing.B) {
	batch := make([]*fabric.Frame, 32)
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(batch) {
		fabric.NewBatch(batch)
		fabric.FreeAll(batch)
	}
}

// BenchmarkNewFreeAcross makes frames in one goroutine and frees them in another, as a link does.
func BenchmarkNewFreeAcross(b *testing.B) {
	b.ReportAllocs()
	ch := make(chan []*fabric.Frame, 16)
	back := make(chan []*fabric.Frame, 18)
	for range 18 {
		back <- make([]*fabric.Frame, 64)
	}
	done := make(chan struct{})
	go func() {
		for batch := range ch {
			fabric.FreeAll(batch)
			back <- batch
		}
		close(done)
	}()
	for i := 0; i < b.N; i += 64 {
		batch := <-back
		fabric.NewBatch(batch)
		ch <- batch
	}
	close(ch)
	<-done
}

func benchTrain() *fabric.Frame {
	return fabrictest.Packet{Size: 64000, MSS: 1448, Partial: true}.TCP()
}

func BenchmarkClone(b *testing.B) {
	f := benchTrain()
	b.ReportAllocs()
	for b.Loop() {
		f.Clone().Free()
	}
}

// BenchmarkQueue pushes and reads batches of 64; the figures are per frame.
func BenchmarkQueue(b *testing.B) {
	q, batch := fabric.NewQueue(), packets(64)
	b.ReportAllocs()
	for i := 0; i < b.N; i += 64 {
		q.Push(batch)
		got, _ := q.Next(context.Background())
		q.Done(got)
	}
}

func BenchmarkQueueSingle(b *testing.B) {
	q, batch := fabric.NewQueue(), packets(1)
	b.ReportAllocs()
	for b.Loop() {
		q.Push(batch)
		got, _ := q.Next(context.Background())
		q.Done(got)
	}
}

// BenchmarkAppendSegment writes out a train; the rate is that of its wire frames.
func BenchmarkAppendSegment(b *testing.B) {
	f := benchTrain()
	buf := make([]byte, 0, 2048)
	b.SetBytes(int64(f.WireLen()))
	b.ReportAllocs()
	for b.Loop() {
		for i := range int(f.Segs) {
			buf = f.AppendSegment(buf[:0], i)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	f := benchTrain()
	var out []*fabric.Frame
	b.SetBytes(int64(f.WireLen()))
	b.ReportAllocs()
	for b.Loop() {
		out = f.Clone().Split(out[:0])
		fabric.FreeAll(out)
	}
}

func BenchmarkParse(b *testing.B) {
	f := benchTrain()
	b.ReportAllocs()
	for b.Loop() {
		if f.ParseEthernet() != 0 {
			b.Fatal("malformed")
		}
		f.FlowHash()
	}
}

func BenchmarkRewrite(b *testing.B) {
	f := fabrictest.Packet{Size: 1448}.TCP()
	to := [2]netip.AddrPort{netip.MustParseAddrPort("172.17.0.2:8080"), netip.MustParseAddrPort("10.0.0.1:40000")}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		f.SetSrc(to[i&1])
		i++
	}
}

func BenchmarkVeth(b *testing.B) {
	x, y := fabric.NewVeth("a", "b")
	batch := packets(64)
	y.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		for _, f := range batch {
			f.Hops = 0
		}
	}))
	b.ReportAllocs()
	for i := 0; i < b.N; i += 64 {
		x.Send(batch)
	}
}

func BenchmarkTapsEmpty(b *testing.B) {
	var taps fabric.Taps
	batch := packets(1)
	b.ReportAllocs()
	for b.Loop() {
		taps.See(fabric.In, batch)
	}
}

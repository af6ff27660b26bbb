package fabric_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// packet returns f as a namespace hands it to itself: its IP header first.
func packet(f *fabric.Frame) *fabric.Frame {
	f.TrimFront(f.Eth().Len())
	return f
}

// lone returns the wire frames of a train as a namespace gets them one by one: cut by the lab, or off a wire.
func lone(train fabrictest.Packet, offWire bool) []*fabric.Frame {
	var out []*fabric.Frame
	for _, f := range train.TCP().Split(nil) {
		if offWire {
			g := fabric.FromBytes(f.AppendSegment(nil, 0))
			g.ParseEthernet()
			f.Free()
			f = g
		}
		out = append(out, packet(f))
	}
	return out
}

// What Join makes of the wire frames of a train stands for exactly those frames.
func TestJoinUndoesSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		p := fabrictest.Packet{MSS: 1 + r.IntN(1448), ID: uint16(r.Uint32()), Seq: r.Uint32(), Ack: r.Uint32(), Partial: r.IntN(2) == 0,
			TCPOptions: bytes.Repeat([]byte{1}, 4*r.IntN(11)), Flags: wire.ACK | byte(r.UintN(256))&(wire.PSH|wire.FIN)}
		p.Size = min(p.MSS+1+r.IntN(p.MSS*(fabric.MaxSegs-1)), 60000)
		offWire := r.IntN(2) == 0
		var want [][]byte
		for _, f := range lone(p, offWire) {
			want = append(want, f.AppendSegment(nil, 0))
			f.Free()
		}
		batch := lone(p, offWire)
		got := fabric.Join(batch)
		if len(got) != 1 || int(got[0].Segs) != len(want) || got[0].IPv4().TotalLen() != got[0].Len() || !got[0].IPv4().Valid() {
			t.Fatalf("Join of %d frames (%+v) gave %d; the first has %d wire frames", len(want), p, len(got), got[0].Segs)
		}
		for i, w := range want {
			if b := got[0].AppendSegment(nil, i); !bytes.Equal(b, w) {
				t.Fatalf("wire frame %d of %+v is\n% x; want\n% x", i, p, b, w)
			}
		}
		for _, f := range batch[1:] {
			if f != nil {
				t.Fatal("Join left a frame behind the trains")
			}
		}
		fabric.FreeAll(got)
	}
}

func TestJoinKeepsApart(t *testing.T) {
	first := fabrictest.Packet{Size: 1000, Seq: 5000, Ack: 9, TCPOptions: []byte{1, 1, 1, 1}}
	next := first
	next.Seq += 1000
	rows := []struct {
		name          string
		first, second func(p *fabrictest.Packet)
		mend          func(f *fabric.Frame) // of the second
		joined        bool
	}{
		{name: "the next segment", joined: true},
		{name: "a short one", second: func(p *fabrictest.Packet) { p.Size = 1 }, joined: true},
		{name: "the end of the stream", second: func(p *fabrictest.Packet) { p.Flags = wire.ACK | wire.FIN | wire.PSH }, joined: true},
		{name: "another checksum state", second: func(p *fabrictest.Packet) { p.Partial = true }, joined: true},
		{name: "any identification", second: func(p *fabrictest.Packet) { p.ID = 77 }, joined: true},
		{name: "a larger one", second: func(p *fabrictest.Packet) { p.Size = 1001 }},
		{name: "no data", second: func(p *fabrictest.Packet) { p.Size = 0 }},
		{name: "a hole", second: func(p *fabrictest.Packet) { p.Seq++ }},
		{name: "the same again", second: func(p *fabrictest.Packet) { p.Seq -= 1000 }},
		{name: "behind PSH", first: func(p *fabrictest.Packet) { p.Flags = wire.ACK | wire.PSH }},
		{name: "behind FIN", first: func(p *fabrictest.Packet) { p.Flags = wire.ACK | wire.FIN }},
		{name: "RST", second: func(p *fabrictest.Packet) { p.Flags = wire.ACK | wire.RST }},
		{name: "congestion", second: func(p *fabrictest.Packet) { p.Flags = wire.ACK | wire.CWR }},
		{name: "another acknowledgement", second: func(p *fabrictest.Packet) { p.Ack++ }},
		{name: "another window", mend: func(f *fabric.Frame) { f.TCP()[14] ^= 1 }},
		{name: "other options", second: func(p *fabrictest.Packet) { p.TCPOptions = []byte{1, 1, 1, 0} }},
		{name: "more options", second: func(p *fabrictest.Packet) { p.TCPOptions = bytes.Repeat([]byte{1}, 8) }},
		{name: "IP options", second: func(p *fabrictest.Packet) { p.IPOptions = []byte{1, 1, 1, 1} }},
		{name: "another TTL", second: func(p *fabrictest.Packet) { p.TTL = 9 }},
		{name: "another TOS", second: func(p *fabrictest.Packet) { p.TOS = 9 }},
		{name: "DF", second: func(p *fabrictest.Packet) { p.Frag = wire.DontFragment }},
		{name: "another port", second: func(p *fabrictest.Packet) { p.Src = netip.AddrPortFrom(fabrictest.Src.Addr(), 9) }},
		{name: "another address", second: func(p *fabrictest.Packet) { p.Dst = netip.MustParseAddrPort("10.9.9.9:80") }},
		{name: "a trace", mend: func(f *fabric.Frame) { f.Trace = new(fabric.Trace) }},
		{name: "a train", second: func(p *fabrictest.Packet) { p.Size, p.MSS = 1000, 500 }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			a, b := first, next
			for _, change := range []struct {
				of func(*fabrictest.Packet)
				p  *fabrictest.Packet
			}{{row.first, &a}, {row.second, &b}} {
				if change.of != nil {
					change.of(change.p)
				}
			}
			f, g := packet(a.TCP()), packet(b.TCP())
			if row.mend != nil {
				row.mend(g)
			}
			before := g.Segs
			got := fabric.Join([]*fabric.Frame{f, g})
			if joined := len(got) == 1; joined != row.joined {
				t.Fatalf("Join gave %d frames; joined want %v", len(got), row.joined)
			}
			if !row.joined && (got[0] != f || got[1] != g || f.Segs != 1 || g.Segs != before) {
				t.Error("Join changed what it did not join, or its order")
			}
			fabric.FreeAll(got)
		})
	}
}

// Flows that take turns, other protocols and trains keep their order, and no byte is lost.
func TestJoinKeepsOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	next := [3]uint32{1, 1 << 31, 1<<32 - 3000} // sequence numbers; one wraps
	want := next
	for round := range 200 {
		var batch []*fabric.Frame
		for range r.IntN(80) {
			flow := r.IntN(len(next))
			p := fabrictest.Packet{Src: netip.AddrPortFrom(fabrictest.Src.Addr(), uint16(1000+flow)), Seq: next[flow], Size: 1 + r.IntN(3)*500}
			if r.IntN(8) == 0 {
				p.Size, p.MSS, p.Partial = 4000, 1000, true
			}
			next[flow] += uint32(p.Size)
			batch = append(batch, packet(p.TCP()))
			if r.IntN(5) == 0 {
				batch = append(batch, packet(fabrictest.Packet{Size: 10}.UDP()))
			}
		}
		got := fabric.Join(batch)
		for _, f := range got {
			tcp := f.TCP()
			if tcp == nil {
				continue
			}
			flow := int(f.Src().Port()) - 1000
			if tcp.Seq() != want[flow] {
				t.Fatalf("round %d: flow %d goes on at %d; want %d", round, flow, tcp.Seq(), want[flow])
			}
			data := f.AppendTo(nil)[wire.IPv4Len+tcp.HeaderLen():]
			if !bytes.Equal(data, fabrictest.Pattern(tcp.Seq(), len(data))) {
				t.Fatalf("round %d: the %d bytes from %d on are not what was sent", round, len(data), tcp.Seq())
			}
			want[flow] += uint32(len(data))
		}
		fabric.FreeAll(got)
	}
	if want != next {
		t.Errorf("the flows end at %v; want %v", want, next)
	}
}

// A train has at most MaxSegs wire frames and the length that an IP header can say.
func TestJoinBounds(t *testing.T) {
	for _, size := range []int{1, 500, 1448, 9000} {
		var batch []*fabric.Frame
		for i := range 300 {
			batch = append(batch, packet(fabrictest.Packet{Seq: uint32(i * size), Size: size}.TCP()))
		}
		got, segs := fabric.Join(batch), 0
		for _, f := range got {
			segs += int(f.Segs)
			if f.Segs > fabric.MaxSegs || f.Len() > 0xffff || f.Len() != f.IPv4().TotalLen() {
				t.Errorf("size %d: a train of %d wire frames, %d bytes", size, f.Segs, f.Len())
			}
		}
		if segs != 300 || len(got) > 300/min(fabric.MaxSegs, 0xffff/(size+40))+1 {
			t.Errorf("size %d: %d wire frames in %d trains; want 300 in as few as may be", size, segs, len(got))
		}
		fabric.FreeAll(got)
	}
}

func ExampleJoin() {
	batch := lone(fabrictest.Packet{Size: 4000, MSS: 1448}, false)
	fmt.Print(len(batch))
	batch = fabric.Join(batch)
	fmt.Println(" become", len(batch), "of", batch[0].Segs, "wire frames")
	fabric.FreeAll(batch)
	// Output: 3 become 1 of 3 wire frames
}

// BenchmarkJoin joins 40 wire frames; the rate is that of their bytes.
func BenchmarkJoin(b *testing.B) {
	f := packet(benchTrain())
	out := make([]*fabric.Frame, 0, fabric.MaxSegs)
	b.SetBytes(int64(f.WireLen()))
	b.ReportAllocs()
	for b.Loop() {
		fabric.FreeAll(fabric.Join(f.Clone().Split(out)))
	}
}

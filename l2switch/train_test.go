package l2switch

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// train returns a TCP train of that many segments between two addresses.
func train(t *testing.T, dst, src wire.MAC, vlan uint16, segs int, last int) *fabric.Frame {
	t.Helper()
	const mss = 1000
	data := make([]byte, (segs-1)*mss+last)
	for i := range data {
		data[i] = byte(i ^ i>>8)
	}
	f := fabric.New()
	b := f.Extend(wire.EthernetLen)
	wire.PutEthernet(b, dst, src, wire.TypeIPv4)
	if vlan != 0 {
		be.PutUint16(b[12:], wire.TypeVLAN)
		tag := f.Extend(wire.VLANLen)
		be.PutUint16(tag, vlan)
		be.PutUint16(tag[2:], wire.TypeIPv4)
	}
	wire.PutIPv4(f.Extend(wire.IPv4Len), wire.IPv4Fields{TotalLen: wire.IPv4Len + wire.TCPLen + len(data), ID: 7, TTL: 64,
		Proto: wire.ProtoTCP, Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")})
	wire.PutTCP(f.Extend(wire.TCPLen), wire.TCPFields{SrcPort: 1234, DstPort: 80, Seq: 1000, Flags: wire.ACK | wire.PSH})
	f.SetPayload(buffer.MakeWithData(data))
	if reason := f.ParseEthernet(); reason != 0 {
		t.Fatalf("ParseEthernet = %v", reason)
	}
	f.Checksum = fabric.ChecksumPartial
	if segs > 1 {
		f.Segs, f.MSS = uint16(segs), mss
	}
	return f
}

// A train through the switch, tags put on and taken off, is on every wire what its frames are one by one.
func TestTrainEqualsItsFrames(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	cfgs := map[string]PortConfig{
		"in": {Trunk: []uint16{10, 20}, Native: 30}, "access10": {VLAN: 10}, "access20": {VLAN: 20}, "native": {VLAN: 30},
		"trunk": {Trunk: []uint16{10, 20, 30}}, "mixed": {Trunk: []uint16{10, 30}, Native: 20},
	}
	build := func() *bench {
		b := newBench(t, Config{VLANFiltering: true})
		for _, n := range []string{"in", "access10", "access20", "native", "trunk", "mixed"} {
			b.port(n, cfgs[n])
		}
		b.send("trunk", tagged(wire.Broadcast, mac(2), 10), tagged(wire.Broadcast, mac(2), 30))
		b.send("access20", eth(wire.Broadcast, mac(2)))
		b.reached()
		return b
	}
	whole, single := build(), build()
	for range 300 {
		dst := []wire.MAC{mac(2), mac(9), wire.Broadcast}[rng.IntN(3)]
		vlan := []uint16{0, 10, 20}[rng.IntN(3)]
		segs, last := 1+rng.IntN(fabric.MaxSegs), 1+rng.IntN(1000)
		f := train(t, dst, mac(1), vlan, segs, last)
		frames := f.Clone().Split(nil)
		whole.sw.Port("in").Receive([]*fabric.Frame{f})
		single.sw.Port("in").Receive(frames)
		for n := range cfgs {
			got, want := whole.taps[n].take(), single.taps[n].take()
			if len(got) != len(want) {
				t.Fatalf("%s got %d frames of a train of %d to %s; want %d", n, len(got), segs, dst, len(want))
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("%s: frame %d of a train of %d differs:\n%x\n%x", n, i, segs, got[i], want[i])
				}
			}
		}
	}
	for n := range cfgs {
		got, want := whole.sw.Port(n).Read(), single.sw.Port(n).Read()
		if got.TxFrames != want.TxFrames || got.TxBytes != want.TxBytes || got.RxBytes != want.RxBytes {
			t.Errorf("%s: counters of the train %+v; of its frames %+v", n, got, want)
		}
	}
}

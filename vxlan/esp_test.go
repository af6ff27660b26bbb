package vxlan_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/esp"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// wirePipe is a Carrier in memory. What it carries has the headers that it would have on a wire.
type wirePipe struct {
	local netip.Addr
	ends  map[netip.Addr]*wirePipe
	rx    func([]*fabric.Frame)
	alter func([]*fabric.Frame) []*fabric.Frame // what happens on the way; nil: nothing

	quick bool // there is no note of sizes
	mu    sync.Mutex
	sizes []int // of the wire frames, IP header first; guarded by mu
}

// count returns how many wire frames were collected.
func count(c *fabrictest.Collector) int {
	n := 0
	for _, f := range c.Take() {
		n += int(f.Segs)
		f.Free()
	}
	return n
}

func (p *wirePipe) SetReceiver(r func([]*fabric.Frame)) { p.rx = r }

func (p *wirePipe) Send(to netip.Addr, batch []*fabric.Frame) {
	for _, f := range batch {
		b := f.Prepend(wire.IPv4Len)
		wire.PutIPv4(b, wire.IPv4Fields{TotalLen: f.Len(), TTL: 64, Proto: wire.ProtoESP, Src: p.local, Dst: to})
		f.SetOuter(wire.TypeIPv4, wire.ProtoESP, 0, wire.IPv4Len)
		if p.quick {
			continue
		}
		p.mu.Lock()
		for i := range int(f.Segs) {
			p.sizes = append(p.sizes, len(f.AppendSegment(nil, i)))
		}
		p.mu.Unlock()
	}
	if p.alter != nil {
		batch = p.alter(slices.Clone(batch))
	}
	p.ends[to].rx(batch)
}

// singly makes of each wire frame a frame of its own, as it comes off a wire.
func singly(batch []*fabric.Frame) []*fabric.Frame {
	var out []*fabric.Frame
	for _, f := range batch {
		for _, b := range vxlantest.WireFrames(f) {
			g := fabric.FromBytes(b)
			if r := g.Parse3(wire.TypeIPv4, 0); r != 0 {
				panic(r)
			}
			out = append(out, g)
		}
		f.Free()
	}
	return out
}

func espKeys(tags ...uint32) []esp.Key {
	var keys []esp.Key
	for _, tag := range tags {
		k := esp.Key{Tag: tag}
		for i := range k.Value {
			k.Value[i] = byte(tag)*3 + byte(i)
		}
		keys = append(keys, k)
	}
	return keys
}

// newESP returns the ESPs of two hosts with the keys 1, 2, 3, of which 2 is the primary one, and what lies between.
func newESP(t testing.TB) (ends [2]*vxlan.ESP, pipes [2]*wirePipe) {
	t.Helper()
	addrs := [2]netip.Addr{vtep2, vtep3}
	all := map[netip.Addr]*wirePipe{}
	for i, a := range addrs {
		pipes[i] = &wirePipe{local: a, ends: all}
		all[a] = pipes[i]
		ends[i] = vxlan.NewESP(vxlan.ESPConfig{Name: fmt.Sprintf("esp%d", i), Local: a, Seed: uint64(i), Carrier: pipes[i]})
		if err := ends[i].SetKeys(espKeys(2, 1, 3)); err != nil {
			t.Fatal(err)
		}
		if err := ends[i].AddPeer(addrs[1-i]); err != nil {
			t.Fatal(err)
		}
	}
	return ends, pipes
}

// It is a Transport like the others, whether trains stay whole on the way or not.
func TestESPTransport(t *testing.T) {
	for name, alter := range map[string]func([]*fabric.Frame) []*fabric.Frame{"trains": nil, "wire frames": singly} {
		t.Run(name, func(t *testing.T) {
			vxlantest.TestTransport(t, func(t *testing.T) (a, b vxlantest.Endpoint) {
				ends, pipes := newESP(t)
				pipes[0].alter, pipes[1].alter = alter, alter
				return vxlantest.Endpoint{Transport: ends[0], Addr: netip.AddrPortFrom(vtep2, vxlan.Port)},
					vxlantest.Endpoint{Transport: ends[1], Addr: netip.AddrPortFrom(vtep3, vxlan.Port)}
			})
		})
	}
}

// secured connects an encrypted device with another, both on networks of that number.
func secured(t testing.TB, vni uint32) (devs [2]*vxlan.Device, ends [2]*vxlan.ESP, pipes [2]*wirePipe) {
	t.Helper()
	ends, pipes = newESP(t)
	addrs := []netip.AddrPort{netip.AddrPortFrom(vtep2, vxlan.Port), netip.AddrPortFrom(vtep3, vxlan.Port)}
	for i, clear := range vxlan.NewPipe(addrs...) {
		v := vxlan.New(vxlan.Config{Local: addrs[i].Addr(), Transport: clear, ESP: ends[i]})
		dev, err := v.Add(vxlan.DeviceConfig{VNI: vni, Encrypted: true, Flood: []netip.Addr{addrs[1-i].Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		devs[i] = dev
	}
	return devs, ends, pipes
}

// A train that was sealed and opened is what its frames are one by one.
func TestSealedTrainEqualsItsFrames(t *testing.T) {
	fabrictest.TestTrains(t, vxlan.EncryptedMTU, func(t *testing.T, lone bool) fabrictest.Path {
		devs, _, pipes := secured(t, 257)
		if lone {
			pipes[0].alter = singly
		}
		out := &fabrictest.Collector{}
		devs[1].SetReceiver(out)
		return fabrictest.Path{Outs: map[string]*fabrictest.Collector{"b": out}, Ways: []fabrictest.Way{{Name: "sealed", In: devs[0].Send}},
			Ends: map[string]*fabric.Counters{"a": &devs[0].Counters, "b": &devs[1].Counters}}
	})
}

// X9: the largest packets of the overlay fill 1500 bytes of the underlay, and of a train each wire frame is sealed for itself.
func TestSealedWireFrames(t *testing.T) {
	devs, ends, pipes := secured(t, 257)
	got := &fabrictest.Collector{}
	devs[1].SetReceiver(got)
	devs[0].Send([]*fabric.Frame{vxlantest.Train(vxlantest.TrainConfig{Segs: 45, MSS: 1424 - 52, Last: 1})})
	want := slices.Repeat([]int{1500}, 44)
	if len(pipes[0].sizes) != 45 || !slices.Equal(pipes[0].sizes[:44], want) || pipes[0].sizes[44] != 132 {
		t.Errorf("wire frames of %v; want 44 of 1500 and one of 132", pipes[0].sizes)
	}
	if s := ends[0].States(); s[1].Seq != 45 || s[1].Packets != 45 {
		t.Errorf("sent with seq %d, %d packets; want 45", s[1].Seq, s[1].Packets)
	}
	devs[0].Send([]*fabric.Frame{vxlantest.Train(vxlantest.TrainConfig{Segs: 2, MSS: 1424 - 51})})
	if n := devs[0].Dropped(fabric.DropMTU); n != 2 {
		t.Errorf("dropped %d packets of 1425 bytes; want 2", n)
	}
}

// X6: what comes in clear for an encrypted network is dropped, with the reason, and is not delivered.
func TestClearIsDropped(t *testing.T) {
	ends, _ := newESP(t)
	addrs := []netip.AddrPort{netip.AddrPortFrom(vtep2, vxlan.Port), netip.AddrPortFrom(vtep3, vxlan.Port)}
	pipes := vxlan.NewPipe(addrs...)
	dev, err := vxlan.New(vxlan.Config{Local: vtep3, Transport: pipes[1], ESP: ends[1]}).Add(vxlan.DeviceConfig{VNI: 257, Encrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	got := &fabrictest.Collector{}
	dev.SetReceiver(got)
	pipes[0].Send(addrs[1], []*fabric.Frame{vxlantest.Wrap(vxlantest.Train(vxlantest.TrainConfig{Segs: 3, MSS: 100}), 257)})
	if n := dev.Dropped(fabric.DropNotEncrypted); n != 3 || count(got) != 0 {
		t.Errorf("dropped %d; want 3, and none delivered", n)
	}
}

// What must not be opened is dropped and counted as what it is, wire frame by wire frame.
func TestESPDrops(t *testing.T) {
	segment := func(change func(b [][]byte) [][]byte) func([]*fabric.Frame) []*fabric.Frame {
		return func(batch []*fabric.Frame) []*fabric.Frame {
			var out []*fabric.Frame
			for _, f := range batch {
				for _, b := range change(vxlantest.WireFrames(f)) {
					h := wire.IPv4(b)
					h.SetTotalLen(len(b))
					h.FillChecksum()
					g := fabric.FromBytes(b)
					if r := g.Parse3(wire.TypeIPv4, 0); r != 0 {
						panic(r)
					}
					out = append(out, g)
				}
				f.Free()
			}
			return out
		}
	}
	for _, c := range []struct {
		name    string
		alter   func(b [][]byte) [][]byte
		reason  fabric.DropReason
		dropped int
		arrived int
	}{
		{"one bit turned", func(b [][]byte) [][]byte { b[2][700] ^= 4; return b }, fabric.DropESPBadICV, 1, 4},
		{"the seal's last bit turned", func(b [][]byte) [][]byte { b[4][len(b[4])-1] ^= 1; return b }, fabric.DropESPBadICV, 1, 4},
		{"another number", func(b [][]byte) [][]byte { b[0][27]++; return b[:1] }, fabric.DropESPBadICV, 1, 0},
		{"each twice", func(b [][]byte) [][]byte { return slices.Concat(b, b) }, fabric.DropESPReplay, 5, 5},
		{"backwards", func(b [][]byte) [][]byte { slices.Reverse(b); return b }, 0, 0, 5},
		{"unknown SPI", func(b [][]byte) [][]byte { b[1][20] ^= 1; return b }, fabric.DropESPUnknownSPI, 1, 4},
		{"from another host", func(b [][]byte) [][]byte { b[1][15] = 77; return b }, fabric.DropESPUnknownSPI, 1, 4},
		{"cut short", func(b [][]byte) [][]byte { b[1] = b[1][:20+23]; return b }, fabric.DropTruncated, 1, 4},
		{"cut at odd places", func(b [][]byte) [][]byte { b[1] = b[1][:20+101]; return b }, fabric.DropTruncated, 1, 4},
		{"nothing behind the IP header", func(b [][]byte) [][]byte { b[1] = b[1][:20]; return b }, fabric.DropTruncated, 1, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			devs, ends, pipes := secured(t, 257)
			got := &fabrictest.Collector{}
			devs[1].SetReceiver(got)
			pipes[0].alter = segment(c.alter)
			devs[0].Send([]*fabric.Frame{vxlantest.Train(vxlantest.TrainConfig{Segs: 5, MSS: 1000})})
			if c.reason != 0 && ends[1].Dropped(c.reason) != uint64(c.dropped) || ends[1].Read().Dropped() != uint64(c.dropped) {
				t.Errorf("dropped %v; want %d for %v", ends[1].Read().Drops, c.dropped, c.reason)
			}
			if n := count(got); n != c.arrived {
				t.Errorf("%d wire frames arrived; want %d", n, c.arrived)
			}
		})
	}
}

// A train of which one wire frame is damaged loses that one only.
func TestDamagedWireFrameOfATrain(t *testing.T) {
	devs, ends, pipes := secured(t, 257)
	got := &fabrictest.Collector{}
	devs[1].SetReceiver(got)
	pipes[0].alter = func(batch []*fabric.Frame) []*fabric.Frame {
		f := batch[0]
		b := f.AppendTo(nil)
		size := int(f.MSS)
		b[wire.IPv4Len+2*size+500] ^= 1
		g := fabric.New()
		copy(g.Extend(wire.IPv4Len), b)
		g.SetPayloadBytes(b[wire.IPv4Len:])
		g.SetOuter(wire.TypeIPv4, wire.ProtoESP, 0, wire.IPv4Len)
		g.Segs, g.MSS = f.Segs, f.MSS
		f.Free()
		return []*fabric.Frame{g}
	}
	devs[0].Send([]*fabric.Frame{vxlantest.Train(vxlantest.TrainConfig{Segs: 9, MSS: 1300})})
	if n := ends[1].Dropped(fabric.DropESPBadICV); n != 1 || count(got) != 8 {
		t.Errorf("dropped %d; want 1 of 9", n)
	}
}

// X4, X8, C12: three keys are accepted, the primary one seals. However far apart the hosts are within one rotation,
// nothing is lost; a key that both have forgotten opens nothing.
func TestRotation(t *testing.T) {
	devs, ends, _ := secured(t, 257)
	var got [2]fabrictest.Collector
	sent := 0
	for i := range devs {
		devs[i].SetReceiver(&got[i])
	}
	both := func() {
		t.Helper()
		for i := range devs {
			devs[i].Send([]*fabric.Frame{vxlantest.Train(vxlantest.TrainConfig{Segs: 7, MSS: 1300})})
		}
		sent += 7
		for i := range devs {
			if d := ends[i].Read().Drops; d != nil {
				t.Fatalf("host %d dropped %v", i, d)
			}
		}
	}
	both()
	for _, ring := range [][]uint32{{3, 2, 4}, {4, 3, 5}, {5, 4, 6}} {
		for _, e := range ends {
			if err := e.SetKeys(espKeys(ring...)); err != nil {
				t.Fatal(err)
			}
			both() // one host is ahead of the other, then both are there
		}
		if s := ends[0].States(); len(s) != 4 || s[1].Incoming || s[1].Key.Tag != ring[0] || s[1].Seq == 0 {
			t.Errorf("ring %v: %d associations, outgoing of key %d, seq %d", ring, len(s), s[1].Key.Tag, s[1].Seq)
		}
	}
	for i := range got {
		if n := count(&got[i]); n != sent {
			t.Errorf("%d of %d wire frames arrived at host %d", n, sent, i)
		}
	}
	if err := ends[0].SetKeys(espKeys(9, 8, 7)); err != nil {
		t.Fatal(err)
	}
	devs[1].Send([]*fabric.Frame{unicast()})
	if ends[0].Dropped(fabric.DropESPUnknownSPI) != 1 {
		t.Errorf("with none of the keys: %v; want one unknown SPI", ends[0].Read().Drops)
	}
	if err := ends[0].SetKeys(espKeys(1, 1)); err == nil {
		t.Error("two keys of one tag were taken")
	}
}

// X7: associations go with the last user of a peer, and come back where they were: a number is never used twice.
func TestPeersComeAndGo(t *testing.T) {
	devs, ends, _ := secured(t, 257)
	got := &fabrictest.Collector{}
	devs[1].SetReceiver(got)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(ends[0].AddPeer(vtep3))
	must(ends[0].RemovePeer(vtep3))
	devs[0].Send([]*fabric.Frame{unicast()})
	must(ends[0].RemovePeer(vtep3))
	if n := len(ends[0].States()); n != 0 {
		t.Errorf("%d associations are left", n)
	}
	devs[0].Send([]*fabric.Frame{unicast()})
	if ends[0].Dropped(fabric.DropESPNoKey) != 1 {
		t.Errorf("without a peer: %v", ends[0].Read().Drops)
	}
	must(ends[0].AddPeer(vtep3))
	devs[0].Send([]*fabric.Frame{unicast()})
	if n := count(got); n != 2 || ends[0].States()[1].Seq != 2 {
		t.Errorf("%d frames arrived, seq %d; want 2, 2; dropped %v", n, ends[0].States()[1].Seq, ends[1].Read().Drops)
	}
	must(ends[0].SetKeys(nil))
	devs[0].Send([]*fabric.Frame{unicast()})
	if ends[0].Dropped(fabric.DropESPNoKey) != 2 {
		t.Errorf("without keys: %v", ends[0].Read().Drops)
	}
}

// Whatever the wire does to the order, each frame arrives once.
func TestReplayOverTrains(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	devs, ends, pipes := secured(t, 257)
	got := &fabrictest.Collector{}
	devs[1].SetReceiver(got)
	var held []*fabric.Frame
	pipes[0].alter = func(batch []*fabric.Frame) []*fabric.Frame {
		for _, f := range singly(batch) {
			held = append(held, f, f.Clone())
		}
		r.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		out := slices.Clone(held[:len(held)/2])
		held = held[len(held)/2:]
		return out
	}
	const trains, segs = 50, 20
	for range trains {
		devs[0].Send([]*fabric.Frame{vxlantest.Train(vxlantest.TrainConfig{Segs: segs, MSS: 500})})
	}
	pipes[1].ends[vtep3].rx(held)
	if n, d := count(got), ends[1].Dropped(fabric.DropESPReplay); n != trains*segs || d != trains*segs {
		t.Errorf("%d arrived, %d were refused; want %d of each", n, d, trains*segs)
	}
}

// Several goroutines send at once: no number is used twice, and none is taken for a replay.
func TestESPConcurrent(t *testing.T) {
	devs, ends, _ := secured(t, 257)
	var mu sync.Mutex
	n := 0
	devs[1].SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		mu.Lock()
		defer mu.Unlock()
		for _, f := range batch {
			n += int(f.Segs)
		}
		fabric.FreeAll(batch)
	}))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				devs[0].Send([]*fabric.Frame{vxlantest.Train(vxlantest.TrainConfig{Segs: 10, MSS: 300})})
			}
		})
	}
	all.Wait()
	if n != 2000 || ends[1].Read().Dropped() != 0 {
		t.Errorf("%d of 2000 arrived, dropped %v", n, ends[1].Read().Drops)
	}
}

func TestESPTrace(t *testing.T) {
	devs, ends, _ := secured(t, 257)
	devs[1].SetReceiver(&fabrictest.Collector{})
	f := unicast()
	f.Trace = new(fabric.Trace)
	trace := f.Trace
	devs[0].Send([]*fabric.Frame{f})
	spi := fmt.Sprintf("esp spi 0x%08x", ends[0].States()[1].SPI)
	var got []fabric.Event
	events, _ := trace.Events()
	for _, e := range events {
		if e.At = 0; e.Kind == fabric.EventESP {
			got = append(got, e)
		}
	}
	want := []fabric.Event{
		{Kind: fabric.EventESP, Place: "esp0", Before: "vxlan", After: spi, By: "seq 0x1"},
		{Kind: fabric.EventESP, Place: "esp1", Before: spi, After: "vxlan", By: "seq 0x1"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("events = %+v; want %+v", got, want)
	}
}

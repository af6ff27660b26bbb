package fabric

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/gopacket/pcapgo"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// bulk is a train of 45 wire frames with 64,000 bytes of data.
func bulk(t testing.TB) *Frame {
	t.Helper()
	head := echo()
	head[23] = wire.ProtoTCP
	head = append(head[:34], make([]byte, 20)...)
	head[46], head[47], head[48] = 5<<4, wire.ACK, 0x20
	binary.BigEndian.PutUint16(head[16:], 40+64000)
	f := FromBytes(head)
	f.SetPayloadBytes(make([]byte, 64000))
	f.Segs, f.MSS, f.Checksum = 45, 1448, ChecksumPartial
	if reason := f.ParseEthernet(); reason != 0 {
		t.Fatal(reason)
	}
	return f
}

// saved reads what a ring saves.
type savedFrame struct {
	iface     string
	len, kept int
	seq       uint32 // 0: it is no TCP
}

func saved(t *testing.T, r *Ring, since time.Time, name func(string) (string, bool)) (all []savedFrame) {
	t.Helper()
	var file bytes.Buffer
	n, err := r.Save(&file, since, name)
	if err != nil {
		t.Fatal(err)
	}
	ng, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	last := time.Time{}
	for range n {
		b, ci, err := ng.ReadPacketData()
		if err != nil {
			t.Fatal(err)
		}
		if ci.Timestamp.Before(last) {
			t.Errorf("packet at %v after one at %v", ci.Timestamp, last)
		}
		last = ci.Timestamp
		i, err := ng.Interface(ci.InterfaceIndex)
		if err != nil {
			t.Fatal(err)
		}
		f := savedFrame{iface: i.Name, len: ci.Length, kept: len(b)}
		if b[23] == wire.ProtoTCP {
			f.seq = wire.TCP(b[34:]).Seq()
		}
		all = append(all, f)
	}
	return all
}

func TestRingKeepsHeadersOfTrainsAndSmallFramesWhole(t *testing.T) {
	r := NewRing(RingConfig{})
	a, b := r.Interface("a:eth0"), r.Interface("b:eth0")
	f, small := bulk(t), parsed(echo())
	defer f.Free()
	defer small.Free()
	a.Tap(Out, f)
	b.Tap(In, small)
	got := saved(t, r, time.Time{}, nil)
	if len(got) != 46 {
		t.Fatalf("%d wire frames; want 46", len(got))
	}
	for i, g := range got[:45] {
		want := savedFrame{"a:eth0", 54 + 1448, 54, uint32(i) * 1448}
		if i == 44 {
			want.len = 54 + 64000 - 44*1448
		}
		if g != want {
			t.Errorf("wire frame %d is %+v; want %+v", i, g, want)
		}
	}
	if want := (savedFrame{"b:eth0", 42, 42, 0}); got[45] != want {
		t.Errorf("the echo is %+v; want %+v", got[45], want)
	}
	only := func(name string) (string, bool) { return "host-b", name == "b:eth0" }
	if got := saved(t, r, time.Time{}, only); len(got) != 1 || got[0].iface != "host-b" {
		t.Errorf("of b alone there is %+v; want one packet of host-b", got)
	}
	if got := saved(t, r, time.Now().Add(time.Second), nil); len(got) != 0 {
		t.Errorf("since later there are %d packets; want none", len(got))
	}
}

// What is old makes room, and the memory stays within its bound.
func TestRingIsBounded(t *testing.T) {
	if size := unsafe.Sizeof(ringChunk{}); size > chunkSize {
		t.Errorf("a chunk has %d bytes; want at most %d", size, chunkSize)
	}
	r := NewRing(RingConfig{Bytes: 8 * chunkSize})
	idle, busy := r.Interface("idle"), r.Interface("busy")
	f := parsed(echo())
	defer f.Free()
	idle.Tap(In, f)
	for range 10_000 {
		busy.Tap(In, f)
	}
	if len(r.chunks) != 8 {
		t.Errorf("%d chunks; want 8", len(r.chunks))
	}
	got := saved(t, r, time.Time{}, nil)
	if n := len(got); n < 7*chunkRecords || n > 8*chunkRecords || slices.ContainsFunc(got, func(f savedFrame) bool { return f.iface == "idle" }) {
		t.Errorf("%d packets; want about %d, and none of what is older", n, 8*chunkRecords)
	}
	idle.Tap(In, f) // its chunk is another's
	if got := saved(t, r, time.Time{}, nil); got[len(got)-1].iface != "idle" {
		t.Error("an interface whose chunk was taken notes nothing more")
	}
}

func TestRingTellsDrops(t *testing.T) {
	r := NewRing(RingConfig{})
	tap := r.Interface("host-a:eth0")
	var counters Counters
	defer counters.WatchDrops(tap)()
	tap.Tap(Out, bulk(t))
	counters.Drop(parsed(echo()), DropFilter, "host-a/eth0")
	bare := parsed(echo())
	bare.TrimFront(wire.EthernetLen)
	counters.Drop(bare, DropNeighFailed, "host-a/eth0")
	var file bytes.Buffer
	if _, err := r.Save(&file, time.Time{}, nil); err != nil {
		t.Fatal(err)
	}
	got := fields(t, file.Bytes(), "frame.interface_name", "frame.comment", "eth.src", "icmp.type")[45:]
	want := []string{
		"host-a:eth0|dropped: filter at host-a/eth0|02:00:00:00:00:02|8||dropped: filter at host-a/eth0",
		"host-a:eth0|dropped: neigh-failed at host-a/eth0|00:00:00:00:00:00|8||dropped: neigh-failed at host-a/eth0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("tshark reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, line := range fields(t, file.Bytes(), "tcp.len")[:45] {
		if line != "1448||" && i < 44 {
			t.Errorf("wire frame %d: tshark reads %q", i, line)
		}
	}
}

func TestRingIsForSeveralGoroutines(t *testing.T) {
	r := NewRing(RingConfig{Bytes: 4 * chunkSize})
	taps := []*RingTap{r.Interface("a"), r.Interface("b"), r.Interface("c")}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			f := parsed(echo())
			defer f.Free()
			for range 5000 {
				taps[i%3].Tap(In, f)
			}
		})
	}
	for range 20 {
		saved(t, r, time.Time{}, nil)
	}
	all.Wait()
	if n := len(saved(t, r, time.Time{}, nil)); n < chunkRecords || n > 4*chunkRecords {
		t.Errorf("%d packets; want what fits", n)
	}
}

// BenchmarkRing is what an always-on ring costs the data path for a train, and for a small frame.
func BenchmarkRing(b *testing.B) {
	train := bulk(b)
	small := FromBytes(echo())
	small.ParseEthernet()
	for name, f := range map[string]*Frame{"train": train, "small": small} {
		b.Run(name, func(b *testing.B) {
			tap := NewRing(RingConfig{}).Interface("eth0")
			b.ReportAllocs()
			for b.Loop() {
				tap.Tap(Out, f)
			}
		})
	}
}

package fabric

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// echo is an echo request on the wire.
func echo() []byte {
	b := make([]byte, wire.EthernetLen+28)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0, 0, 0, 1, 0, 1})
	wire.IPv4(b[14:]).FillChecksum()
	binary.BigEndian.PutUint16(b[36:], ^wire.Fold(wire.Sum(b[34:], 0)))
	return b
}

func parsed(b []byte) *Frame {
	f := FromBytes(b)
	if reason := f.ParseEthernet(); reason != 0 {
		panic(reason.String())
	}
	return f
}

// run writes what c has and returns it.
func run(t *testing.T, c *Capture, file *bytes.Buffer) []byte {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// fields asks tshark for fields of every packet of a file, and whether it finds fault with one.
func fields(t *testing.T, file []byte, names ...string) []string {
	t.Helper()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	path := filepath.Join(t.TempDir(), "some.pcapng")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|", "-E", "aggregator=;"}
	for _, n := range append(names, "_ws.malformed", "_ws.expert.message") {
		args = append(args, "-e", n)
	}
	out, err := exec.Command(tshark, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func TestCaptureTellsDirectionAndDrops(t *testing.T) {
	var file bytes.Buffer
	c := NewCapture(&file, CaptureConfig{})
	tap := c.Interface("host-a:eth0")
	var counters Counters
	remove := counters.WatchDrops(tap)
	f := parsed(echo())
	tap.Tap(In, f)
	tap.Tap(Out, f)
	counters.Drop(f, DropFilter, "host-a/eth0")
	bare := parsed(echo())
	bare.TrimFront(wire.EthernetLen)
	counters.Drop(bare, DropNeighFailed, "host-a/eth0")
	remove()
	counters.Drop(parsed(echo()), DropTTL, "host-a/eth0")
	got := fields(t, run(t, c, &file), "frame.interface_name", "frame.packet_flags_direction", "frame.comment", "eth.src", "icmp.type")
	want := []string{
		"host-a:eth0|0x00000001||02:00:00:00:00:02|8||",
		"host-a:eth0|0x00000002||02:00:00:00:00:02|8||",
		"host-a:eth0||dropped: filter at host-a/eth0|02:00:00:00:00:02|8||dropped: filter at host-a/eth0",
		"host-a:eth0||dropped: neigh-failed at host-a/eth0|00:00:00:00:00:00|8||dropped: neigh-failed at host-a/eth0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("tshark reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := counters.Dropped(DropTTL); n != 1 {
		t.Errorf("Dropped(ttl) = %d; want 1", n)
	}
}

func TestCaptureTellsTheWayOfATracedFrame(t *testing.T) {
	var file bytes.Buffer
	c := NewCapture(&file, CaptureConfig{})
	f := parsed(echo())
	f.Trace = new(Trace)
	f.Trace.Add(Event{Kind: EventDNAT, Place: "host-a/eth0", Before: "10.0.0.2:80", After: "172.17.0.2:80"})
	tap := c.Interface("eth0")
	tap.Tap(In, f)
	f.Trace.Add(Event{Kind: EventRoute, Place: "host-a", After: "later", At: now() + 1e12})
	f.Free()
	got := fields(t, run(t, c, &file), "frame.comment")
	if want := "host-a/eth0: dnat 10.0.0.2:80 -> 172.17.0.2:80"; len(got) != 1 || !strings.HasPrefix(got[0], want+"|") {
		t.Errorf("tshark reads %q; want the comment %q", got, want)
	}
}

func TestEventString(t *testing.T) {
	for _, c := range []struct {
		event Event
		want  string
	}{
		{Event{Kind: EventSNAT, Place: "a", Before: "x", After: "y"}, "a: snat x -> y"},
		{Event{Kind: EventRoute, Place: "a", After: "y"}, "a: route y"},
		{Event{Kind: EventLink, Place: "a"}, "a: link"},
		{Event{Kind: EventDrop, Place: "a", Reason: DropMTU}, "a: drop mtu"},
	} {
		if got := c.event.String(); got != c.want {
			t.Errorf("String = %q; want %q", got, c.want)
		}
	}
}

func TestCaptureEndsAfterCount(t *testing.T) {
	var file bytes.Buffer
	c := NewCapture(&file, CaptureConfig{Count: 3})
	tap := c.Interface("eth0")
	for range 5 {
		f := parsed(echo())
		tap.Tap(In, f)
		f.Free()
	}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s != (CaptureStats{Written: 3}) {
		t.Errorf("Stats = %+v; want 3 written", s)
	}
}

// Times never run back, whoever was first to note what it saw.
func TestCaptureIsInTimeOrder(t *testing.T) {
	var file bytes.Buffer
	c := NewCapture(&file, CaptureConfig{})
	tap := c.Interface("eth0")
	for _, at := range []int64{100, 300, 200, 400} {
		f := parsed(echo())
		c.bytes.Add(int64(f.Len()))
		c.records <- record{f: f, tap: tap, at: at}
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(run(t, c, &file)), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{100, 300, 300, 400} {
		if _, ci, err := r.ReadPacketData(); err != nil || ci.Timestamp.UnixNano() != want {
			t.Errorf("packet at %d, %v; want %d", ci.Timestamp.UnixNano(), err, want)
		}
	}
}

func FuzzPacketBlock(f *testing.F) {
	f.Add([]byte("a packet"), uint8(1), "dropped", 100)
	f.Add([]byte{}, uint8(0), "", 0)
	f.Fuzz(func(t *testing.T, data []byte, dir uint8, comment string, snap int) {
		snap = max(1, snap)
		var file bytes.Buffer
		ng, err := pcapgo.NewNgWriter(&file, layers.LinkTypeEthernet)
		if err != nil || ng.Flush() != nil {
			t.Fatal(err)
		}
		block := packetBlock{at: 1 << 60, way: way(dir % 3)}
		if comment != "" {
			block.comments = []string{comment, comment}
		}
		file.Write(block.end(append(block.begin(nil), data...), snap))
		file.Write(block.end(append(block.begin(nil), data...), snap))
		r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, ci, err := r.ReadPacketData()
			if err != nil || !bytes.Equal(got, data[:min(len(data), snap)]) || ci.Length != len(data) || ci.Timestamp.UnixNano() != 1<<60 {
				t.Errorf("read back %q of %d at %v, %v; want %q", got, ci.Length, ci.Timestamp, err, data)
			}
		}
	})
}

// BenchmarkCapture is what a capture costs the writer for a train of 45 wire frames, and the data path for noting it.
func BenchmarkCapture(b *testing.B) {
	b.Run("note", func(b *testing.B) {
		c := NewCapture(io.Discard, CaptureConfig{Buffer: 1 << 40})
		tap, f := c.Interface("eth0"), bulk(b)
		b.ReportAllocs()
		for b.Loop() {
			tap.Tap(Out, f)
			c.done(<-c.records)
		}
		f.Free()
	})
	b.Run("write", func(b *testing.B) {
		c := NewCapture(io.Discard, CaptureConfig{Buffer: 1 << 40})
		tap, f := c.Interface("eth0"), bulk(b)
		w := &captureWriter{c: c, out: bufio.NewWriterSize(c.w, captureWrite)}
		b.SetBytes(64000)
		b.ReportAllocs()
		for b.Loop() {
			tap.Tap(Out, f)
			if err := w.write(<-c.records); err != nil {
				b.Fatal(err)
			}
		}
		f.Free()
	})
}

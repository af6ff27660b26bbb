package fabric_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// everyKind returns one frame of every kind, and how many wire frames they are.
func everyKind() (frames []*fabric.Frame, wireFrames int) {
	train := fabrictest.Packet{Flags: wire.ACK | wire.PSH, Size: 10000, MSS: 1448, Partial: true}
	frames = []*fabric.Frame{
		fabrictest.ARPRequest(fabrictest.SrcMAC, fabrictest.Src.Addr(), fabrictest.Dst.Addr()),
		fabrictest.ARPReply(fabrictest.DstMAC, fabrictest.Dst.Addr(), fabrictest.SrcMAC, fabrictest.Src.Addr()),
		fabrictest.Packet{Size: 56}.Echo(1, 1),
		fabrictest.Packet{Size: 56}.EchoReply(1, 1),
		fabrictest.Packet{Size: 500, VLAN: 10}.UDP(),
		fabrictest.Packet{Size: 501, Partial: true}.UDP(),
		fabrictest.Packet{Size: 3001, MSS: 1000}.UDP(),
		fabrictest.Packet{Flags: wire.SYN, TCPOptions: []byte{2, 4, 5, 0xb4}}.TCP(),
		train.TCP(),
		tunnel(train.TCP()),
	}
	for _, f := range frames {
		wireFrames += int(f.Segs)
	}
	return frames, wireFrames
}

// capture writes a capture of two interfaces of everything to w, and returns how many wire frames it holds.
func capture(t *testing.T, w io.Writer, cfg fabric.CaptureConfig) int {
	c := fabric.NewCapture(w, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // it still writes what waits
	eth0, eth1 := c.Interface("host-a/eth0"), c.Interface("host-b/eth0")
	frames, n := everyKind()
	for _, f := range frames {
		eth0.Tap(fabric.Out, f)
		eth1.Tap(fabric.In, f)
	}
	fabric.FreeAll(frames) // what waits is the capture's own
	if err := c.Run(ctx); err != nil {
		t.Fatalf("Run = %v", err)
	}
	eth0.Tap(fabric.Out, fabric.New()) // nothing happens
	return 2 * n
}

func TestCaptureReadsBack(t *testing.T) {
	var file bytes.Buffer
	want := capture(t, &file, fabric.CaptureConfig{})
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	got, perIntf := 0, map[int]int{}
	for {
		data, ci, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got++
		perIntf[ci.InterfaceIndex]++
		if ci.Length != len(data) || time.Since(ci.Timestamp).Abs() > time.Hour {
			t.Errorf("packet %d: length %d of %d at %v", got, ci.Length, len(data), ci.Timestamp)
		}
		if err := fabrictest.CheckWire(data); err != nil {
			t.Errorf("packet %d: %v", got, err)
		}
		if e := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default).ErrorLayer(); e != nil {
			t.Errorf("packet %d: %v", got, e.Error())
		}
	}
	if got != want || perIntf[0] != want/2 || perIntf[1] != want/2 {
		t.Errorf("%d packets, %v per interface; want %d, the half on each", got, perIntf, want)
	}
	for i, name := range []string{"host-a/eth0", "host-b/eth0"} {
		intf, err := r.Interface(i)
		if err != nil || intf.Name != name || intf.LinkType != layers.LinkTypeEthernet || intf.SnapLength != 262144 {
			t.Errorf("interface %d = %+v, %v; want %s", i, intf, err, name)
		}
		if s := intf.Statistics; s.PacketsReceived != uint64(want/2) || s.PacketsDropped != 0 {
			t.Errorf("interface %d: %+v; want %d received", i, s, want/2)
		}
	}
}

func TestCaptureForTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	var file bytes.Buffer
	want := capture(t, &file, fabric.CaptureConfig{})
	path := filepath.Join(t.TempDir(), "all.pcapng")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(filter string) []string {
		out, err := exec.Command(tshark, "-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
			"-o", "udp.check_checksum:TRUE", "-Y", filter).Output()
		if err != nil {
			t.Fatalf("tshark -Y %q: %v", filter, err)
		}
		return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
	}
	if got := run("frame"); len(got) != want {
		t.Errorf("tshark reads %d packets; want %d", len(got), want)
	}
	bad := "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0"
	if got := run(bad); len(got) > 0 {
		t.Errorf("tshark finds fault with\n%s", strings.Join(got, "\n"))
	}
	if got := run("vxlan.vni == 42 && tcp"); len(got) != 14 {
		t.Errorf("tshark finds %d TCP segments in VXLAN; want 14", len(got))
	}
}

func TestCaptureSnapAndFilter(t *testing.T) {
	var file bytes.Buffer
	capture(t, &file, fabric.CaptureConfig{SnapLen: 60, Filter: func(dir fabric.Direction, f *fabric.Frame) bool {
		return dir == fabric.Out && f.TCP() != nil && f.Segs > 1
	}})
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		want := 54 + min(1448, 10000-i*1448)
		if data, ci, err := r.ReadPacketData(); err != nil || len(data) != 60 || ci.Length != want {
			t.Errorf("packet %d: %d bytes of %d, %v; want 60 of %d", i, len(data), ci.Length, err, want)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v; want EOF", err)
	}
}

func TestCaptureDropsWhenFull(t *testing.T) {
	var file bytes.Buffer
	c := fabric.NewCapture(&file, fabric.CaptureConfig{Buffer: 25000})
	tap := c.Interface("eth0")
	f := fabrictest.Packet{Size: 9946, MSS: 1000}.TCP()
	for range 3 {
		tap.Tap(fabric.Out, f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s != (fabric.CaptureStats{Written: 20, Dropped: 10}) {
		t.Errorf("Stats = %+v; want 20 written, 10 dropped", s)
	}
	many := fabric.NewCapture(&file, fabric.CaptureConfig{})
	tap = many.Interface("eth0")
	g := fabrictest.Packet{}.UDP()
	for range 5000 {
		tap.Tap(fabric.Out, g)
	}
	if s := many.Stats(); s.Dropped != 5000-4096 {
		t.Errorf("Stats = %+v; want %d dropped", s, 5000-4096)
	}
	f.Free()
	g.Free()
}

// The reader of a pipe sees the interfaces and each packet at once, and interfaces may be added later.
func TestCaptureFlushesWhenIdle(t *testing.T) {
	pr, pw := io.Pipe()
	c := fabric.NewCapture(pw, fabric.CaptureConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx); pw.Close() }()
	taps := []fabric.Tap{c.Interface("eth0")}
	r, err := pcapgo.NewNgReader(pr, pcapgo.DefaultNgReaderOptions) // waits for the first interface
	if err != nil {
		t.Fatal(err)
	}
	f := fabrictest.Packet{Size: 10}.UDP()
	for i := range 3 {
		taps[i].Tap(fabric.In, f)
		if data, ci, err := r.ReadPacketData(); err != nil || ci.InterfaceIndex != i || len(data) != f.Len() {
			t.Fatalf("packet %d: %d bytes, interface %d, %v", i, len(data), ci.InterfaceIndex, err)
		}
		taps = append(taps, c.Interface("late"))
	}
	f.Free()
	cancel()
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v; want EOF", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestCaptureEndsWhenWriterFails(t *testing.T) {
	pr, pw := io.Pipe()
	pr.Close()
	c := fabric.NewCapture(pw, fabric.CaptureConfig{})
	tap := c.Interface("eth0")
	f := fabrictest.Packet{Size: 10}.UDP()
	tap.Tap(fabric.In, f)
	if err := c.Run(context.Background()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Run = %v; want %v", err, io.ErrClosedPipe)
	}
	tap.Tap(fabric.In, f)
	f.Free()
}

// Package vxlantest has the contract that every vxlan.Transport keeps, as a test suite, and frames to test with.
package vxlantest

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
)

// patience is how long a test waits for what must arrive.
const patience = 10 * time.Second

// Endpoint is a transport and the address that others reach it at.
type Endpoint struct {
	vxlan.Transport
	Addr netip.AddrPort
}

// TestTransport runs the contract of vxlan.Transport on transports that newPair returns: two that reach each other.
// newPair starts them and ends them by t.Cleanup.
func TestTransport(t *testing.T, newPair func(t *testing.T) (a, b Endpoint)) {
	big := func() *fabric.Frame { return Train(TrainConfig{Segs: 1, MSS: 1398}) }
	for _, tt := range []struct {
		name  string
		batch func() []*fabric.Frame
	}{
		{"one small frame", func() []*fabric.Frame { return []*fabric.Frame{ARPRequest("10.1.0.2", "10.1.0.3")} }},
		{"one large frame", func() []*fabric.Frame { return []*fabric.Frame{big()} }},
		{"train of 40", func() []*fabric.Frame { return []*fabric.Frame{Train(TrainConfig{Segs: 40, MSS: 1398, Last: 77})} }},
		{"train of 64 in even parts", func() []*fabric.Frame { return []*fabric.Frame{Train(TrainConfig{Segs: 64, MSS: 900})} }},
		{"trains and frames mixed keep their order", func() []*fabric.Frame {
			return []*fabric.Frame{big(), Train(TrainConfig{Segs: 3, MSS: 1000, Port: 1}), ARPRequest("10.1.0.2", "10.1.0.3"),
				Train(TrainConfig{Segs: 2, MSS: 1000, Port: 2}), big()}
		}},
		{"IPv4 of one byte of data", func() []*fabric.Frame { return []*fabric.Frame{Train(TrainConfig{Segs: 1, MSS: 1})} }},
	} {
		t.Run(tt.name, func(t *testing.T) { exchange(t, newPair, tt.batch()) })
	}
	t.Run("local port", func(t *testing.T) {
		a, b := newPair(t)
		if a.LocalPort() != a.Addr.Port() || b.LocalPort() != b.Addr.Port() {
			t.Errorf("LocalPort = %d, %d; want %d, %d", a.LocalPort(), b.LocalPort(), a.Addr.Port(), b.Addr.Port())
		}
	})
	t.Run("no receiver", func(t *testing.T) {
		a, b := newPair(t)
		a.SetReceiver(nil)
		b.SetReceiver(nil)
		a.Send(b.Addr, []*fabric.Frame{Wrap(big(), 257)})
		a.Send(b.Addr, nil)
	})
}

// exchange sends the batch from a to b, and b's answer, the same, back, and compares every wire frame.
func exchange(t *testing.T, newPair func(t *testing.T) (a, b Endpoint), batch []*fabric.Frame) {
	t.Helper()
	a, b := newPair(t)
	var want [][]byte
	for _, f := range batch {
		want = append(want, WireFrames(Wrap(f, 257))...)
	}
	copies := make([]*fabric.Frame, len(batch))
	for i, f := range batch {
		copies[i] = f.Clone()
	}
	atA, atB := collect(a), collect(b)
	a.Send(b.Addr, batch)
	compare(t, atB, a.Addr.Addr(), want)
	b.Send(a.Addr, copies)
	compare(t, atA, b.Addr.Addr(), want)
}

type arrival struct {
	from netip.AddrPort
	b    []byte
}

func collect(e Endpoint) <-chan arrival {
	out := make(chan arrival, 1024)
	e.SetReceiver(func(from netip.AddrPort, batch []*fabric.Frame) {
		for _, f := range batch {
			for _, b := range WireFrames(f) {
				out <- arrival{from, b}
			}
			f.Free()
		}
	})
	return out
}

func compare(t *testing.T, got <-chan arrival, from netip.Addr, want [][]byte) {
	t.Helper()
	deadline := time.After(patience)
	for i, w := range want {
		select {
		case g := <-got:
			if g.from.Addr() != from {
				t.Fatalf("wire frame %d from %v; want %v", i, g.from, from)
			}
			if !bytes.Equal(g.b, w) {
				t.Fatalf("wire frame %d of %d:\n got %x\nwant %x", i, len(want), g.b, w)
			}
		case <-deadline:
			t.Fatalf("%d of %d wire frames arrived", i, len(want))
		}
	}
	select {
	case g := <-got:
		t.Fatalf("one wire frame too many: %x", g.b)
	default:
	}
}

// WireFrames returns the wire frames of f, each as it stands on a wire.
func WireFrames(f *fabric.Frame) [][]byte {
	out := make([][]byte, 0, f.Segs)
	for i := range int(f.Segs) {
		out = append(out, f.AppendSegment(nil, i))
	}
	return out
}

// Wrap puts a VXLAN header in front of f, as a device does for its transport, and returns f.
func Wrap(f *fabric.Frame, vni uint32) *fabric.Frame {
	f.FlowHash()
	vxlan.Put(f.Prepend(vxlan.HeaderLen), vni)
	f.Encapsulated(vxlan.HeaderLen)
	f.SetOuter(0, 0, 0, 0)
	return f
}

// MACs of the frames that this package makes.
var (
	SrcMAC = wire.MAC{2, 0x42, 10, 1, 0, 2}
	DstMAC = wire.MAC{2, 0x42, 10, 1, 0, 3}
)

// TrainConfig describes a train of TCP segments.
type TrainConfig struct {
	Segs, MSS int
	Last      int    // data in the last segment; zero: MSS
	Port      uint16 // source port
}

// Train returns a TCP train from 10.1.0.2 to 10.1.0.3 with timestamps and data that depends on its position. Sequence
// number and identification wrap within the train; the checksum is partial.
func Train(c TrainConfig) *fabric.Frame {
	if c.Last == 0 {
		c.Last = c.MSS
	}
	data := make([]byte, (c.Segs-1)*c.MSS+c.Last)
	for i := range data {
		data[i] = byte(i*7 + i>>8*13 + i>>16)
	}
	const tcpLen = wire.TCPLen + 12
	f := fabric.New()
	b := f.Extend(wire.EthernetLen + wire.IPv4Len + tcpLen)
	wire.PutEthernet(b, DstMAC, SrcMAC, wire.TypeIPv4)
	wire.PutIPv4(b[wire.EthernetLen:], wire.IPv4Fields{TotalLen: wire.IPv4Len + tcpLen + len(data), ID: 0xfff0, Flags: wire.DontFragment,
		TTL: 64, Proto: wire.ProtoTCP, Src: netip.MustParseAddr("10.1.0.2"), Dst: netip.MustParseAddr("10.1.0.3")})
	t := b[wire.EthernetLen+wire.IPv4Len:]
	copy(t, []byte{byte(c.Port >> 8), byte(c.Port), 0x13, 0x88, 0xff, 0xff, 0xff, 0, 1, 2, 3, 4, tcpLen / 4 << 4,
		wire.PSH | wire.ACK, 0x20, 0, 0, 0, 0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2})
	if _, err := f.Payload().WriteFromReader(bytes.NewReader(data), int64(len(data))); err != nil {
		panic(err) // a bytes.Reader does not fail
	}
	f.ParseEthernet()
	f.Checksum = fabric.ChecksumPartial
	if c.Segs > 1 {
		f.Segs, f.MSS = uint16(c.Segs), uint16(c.MSS)
	}
	return f
}

// ARPRequest returns a broadcast that asks who has target, in the name of asker.
func ARPRequest(asker, target string) *fabric.Frame {
	b := make([]byte, wire.EthernetLen+wire.ARPLen)
	wire.PutEthernet(b, wire.Broadcast, SrcMAC, wire.TypeARP)
	wire.PutARP(b[wire.EthernetLen:], wire.ARPRequest, SrcMAC, netip.MustParseAddr(asker), wire.MAC{}, netip.MustParseAddr(target))
	f := fabric.FromBytes(b)
	f.ParseEthernet()
	return f
}

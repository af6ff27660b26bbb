package vxlan_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// host is a VTEP on a pipe with one device whose received wire frames are kept.
type host struct {
	*vxlan.VTEP
	dev *vxlan.Device
	got [][]byte
}

func (h *host) Receive(batch []*fabric.Frame) {
	for _, f := range batch {
		h.got = append(h.got, vxlantest.WireFrames(f)...)
		f.Free()
	}
}

// newHosts returns a host for each device configuration, with the addresses 192.168.0.2 and so on.
func newHosts(t *testing.T, devices ...vxlan.DeviceConfig) []*host {
	t.Helper()
	addr := netip.MustParseAddr("192.168.0.1")
	var addrs []netip.AddrPort
	for range devices {
		addr = addr.Next()
		addrs = append(addrs, netip.AddrPortFrom(addr, vxlan.Port))
	}
	var hosts []*host
	for i, end := range vxlan.NewPipe(addrs...) {
		h := &host{VTEP: vxlan.New(vxlan.Config{Local: addrs[i].Addr(), Transport: end})}
		dev, err := h.Add(devices[i])
		if err != nil {
			t.Fatal(err)
		}
		h.dev = dev
		dev.SetReceiver(h)
		hosts = append(hosts, h)
	}
	return hosts
}

var docker = vxlan.DeviceConfig{VNI: 257, Name: "vxlan0", Proxy: true, Learning: true} // O6

func toDst(t *vxlan.Table) { t.AddRemote("ep", vxlantest.DstMAC, vtep3) }

func unicast() *fabric.Frame {
	return vxlantest.Train(vxlantest.TrainConfig{Segs: 1, MSS: 10})
}

func multicast() *fabric.Frame {
	f := unicast()
	f.Eth().SetDst(wire.MAC{1, 0, 0x5e, 0, 0, 5})
	return f
}

func TestDeviceSend(t *testing.T) {
	flooding := vxlan.DeviceConfig{VNI: 257, Flood: []netip.Addr{vtep2, vtep3, vtep4}}
	for _, tt := range []struct {
		name         string
		config       vxlan.DeviceConfig
		change       func(*vxlan.Table)
		frame        func() *fabric.Frame
		at3, at4     int // wire frames that arrive at the other hosts
		drop         fabric.DropReason
		dropped, own int
	}{
		{name: "known unicast", config: docker, change: toDst, frame: unicast, at3: 1},
		{name: "O7 unknown unicast", config: docker, frame: unicast, drop: fabric.DropNoRemote, dropped: 1},
		{name: "O7 multicast", config: docker, change: toDst, frame: multicast, drop: fabric.DropNoRemote, dropped: 1},
		{name: "L25 unknown unicast with a flood list", config: flooding, frame: unicast, at3: 1, at4: 1},
		{name: "L25 multicast with a flood list", config: flooding, frame: multicast, at3: 1, at4: 1},
		{name: "known unicast with a flood list", config: flooding, change: toDst, frame: unicast, at3: 1},
		{name: "ARP floods without proxy", config: flooding, frame: func() *fabric.Frame { return vxlantest.ARPRequest("10.1.0.2", "10.1.0.3") }, at3: 1, at4: 1},
		{name: "a train is dropped as its wire frames", config: docker, frame: func() *fabric.Frame {
			return vxlantest.Train(vxlantest.TrainConfig{Segs: 5, MSS: 100})
		}, drop: fabric.DropNoRemote, dropped: 5},
		{name: "remote is this host", config: docker, change: func(t *vxlan.Table) { t.AddRemote("ep", vxlantest.DstMAC, vtep2) },
			frame: unicast, drop: fabric.DropNoRemote, dropped: 1},
		{name: "remote without an address", config: docker, change: func(t *vxlan.Table) { t.AddRemote("ep", vxlantest.DstMAC, netip.Addr{}) },
			frame: unicast, drop: fabric.DropNoRemote, dropped: 1},
		{name: "O15 packet of 1450", config: docker, change: toDst, frame: func() *fabric.Frame {
			return vxlantest.Train(vxlantest.TrainConfig{Segs: 1, MSS: 1398})
		}, at3: 1},
		{name: "O15 packet of 1451", config: docker, change: toDst, frame: func() *fabric.Frame {
			return vxlantest.Train(vxlantest.TrainConfig{Segs: 1, MSS: 1399})
		}, drop: fabric.DropMTU, dropped: 1},
		{name: "train of packets of 1451", config: docker, change: toDst, frame: func() *fabric.Frame {
			return vxlantest.Train(vxlantest.TrainConfig{Segs: 4, MSS: 1399})
		}, drop: fabric.DropMTU, dropped: 4},
		{name: "train of packets of 1450", config: docker, change: toDst, frame: func() *fabric.Frame {
			return vxlantest.Train(vxlantest.TrainConfig{Segs: 40, MSS: 1398})
		}, at3: 40},
		{name: "runt", config: docker, frame: func() *fabric.Frame { return fabric.FromBytes(make([]byte, 13)) },
			drop: fabric.DropTruncated, dropped: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHosts(t, tt.config, vxlan.DeviceConfig{VNI: 257}, vxlan.DeviceConfig{VNI: 257})
			if tt.change != nil {
				h[0].dev.Update(tt.change)
			}
			h[0].dev.Send([]*fabric.Frame{tt.frame()})
			if len(h[1].got) != tt.at3 || len(h[2].got) != tt.at4 || len(h[0].got) != 0 {
				t.Errorf("arrived at the sender %d, the others %d, %d; want 0, %d, %d", len(h[0].got), len(h[1].got), len(h[2].got), tt.at3, tt.at4)
			}
			if tt.drop != 0 && h[0].dev.Dropped(tt.drop) != uint64(tt.dropped) || tt.drop == 0 && h[0].dev.Read().Dropped() != 0 {
				t.Errorf("dropped %v; want %d %v", h[0].dev.Read().Drops, tt.dropped, tt.drop)
			}
		})
	}
}

// A batch is cut into runs of one remote; each keeps its order, and those dropped leave no gap.
func TestDeviceSendRuns(t *testing.T) {
	h := newHosts(t, docker, docker, docker)
	other := wire.MAC{2, 0, 0, 0, 0, 9}
	h[0].dev.Update(func(t *vxlan.Table) { toDst(t); t.AddRemote("ep2", other, vtep4) })
	var batch []*fabric.Frame
	var want3, want4 [][]byte
	for i, to := range []byte{3, 3, 0, 3, 4, 4, 0, 0, 4, 3} {
		f := vxlantest.Train(vxlantest.TrainConfig{Segs: 1, MSS: 20, Port: uint16(i)})
		switch to {
		case 0:
			f.Eth().SetDst(wire.MAC{2, 9, 9, 9, 9, 9})
		case 3:
			want3 = append(want3, f.AppendSegment(nil, 0))
		case 4:
			f.Eth().SetDst(other)
			want4 = append(want4, f.AppendSegment(nil, 0))
		}
		batch = append(batch, f)
	}
	before := slices.Clone(batch)
	h[0].dev.Send(batch)
	if !slices.Equal(batch, before) {
		t.Error("Send changed the caller's slice")
	}
	if !slices.EqualFunc(h[1].got, want3, bytes.Equal) || !slices.EqualFunc(h[2].got, want4, bytes.Equal) {
		t.Errorf("got %d and %d frames, or others than were sent; want %d and %d", len(h[1].got), len(h[2].got), len(want3), len(want4))
	}
	if n := h[0].dev.Dropped(fabric.DropNoRemote); n != 3 {
		t.Errorf("dropped %d; want 3", n)
	}
}

func TestDeviceProxy(t *testing.T) {
	asked := netip.MustParseAddr("10.1.0.3")
	known := func(t *vxlan.Table) { t.AddNeighbour("ep", asked, vxlantest.DstMAC); toDst(t) }
	request := func(change func(wire.Ethernet, wire.ARP)) func() *fabric.Frame {
		return func() *fabric.Frame {
			f := vxlantest.ARPRequest("10.1.0.2", "10.1.0.3")
			change(f.Eth(), wire.ARP(f.Linear()[wire.EthernetLen:]))
			return f
		}
	}
	answer := make([]byte, wire.EthernetLen+wire.ARPLen)
	wire.PutEthernet(answer, vxlantest.SrcMAC, vxlantest.DstMAC, wire.TypeARP)
	wire.PutARP(answer[wire.EthernetLen:], wire.ARPReply, vxlantest.DstMAC, asked, vxlantest.SrcMAC, netip.MustParseAddr("10.1.0.2"))
	for _, tt := range []struct {
		name   string
		change func(*vxlan.Table)
		frame  func() *fabric.Frame
		want   []byte
		drop   fabric.DropReason
	}{
		{"O9 answered with the real remote MAC", known, request(func(wire.Ethernet, wire.ARP) {}), answer, 0},
		{"O9 so is a unicast probe", known, request(func(e wire.Ethernet, _ wire.ARP) { e.SetDst(vxlantest.DstMAC) }), answer, 0},
		{"O7 unknown address is swallowed", toDst, request(func(wire.Ethernet, wire.ARP) {}), nil, fabric.DropNoRemote},
		{"O7 a reply does not travel", known, request(func(e wire.Ethernet, a wire.ARP) { a[7] = 2; e.SetDst(vxlantest.DstMAC) }), nil, fabric.DropNoRemote},
		{"not for Ethernet", known, request(func(_ wire.Ethernet, a wire.ARP) { a[1] = 6 }), nil, fabric.DropMalformed},
		{"cut short", known, func() *fabric.Frame {
			f := vxlantest.ARPRequest("10.1.0.2", "10.1.0.3")
			f.CapLen(30)
			return f
		}, nil, fabric.DropTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHosts(t, docker, docker)
			h[0].dev.Update(tt.change)
			h[0].dev.Send([]*fabric.Frame{tt.frame()})
			if len(h[1].got) != 0 {
				t.Error("ARP travelled to the other host")
			}
			if tt.want == nil && (len(h[0].got) != 0 || h[0].dev.Dropped(tt.drop) != 1) {
				t.Errorf("answers %x, drops %v; want one %v", h[0].got, h[0].dev.Read().Drops, tt.drop)
			}
			if tt.want != nil && (len(h[0].got) != 1 || !bytes.Equal(h[0].got[0], tt.want)) {
				t.Errorf("answers %x; want %x", h[0].got, tt.want)
			}
		})
	}
}

// L24: a device that learns sends back to where frames came from, for 300 s; one that does not learn knows nothing.
func TestDeviceLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, vxlan.DeviceConfig{VNI: 257, Flood: []netip.Addr{vtep3, vtep4}}, docker, vxlan.DeviceConfig{VNI: 257})
		h[0].dev.Send([]*fabric.Frame{unicast()})
		back := func() *fabric.Frame {
			f := unicast()
			f.Eth().SetSrc(vxlantest.DstMAC)
			f.Eth().SetDst(vxlantest.SrcMAC)
			return f
		}
		h[1].dev.Send([]*fabric.Frame{back()})
		h[2].dev.Send([]*fabric.Frame{back()})
		if len(h[0].got) != 1 || h[2].dev.Dropped(fabric.DropNoRemote) != 1 {
			t.Errorf("%d came back, the host that does not learn dropped %v", len(h[0].got), h[2].dev.Read().Drops)
		}
		time.Sleep(vxlan.LearnedAge)
		h[1].dev.Send([]*fabric.Frame{back()})
		if len(h[0].got) != 1 || h[1].dev.Dropped(fabric.DropNoRemote) != 1 {
			t.Errorf("after %v, %d came back, dropped %v", vxlan.LearnedAge, len(h[0].got), h[1].dev.Read().Drops)
		}
	})
}

// L23: the hash that the transport makes the source port from is that of the inner flow.
func TestDeviceHash(t *testing.T) {
	ends := vxlan.NewPipe(netip.AddrPortFrom(vtep2, vxlan.Port), netip.AddrPortFrom(vtep3, vxlan.Port))
	dev, err := vxlan.New(vxlan.Config{Transport: ends[0]}).Add(docker)
	if err != nil {
		t.Fatal(err)
	}
	dev.Update(toDst)
	var got []uint32
	ends[1].SetReceiver(func(_ netip.AddrPort, batch []*fabric.Frame) {
		for _, f := range batch {
			got = append(got, f.Hash)
		}
		fabric.FreeAll(batch)
	})
	var batch []*fabric.Frame
	var want []uint32
	for _, port := range []uint16{1, 1, 2} {
		f := vxlantest.Train(vxlantest.TrainConfig{Segs: 2, MSS: 20, Port: port})
		want = append(want, f.Clone().FlowHash())
		batch = append(batch, f)
	}
	dev.Send(batch)
	if !slices.Equal(got, want) || got[0] != got[1] || got[1] == got[2] {
		t.Errorf("hashes %x; want %x, the first two equal", got, want)
	}
}

func TestDeviceTrace(t *testing.T) {
	h := newHosts(t, docker, docker)
	h[0].dev.Update(toDst)
	f := unicast()
	f.Trace = new(fabric.Trace)
	trace := f.Trace
	h[0].dev.Send([]*fabric.Frame{f})
	events, _ := trace.Events()
	for i := range events {
		events[i].At = 0
	}
	want := []fabric.Event{
		{Kind: fabric.EventEncap, Place: "vxlan0", Before: "vni 257", After: "vtep 192.168.0.3"},
		{Kind: fabric.EventDecap, Place: "vxlan0", Before: "vtep 192.168.0.2", After: "vni 257"},
		{Kind: fabric.EventLearn, Place: "vxlan0", Before: "02:42:0a:01:00:02", After: "vtep 192.168.0.2"},
	}
	if !slices.Equal(events, want) {
		t.Errorf("events = %+v; want %+v", events, want)
	}
}

// What cannot be cut any more once it is in a tunnel goes in as finished wire frames: IPv6 trains, tunnels in tunnels.
func TestDeviceSendsPlain(t *testing.T) {
	v6 := func() *fabric.Frame {
		f := fabric.New()
		b := f.Extend(wire.EthernetLen + wire.IPv6Len + wire.TCPLen + 250)
		wire.PutEthernet(b, vxlantest.DstMAC, vxlantest.SrcMAC, wire.TypeIPv6)
		b[14] = 0x60
		wire.IPv6(b[14:]).SetPayloadLen(wire.TCPLen + 250)
		b[20], b[21] = wire.ProtoTCP, 64
		b[54+12] = 5 << 4
		f.ParseEthernet()
		f.Segs, f.MSS, f.Checksum = 3, 100, fabric.ChecksumPartial
		return f
	}
	nested := func() *fabric.Frame {
		f := vxlantest.Wrap(vxlantest.Train(vxlantest.TrainConfig{Segs: 3, MSS: 100}), 300)
		n := f.Len()
		b := f.Prepend(wire.EthernetLen + wire.IPv4Len + wire.UDPLen)
		wire.PutEthernet(b, vxlantest.DstMAC, vxlantest.SrcMAC, wire.TypeIPv4)
		wire.PutIPv4(b[14:], wire.IPv4Fields{TotalLen: n + 28, TTL: 64, Proto: wire.ProtoUDP, Src: ip3, Dst: ip3})
		wire.PutUDP(b[34:], 1, vxlan.Port, n+8)
		f.SetOuter(wire.TypeIPv4, wire.ProtoUDP, 14, 34)
		return f
	}
	for name, build := range map[string]func() *fabric.Frame{"IPv6": v6, "nested": nested} {
		t.Run(name, func(t *testing.T) {
			h := newHosts(t, docker, docker)
			h[0].dev.Update(toDst)
			f := build()
			want := vxlantest.WireFrames(f)
			h[0].dev.Send([]*fabric.Frame{f})
			if len(want) != 3 || !slices.EqualFunc(h[1].got, want, bytes.Equal) {
				t.Errorf("got %x; want %x; drops %v", h[1].got, want, h[0].dev.Read().Drops)
			}
		})
	}
}

// Two devices that hand everything back to each other end it by the hop limit.
func TestDeviceLoop(t *testing.T) {
	h := newHosts(t, docker, docker)
	h[0].dev.Update(toDst)
	h[1].dev.Update(func(t *vxlan.Table) { t.AddRemote("ep", vxlantest.DstMAC, vtep2) })
	h[0].dev.SetReceiver(fabric.ReceiverFunc(h[0].dev.Send))
	h[1].dev.SetReceiver(fabric.ReceiverFunc(h[1].dev.Send))
	h[0].dev.Send([]*fabric.Frame{unicast()})
	if n := h[0].dev.Dropped(fabric.DropHopLimit) + h[1].dev.Dropped(fabric.DropHopLimit); n != 1 {
		t.Errorf("dropped for the hop limit: %d; want 1", n)
	}
}

func TestDeviceWithoutReceiver(t *testing.T) {
	h := newHosts(t, docker, docker)
	h[0].dev.Update(toDst)
	h[1].dev.SetReceiver(nil)
	h[0].dev.Send([]*fabric.Frame{unicast(), unicast()})
	if n := h[1].dev.Dropped(fabric.DropNoReceiver); n != 2 {
		t.Errorf("dropped %d; want 2", n)
	}
}

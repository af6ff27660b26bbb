package netns

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
)

// What comes off a wire and is not right is dropped at the door, and counted with its reason where it came in.
func TestDoor(t *testing.T) {
	mac := wire.MAC{2, 0, 0, 0, 0, 2}
	p := fabrictest.Packet{DstMAC: mac, Src: netip.MustParseAddrPort("10.0.0.9:7"), Dst: netip.MustParseAddrPort("10.0.0.2:9"), Size: 100}
	const ip, l4 = wire.EthernetLen, wire.EthernetLen + wire.IPv4Len
	resum := func(b []byte) []byte { wire.IPv4(b[ip:]).FillChecksum(); return b }
	for _, c := range []struct {
		name string
		f    *fabric.Frame
		harm func(b []byte) []byte
		want fabric.DropReason
	}{
		{"half an Ethernet header", p.TCP(), func(b []byte) []byte { return b[:7] }, fabric.DropTruncated},
		{"half an IP header", p.TCP(), func(b []byte) []byte { return b[:ip+11] }, fabric.DropTruncated},
		{"less than its length says", p.TCP(), func(b []byte) []byte { return b[:len(b)-1] }, fabric.DropTruncated},
		{"half a TCP header", p.TCP(), func(b []byte) []byte { wire.IPv4(b[ip:]).SetTotalLen(30); return resum(b[:ip+30]) }, fabric.DropTruncated},
		{"half a UDP header", p.UDP(), func(b []byte) []byte { wire.IPv4(b[ip:]).SetTotalLen(25); return resum(b[:ip+25]) }, fabric.DropTruncated},
		{"UDP longer than its packet", p.UDP(), func(b []byte) []byte { wire.UDP(b[l4:]).SetLen(500); return b }, fabric.DropTruncated},
		{"UDP shorter than its header", p.UDP(), func(b []byte) []byte { wire.UDP(b[l4:]).SetLen(7); return b }, fabric.DropMalformed},
		{"half an ICMP header", p.Echo(1, 1), func(b []byte) []byte { wire.IPv4(b[ip:]).SetTotalLen(25); return resum(b[:ip+25]) }, fabric.DropTruncated},
		{"IP header of 16 bytes", p.TCP(), func(b []byte) []byte { b[ip] = 0x44; return b }, fabric.DropMalformed},
		{"IP header beyond the frame", p.TCP(), func(b []byte) []byte { b[ip] = 0x4f; return b[:ip+30] }, fabric.DropTruncated},
		{"version 5", p.TCP(), func(b []byte) []byte { b[ip] = 0x55; return b }, fabric.DropMalformed},
		{"total length within the header", p.TCP(), func(b []byte) []byte { wire.IPv4(b[ip:]).SetTotalLen(19); return resum(b) }, fabric.DropMalformed},
		{"TCP header of 16 bytes", p.TCP(), func(b []byte) []byte { b[l4+12] = 4 << 4; return b }, fabric.DropMalformed},
		{"TCP options beyond the packet", p.TCP(), func(b []byte) []byte {
			b[l4+12] = 15 << 4
			wire.IPv4(b[ip:]).SetTotalLen(50)
			return resum(b[:ip+50])
		}, fabric.DropTruncated},
		{"IP checksum", p.TCP(), func(b []byte) []byte { b[ip+10] ^= 1; return b }, fabric.DropChecksum},
		{"IP options, checksum", fabrictest.Packet{DstMAC: mac, Src: p.Src, Dst: p.Dst, IPOptions: make([]byte, 40)}.TCP(),
			func(b []byte) []byte { b[ip+33] ^= 1; return b }, fabric.DropChecksum},
		{"TCP checksum", p.TCP(), func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, fabric.DropChecksum},
		{"UDP checksum", p.UDP(), func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, fabric.DropChecksum},
		{"ICMP checksum", p.Echo(1, 1), func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, fabric.DropChecksum},
		{"longer than the MTU", fabrictest.Packet{DstMAC: mac, Src: p.Src, Dst: p.Dst, Size: 1500 + tagSlack + 1 - 28}.UDP(), nil, fabric.DropMTU},
		{"fragment of no whole eights", fabrictest.Packet{DstMAC: mac, Src: p.Src, Dst: p.Dst, Size: 101, Frag: wire.MoreFragments}.UDP(), nil, fabric.DropMalformed},
		{"fragment beyond 65535", p.UDP(), func(b []byte) []byte { wire.IPv4(b[ip:]).SetFrag(0, 65528); return resum(b) }, fabric.DropMalformed},
		{"half an ARP packet", fabrictest.ARPRequest(wire.MAC{2, 9}, addr("10.0.0.9"), addr("10.0.0.2")), func(b []byte) []byte { return b[:30] }, fabric.DropMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns, eth0, port := node(t, Config{})
			must(ns.ListenPacket("udp", ":9"))
			must(ns.Listen("tcp", ":9"))
			b := c.f.AppendTo(nil)
			if c.harm != nil {
				b = c.harm(b)
			}
			port.arrive(fabric.FromBytes(b))
			n, all := eth0.Dropped(c.want)+ns.Dropped(c.want), eth0.Read().Dropped()+ns.Read().Dropped()
			if n != 1 || all != 1 || ns.queue.Len() != 0 {
				t.Errorf("dropped %v, %v, %d went up; want one %v", eth0.Read().Drops, ns.Read().Drops, ns.queue.Len(), c.want)
			}
			if got := port.take(); len(got) != 0 {
				t.Errorf("it was answered: %v", got)
			}
		})
	}
}

// What is just right passes the door: options, padding, a packet as long as the MTU, a tag's length more.
func TestDoorLetsIn(t *testing.T) {
	mac := wire.MAC{2, 0, 0, 0, 0, 2}
	p := fabrictest.Packet{DstMAC: mac, Src: netip.MustParseAddrPort("10.0.0.9:7"), Dst: netip.MustParseAddrPort("10.0.0.2:9")}
	sized := func(n int) *fabric.Frame { p := p; p.Size = n - 28; return p.UDP() }
	options := p
	options.IPOptions, options.Size = bytes.Repeat([]byte{1}, 40), 5
	none := p.UDP()
	none.UDP().SetChecksum(0)
	for name, f := range map[string]*fabric.Frame{
		"MTU": sized(1500), "MTU and a tag": sized(1500 + tagSlack), "IP options": options.UDP(), "no UDP checksum": none,
		"padding":             fabric.FromBytes(append(p.UDP().AppendTo(nil), make([]byte, 18)...)),
		"train above the MTU": fabrictest.Packet{DstMAC: mac, Src: p.Src, Dst: p.Dst, Size: 14600, MSS: 1460}.TCP(),
	} {
		ns, eth0, port := node(t, Config{})
		must(ns.ListenPacket("udp", ":9"))
		port.arrive(f)
		if d := eth0.Read().Dropped(); d != 0 || ns.queue.Len() != 1 {
			t.Errorf("%s: dropped %v, %d went up", name, eth0.Read().Drops, ns.queue.Len())
		}
	}
}

// Of a train that is too long for an interface, in comes what had come in alone.
func TestDoorCutsTrains(t *testing.T) {
	ns, eth0, port := node(t, Config{})
	port.arrive(fabrictest.Packet{DstMAC: eth0.mac, Src: netip.MustParseAddrPort("10.0.0.9:7"), Dst: netip.MustParseAddrPort("10.0.0.2:9"), Size: 3*2000 + 1000, MSS: 2000}.TCP())
	if n := eth0.Dropped(fabric.DropMTU); n != 3 || eth0.Read().RxFrames != 1 || ns.queue.Len() != 1 {
		t.Errorf("%d wire frames dropped, %d came in, %d went up; want 3, 1 and 1", n, eth0.Read().RxFrames, ns.queue.Len())
	}
}

// What a tunnel brings is looked at like what a wire brings.
func TestTunnelDoor(t *testing.T) {
	inner := fabrictest.Packet{Size: 60}.UDP().AppendTo(nil)
	header := func(flags, vni byte) []byte { return []byte{flags, 0, 0, 0, 0, 0, vni, 0} }
	for _, c := range []struct {
		name string
		body []byte
		want fabric.DropReason
		at   string
	}{
		{"own network", append(header(8, 42), inner...), 0, ""},
		{"foreign VNI", append(header(8, 43), inner...), fabric.DropForeignVNI, "vtep"},
		{"no VNI", append(header(0, 42), inner...), fabric.DropMalformed, "vtep"},
		{"half a header", header(8, 42)[:5], fabric.DropTruncated, "vtep"},
		{"nothing inside", header(8, 42), fabric.DropTruncated, "device"},
		{"half a packet inside", append(header(8, 42), inner[:30]...), fabric.DropTruncated, "device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns, _, port := node(t, Config{})
			vtep := vxlan.New(vxlan.Config{Transport: must(ns.ListenTunnel(vxlan.Port))})
			dev := must(vtep.Add(vxlan.DeviceConfig{VNI: 42}))
			got := &fabrictest.Collector{}
			dev.SetReceiver(got)
			port.arrive(fabrictest.Packet{DstMAC: wire.MAC{2, 0, 0, 0, 0, 2}, Src: netip.MustParseAddrPort("10.0.0.9:40000"),
				Dst: netip.MustParseAddrPort("10.0.0.2:4789"), Data: c.body}.UDP())
			counters := map[string]*fabric.Counters{"vtep": &vtep.Counters, "device": &dev.Counters}
			if c.want == 0 {
				if got.Len() != 1 {
					t.Errorf("%d frames came out; dropped %v, %v", got.Len(), vtep.Read().Drops, dev.Read().Drops)
				}
				return
			}
			if n := counters[c.at].Dropped(c.want); n != 1 || got.Len() != 0 {
				t.Errorf("%d frames came out; dropped %v, %v; want one %v at the %s", got.Len(), vtep.Read().Drops, dev.Read().Drops, c.want, c.at)
			}
		})
	}
}

// A full queue in front of the sockets drops, counts, and never blocks; what fits is still there.
func TestFullSocketQueue(t *testing.T) {
	ns, eth0, port := node(t, Config{}) // which nobody runs
	const more = 100
	for range fabric.QueueFrames + more {
		port.arrive(udpFrame(eth0.mac, "10.0.0.9", "10.0.0.2", 10))
	}
	if n := ns.Dropped(fabric.DropQueueFull); n != more || ns.queue.Len() != fabric.QueueFrames {
		t.Errorf("%d dropped, %d wait; want %d and %d", n, ns.queue.Len(), more, fabric.QueueFrames)
	}
}

// A UDP socket whose owner does not read drops what it has no room for, and others go on.
func TestFullUDPSocket(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	must(cs[1].ListenPacket("udp", ":53")) // whom nobody reads
	reader := must(cs[1].ListenPacket("udp", ":54"))
	flood, ask := must(cs[0].Dial(l.ctx, "udp", "10.0.0.3:53")), must(cs[0].Dial(l.ctx, "udp", "10.0.0.3:54"))
	l.eventually("the socket is full", func() bool {
		for range 100 {
			if _, err := flood.Write(make([]byte, 1400)); err != nil {
				t.Fatal(err)
			}
		}
		return cs[1].Dropped(fabric.DropQueueFull) > 0
	})
	l.eventually("another socket receives", func() bool {
		if _, err := ask.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		return waits(cs[1], 54)
	})
	b := make([]byte, 10)
	if n, _, err := reader.ReadFrom(b); string(b[:n]) != "hello" {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

// waits tells whether data waits for the reader of a UDP port.
func waits(ns *Namespace, port uint16) bool {
	for _, s := range ns.Sockets() {
		if s.Local.Port() == port && s.RecvQ > 0 {
			return true
		}
	}
	return false
}

// Whoever rewrites a packet mends its checksum and does not compute it anew: what was wrong stays so, and whom the packet
// is for drops it.
func TestWrongChecksumStaysWrong(t *testing.T) {
	h := newWholeHost(t)
	c := h.crossings()["published: DNAT, route, bridge"]
	c.p.Size, c.p.MSS, c.p.Partial = 100, 0, false
	for name, f := range map[string]*fabric.Frame{"tcp": c.p.TCP(), "udp": c.p.UDP()} {
		b := f.AppendTo(nil)
		f.Free()
		b[len(b)-1] ^= 1
		c.in.Arrive([]*fabric.Frame{fabric.FromBytes(b)})
		f = c.out.One()
		if f == nil || f.Dst().String() != "10.0.0.2:80" {
			t.Fatalf("%s: %v came out; want it at 10.0.0.2:80", name, f)
		}
		if fabrictest.CheckFrame(f) == nil {
			t.Errorf("%s: a wrong checksum became right", name)
		}
		target := New(Config{Name: "target"})
		eth0 := must(target.AddInterface(InterfaceConfig{Name: "eth0", MAC: f.Eth().Dst(), Port: &sink{}, Addr: prefix("10.0.0.2/24")}))
		(*eth0.port.(*sink).r.Load()).Receive([]*fabric.Frame{f})
		if eth0.Dropped(fabric.DropChecksum) != 1 {
			t.Errorf("%s: dropped %v; want a bad checksum", name, eth0.Read().Drops)
		}
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}
}

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

// edge is a router with a plug on either side.
func edge(t *testing.T, mtu int) (in, out *fabrictest.Plug, p fabrictest.Packet) {
	n := &trainNet{t: t}
	n.path.Outs = map[string]*fabrictest.Collector{}
	r := n.namespace("r")
	i, in := n.plug(r, "eth0", "10.0.0.1/24", 1500)
	o, out := n.plug(r, "eth1", "10.5.0.1/24", mtu)
	i.AddNeighbour(addr("10.0.0.9"), macOf(addr("10.0.0.9")))
	o.AddNeighbour(addr("10.5.0.9"), macOf(addr("10.5.0.9")))
	return in, out, fabrictest.Packet{DstMAC: i.mac, Src: netip.MustParseAddrPort("10.0.0.9:7"), Dst: netip.MustParseAddrPort("10.5.0.9:80")}
}

// The last wire frame of a train that is cut at a narrow interface goes as it is if it fits, even if a cut would not leave
// it whole: fragments carry multiples of 8 bytes.
func TestLastOfCutTrainStaysWhole(t *testing.T) {
	in, out, p := edge(t, 1450)
	p.Size, p.MSS = 2*1430+1408, 1430 // packets of 1470, 1470 and 1448 bytes; a fragment has 1444 at most
	in.Arrive([]*fabric.Frame{p.TCP()})
	got := out.Take()
	defer fabric.FreeAll(got)
	if len(got) != 5 || got[4].IPv4().IsFragment() || got[4].PacketLen() != 1448 {
		t.Errorf("%d frames came out, the last of %d bytes; want 4 fragments and a packet of 1448", len(got), got[len(got)-1].PacketLen())
	}
}

// An ICMP error quotes the wire frame that it is about, not the train (RFC 1812 section 4.3.2.3).
func TestErrorQuotesWireFrame(t *testing.T) {
	for _, mtu := range []int{1500, 600} {
		in, _, p := edge(t, mtu)
		p.Size, p.MSS, p.Partial, p.Frag, p.Seq = 3000, 1000, true, wire.DontFragment, 77
		if mtu == 1500 {
			p.TTL = 1
		}
		f := p.TCP()
		want := f.AppendSegment(nil, 0)[wire.EthernetLen:]
		in.Arrive([]*fabric.Frame{f})
		got := in.Take()
		if len(got) != 1 || got[0].ICMP() == nil {
			t.Fatalf("mtu %d: %d frames came back; want an ICMP error", mtu, len(got))
		}
		if quote := got[0].ICMP()[wire.ICMPLen:]; !bytes.Equal(quote, want[:len(quote)]) || len(quote) < wire.IPv4Len+8 {
			t.Errorf("mtu %d: it quotes\n% x; want what\n% x begins with", mtu, quote, want[:len(quote)])
		}
		if err := fabrictest.CheckFrame(got[0]); err != nil {
			t.Error(err)
		}
		fabric.FreeAll(got)
	}
}

// A train as long as an IP packet can be fits a tunnel, as its wire frames do.
func TestLongTrainInTunnel(t *testing.T) {
	n := &trainNet{t: t}
	n.path.Outs = map[string]*fabrictest.Collector{}
	host := n.namespace("host")
	eth, plug := n.plug(host, "eth0", "192.168.7.2/24", 1500)
	eth.AddNeighbour(addr("192.168.7.3"), wire.MAC{2, 9})
	vtep := vxlan.New(vxlan.Config{Transport: must(host.ListenTunnel(vxlan.Port))})
	dev := must(vtep.Add(vxlan.DeviceConfig{VNI: 7}))
	dev.Update(func(t *vxlan.Table) { t.AddRemote("x", fabrictest.DstMAC, addr("192.168.7.3")) })
	c := fabrictest.Train{Packet: fabrictest.Packet{Size: 65535 - 40, MSS: 1400, Flags: wire.ACK | wire.PSH | wire.FIN, Partial: true}}
	dev.Send([]*fabric.Frame{c.Frame()})
	var got [][]byte
	for _, f := range plug.Take() {
		got = append(got, fabrictest.Wire(f)...)
		f.Free()
	}
	dev.Send(c.Singles())
	var want [][]byte
	for _, f := range plug.Take() {
		want = append(want, fabrictest.Wire(f)...)
		f.Free()
	}
	if len(got) != 47 || len(want) != 47 {
		t.Fatalf("%d and %d wire frames came out; want 47: %v", len(got), len(want), host.Read().Drops)
	}
	for i := range got {
		const ip = wire.EthernetLen
		for _, b := range [][]byte{got[i], want[i]} { // the outer identification counts on
			wire.IPv4(b[ip:]).SetID(0)
			wire.IPv4(b[ip:]).FillChecksum()
		}
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("wire frame %d of the train is not what comes out alone", i)
		}
		if err := fabrictest.CheckWire(got[i]); err != nil {
			t.Errorf("wire frame %d: %v", i, err)
		}
	}
}

// Each run of packets reads the clock for itself.
func TestRunReadsClock(t *testing.T) {
	ns := New(Config{})
	defer ns.Close()
	for range 100 {
		out := ns.newEmitter()
		if out.now() == 1 {
			t.Fatal("a run has the time of one before")
		}
		out.at = 1
		out.release()
	}
}

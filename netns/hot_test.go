package netns

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
)

// table returns a table with that many networks and a default route.
func table(n int) FIB {
	dev := testDev("eth0", true)
	routes := []Route{{Dst: prefix("0.0.0.0/0"), Via: addr("10.0.0.1"), Dev: dev}}
	for i := range n {
		routes = append(routes, Route{Dst: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24), Dev: dev})
	}
	return newFIB(routes)
}

// BenchmarkRoute looks up the way of a packet.
func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{2, 10, 1000} {
		t := table(n)
		for name, dst := range map[string]netip.Addr{"network": netip.AddrFrom4([4]byte{10, byte((n - 1) >> 8), byte(n - 1), 7}), "default": addr("8.8.8.8")} {
			b.Run(fmt.Sprint(n, "-", name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := t.Lookup(dst); !ok {
						b.Fatal("no route")
					}
				}
			})
		}
	}
}

// BenchmarkNeighbour puts the Ethernet header of a known neighbour in front of a packet and sends it.
func BenchmarkNeighbour(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ns := New(Config{})
			defer ns.Close()
			p := &again{}
			i := must(ns.AddInterface(InterfaceConfig{Name: "eth0", Port: p, Addr: prefix("10.0.0.1/16")}))
			for k := range n {
				i.learn(netip.AddrFrom4([4]byte{10, 0, byte(k >> 8), byte(k + 2)}), wire.MAC{2, 9}, true, true)
			}
			f := udpFrame(wire.MAC{2, 9}, "10.0.0.9", "10.0.0.2", 18)
			f.ParseEthernet()
			f.TrimFront(wire.EthernetLen)
			b.ReportAllocs()
			for b.Loop() {
				out := ns.newEmitter()
				i.resolve(f, addr("10.0.0.2"), out)
				out.release()
				f.TrimFront(wire.EthernetLen)
			}
		})
	}
}

// wholeHost is a host as Docker makes it: eth0 at 192.168.1.2, a bridge with a container, whose port 80 is published,
// and an overlay network whose VTEP is the host's and whose bridge has another container.
type wholeHost struct {
	eth0, veth, overlay *fabrictest.Plug
	br                  *Interface
	eth                 *Interface
}

const overlayMAC = "\x02\x42\x0a\x01\x00\x03"

func newWholeHost(tb testing.TB) *wholeHost {
	tb.Helper()
	n := &trainNet{t: tb}
	n.path.Outs = map[string]*fabrictest.Collector{}
	host, br := n.dockerHost()
	h := &wholeHost{br: br}
	h.eth, h.eth0 = n.plug(host, "eth0", "192.168.1.2/24", 1500)
	veth, plug := n.plug(host, "veth1", "", 1500)
	h.veth = plug
	br.AddNeighbour(addr("10.0.0.2"), macOf(addr("10.0.0.2")))
	for _, a := range []string{"192.168.1.9", "192.168.1.3"} {
		h.eth.AddNeighbour(addr(a), macOf(addr(a)))
	}
	vtep := vxlan.New(vxlan.Config{Local: addr("192.168.1.2"), Transport: must(host.ListenTunnel(vxlan.Port))})
	dev := must(vtep.Add(vxlan.DeviceConfig{VNI: 4097, Name: "vxlan0", Proxy: true}))
	dev.Update(func(t *vxlan.Table) { t.AddRemote("c", wire.MAC([]byte(overlayMAC)), addr("192.168.1.3")) })
	sandbox := n.namespace("sandbox")
	obr := must(sandbox.AddBridge(InterfaceConfig{Name: "br0", Addr: prefix("10.1.0.1/24"), MAC: macOf(addr("10.1.0.1"))}))
	vx := must(sandbox.AddInterface(InterfaceConfig{Name: "vxlan0", Kind: KindVXLAN, Port: dev, MTU: 1450, Device: dev}))
	oveth, oplug := n.plug(sandbox, "veth0", "", 1450)
	h.overlay = oplug
	for i, master := range map[*Interface]*Interface{veth: br, vx: obr, oveth: obr} {
		if err := i.SetMaster(master); err != nil {
			tb.Fatal(err)
		}
	}
	return h
}

// crossing is a train that passes the host: where it goes in, where it comes out, and what it looks like.
type crossing struct {
	in, out *fabrictest.Plug
	p       fabrictest.Packet
}

func (h *wholeHost) crossings() map[string]crossing {
	p := fabrictest.Packet{Size: 40 * 1398, MSS: 1398, Partial: true}
	published, masqueraded, overlay := p, p, p
	published.DstMAC, published.Src, published.Dst = h.eth.mac, netip.MustParseAddrPort("192.168.1.9:5000"), netip.MustParseAddrPort("192.168.1.2:8080")
	masqueraded.SrcMAC, masqueraded.DstMAC = macOf(addr("10.0.0.2")), h.br.mac
	masqueraded.Src, masqueraded.Dst = netip.MustParseAddrPort("10.0.0.2:5000"), netip.MustParseAddrPort("192.168.1.9:443")
	overlay.SrcMAC, overlay.DstMAC = macOf(addr("10.1.0.2")), wire.MAC([]byte(overlayMAC))
	return map[string]crossing{
		"published: DNAT, route, bridge":        {h.eth0, h.veth, published},
		"masqueraded: bridge, route, SNAT":      {h.veth, h.eth0, masqueraded},
		"overlay: bridge, vxlan, conntrack out": {h.overlay, h.eth0, overlay},
	}
}

// cross sends a copy of f through and frees what comes out.
func (c *crossing) cross(tb testing.TB, f *fabric.Frame, batch []*fabric.Frame) {
	batch[0] = f.Clone()
	c.in.Arrive(batch)
	if batch[0] = c.out.One(); batch[0] == nil {
		tb.Fatal("nothing came out")
	}
	batch[0].Free()
}

// BenchmarkHost sends one train of 40 wire frames through a whole host.
func BenchmarkHost(b *testing.B) {
	for name, c := range newWholeHost(b).crossings() {
		b.Run(name, func(b *testing.B) {
			f, batch := c.p.TCP(), make([]*fabric.Frame, 1)
			defer f.Free()
			b.SetBytes(int64(c.p.Size))
			b.ReportAllocs()
			for b.Loop() {
				c.cross(b, f, batch)
			}
		})
	}
}

// Nothing is allocated for a train, or a single wire frame, that is routed, translated, bridged or encapsulated.
func TestHotPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop what it holds")
	}
	for name, c := range newWholeHost(t).crossings() {
		for _, size := range []int{18, c.p.Size} {
			c.p.Size = size
			f, batch := c.p.TCP(), make([]*fabric.Frame, 1)
			for range 100 {
				c.cross(t, f, batch)
			}
			if n := testing.AllocsPerRun(1000, func() { c.cross(t, f, batch) }); n != 0 {
				t.Errorf("%s, %d bytes: %v allocations; want 0", name, size, n)
			}
			f.Free()
		}
	}
}

package netns

import (
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// portOnly hides an interface's counters: without a receiver what arrives is the namespace's, and none of it is dropped
// for want of one.
type portOnly struct{ fabric.Port }

// An interface is a fabric.Port for the bridge that it is a port of.
func TestInterfacePorts(t *testing.T) {
	fabrictest.TestPorts(t, func(t *testing.T) (a, b fabric.Port) {
		l := newLab(t)
		x, y := l.veth(New(Config{Name: "a"}), "eth0", "", New(Config{Name: "b"}), "eth0", "")
		t.Cleanup(func() { x.Namespace().Close(); y.Namespace().Close() })
		return portOnly{x}, portOnly{y}
	})
}

// The two ends of what two bridges and the pair between them carry: every device of a namespace's data path on one way.
func TestBridgedPorts(t *testing.T) {
	fabrictest.TestPorts(t, func(t *testing.T) (a, b fabric.Port) {
		host := New(Config{Name: "host"})
		t.Cleanup(func() { host.Close() })
		var ends []fabric.Port
		var bridges []*Interface
		for _, n := range []string{"0", "1"} {
			br := must(host.AddBridge(InterfaceConfig{Name: "br" + n}))
			outside, port := fabric.NewVeth("outside"+n, "host/eth"+n)
			eth := must(host.AddInterface(InterfaceConfig{Name: "eth" + n, Port: port}))
			if err := eth.SetMaster(br); err != nil {
				t.Fatal(err)
			}
			bridges, ends = append(bridges, br), append(ends, outside)
		}
		x, y, err := NewVethPair(host, InterfaceConfig{Name: "v0"}, host, InterfaceConfig{Name: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range []*Interface{x, y} {
			if err := v.SetMaster(bridges[i]); err != nil {
				t.Fatal(err)
			}
		}
		// Both ends send from one address; the way there must not be taken back for it.
		for i := range ends {
			bridges[i].Bridge().Port("v" + string(rune('0'+i))).SetLearning(false)
			bridges[i].Bridge().Port("eth" + string(rune('0'+i))).SetLearning(false)
		}
		return ends[0], ends[1]
	})
}

// tunnels connects two namespaces that have a tunnel each.
func tunnels(l *lab, between func(a, b *Namespace)) (x, y vxlantest.Endpoint) {
	l.Helper()
	a, b := l.add(Config{Name: "a"}), l.add(Config{Name: "b"})
	between(a, b)
	ends := make([]vxlantest.Endpoint, 0, 2)
	for _, ns := range []*Namespace{a, b} {
		addr := must2(ns.Interface("eth0")).Addrs()[0].Addr()
		ends = append(ends, vxlantest.Endpoint{Transport: must(ns.ListenTunnel(vxlan.Port)), Addr: netip.AddrPortFrom(addr, vxlan.Port)})
	}
	return ends[0], ends[1]
}

// The simulated underlay keeps the contract of every VXLAN transport, over a cable, a veth pair and a router.
func TestTunnelTransport(t *testing.T) {
	for name, between := range map[string]func(l *lab, a, b *Namespace){
		"veth": func(l *lab, a, b *Namespace) { l.veth(a, "eth0", "192.168.1.2/24", b, "eth0", "192.168.1.3/24") },
		"cable": func(l *lab, a, b *Namespace) {
			cable := fabric.NewLink("a/eth0", "b/eth0")
			l.wg.Go(func() { _ = cable.Run(l.ctx) })
			ia := must(a.AddInterface(InterfaceConfig{Name: "eth0", Port: cable.A(), Addr: prefix("192.168.1.2/24")}))
			ib := must(b.AddInterface(InterfaceConfig{Name: "eth0", Port: cable.B(), Addr: prefix("192.168.1.3/24")}))
			ia.AddNeighbour(addr("192.168.1.3"), ib.MAC()) // or what waits for an answer may be overtaken, as on Linux
			ib.AddNeighbour(addr("192.168.1.2"), ia.MAC())
		},
		"router": func(l *lab, a, b *Namespace) {
			r := l.add(Config{Name: "r", Forward: true})
			l.veth(a, "eth0", "192.168.1.2/24", r, "eth0", "192.168.1.1/24")
			l.veth(b, "eth0", "192.168.2.2/24", r, "eth1", "192.168.2.1/24")
			l.gateway(a, "192.168.1.1")
			l.gateway(b, "192.168.2.1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			vxlantest.TestTransport(t, func(t *testing.T) (a, b vxlantest.Endpoint) {
				l := newLab(t)
				return tunnels(l, func(a, b *Namespace) { between(l, a, b) })
			})
		})
	}
}

// What is sent before the other host's address is known waits, trains included, and is dropped where nobody answers.
func TestTunnelNeighbourFails(t *testing.T) {
	l := newLab(t)
	x, _ := tunnels(l, func(a, b *Namespace) { l.veth(a, "eth0", "192.168.1.2/24", b, "eth0", "192.168.1.3/24") })
	ns := x.Transport.(*Tunnel).ns
	x.Send(netip.MustParseAddrPort("192.168.1.77:4789"), []*fabric.Frame{vxlantest.Wrap(vxlantest.Train(vxlantest.TrainConfig{Segs: 3, MSS: 100}), 257)})
	eth := must2(ns.Interface("eth0"))
	l.eventually("the frames are dropped", func() bool {
		return eth.Dropped(fabric.DropNeighFailed)+ns.Dropped(fabric.DropNeighFailed) == 3
	})
	if got := must2(ns.Interface("eth0")).Read().Drops; len(got) > 1 {
		t.Errorf("drops %v", got)
	}
}

// Bridges that are connected twice over are a loop, and with a third pair a frame is doubled in every round. A broadcast
// still ends, as drops that are counted, and those on the bridges go on.
func TestBridgeLoop(t *testing.T) {
	for _, pairs := range []int{2, 3, 6} {
		l := newLab(t)
		host, cs := l.bridged(2)
		br1 := must(host.AddBridge(InterfaceConfig{Name: "br1"}))
		br0 := must2(host.Interface("br0"))
		for i := range pairs {
			n := string(rune('0' + i))
			x, y := l.veth(host, "x"+n, "", host, "y"+n, "")
			for _, err := range []error{x.SetMaster(br0), y.SetMaster(br1)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		must2(cs[0].Interface("eth0")).AnnounceARP(addr("10.0.0.2"))
		looped := uint64(0)
		for _, p := range append(br0.Ports(), br1.Ports()...) {
			looped += p.port.(*fabric.VethEnd).Dropped(fabric.DropHopLimit)
		}
		if looped == 0 {
			t.Errorf("%d pairs: nothing was dropped for the hop limit", pairs)
		}
		for i := range pairs { // the loop is gone, and what was learned of it
			must2(host.Interface("x" + string(rune('0'+i)))).SetUp(false)
		}
		br0.Bridge().Flush()
		if r, err := cs[0].Ping(l.within(patience), addr("10.0.0.3")); err != nil {
			t.Errorf("%d pairs: ping after the loop: %v, %v", pairs, r, err)
		}
	}
}

// Two macvlan interfaces on VLAN interfaces on a cable carry what a cable does.
func TestMacvlanPorts(t *testing.T) {
	fabrictest.TestPorts(t, func(t *testing.T) (a, b fabric.Port) {
		x, y := fabric.NewVeth("x", "y")
		var ends []fabric.Port
		for n, port := range []fabric.Port{x, y} {
			host, c := New(Config{Name: "host", Seed: uint64(n)}), New(Config{Name: "c", Seed: uint64(n)})
			t.Cleanup(func() { c.Close(); host.Close() })
			eth0 := must(host.AddInterface(InterfaceConfig{Name: "eth0", Port: port}))
			vlan := must(host.AddVLAN(eth0, 10, InterfaceConfig{Name: "eth0.10"}))
			ends = append(ends, portOnly{must(c.AddMacvlan(vlan, MacvlanPassthru, InterfaceConfig{Name: "eth0"}))})
		}
		return ends[0], ends[1]
	})
}

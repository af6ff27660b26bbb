package netns

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
)

// trainNet is what trains are sent through: namespaces that nobody runs, so that a packet's way ends in the call that
// sends it.
type trainNet struct {
	t    testing.TB
	lone bool // cables carry every wire frame alone and as bytes
	seed uint64
	path fabrictest.Path
}

func newTrainNet(t *testing.T, lone bool) *trainNet {
	n := &trainNet{t: t, lone: lone}
	n.path.Outs, n.path.Ends = map[string]*fabrictest.Collector{}, map[string]*fabric.Counters{}
	n.path.Skip = isICMP
	return n
}

// isICMP tells whether a wire frame is ICMP: one train has one error, as on Linux, and its wire frames one each.
func isICMP(b []byte) bool {
	e, err := wire.ParseEthernet(b)
	return err == nil && e.Type() == wire.TypeIPv4 && len(b) >= e.Len()+wire.IPv4Len && b[e.Len()+9] == wire.ProtoICMP
}

func (n *trainNet) namespace(name string) *Namespace {
	n.seed++
	ns := New(Config{Name: name, Forward: true, Seed: n.seed})
	n.t.Cleanup(func() { ns.Close() })
	return ns
}

// macOf is the address of the interface, or the machine outside, that has ip.
func macOf(ip netip.Addr) wire.MAC {
	b := ip.As4()
	return wire.MAC{2, 0x42, b[0], b[1], b[2], b[3]}
}

func (n *trainNet) iface(ns *Namespace, name, ip string, mtu int, port fabric.Port) *Interface {
	cfg := InterfaceConfig{Name: name, Port: port, MTU: mtu}
	if ip != "" {
		cfg.Addr = prefix(ip)
		cfg.MAC = macOf(cfg.Addr.Addr())
	}
	return must(ns.AddInterface(cfg))
}

// plug gives a namespace an interface whose other end is the test; what comes out there is compared.
func (n *trainNet) plug(ns *Namespace, name, ip string, mtu int) (*Interface, *fabrictest.Plug) {
	p := &fabrictest.Plug{}
	i := n.iface(ns, name, ip, mtu, p)
	n.path.Outs[i.place] = &p.Collector
	return i, p
}

// cable joins two namespaces; "" is no address.
func (n *trainNet) cable(a *Namespace, an, aip string, b *Namespace, bn, bip string, mtu int) (*Interface, *Interface) {
	x, y := fabric.NewVeth(an, bn)
	var px, py fabric.Port = x, y
	if n.lone {
		px, py = fabrictest.OnWire{Port: x}, fabrictest.OnWire{Port: y}
	}
	ia, ib := n.iface(a, an, aip, mtu, px), n.iface(b, bn, bip, mtu, py)
	if aip != "" && bip != "" {
		ia.AddNeighbour(ib.Addrs()[0].Addr(), ib.mac)
		ib.AddNeighbour(ia.Addrs()[0].Addr(), ia.mac)
	}
	return ia, ib
}

func (n *trainNet) rules(ns *Namespace, lines ...string) {
	n.t.Helper()
	for _, line := range lines {
		run, args := ns.Netfilter().Command, strings.Fields(line)
		if args[0] == "ipvsadm" {
			run, args = ns.IPVS().Command, args[1:]
		}
		if _, err := run(args); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *trainNet) route(ns *Namespace, dst, via string, dev *Interface) {
	n.t.Helper()
	if err := ns.AddRoute(Route{Dst: prefix(dst), Via: addr(via), Dev: dev}); err != nil {
		n.t.Fatal(err)
	}
}

// flows are how many flows of each protocol a way has.
const flows = 8

// flowsBetween adds a way for trains from src to dst that come in by the plug of i, and one for what answers them where
// they come out. Each flow begins with a SYN and its answer.
func (n *trainNet) flowsBetween(name string, i *Interface, in *fabrictest.Plug, src, dst string, out *fabrictest.Plug) {
	n.t.Helper()
	first := map[bool][]netip.AddrPort{} // of each flow, the addresses it leaves with
	mac := [2]wire.MAC{}
	for _, isUDP := range []bool{false, true} {
		for k := range flows {
			c := fabrictest.Train{IsUDP: isUDP, Packet: fabrictest.Packet{DstMAC: i.mac, SrcMAC: macOf(addr(src)),
				Src: netip.AddrPortFrom(addr(src), uint16(20000+k)), Dst: netip.MustParseAddrPort(dst), Flags: wire.SYN, TTL: 64}}
			in.Arrive([]*fabric.Frame{c.Frame()})
			got := out.Take()
			if len(got) != 1 {
				n.t.Fatalf("%s: %d frames of the first packet of %v came out", name, len(got), c)
			}
			f := got[0]
			first[isUDP] = append(first[isUDP], f.Src(), f.Dst())
			mac = [2]wire.MAC{f.Eth().Dst(), f.Eth().Src()}
			c.Src, c.Dst, c.SrcMAC, c.DstMAC, c.Flags = f.Dst(), f.Src(), mac[0], mac[1], wire.SYN|wire.ACK
			out.Arrive([]*fabric.Frame{c.Frame()})
			if back := in.Take(); len(back) != 1 || back[0].Dst() != netip.AddrPortFrom(addr(src), uint16(20000+k)) || back[0].Src().String() != dst {
				n.t.Fatalf("%s: the answer to %v came back as %d frames", name, c, len(back))
			}
			f.Free()
		}
	}
	n.path.Ways = append(n.path.Ways,
		fabrictest.Way{Name: name, In: in.Arrive, Fit: func(r *rand.Rand, c *fabrictest.Train) {
			c.Src, c.Dst = netip.AddrPortFrom(addr(src), uint16(20000+r.IntN(flows))), netip.MustParseAddrPort(dst)
			c.SrcMAC, c.DstMAC, c.TTL = macOf(addr(src)), i.mac, 5+c.TTL/2
		}},
		fabrictest.Way{Name: name + " back", In: out.Arrive, Fit: func(r *rand.Rand, c *fabrictest.Train) {
			k := 2 * r.IntN(flows)
			c.Dst, c.Src = first[c.IsUDP][k], first[c.IsUDP][k+1]
			c.SrcMAC, c.DstMAC, c.TTL = mac[0], mac[1], 5+c.TTL/2
		}})
}

// Trains through a router: hop limit, neighbour, and an interface that is too narrow for some of them.
func TestTrainsRouted(t *testing.T) {
	fabrictest.TestTrains(t, 1500, func(t *testing.T, lone bool) fabrictest.Path {
		n := newTrainNet(t, lone)
		r := n.namespace("r")
		in, inPlug := n.plug(r, "eth0", "10.0.0.1/24", 1500)
		wide, widePlug := n.plug(r, "eth1", "10.5.0.1/24", 1500)
		narrow, narrowPlug := n.plug(r, "eth2", "10.6.0.1/24", 600)
		in.AddNeighbour(addr("10.0.0.9"), macOf(addr("10.0.0.9")))
		wide.AddNeighbour(addr("10.5.0.9"), macOf(addr("10.5.0.9")))
		narrow.AddNeighbour(addr("10.6.0.9"), macOf(addr("10.6.0.9")))
		n.flowsBetween("wide", in, inPlug, "10.0.0.9", "10.5.0.9:80", widePlug)
		n.flowsBetween("narrow", in, inPlug, "10.0.0.9", "10.6.0.9:80", narrowPlug)
		n.path.Ends["wide"], n.path.Ends["narrow"] = &wide.Counters, &narrow.Counters
		return n.path
	})
}

// dockerHost makes a host whose eth0 is 192.168.1.2, and that publishes 10.0.0.2:80 as port 8080.
func (n *trainNet) dockerHost() (host *Namespace, br *Interface) {
	host = n.namespace("host")
	br = must(host.AddBridge(InterfaceConfig{Name: "br0", Addr: prefix("10.0.0.1/24"), MAC: macOf(addr("10.0.0.1"))}))
	for _, proto := range []string{"tcp", "udp"} {
		n.rules(host, "-t nat -A PREROUTING -d 192.168.1.2 ! -i br0 -p "+proto+" --dport 8080 -j DNAT --to-destination 10.0.0.2:80",
			"-A FORWARD -d 10.0.0.2/32 ! -i br0 -o br0 -p "+proto+" --dport 80 -j ACCEPT")
	}
	n.rules(host, "-t nat -A POSTROUTING -s 10.0.0.0/24 ! -o br0 -j MASQUERADE",
		"-A FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A FORWARD -i br0 ! -o br0 -j ACCEPT", "-P FORWARD DROP")
	n.path.Text = func() string {
		return must(host.Netfilter().Command(strings.Fields("-t nat -L -n -v -x"))) + must(host.Netfilter().Command(strings.Fields("-L -n -v -x")))
	}
	return host, br
}

// Trains through a Docker host: a published port, and out of a container.
func TestTrainsTranslated(t *testing.T) {
	fabrictest.TestTrains(t, 1500, func(t *testing.T, lone bool) fabrictest.Path {
		n := newTrainNet(t, lone)
		host, br := n.dockerHost()
		eth, ethPlug := n.plug(host, "eth0", "192.168.1.2/24", 1500)
		veth, vethPlug := n.plug(host, "veth1", "", 1500)
		if err := veth.SetMaster(br); err != nil {
			t.Fatal(err)
		}
		br.AddNeighbour(addr("10.0.0.2"), macOf(addr("10.0.0.2")))
		eth.AddNeighbour(addr("192.168.1.9"), macOf(addr("192.168.1.9")))
		n.flowsBetween("published", eth, ethPlug, "192.168.1.9", "192.168.1.2:8080", vethPlug)
		n.flowsBetween("masqueraded", br, vethPlug, "10.0.0.2", "192.168.1.9:443", ethPlug)
		n.path.Ends["eth0"], n.path.Ends["veth1"] = &eth.Counters, &veth.Counters
		return n.path
	})
}

// director makes a namespace that balances 10.0.0.5:80 and has the answers come back its way.
func (n *trainNet) director(real string) *Namespace {
	ns := n.namespace("director")
	for _, proto := range []string{"t", "u"} {
		n.rules(ns, "ipvsadm -A -"+proto+" 10.0.0.5:80 -s rr", "ipvsadm -a -"+proto+" 10.0.0.5:80 -r "+real+" -m")
	}
	return ns
}

// Trains to a virtual address, and what answers them.
func TestTrainsBalanced(t *testing.T) {
	fabrictest.TestTrains(t, 1500, func(t *testing.T, lone bool) fabrictest.Path {
		n := newTrainNet(t, lone)
		ns := n.director("10.5.0.9:8080")
		in, inPlug := n.plug(ns, "eth0", "10.0.0.5/24", 1500)
		out, outPlug := n.plug(ns, "eth1", "10.5.0.1/24", 1500)
		in.AddNeighbour(addr("10.0.0.9"), macOf(addr("10.0.0.9")))
		out.AddNeighbour(addr("10.5.0.9"), macOf(addr("10.5.0.9")))
		n.flowsBetween("balanced", in, inPlug, "10.0.0.9", "10.0.0.5:80", outPlug)
		n.path.Ends["eth0"], n.path.Ends["eth1"] = &in.Counters, &out.Counters
		n.path.Text = func() string { return must(ns.IPVS().Command([]string{"-ln", "--stats"})) }
		return n.path
	})
}

// overlay joins two bridges by VXLAN over a router whose interfaces have that MTU. Each is what a host has of network 4097.
func (n *trainNet) overlay(mtu int, macs [2]wire.MAC) (brs [2]*Interface) {
	router := n.namespace("underlay")
	at := [2]string{"192.168.7.2", "192.168.8.2"}
	for k, name := range []string{"a", "b"} {
		host, gw := n.namespace(name), at[k][:len(at[k])-1]+"1"
		eth, _ := n.cable(host, "eth0", at[k]+"/24", router, "to-"+name, gw+"/24", mtu)
		n.route(host, "0.0.0.0/0", gw, eth)
		vtep := vxlan.New(vxlan.Config{Local: addr(at[k]), Transport: must(host.ListenTunnel(vxlan.Port))})
		dev := must(vtep.Add(vxlan.DeviceConfig{VNI: 4097, Name: "vxlan0", Proxy: true}))
		dev.Update(func(t *vxlan.Table) { t.AddRemote("c", macs[1-k], addr(at[1-k])) })
		sandbox := n.namespace(name + "-sandbox")
		brs[k] = must(sandbox.AddBridge(InterfaceConfig{Name: "br0"}))
		vx := must(sandbox.AddInterface(InterfaceConfig{Name: "vxlan0", Kind: KindVXLAN, Port: dev, MTU: 1450, Device: dev}))
		if err := vx.SetMaster(brs[k]); err != nil {
			n.t.Fatal(err)
		}
	}
	return brs
}

// Trains that are encapsulated, routed, cut where the underlay is narrow, put together again and taken out.
func TestTrainsTunnelled(t *testing.T) {
	for _, mtu := range []int{1500, 1000} {
		fabrictest.TestTrains(t, 1500, func(t *testing.T, lone bool) fabrictest.Path {
			n := newTrainNet(t, lone)
			macs := [2]wire.MAC{macOf(addr("10.1.0.2")), macOf(addr("10.1.0.3"))}
			brs := n.overlay(mtu, macs)
			for k, br := range brs {
				veth, plug := n.plug(br.ns, "veth0", "", 1500)
				if err := veth.SetMaster(br); err != nil {
					t.Fatal(err)
				}
				n.path.Ends[br.ns.Name()] = &veth.Counters
				n.path.Ways = append(n.path.Ways, fabrictest.Way{Name: br.ns.Name(), In: plug.Arrive, Fit: func(r *rand.Rand, c *fabrictest.Train) {
					c.SrcMAC, c.DstMAC, c.VLAN = macs[k], macs[1-k], uint16(r.IntN(2)*r.IntN(4095))
				}})
			}
			return n.path
		})
	}
}

// Trains through all of it: a router, a published port, a bridge, the balancer, VXLAN, another bridge.
func TestTrainsThroughAll(t *testing.T) {
	fabrictest.TestTrains(t, 1500, func(t *testing.T, lone bool) fabrictest.Path {
		n := newTrainNet(t, lone)
		host, br := n.dockerHost()
		router := n.namespace("router")
		in, inPlug := n.plug(router, "eth0", "172.16.0.1/24", 1500)
		in.AddNeighbour(addr("172.16.0.9"), macOf(addr("172.16.0.9")))
		_, eth := n.cable(router, "eth1", "192.168.1.1/24", host, "eth0", "192.168.1.2/24", 1500)
		n.route(host, "0.0.0.0/0", "192.168.1.1", eth)

		// The published port is that of a balancer on the host's bridge, whose one real server is on the overlay.
		director := n.director("10.1.0.3:8080")
		n.rules(host, "-t nat -F PREROUTING")
		for _, proto := range []string{"tcp", "udp"} {
			n.rules(host, "-t nat -A PREROUTING -d 192.168.1.2 ! -i br0 -p "+proto+" --dport 8080 -j DNAT --to-destination 10.0.0.5:80",
				"-A FORWARD -d 10.0.0.5/32 ! -i br0 -o br0 -p "+proto+" --dport 80 -j ACCEPT")
		}
		veth, deth := n.cable(host, "veth1", "", director, "eth0", "10.0.0.5/24", 1500)
		if err := veth.SetMaster(br); err != nil {
			t.Fatal(err)
		}
		br.AddNeighbour(addr("10.0.0.5"), deth.mac)
		deth.AddNeighbour(addr("10.0.0.1"), br.mac)
		n.route(director, "0.0.0.0/0", "10.0.0.1", deth)

		macs := [2]wire.MAC{macOf(addr("10.1.0.2")), macOf(addr("10.1.0.3"))}
		brs := n.overlay(1400, macs)
		port, oeth := n.cable(brs[0].ns, "veth0", "", director, "eth1", "10.1.0.2/24", 1450)
		far, farPlug := n.plug(brs[1].ns, "veth0", "", 1450)
		for k, i := range []*Interface{port, far} {
			if err := i.SetMaster(brs[k]); err != nil {
				t.Fatal(err)
			}
		}
		oeth.AddNeighbour(addr("10.1.0.3"), macs[1])
		n.flowsBetween("all", in, inPlug, "172.16.0.9", "192.168.1.2:8080", farPlug)
		n.path.Ends["far"] = &far.Counters
		n.path.Text = nil // the rules count the ICMP errors too
		return n.path
	})
}

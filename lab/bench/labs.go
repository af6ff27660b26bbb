package bench

import (
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/lb"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

// The networks that are measured.

// single is a port that hands trains over as the wire frames that they stand for, each alone.
type single struct{ fabric.Port }

// Send implements fabric.Port.
func (s single) Send(batch []*fabric.Frame) {
	var buf [fabric.MaxSegs]*fabric.Frame
	for _, f := range batch {
		s.Port.Send(f.Split(buf[:0]))
	}
	clear(buf[:])
}

// Carrier tells whether the port is connected.
func (s single) Carrier() bool {
	c, ok := s.Port.(interface{ Carrier() bool })
	return !ok || c.Carrier()
}

// singly makes two containers on one bridge whose interfaces send every wire frame alone.
func (r *rig) singly() (from, to *netns.Namespace) {
	host := r.namespace("h", true)
	br := r.bridge(host, netip.Prefix{})
	both := [2]*netns.Namespace{}
	for i := range both {
		both[i] = r.namespace(fmt.Sprintf("c%d", i), false)
		out, in := fabric.NewVeth(fmt.Sprintf("h/v%d", i), fmt.Sprintf("c%d/eth0", i))
		r.end(both[i], "eth0", netip.PrefixFrom(containerAddr(i), 16).String(), single{in})
		port, err := host.AddInterface(netns.InterfaceConfig{Name: fmt.Sprintf("v%d", i), Kind: netns.KindVeth, Port: out})
		if err == nil {
			err = port.SetMaster(br)
		}
		r.fail(err)
	}
	return both[0], both[1]
}

// hostAddress is that of a host on the network between hosts, outside that of another machine there.
const (
	hostAddress = "192.168.1.2"
	hostSubnet  = hostAddress + "/24"
	outside     = "192.168.1.10/24"
)

// publishing makes a machine outside and a container whose ports its host publishes, with the rules of Docker.
func (r *rig) publishing() (from, to *netns.Namespace) {
	host := r.namespace("h", true)
	br := r.bridge(host, netip.MustParsePrefix("10.0.0.1/16"))
	to = r.container(br, 0)
	r.fail(to.AddDefaultRoute(netip.MustParseAddr("10.0.0.1")))
	from = r.namespace("o", false)
	r.cable(from, outside, host, hostSubnet)
	r.rule(host, "nat PREROUTING -d "+hostAddress+" ! -i br0 -p tcp -j DNAT --to-destination 10.0.0.2",
		"nat POSTROUTING -s 10.0.0.0/16 ! -o br0 -j MASQUERADE",
		"filter FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		"filter FORWARD -d 10.0.0.2/32 ! -i br0 -o br0 -p tcp -j ACCEPT")
	return from, to
}

// hostIP is hostAddress.
var hostIP = netip.MustParseAddr(hostAddress)

// vip is the address of a service.
var vip = netip.MustParseAddr("10.0.0.100")

// balanced makes a client and the one task of a service on a bridge, with what a swarm sets up in the client's
// namespace (S10): packets to the VIP are marked, IPVS takes the mark, and the client's address is the source.
func (r *rig) balanced() (from, to *netns.Namespace) {
	both := r.onBridge(2)
	from, to = both[0], both[1]
	if r.err != nil {
		return from, to
	}
	r.rule(from, "mangle OUTPUT -d "+vip.String()+"/32 -j MARK --set-mark 0x100",
		"nat POSTROUTING -d 10.0.0.0/16 -m ipvs --ipvs -j SNAT --to-source "+containerAddr(0).String())
	r.fail(from.IPVS().AddService(lb.Mark(0x100), lb.RoundRobin))
	r.fail(from.IPVS().AddDestination(lb.Mark(0x100), netip.AddrPortFrom(containerAddr(1), 0), 1))
	return from, to
}

// overlayVNI is the network that containers share across hosts.
const overlayVNI = 4097

// overlayHost makes a host's part of an overlay network: a bridge with a tunnel and one container in it.
func (r *rig) overlayHost(name string, i int, cfg vxlan.Config, remote netip.Addr) *netns.Namespace {
	host := r.namespace(name, true)
	br := r.bridge(host, netip.Prefix{})
	dev, err := vxlan.New(cfg).Add(vxlan.DeviceConfig{VNI: overlayVNI, Learning: true, Flood: []netip.Addr{remote}, Encrypted: cfg.ESP != nil})
	if r.fail(err); r.err != nil {
		return nil
	}
	vx, err := host.AddInterface(netns.InterfaceConfig{Name: "vx0", Kind: netns.KindVXLAN, MTU: dev.MTU(), Port: dev, Device: dev})
	if err == nil {
		err = vx.SetMaster(br)
	}
	r.fail(err)
	c := r.namespace(fmt.Sprintf("%s-c%d", name, i), false)
	r.plug(br, c, netip.PrefixFrom(containerAddr(i), 16))
	if r.err != nil {
		return nil
	}
	eth0, _ := c.Interface("eth0")
	r.fail(eth0.SetMTU(dev.MTU()))
	return c
}

// overlay makes two hosts on a cable, each with a container on one overlay network.
func (r *rig) overlay() (from, to *netns.Namespace) { return r.overlays(false) }

// encrypted makes the same, with the network encrypted.
func (r *rig) encrypted() (from, to *netns.Namespace) { return r.overlays(true) }

func (r *rig) overlays(encrypted bool) (from, to *netns.Namespace) {
	a, b := r.namespace("ua", true), r.namespace("ub", true)
	r.cable(a, "192.168.1.2/24", b, "192.168.1.3/24")
	ends := [2]*netns.Namespace{}
	for i, under := range []*netns.Namespace{a, b} {
		t, err := under.ListenTunnel(vxlan.Port)
		if r.fail(err); r.err != nil {
			return nil, nil
		}
		local, remote := netip.AddrFrom4([4]byte{192, 168, 1, byte(2 + i)}), netip.AddrFrom4([4]byte{192, 168, 1, byte(3 - i)})
		cfg := vxlan.Config{Local: local, Transport: t}
		if encrypted {
			cfg.ESP = r.esp(under, local, remote)
		}
		ends[i] = r.overlayHost(fmt.Sprintf("h%d", i), i, cfg, remote)
	}
	return ends[0], ends[1]
}

// esp gives a host IPsec with another host.
func (r *rig) esp(host *netns.Namespace, local, remote netip.Addr) *vxlan.ESP {
	carrier, err := host.ListenESP()
	if r.fail(err); r.err != nil {
		return nil
	}
	e := vxlan.NewESP(vxlan.ESPConfig{Name: host.Name() + "/esp", Local: local, Seed: r.seed, Carrier: carrier})
	r.fail(e.SetKeys([]esp.Key{{Tag: 1}}))
	r.fail(e.AddPeer(remote))
	return e
}

// switches makes two containers with n switches in a row between them, joined by cables.
func (r *rig) switches(n int) (from, to *netns.Namespace) {
	from, to = r.namespace("c0", false), r.namespace("c1", false)
	l := r.wire("w0")
	r.end(from, "eth0", "10.0.0.2/16", l.A())
	for i := range n {
		sw := l2switch.New(l2switch.Config{Name: fmt.Sprintf("s%d", i)})
		r.port(sw, l.B())
		l = r.wire(fmt.Sprintf("w%d", i+1))
		r.port(sw, l.A())
	}
	r.end(to, "eth0", "10.0.0.3/16", l.B())
	return from, to
}

// routers makes two machines with n routers in a row between them, joined by cables, the second with
// address 10.1.n.2. Network i, 10.1.i.0/24, is before router i.
func (r *rig) routers(n int) (from, to *netns.Namespace) {
	from = r.namespace("c0", false)
	left := from
	for i := range n + 1 {
		right := r.namespace(fmt.Sprintf("r%d", i), i < n)
		l := r.wire(fmt.Sprintf("w%d", i))
		r.end(left, "right", fmt.Sprintf("10.1.%d.1/24", i), l.A())
		r.end(right, "left", fmt.Sprintf("10.1.%d.2/24", i), l.B())
		if r.err != nil {
			return nil, nil
		}
		r.fail(left.AddDefaultRoute(netip.MustParseAddr(fmt.Sprintf("10.1.%d.2", i))))
		if i > 0 {
			back, _ := right.Interface("left")
			r.fail(right.AddRoute(netns.Route{Dst: netip.MustParsePrefix("10.1.0.0/24"), Via: netip.MustParseAddr(fmt.Sprintf("10.1.%d.1", i)), Dev: back}))
		}
		left = right
	}
	return from, left
}

// pair makes two containers on one bridge.
func (r *rig) pair() (from, to *netns.Namespace) {
	c := r.onBridge(2)
	return c[0], c[1]
}

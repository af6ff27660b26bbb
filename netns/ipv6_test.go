package netns

import (
	"net"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// A namespace does not speak IPv6 yet: whoever asks for it hears so, and nothing breaks.
func TestIPv6IsRefused(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(1)
	ns, six := cs[0], addr("2001:db8::2")
	eth := must2(ns.Interface("eth0"))
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"dial tcp", func() error { _, err := ns.Dial(l.ctx, "tcp", "[2001:db8::2]:80"); return err }},
		{"dial udp", func() error { _, err := ns.Dial(l.ctx, "udp", "[2001:db8::2]:80"); return err }},
		{"listen", func() error { _, err := ns.Listen("tcp", "[::1]:80"); return err }},
		{"listen packet", func() error { _, err := ns.ListenPacket("udp", "[::1]:80"); return err }},
		{"ping", func() error { _, err := ns.Ping(l.ctx, six); return err }},
		{"raw", func() error { return must(ns.ListenRaw(wire.ProtoUDP)).Send(six, []byte("x"), RawOptions{}) }},
		{"raw source", func() error {
			return must(ns.ListenRaw(wire.ProtoUDP)).Send(addr("10.0.0.1"), []byte("x"), RawOptions{Src: six})
		}},
		{"address", func() error { return eth.AddAddr(netip.PrefixFrom(six, 64)) }},
		{"route", func() error { return ns.AddRoute(Route{Dst: netip.PrefixFrom(six, 64), Dev: eth}) }},
		{"route via", func() error { return ns.AddRoute(Route{Dst: prefix("10.9.0.0/16"), Via: six, Dev: eth}) }},
		{"default route", func() error { return ns.AddDefaultRoute(six) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("panic: %v", r)
				}
			}()
			if err := c.do(); err == nil {
				t.Error("no error")
			}
		})
	}
	if _, ok := ns.SourceFor(six); ok {
		t.Error("SourceFor has a source for an IPv6 address")
	}
}

// Frames and neighbours of IPv6 are dropped or kept, never the end of the lab.
func TestIPv6DoesNoHarm(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(1)
	ns, six := cs[0], addr("2001:db8::2")
	eth := must2(ns.Interface("eth0"))
	eth.AddNeighbour(six, wire.MAC{2, 9})
	eth.AddProxy(six)
	if n := ns.Neighbours(); len(n) != 1 || n[0].Addr != six {
		t.Errorf("neighbours %v", n)
	}
	must(ns.ListenTunnel(4789)).Send(netip.AddrPortFrom(six, 4789), []*fabric.Frame{vxlantest.Wrap(fabrictest.Packet{}.UDP(), 1)})
	if n := ns.Dropped(fabric.DropNoRoute); n != 1 {
		t.Errorf("drops %v; want 1 without a route", ns.Read().Drops)
	}
	b := make([]byte, wire.EthernetLen+wire.IPv6Len)
	wire.PutEthernet(b, eth.MAC(), wire.MAC{2, 9}, wire.TypeIPv6)
	b[wire.EthernetLen], b[wire.EthernetLen+6] = 0x60, 59
	eth.receiver().Receive([]*fabric.Frame{fabric.FromBytes(b)})
	if n := eth.Dropped(fabric.DropUnknownProto); n != 1 {
		t.Errorf("drops %v; want 1 of an unknown protocol", eth.Read().Drops)
	}
	u := must(ns.ListenPacket("udp", ":53"))
	if _, err := u.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP("2001:db8::2"), Port: 1}); err == nil {
		t.Error("WriteTo an IPv6 address: no error")
	}
}

package netns

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
)

// overlay puts containers 10.1.0.2 and 10.1.0.3 behind VTEPs on two hosts that are connected by a router.
func (l *lab) overlay() (cs, hosts []*Namespace, router *Namespace) {
	l.Helper()
	router = l.add(Config{Name: "router", Forward: true})
	at := []string{"192.168.1.2", "192.168.2.2"}
	var devs []*vxlan.Device
	var eths []*Interface
	for n := range 2 {
		host := l.add(Config{Name: "host" + string(rune('a'+n)), Seed: uint64(n)})
		l.veth(host, "eth0", at[n]+"/24", router, "down"+string(rune('0'+n)), "192.168."+string(rune('1'+n))+".1/24")
		l.gateway(host, "192.168."+string(rune('1'+n))+".1")
		vtep := vxlan.New(vxlan.Config{Local: addr(at[n]), Transport: must(host.ListenTunnel(vxlan.Port))})
		dev := must(vtep.Add(vxlan.DeviceConfig{VNI: 4097, Name: "vxlan0", Proxy: true}))
		sandbox := New(Config{Name: host.Name() + "/sandbox"})
		l.Cleanup(func() { sandbox.Close() })
		br := must(sandbox.AddBridge(InterfaceConfig{Name: "br0", Addr: prefix("10.1.0.1/24")}))
		vx := must(sandbox.AddInterface(InterfaceConfig{Name: "vxlan0", Kind: KindVXLAN, Port: dev, MTU: 1450, Device: dev}))
		c := l.add(Config{Name: "c" + string(rune('1'+n)), Seed: uint64(n)})
		h, eth := l.veth(sandbox, "veth0", "", c, "eth0", "10.1.0."+string(rune('2'+n))+"/24")
		for _, err := range []error{vx.SetMaster(br), h.SetMaster(br), eth.SetMTU(1450), h.SetMTU(1450)} {
			if err != nil {
				l.Fatal(err)
			}
		}
		cs, hosts, devs, eths = append(cs, c), append(hosts, host), append(devs, dev), append(eths, eth)
	}
	for n, dev := range devs {
		o := 1 - n
		dev.Update(func(t *vxlan.Table) {
			t.AddRemote("c", eths[o].MAC(), addr(at[o]))
			t.AddNeighbour("c", eths[o].Addrs()[0].Addr(), eths[o].MAC())
		})
	}
	return cs, hosts, router
}

// L13: containers on different hosts are one hop from each other. L22, L23: what the underlay sees.
func TestTunnel(t *testing.T) {
	l := newLab(t)
	cs, hosts, router := l.overlay()
	p := must(cs[0].NewPinger())
	if err := p.Send(addr("10.1.0.3"), PingOptions{Size: 1422, DF: true}); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Receive(l.within(patience)); err != nil || r.TTL != 64 || r.Type != wire.ICMPEchoReply {
		t.Fatalf("ping: %+v, %v", r, err)
	}
	var tooLong *MTUError
	if err := p.Send(addr("10.1.0.3"), PingOptions{Size: 1423, DF: true}); !errors.As(err, &tooLong) || tooLong.MTU != 1450 { // L14
		t.Errorf("ping -s 1423: %v", err)
	}
	var longest atomic.Int32
	ports := make(chan uint16, 10000)
	defer must2(router.Interface("down0")).Taps().Add(fabric.TapFunc(func(d fabric.Direction, f *fabric.Frame) {
		h, u := f.IPv4(), f.UDP()
		if d != fabric.In || u == nil {
			return
		}
		longest.Store(max(longest.Load(), int32(f.Segs)))
		if u.DstPort() != vxlan.Port || u.Checksum() != 0 || h.DF() || h.TTL() != 64 || u.SrcPort() < 32768 {
			t.Errorf("outer headers: %v %v", h, u)
		}
		select {
		case ports <- u.SrcPort():
		default:
		}
	}))()
	l.echo(cs[1], ":80")
	if _, _, err := l.talk(cs[0], "10.1.0.3:80", 3_000_000); err != nil {
		t.Fatal(err)
	}
	if longest.Load() < 8 {
		t.Errorf("the longest train in the tunnel has %d frames", longest.Load())
	}
	first := <-ports
	for len(ports) > 0 {
		if p := <-ports; p != first {
			t.Fatalf("one flow has outer ports %d and %d", first, p)
		}
	}
	if s := hosts[0].Sockets(); len(s) != 1 || s[0].Local != netip.MustParseAddrPort("0.0.0.0:4789") {
		t.Errorf("sockets %v", s)
	}
}

// An underlay that is too narrow: the outer packets are cut and put together again, trains and all (O16).
func TestTunnelFragments(t *testing.T) {
	l := newLab(t)
	cs, hosts, router := l.overlay()
	for _, i := range []*Interface{must2(router.Interface("down1")), must2(hosts[1].Interface("eth0"))} {
		if err := i.SetMTU(1400); err != nil {
			t.Fatal(err)
		}
	}
	l.echo(cs[1], ":80")
	if _, _, err := l.talk(cs[0], "10.1.0.3:80", 1_000_000); err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		if n := h.Dropped(fabric.DropReassembly); n > 0 {
			t.Errorf("%s: %d fragments were dropped", h.Name(), n)
		}
	}
}

func TestTunnelDrops(t *testing.T) {
	l := newLab(t)
	ns := l.add(Config{Name: "h"})
	tun := must(ns.ListenTunnel(4789))
	frame := func() *fabric.Frame { return udpFrame(wire.MAC{2}, "10.0.0.1", "10.0.0.2", 10) }
	tun.Send(netip.MustParseAddrPort("192.0.2.1:4789"), []*fabric.Frame{frame()})
	if ns.Dropped(fabric.DropNoRoute) != 1 {
		t.Errorf("no route: %v", ns.Read().Drops)
	}
	tun.Send(netip.MustParseAddrPort("127.0.0.1:4789"), []*fabric.Frame{frame()})
	if ns.Dropped(fabric.DropNoReceiver) != 1 {
		t.Errorf("no receiver: %v", ns.Read().Drops)
	}
	got := 0
	tun.SetReceiver(func(from netip.AddrPort, batch []*fabric.Frame) {
		if from.Addr() != localhost || batch[0].Len() != frame().Len() {
			t.Errorf("from %v: %d bytes", from, batch[0].Len())
		}
		got += len(batch)
		fabric.FreeAll(batch)
	})
	tun.Send(netip.MustParseAddrPort("127.0.0.1:4789"), []*fabric.Frame{frame(), frame()})
	if got != 2 || tun.LocalPort() != 4789 {
		t.Errorf("%d frames at port %d", got, tun.LocalPort())
	}
}

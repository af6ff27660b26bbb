package cnm_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// underlay notes what leaves a host by its eth0.
type underlay struct {
	mu   sync.Mutex
	vnis map[uint32]int
	arps []netip.Addr
}

func watchUnderlay(t *testing.T, ns *netns.Namespace) *underlay {
	u := &underlay{vnis: make(map[uint32]int)}
	eth0, ok := ns.Interface("eth0")
	if !ok {
		t.Fatalf("%s has no eth0", ns.Name())
	}
	t.Cleanup(eth0.Taps().Add(fabric.TapFunc(u.see)))
	return u
}

func (u *underlay) see(_ fabric.Direction, f *fabric.Frame) {
	b := f.AppendTo(nil)
	u.mu.Lock()
	defer u.mu.Unlock()
	eth, err := wire.ParseEthernet(b)
	if err != nil {
		return
	}
	body := b[eth.Len():]
	if eth.Type() == wire.TypeARP {
		if arp, err := wire.ParseARP(body); err == nil {
			u.arps = append(u.arps, arp.TargetIP())
		}
		return
	}
	ip, err := wire.ParseIPv4(body)
	if err != nil || ip.Proto() != wire.ProtoUDP {
		return
	}
	udp, err := wire.ParseUDP(body[ip.HeaderLen():])
	if err != nil || udp.DstPort() != vxlan.Port {
		return
	}
	if h, err := vxlan.ParseHeader(body[ip.HeaderLen()+wire.UDPLen:]); err == nil && h[0] == 0x08 {
		u.vnis[h.VNI()]++
	}
}

func TestOverlay(t *testing.T) {
	l := newSwarmLab(t, 2)
	overnet := l.network("overnet")
	wire := watchUnderlay(t, l.hosts[0].ns)
	if _, ok := l.hosts[0].ctl.Network("overnet"); ok {
		t.Error("O4: a host knows the network before a container is on it")
	}
	c1, c2 := l.attach(l.hosts[0], "c1", "overnet"), l.attach(l.hosts[1], "c2", "overnet")
	t.Run("O1 I17 numbers", func(t *testing.T) {
		ep, _ := c2.Endpoint("overnet")
		if overnet.VNI != 257 || ep.IP().String() != "10.0.0.3" || ep.MAC().String() != "02:42:0a:00:00:03" || ep.Interface().MTU() != 1450 {
			t.Errorf("vni %d, address %s, %s, mtu %d", overnet.VNI, ep.IP(), ep.MAC(), ep.Interface().MTU())
		}
	})
	t.Run("I34 O11 interfaces", func(t *testing.T) {
		if got, want := interfaces(c1), "eth0 overnet 10.0.0.2/24, eth1 docker_gwbridge 172.18.0.3/16"; got != want {
			t.Errorf("interfaces: %s; want %s", got, want)
		}
	})
	t.Run("D11 D18 names of the other host", func(t *testing.T) {
		for name, want := range map[string]string{"c2": "10.0.0.3", "c2.overnet": "10.0.0.3", "c1": "10.0.0.2", "c3": ""} {
			if got := lookup(l.ctx, c1, name); got != want {
				t.Errorf("%s is %q; want %q", name, got, want)
			}
		}
		if got, err := c1.Resolver().LookupAddr(l.ctx, netip.MustParseAddr("10.0.0.3")); err != nil || got != "c2.overnet" {
			t.Errorf("LookupAddr = %q, %v; want c2.overnet", got, err)
		}
	})
	t.Run("L13 ping the other host's container", func(t *testing.T) {
		if _, err := c1.NS().Ping(l.ctx, netip.MustParseAddr("10.0.0.3")); err != nil {
			t.Error(err)
		}
	})
	t.Run("O5 the gateway answers on each host", func(t *testing.T) {
		for _, s := range []*cnm.Sandbox{c1, c2} {
			if _, err := s.NS().Ping(l.ctx, netip.MustParseAddr("10.0.0.1")); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("O9 neighbours are the true ones", func(t *testing.T) {
		if mac := neighbour(c1.NS(), "10.0.0.3"); mac != "02:42:0a:00:00:03" {
			t.Errorf("10.0.0.3 is at %q", mac)
		}
	})
	t.Run("I27 I28 L24 the private namespace", func(t *testing.T) {
		n, _ := l.hosts[0].ctl.Network("overnet")
		ns := n.Sandbox()
		if want := "host-a/1-" + n.ID()[:10]; ns.Name() != want {
			t.Errorf("namespace %s; want %s", ns.Name(), want)
		}
		var names []string
		for _, i := range ns.Interfaces() {
			names = append(names, i.Name())
		}
		if want := []string{"lo", "br0", "vxlan0", "veth0"}; !slices.Equal(names, want) {
			t.Errorf("interfaces %v; want %v", names, want)
		}
		vx, _ := ns.Interface("vxlan0")
		remotes := vx.Device().(*vxlan.Device).Table().Remotes(time.Now())
		if len(remotes) == 0 || remotes[0].String() != "02:42:0a:00:00:03 dst 192.168.1.3 self permanent" {
			t.Errorf("forwarding table %v", remotes)
		}
	})
	t.Run("TCP", func(t *testing.T) {
		l.must(l.hosts[1].serve(c2.NS(), "80", "c2"))
		if got := l.ask(c1.NS(), "c2:80"); got != "c2 10.0.0.2" {
			t.Errorf("GET c2 = %q; want c2 10.0.0.2", got)
		}
	})
	t.Run("O7 L22 the wire", func(t *testing.T) {
		wire.mu.Lock()
		defer wire.mu.Unlock()
		if wire.vnis[257] == 0 || len(wire.vnis) != 1 {
			t.Errorf("VXLAN frames by network: %v; want only 257", wire.vnis)
		}
		for _, a := range wire.arps {
			if a.As4()[0] == 10 {
				t.Errorf("ARP for %s on the underlay", a)
			}
		}
	})
}

// interfaces lists the interfaces of a sandbox with their networks and addresses.
func interfaces(s *cnm.Sandbox) string {
	var out []string
	for _, ep := range s.Endpoints() {
		out = append(out, fmt.Sprintf("%s %s %s", ep.Name(), ep.Network().Name(), ep.Prefix()))
	}
	return strings.Join(out, ", ")
}

func neighbour(ns *netns.Namespace, addr string) string {
	for _, n := range ns.Neighbours() {
		if n.Addr.String() == addr {
			return n.MAC.String()
		}
	}
	return ""
}

// TestOverlayUnknownAddress: nobody answers for an address that nobody holds, and the sender is told after 3 s (O7, L9).
func TestOverlayUnknownAddress(t *testing.T) {
	t.Parallel()
	l := newSwarmLab(t, 2)
	l.network("overnet")
	c1 := l.attach(l.hosts[0], "c1", "overnet")
	start := time.Now()
	_, err := c1.NS().Dial(l.ctx, "tcp", "10.0.0.99:80")
	if d := time.Since(start); !errors.Is(err, syscall.EHOSTUNREACH) || d < 2*time.Second || d > 20*time.Second {
		t.Errorf("Dial = %v after %v; want no route to host after 3s", err, d)
	}
}

// TestOverlayIsolation: two overlays do not reach each other, by no way (acceptance 15).
func TestOverlayIsolation(t *testing.T) {
	l := newSwarmLab(t, 2)
	l.network("dognet")
	l.network("catnet")
	dog, cat := l.attach(l.hosts[0], "dog", "dognet"), l.attach(l.hosts[0], "cat", "catnet")
	l.must(l.hosts[0].serve(cat.NS(), "80", "cat"))
	gw, _ := cat.Endpoint(cnm.NetworkGateway)
	in, _ := cat.Endpoint("catnet")
	for name, addr := range map[string]netip.Addr{"O11 by docker_gwbridge": gw.IP(), "by the other overlay": in.IP()} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(l.ctx, shortWait)
			defer cancel()
			if c, err := dog.NS().Dial(ctx, "tcp", netip.AddrPortFrom(addr, 80).String()); err == nil {
				c.Close()
				t.Errorf("dog reaches cat at %s", addr)
			}
		})
	}
	if got := lookup(l.ctx, dog, "cat"); got != "" {
		t.Errorf("D12: dog resolves cat to %s", got)
	}
}

// TestOverlayLeaves: what a container had on other hosts goes with it, and with the last one everything (O4, O8, D15).
func TestOverlayLeaves(t *testing.T) {
	l := newSwarmLab(t, 2)
	overnet := l.network("overnet")
	c1 := l.attach(l.hosts[0], "c1", "overnet")
	a, err := l.reserve(l.hosts[1], "overnet")
	l.must(err)
	c2, end, err := l.hosts[1].container(l.ctx, "c2", a.ep)
	l.must(err)
	if lookup(l.ctx, c1, "c2") == "" {
		t.Error("c2 is not known")
	}
	n, _ := l.hosts[0].ctl.Network("overnet")
	vx, _ := n.Sandbox().Interface("vxlan0")
	l.must(end())
	l.must(a.network.exit(l.hosts[1]))
	if got := lookup(l.ctx, c1, "c2"); got != "" {
		t.Errorf("D15: c2 is still %s", got)
	}
	if got := vx.Device().(*vxlan.Device).Table().Remotes(time.Now()); len(got) != 0 {
		t.Errorf("O8: remotes %v are left", got)
	}
	if _, ok := l.hosts[1].ctl.Network("overnet"); ok || len(c2.Endpoints()) != 0 {
		t.Error("O4: host-b still has the network")
	}
	l.must(c1.Delete())
	if n.Sandbox() != nil {
		t.Error("O4: the namespace outlived its last endpoint")
	}
	l.must(overnet.exit(l.hosts[0]))
}

package netns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// onWire makes a host 192.168.0.2 and a machine outside 192.168.0.9 on one cable.
func (l *lab) onWire() (eth0 *Interface, host, outside *Namespace) {
	l.Helper()
	host, outside = l.add(Config{Name: "host"}), l.add(Config{Name: "outside"})
	eth0, _ = l.veth(host, "eth0", "192.168.0.2/24", outside, "eth0", "192.168.0.9/24")
	return eth0, host, outside
}

// child makes a namespace whose eth0 add makes.
func (l *lab) child(name string, add func(*Namespace, InterfaceConfig) (*Interface, error), address string) *Namespace {
	l.Helper()
	ns := l.add(Config{Name: name, Seed: uint64(len(name)) + uint64(name[len(name)-1])})
	if _, err := add(ns, InterfaceConfig{Name: "eth0", Addr: prefix(address)}); err != nil {
		l.Fatal(err)
	}
	return ns
}

func macvlanOn(lower *Interface, mode MacvlanMode) func(*Namespace, InterfaceConfig) (*Interface, error) {
	return func(ns *Namespace, cfg InterfaceConfig) (*Interface, error) { return ns.AddMacvlan(lower, mode, cfg) }
}

func ipvlanOn(lower *Interface, mode IPVlanMode) func(*Namespace, InterfaceConfig) (*Interface, error) {
	return func(ns *Namespace, cfg InterfaceConfig) (*Interface, error) { return ns.AddIPVlan(lower, mode, cfg) }
}

// reaches holds whether a ping is answered against what is wanted.
func (l *lab) reaches(from *Namespace, to string, want bool) {
	l.Helper()
	patience := patience
	if !want {
		patience = 150 * time.Millisecond
	}
	if _, err := from.Ping(l.within(patience), addr(to)); (err == nil) != want {
		l.Errorf("ping from %s to %s: %v; want an answer: %t", from.Name(), to, err, want)
	}
}

// TestMacvlanModes is V2, V3 and V4: who reaches whom.
func TestMacvlanModes(t *testing.T) {
	for _, c := range []struct {
		mode             MacvlanMode
		sibling, reflect bool // among children: at once, and with a switch that sends back
	}{
		{MacvlanBridge, true, true},
		{MacvlanPrivate, false, false},
		{MacvlanVEPA, false, true},
	} {
		t.Run(c.mode.String(), func(t *testing.T) {
			l := newLab(t)
			eth0, host, outside := l.onWire()
			a := l.child("a", macvlanOn(eth0, c.mode), "192.168.0.3/24")
			b := l.child("b", macvlanOn(eth0, c.mode), "192.168.0.4/24")
			l.reaches(a, "192.168.0.9", true)
			l.reaches(outside, "192.168.0.4", true)
			l.reaches(host, "192.168.0.9", true)
			l.reaches(a, "192.168.0.2", false) // V4
			l.reaches(host, "192.168.0.3", false)
			l.reaches(a, "192.168.0.4", c.sibling)
			if c.reflect && !c.sibling {
				// The machine outside as a router on one leg is what a switch that sends back is to unicast.
				outside.SetForward(true)
				for ns, to := range map[*Namespace]string{a: "192.168.0.4/32", b: "192.168.0.3/32"} {
					if err := ns.AddRoute(Route{Dst: prefix(to), Via: addr("192.168.0.9"), Dev: must2(ns.Interface("eth0"))}); err != nil {
						t.Fatal(err)
					}
				}
				l.reaches(a, "192.168.0.4", true)
			}
		})
	}
}

// TestMacvlanPassthru is V2: the one child has the parent's address and gets all.
func TestMacvlanPassthru(t *testing.T) {
	l := newLab(t)
	eth0, host, outside := l.onWire()
	a := l.child("a", macvlanOn(eth0, MacvlanPassthru), "192.168.0.3/24")
	if mac := must2(a.Interface("eth0")).MAC(); mac != eth0.MAC() {
		t.Errorf("MAC of the child = %s, want the parent's, %s", mac, eth0.MAC())
	}
	l.reaches(outside, "192.168.0.3", true)
	b := l.add(Config{Name: "b"})
	if _, err := b.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: "eth0"}); err == nil || len(b.Interfaces()) != 1 {
		t.Errorf("a second child: %v, %d interfaces; want an error and lo", err, len(b.Interfaces()))
	}
	if err := a.RemoveInterface("eth0"); err != nil {
		t.Fatal(err)
	}
	l.reaches(host, "192.168.0.9", true) // the parent has its frames back
}

// TestUpperRefusals are the errors of interfaces on top of others.
func TestUpperRefusals(t *testing.T) {
	l := newLab(t)
	eth0, host, _ := l.onWire()
	c := l.add(Config{Name: "c"})
	mac := wire.MAC{2, 0, 0, 0, 0, 9}
	_, err := c.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: "eth0", MAC: mac})
	if err != nil {
		t.Fatal(err)
	}
	br := must(host.AddBridge(InterfaceConfig{Name: "br0"}))
	for name, try := range map[string]func() error{
		"already in use": func() error {
			_, err := c.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: "eth1", MAC: mac})
			return err
		},
		"the address": func() error {
			_, err := c.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: "eth1", MAC: eth0.MAC()})
			return err
		},
		"busy": func() error {
			_, err := c.AddIPVlan(eth0, IPVlanL2, InterfaceConfig{Name: "eth1"})
			return err
		},
		"it is busy": func() error { return eth0.SetMaster(br) },
		"above that": func() error {
			_, err := c.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: "eth1", MTU: 9000})
			return err
		},
		"not within": func() error { _, err := host.AddVLAN(eth0, 4095, InterfaceConfig{Name: "v"}); return err },
		"another namespace": func() error {
			_, err := c.AddVLAN(eth0, 4, InterfaceConfig{Name: "v"})
			return err
		},
		"no Ethernet": func() error {
			_, err := c.AddMacvlan(must2(c.Interface("lo")), MacvlanBridge, InterfaceConfig{Name: "v"})
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(name, "no ")) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if n := len(c.Interfaces()); n != 2 {
		t.Errorf("%d interfaces remain, want lo and eth0", n)
	}
	if err := host.RemoveInterface("eth0"); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Interfaces()); n != 1 {
		t.Errorf("%d interfaces remain when the parent is gone, want lo", n)
	}
}

// TestVLAN is V5 and V6: one tag on, one tag off, and frames of other VLANs are not seen.
func TestVLAN(t *testing.T) {
	l := newLab(t)
	eth0, host, outside := l.onWire()
	far := must2(outside.Interface("eth0"))
	v10 := must(host.AddVLAN(eth0, 10, InterfaceConfig{Name: "eth0.10", Addr: prefix("10.0.10.1/24")}))
	must(host.AddVLAN(eth0, 20, InterfaceConfig{Name: "eth0.20", Addr: prefix("10.0.20.1/24")}))
	far10 := must(outside.AddVLAN(far, 10, InterfaceConfig{Name: "eth0.10", Addr: prefix("10.0.10.9/24")}))
	must(outside.AddVLAN(far, 30, InterfaceConfig{Name: "eth0.30", Addr: prefix("10.0.20.9/24")}))
	if v10.MAC() != eth0.MAC() || v10.PeerIndex() != eth0.Index() || v10.VLAN() != 10 {
		t.Errorf("eth0.10 has MAC %s, link %d, VLAN %d", v10.MAC(), v10.PeerIndex(), v10.VLAN())
	}
	l.reaches(host, "10.0.10.9", true)
	l.reaches(host, "192.168.0.9", true)
	l.reaches(host, "10.0.20.9", false)
	if n := far.Read().Drops[fabric.DropVLAN.String()]; n == 0 {
		t.Errorf("frames of VLAN 20 are not counted as such outside: %v", far.Read())
	}
	ln := l.echo(outside, ":7")
	defer ln.Close() //nolint:errcheck // the test ends
	if _, _, err := l.talk(host, "10.0.10.9:7", 4<<20); err != nil {
		t.Errorf("trains through VLAN 10: %v", err)
	}
	if s := far10.Read(); s.RxBytes < 4<<20 {
		t.Errorf("eth0.10 outside got %d bytes", s.RxBytes)
	}
	eth0.SetUp(false)
	if v10.Carrier() {
		t.Error("eth0.10 has a carrier while eth0 is down")
	}
}

// TestMacvlanOnVLAN are containers of two VLANs on one card: each reaches its own outside and no other.
func TestMacvlanOnVLAN(t *testing.T) {
	l := newLab(t)
	eth0, host, outside := l.onWire()
	far := must2(outside.Interface("eth0"))
	var cs [2]*Namespace
	for n, id := range []uint16{10, 20} {
		lower := must(host.AddVLAN(eth0, id, InterfaceConfig{Name: fmt.Sprintf("eth0.%d", id)}))
		must(outside.AddVLAN(far, id, InterfaceConfig{Name: fmt.Sprintf("eth0.%d", id), Addr: prefix(fmt.Sprintf("10.0.%d.1/24", id))}))
		cs[n] = l.child(fmt.Sprintf("c%d", n), macvlanOn(lower, MacvlanBridge), fmt.Sprintf("10.0.%d.2/24", id))
	}
	l.reaches(cs[0], "10.0.10.1", true)
	l.reaches(cs[1], "10.0.20.1", true)
	l.gateway(cs[0], "10.0.10.1")
	l.gateway(cs[1], "10.0.20.1")
	l.reaches(cs[0], "10.0.20.2", false)
	outside.SetForward(true) // a router on a stick
	l.reaches(cs[0], "10.0.20.2", true)
}

// TestIPVlan is V16: one hardware address, and who reaches whom.
func TestIPVlan(t *testing.T) {
	for _, mode := range []IPVlanMode{IPVlanL2, IPVlanL3, IPVlanL3S} {
		t.Run(mode.String(), func(t *testing.T) {
			l := newLab(t)
			eth0, host, outside := l.onWire()
			nets := []string{"192.168.0.3/24", "192.168.0.4/24"}
			if mode != IPVlanL2 {
				nets = []string{"10.1.0.3/24", "10.2.0.4/24"} // children in two subnets
			}
			a := l.child("a", ipvlanOn(eth0, mode), nets[0])
			b := l.child("b", ipvlanOn(eth0, mode), nets[1])
			toA, toB := prefix(nets[0]).Addr().String(), prefix(nets[1]).Addr().String()
			if mode != IPVlanL2 {
				for _, ns := range []*Namespace{a, b} {
					if err := ns.AddRoute(Route{Dst: prefix("0.0.0.0/0"), Dev: must2(ns.Interface("eth0"))}); err != nil {
						t.Fatal(err)
					}
				}
				l.reaches(outside, toA, false) // it has no route to there
				if err := outside.AddRoute(Route{Dst: prefix("10.0.0.0/8"), Via: addr("192.168.0.2"), Dev: must2(outside.Interface("eth0"))}); err != nil {
					t.Fatal(err)
				}
			}
			for _, ns := range []*Namespace{a, b} {
				if mac := must2(ns.Interface("eth0")).MAC(); mac != eth0.MAC() {
					t.Errorf("MAC of %s = %s, want that of the parent, %s", ns.Name(), mac, eth0.MAC())
				}
			}
			l.reaches(a, toB, true)
			l.reaches(a, "192.168.0.9", true)
			l.reaches(outside, toB, true)
			l.reaches(host, "192.168.0.9", true)
			l.reaches(host, toA, false)
			if mode == IPVlanL2 {
				l.reaches(a, "192.168.0.2", false)
			}
			if _, err := b.AddIPVlan(eth0, mode, InterfaceConfig{Name: "eth1", Addr: prefix(nets[0])}); err == nil {
				t.Error("a second child got the address of the first")
			}
			ln := l.echo(outside, ":7")
			defer ln.Close() //nolint:errcheck // the test ends
			if _, _, err := l.talk(a, "192.168.0.9:7", 1<<20); err != nil {
				t.Errorf("a connection out: %v", err)
			}
		})
	}
}

// TestIPVlanL3SFilter shows that the host's INPUT chain sees what is for the children in mode l3s, and not in mode l3.
func TestIPVlanL3SFilter(t *testing.T) {
	for mode, want := range map[IPVlanMode]bool{IPVlanL3: true, IPVlanL3S: false} {
		l := newLab(t)
		eth0, host, outside := l.onWire()
		l.child("a", ipvlanOn(eth0, mode), "192.168.0.3/24")
		if err := outside.AddRoute(Route{Dst: prefix("192.168.0.3/32"), Via: addr("192.168.0.2"), Dev: must2(outside.Interface("eth0"))}); err != nil {
			t.Fatal(err)
		}
		if _, err := host.Netfilter().Command(strings.Fields("-A INPUT -d 192.168.0.3 -j DROP")); err != nil {
			t.Fatal(err)
		}
		l.reaches(outside, "192.168.0.3", want)
	}
}

// TestMacvlanLoopEnds is a bridge over two children of one parent: a broadcast goes round, and ends.
func TestMacvlanLoopEnds(t *testing.T) {
	l := newLab(t)
	eth0, _, outside := l.onWire()
	c := l.add(Config{Name: "c"})
	br := must(c.AddBridge(InterfaceConfig{Name: "br0"}))
	for _, name := range []string{"m0", "m1", "m2"} {
		m := must(c.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: name}))
		if err := m.SetMaster(br); err != nil {
			t.Fatal(err)
		}
	}
	must2(outside.Interface("eth0")).AnnounceARP(addr("192.168.0.9"))
}

// TestMacvlanAllocates holds the way between two children, and out, to no allocation.
func TestMacvlanAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, rig := range upperRigs {
		t.Run(name, func(t *testing.T) {
			send := rig(newLab(t))
			send()
			if n := testing.AllocsPerRun(100, send); n != 0 {
				t.Errorf("%v allocations a train, want none", n)
			}
		})
	}
}

// BenchmarkUpper sends one train of 40 wire frames from interface to interface.
func BenchmarkUpper(b *testing.B) {
	for name, rig := range upperRigs {
		b.Run(name, func(b *testing.B) {
			send := rig(newLab(b))
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
}

// upperRigs return what sends one train: between two children, out by the parent with a tag, and in again.
var upperRigs = map[string]func(l *lab) func(){
	"macvlan": func(l *lab) func() {
		eth0, _, _ := l.onWire()
		a, b := New(Config{Name: "a"}), New(Config{Name: "b", Seed: 1})
		from := must(a.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: "eth0"}))
		return trainTo(from, must(b.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: "eth0"})))
	},
	"ipvlan": func(l *lab) func() {
		eth0, _, _ := l.onWire()
		a, b := New(Config{Name: "a"}), New(Config{Name: "b", Seed: 1})
		from := must(a.AddIPVlan(eth0, IPVlanL2, InterfaceConfig{Name: "eth0"}))
		return trainTo(from, must(b.AddIPVlan(eth0, IPVlanL2, InterfaceConfig{Name: "eth0", Addr: prefix("10.0.0.2/24")})))
	},
	"macvlan on vlan": func(l *lab) func() {
		eth0, host, outside := l.onWire()
		far := must2(outside.Interface("eth0"))
		a, b := New(Config{Name: "a"}), New(Config{Name: "b", Seed: 1})
		from := must(a.AddMacvlan(must(host.AddVLAN(eth0, 10, InterfaceConfig{Name: "eth0.10"})), MacvlanBridge, InterfaceConfig{Name: "eth0"}))
		return trainTo(from, must(b.AddMacvlan(must(outside.AddVLAN(far, 10, InterfaceConfig{Name: "eth0.10"})), MacvlanBridge, InterfaceConfig{Name: "eth0"})))
	},
}

// trainTo returns what sends a train to an interface, whose namespace does not get it: that keeps it for the next time.
func trainTo(from, to *Interface) func() {
	keep := new(again)
	to.SetReceiver(fabric.ReceiverFunc(keep.Send))
	f := fabric.New()
	b := f.Extend(wire.EthernetLen + wire.IPv4Len + wire.TCPLen)
	wire.PutEthernet(b, to.MAC(), from.MAC(), wire.TypeIPv4)
	data := 40 * 1460
	wire.PutIPv4(b[wire.EthernetLen:], wire.IPv4Fields{TotalLen: wire.IPv4Len + wire.TCPLen + data, TTL: 64, Proto: wire.ProtoTCP,
		Src: addr("10.0.0.1"), Dst: addr("10.0.0.2")})
	b[wire.EthernetLen+wire.IPv4Len+12] = 5 << 4
	f.SetPayloadBytes(make([]byte, data))
	f.Segs, f.MSS = 40, 1460
	if reason := f.ParseEthernet(); reason != 0 {
		panic(reason.String())
	}
	keep.f = f
	batch := make([]*fabric.Frame, 1)
	return func() {
		batch[0] = keep.f
		batch[0].Hops = 0
		from.Send(batch)
	}
}

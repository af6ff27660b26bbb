package netns

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
)

func TestInterfaces(t *testing.T) {
	a, b := New(Config{Name: "a"}), New(Config{Name: "b"})
	defer a.Close()
	defer b.Close()
	b.SetNextIndex(7)
	ia, ib, err := NewVethPair(a, InterfaceConfig{Name: "veth0"}, b, InterfaceConfig{Name: "eth0", MTU: 1450})
	if err != nil {
		t.Fatal(err)
	}
	if ia.Index() != 2 || ib.Index() != 7 || ia.PeerIndex() != 7 || ib.PeerIndex() != 2 || ib.MTU() != 1450 || ia.Kind().String() != "veth" {
		t.Errorf("indices %d, %d; peers %d, %d", ia.Index(), ib.Index(), ia.PeerIndex(), ib.PeerIndex())
	}
	if ia.MAC() == ib.MAC() || ia.MAC()[0]&3 != 2 { // I20
		t.Errorf("hardware addresses %s, %s", ia.MAC(), ib.MAC())
	}
	for _, err := range []error{
		second(a.AddInterface(InterfaceConfig{Name: "veth0"})), second(a.AddInterface(InterfaceConfig{})),
		second(a.AddInterface(InterfaceConfig{Name: "a-name-that-is-too-long"})), a.RemoveInterface("lo"), a.RemoveInterface("eth9"),
		ia.SetMTU(67), ia.AddAddr(prefix("fe80::1/64")), ia.RemoveAddr(prefix("10.0.0.1/24")), ia.SetMaster(ib),
		second(a.AddInterface(InterfaceConfig{Name: "six", Addr: prefix("fe80::1/64")})),
	} {
		if err == nil {
			t.Error("no error")
		}
	}
	if _, _, err := NewVethPair(a, InterfaceConfig{Name: "veth1"}, b, InterfaceConfig{Name: "eth0"}); err == nil || len(a.Interfaces()) != 2 {
		t.Errorf("a pair with a name that exists: %v, %v", err, a.Interfaces())
	}
	if !ia.Carrier() || !ib.Carrier() {
		t.Error("no carrier")
	}
	ib.SetUp(false)
	if ia.Carrier() || ib.Up() {
		t.Error("a carrier while the other end is down")
	}
	ib.SetUp(true)
	if err := b.RemoveInterface("eth0"); err != nil || ia.Carrier() || len(a.Interfaces()) != 1 {
		t.Errorf("an end without an other end: %v, %v", a.Interfaces(), err)
	}
}

func TestAddresses(t *testing.T) {
	ns := New(Config{Name: "h"})
	defer ns.Close()
	a, b := must(ns.AddInterface(InterfaceConfig{Name: "a"})), must(ns.AddInterface(InterfaceConfig{Name: "b"}))
	for _, err := range []error{a.AddAddr(prefix("10.0.0.1/24")), a.AddAddr(prefix("10.0.0.2/24")), b.AddAddr(prefix("10.0.0.3/24")), b.AddAddr(prefix("10.0.0.1/24"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := a.AddAddr(prefix("10.0.0.1/24")); err == nil {
		t.Error("an address was added twice")
	}
	routes := func() string {
		s := ""
		for _, r := range ns.Routes() {
			s += r.String() + "; "
		}
		return s
	}
	owner := func(s string) string {
		if i := ns.conf.Load().local[addr(s)]; i != nil {
			return i.Name()
		}
		return ""
	}
	for _, c := range []struct {
		what   string
		do     func() error
		routes string
		owner  string // of 10.0.0.1
		bcast  bool
	}{
		{"as they are", func() error { return nil }, "10.0.0.0/24 dev a  proto kernel  scope link  src 10.0.0.1; 10.0.0.0/24 dev b  proto kernel  scope link  src 10.0.0.3  metric 1; ", "a", true},
		{"the first of a goes", func() error { return a.RemoveAddr(prefix("10.0.0.1/24")) }, "10.0.0.0/24 dev a  proto kernel  scope link  src 10.0.0.2; 10.0.0.0/24 dev b  proto kernel  scope link  src 10.0.0.3  metric 1; ", "b", true},
		{"a goes", func() error { return ns.RemoveInterface("a") }, "10.0.0.0/24 dev b  proto kernel  scope link  src 10.0.0.3  metric 1; ", "b", true},
		{"all of b go", func() error { b.RemoveAddr(prefix("10.0.0.1/24")); return b.RemoveAddr(prefix("10.0.0.3/24")) }, "", "", false},
	} {
		if err := c.do(); err != nil {
			t.Error(err)
		}
		if routes() != c.routes || owner("10.0.0.1") != c.owner || (ns.conf.Load().bcast[addr("10.0.0.255")] != nil) != c.bcast {
			t.Errorf("%s: %s, 10.0.0.1 is of %q", c.what, routes(), owner("10.0.0.1"))
		}
	}
}

func TestBridge(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	host, cs := l.bridged(2)
	br := must2(host.Interface("br0"))
	if p := br.Ports(); len(p) != 2 || p[0].Master() != br || br.Bridge() == nil || !br.Carrier() {
		t.Fatalf("ports %v", p)
	}
	if err := must2(host.Interface("veth1")).SetMaster(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := cs[0].Ping(l.within(50*1e6), addr("10.0.0.3")); err == nil {
		t.Error("a packet crossed a bridge that its interface is no port of")
	}
	if err := must2(host.Interface("veth1")).SetMaster(br); err != nil {
		t.Fatal(err)
	}
	if _, err := cs[0].Ping(l.within(patience), addr("10.0.0.3")); err != nil {
		t.Error(err)
	}
	if err := host.RemoveInterface("br0"); err != nil {
		t.Fatal(err)
	}
	if i := must2(host.Interface("veth2")); i.Master() != nil || i.Bridge() != nil {
		t.Error("a bridge that is gone still has ports")
	}
	must(host.AddBridge(InterfaceConfig{Name: "br0"}))
}

// lo shows its packets to captures, once each.
func TestLoopbackTap(t *testing.T) {
	l := newLab(t)
	ns := l.add(Config{})
	seen := 0
	defer must2(ns.Interface("lo")).Taps().Add(fabric.TapFunc(func(_ fabric.Direction, f *fabric.Frame) {
		if len(f.Linear()) >= 14 && f.IPv4() != nil && f.Eth().Type() == f.EtherType {
			seen++
		}
	}))()
	if _, err := ns.Ping(l.within(patience), localhost); err != nil || seen != 2 {
		t.Errorf("a capture saw %d packets, %v; want 2", seen, err)
	}
}

// While lo is down nothing reaches the namespace from within: 127.0.0.1 has no route, and what goes to other addresses is
// lost, as in a namespace of Linux that was just made.
func TestLoopbackDown(t *testing.T) {
	l := newLab(t)
	ns := l.add(Config{Name: "red"})
	must(ns.AddDummy(InterfaceConfig{Name: "d0", Addr: prefix("10.0.0.1/24")}))
	lo := must2(ns.Interface("lo"))
	lo.SetUp(false)
	if _, err := ns.Ping(l.within(patience), addr("127.0.0.1")); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("ping of 127.0.0.1: %v", err)
	}
	if _, err := ns.Ping(l.within(50*time.Millisecond), addr("10.0.0.1")); !errors.Is(err, context.DeadlineExceeded) || lo.Read().Dropped() == 0 {
		t.Errorf("ping of its own address: %v, lo has dropped %v", err, lo.Read().Drops)
	}
	lo.SetUp(true)
	for _, a := range []string{"127.0.0.1", "127.9.9.9", "10.0.0.1"} {
		l.reaches(ns, a, true)
	}
}

package netns

import (
	"errors"
	"net"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
)

// An interface that is moved is down and bare in its new namespace, and works there once it is set up again.
func TestMoveVeth(t *testing.T) {
	l := newLab(t)
	host, red := l.add(Config{Name: "host"}), l.add(Config{Name: "red"})
	v0, v1 := l.veth(host, "v0", "10.0.0.1/24", host, "v1", "10.0.0.2/24")
	for range 3 { // there, back, and there
		to := red
		if v1.Namespace() == red {
			to = host
		}
		index, mac := v1.Index(), v1.MAC()
		n, err := v1.Move(to, "")
		if err != nil {
			t.Fatal(err)
		}
		if n.Up() || len(n.Addrs()) > 0 || n.MAC() != mac || n.Index() != index || n.Namespace() != to || v0.Peer() != n || n.Peer() != v0 {
			t.Errorf("moved: up %v, %v, %s, index %d in %s", n.Up(), n.Addrs(), n.MAC(), n.Index(), n.Namespace().Name())
		}
		if _, still := v1.Namespace().Interface("v1"); still || v0.Carrier() {
			t.Errorf("v1 is still in %s, or has a carrier", v1.Namespace().Name())
		}
		v1 = n
	}
	if err := v1.AddAddr(prefix("10.0.0.2/24")); err != nil {
		t.Fatal(err)
	}
	v1.SetUp(true)
	l.reaches(host, "10.0.0.2", true)
	l.reaches(red, "10.0.0.1", true)
	if err := red.RemoveInterface("v1"); err != nil || len(host.Interfaces()) != 1 || len(host.Routes()) != 0 {
		t.Errorf("the other end stays: %v, %v, %v", host.Interfaces(), host.Routes(), err)
	}
}

// What stands on top of another interface stays there when it is moved.
func TestMoveUppers(t *testing.T) {
	for name, add := range map[string]func(host *Namespace, eth0 *Interface) (*Interface, error){
		"macvlan": func(host *Namespace, eth0 *Interface) (*Interface, error) {
			return host.AddMacvlan(eth0, MacvlanBridge, InterfaceConfig{Name: "up0"})
		},
		"ipvlan": func(host *Namespace, eth0 *Interface) (*Interface, error) {
			return host.AddIPVlan(eth0, IPVlanL2, InterfaceConfig{Name: "up0"})
		},
		"vlan": func(host *Namespace, eth0 *Interface) (*Interface, error) {
			return host.AddVLAN(eth0, 10, InterfaceConfig{Name: "up0"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			eth0, host, outside := l.onWire()
			if name == "vlan" {
				must(outside.AddVLAN(outside.Interfaces()[1], 10, InterfaceConfig{Name: "eth0.10", Addr: prefix("10.10.0.1/24")}))
			}
			i := must(add(host, eth0))
			if _, err := eth0.Move(outside, "eth1"); !errors.Is(err, ErrBusy) {
				t.Errorf("the lower one was moved: %v", err)
			}
			red := l.add(Config{Name: "red"})
			i, err := i.Move(red, "eth0")
			if err != nil {
				t.Fatal(err)
			}
			address, peer := "192.168.0.77/24", "192.168.0.9"
			if name == "vlan" {
				address, peer = "10.10.0.2/24", "10.10.0.1"
			}
			if err := i.AddAddr(prefix(address)); err != nil {
				t.Fatal(err)
			}
			i.SetUp(true)
			l.reaches(red, peer, true)
			if n := eth0.Uppers(); len(n) != 1 || n[0] != i {
				t.Errorf("on top of eth0 are %v", n)
			}
			if err := red.Dissolve(host); err != nil || len(eth0.Uppers()) != 0 {
				t.Errorf("on top of eth0 are %v still; %v", eth0.Uppers(), err)
			}
			l.reaches(host, "192.168.0.9", true)
		})
	}
}

// What cannot be moved stays as it is; a network card goes home when its namespace ends.
func TestMoveRefusedAndDissolved(t *testing.T) {
	l := newLab(t)
	host, red := l.add(Config{Name: "host"}), l.add(Config{Name: "red"})
	link := fabric.NewLink("host", "tor")
	eth0 := must(host.AddInterface(InterfaceConfig{Name: "eth0", Port: link.A(), Addr: prefix("10.0.0.1/24")}))
	br := must(host.AddBridge(InterfaceConfig{Name: "br0"}))
	must(red.AddDummy(InterfaceConfig{Name: "d0"}))
	d1 := must(red.AddDummy(InterfaceConfig{Name: "d1", Addr: prefix("10.1.0.1/24")}))
	l.veth(host, "v0", "", red, "v1", "")
	lo := must2(host.Interface("lo"))
	for _, row := range []struct {
		i    *Interface
		to   *Namespace
		name string
		want error
	}{
		{lo, red, "lo1", ErrImmutable}, {br, red, "", ErrImmutable}, {eth0, red, "d0", ErrTaken},
	} {
		if _, err := row.i.Move(row.to, row.name); !errors.Is(err, row.want) {
			t.Errorf("moving %s = %v; want %v", row.i.Name(), err, row.want)
		}
	}
	if !eth0.Up() || len(eth0.Addrs()) != 1 {
		t.Error("eth0 has changed")
	}
	if _, err := d1.Rename("d2"); !errors.Is(err, ErrBusy) {
		t.Errorf("renaming what is up: %v", err)
	}
	d1.SetUp(false)
	d2, err := d1.Rename("d2")
	if err != nil || len(d2.Addrs()) != 1 || d2.Index() != d1.Index() {
		t.Errorf("renamed: %v, index %d, %v", d2.Addrs(), d2.Index(), err)
	}
	must(eth0.Move(red, "wan"))
	must(host.AddDummy(InterfaceConfig{Name: "wan"}))
	if err := red.Dissolve(host); err != nil || len(red.Interfaces()) != 1 {
		t.Errorf("left are %v; %v", red.Interfaces(), err)
	}
	names := ""
	for _, i := range host.Interfaces() {
		names += i.Name() + " "
	}
	if names != "lo br0 wan dev5 " {
		t.Errorf("the host has %s", names)
	}
	if _, err := eth0.Move(red, ""); err == nil {
		t.Error("an interface that is gone was moved")
	}
}

// Frames may come while an interface is moved.
func TestMoveUnderTraffic(t *testing.T) {
	l := newLab(t)
	host, red := l.add(Config{Name: "host"}), l.add(Config{Name: "red"})
	v0, v1 := l.veth(host, "v0", "10.0.0.1/24", red, "v1", "10.0.0.2/24")
	pc := must(host.ListenPacket("udp", "10.0.0.1:1"))
	defer pc.Close()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = pc.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 9}) // it is lost at times
			}
		}
	}()
	for n := range 50 {
		to := []*Namespace{host, red}[n%2]
		var err error
		if v1, err = v1.Move(to, ""); err != nil {
			t.Fatal(err)
		}
		if err := v1.AddAddr(prefix("10.0.0.2/24")); err != nil {
			t.Fatal(err)
		}
		v1.SetUp(true)
	}
	close(stop)
	<-done
	if v0.Peer() != v1 {
		t.Error("the pair has come apart")
	}
}

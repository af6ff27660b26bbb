package cnm

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/netns"
)

// macvlanNet is a network of the guide on a parent.
func macvlanNet(name, parent string) NetworkConfig {
	return NetworkConfig{Name: name, Driver: DriverMacvlan, Subnet: netip.MustParsePrefix("192.168.1.0/24"),
		Gateway: netip.MustParseAddr("192.168.1.1"), Options: map[string]string{"parent": parent}}
}

func at(network, ip string) EndpointConfig {
	return EndpointConfig{Network: network, IP: netip.MustParseAddr(ip)}
}

// TestMacvlanBridge is V3, V4, V11, V12 and the guide's pets on one segment.
func TestMacvlanBridge(t *testing.T) {
	r := newRig(t)
	a, b := r.host("host-a", "192.168.1.2/24", nil), r.host("host-b", "192.168.1.3/24", nil)
	r.machine("router", "192.168.1.1/24")
	for _, c := range []*Controller{a, b} {
		n := r.network(c, macvlanNet("macvlan", "eth0"))
		if n.Scope() != "local" || n.MTU() != 1500 || n.Gateway().String() != "192.168.1.1" {
			t.Errorf("network: scope %s, MTU %d, gateway %s", n.Scope(), n.MTU(), n.Gateway())
		}
	}
	web := r.container(a, "dog-web", EndpointConfig{Network: "macvlan", IP: netip.MustParseAddr("192.168.1.40"),
		Ports: []PortBinding{{HostPort: 8000, ContainerPort: 80}}})
	near := r.container(a, "near", at("macvlan", "192.168.1.41"))
	db := r.container(b, "dog-db", at("macvlan", "192.168.1.50"))
	r.serve(web.NS(), "web", 80)
	r.serve(db.NS(), "db", 6379)
	r.says(web.NS(), "192.168.1.50:6379", "db 192.168.1.40")
	r.says(near.NS(), "192.168.1.40:80", "web 192.168.1.41")
	r.says(b.Host(), "192.168.1.40:80", "web 192.168.1.3")
	r.lost(a.Host(), "192.168.1.40") // V4
	r.lost(web.NS(), "192.168.1.2")
	r.pings(web.NS(), "192.168.1.3")
	r.pings(web.NS(), "192.168.1.1")
	if ports := web.Ports(); ports != nil { // V12
		t.Errorf("ports are published: %v", ports)
	}
	r.finds(near, "dog-web", "192.168.1.40")
	r.finds(web, "dog-db", "") // the name is the other host's
	ep, _ := web.Endpoint("macvlan")
	if i := ep.Interface(); i.MAC().String() != "02:42:c0:a8:01:28" || i.PeerIndex() != 2 || i.Kind() != netns.KindMacvlan {
		t.Errorf("interface has MAC %s, link %d and is a %s", i.MAC(), i.PeerIndex(), i.Kind())
	}
	if route, ok := web.NS().RouteTo(netip.MustParseAddr("8.8.8.8")); !ok || route.Via.String() != "192.168.1.1" {
		t.Errorf("default route: %v, %t", route, ok)
	}
	if err := a.RemoveNetwork("macvlan"); err == nil {
		t.Error("a network in use was removed")
	}
	for _, s := range []*Sandbox{web, near} {
		if err := s.Delete(); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.RemoveNetwork("macvlan"); err != nil {
		t.Fatal(err)
	}
	eth0, ok := a.Host().Interface("eth0")
	if !ok || len(eth0.Uppers()) != 0 {
		t.Errorf("eth0 is there: %t, with %d interfaces on top", ok, len(eth0.Uppers()))
	}
}

// TestMacvlanDuplicates is V11: without a plan two hosts give out one address, and one of the two is unreachable.
func TestMacvlanDuplicates(t *testing.T) {
	r := newRig(t)
	var cs []*Sandbox
	for n, name := range []string{"host-a", "host-b"} {
		c := r.host(name, fmt.Sprintf("192.168.1.%d/24", 2+n), nil)
		r.network(c, macvlanNet("macvlan", "eth0"))
		s := r.container(c, "c", on("macvlan"))
		r.serve(s.NS(), name, 80)
		cs = append(cs, s)
	}
	if a, b := cs[0].Endpoints()[0], cs[1].Endpoints()[0]; a.IP() != b.IP() || a.MAC() != b.MAC() {
		t.Errorf("addresses are %s %s and %s %s, want the same", a.IP(), a.MAC(), b.IP(), b.MAC())
	}
	client := r.machine("client", "192.168.1.99/24")
	got, err := ask(client, cs[0].Endpoints()[0].IP().String()+":80", soon)
	for try := 0; err != nil && try < 20; try++ { // the switch learns the address now here, now there, and who knows nothing of the connection resets it
		got, err = ask(client, cs[0].Endpoints()[0].IP().String()+":80", soon)
	}
	if err != nil || got != "host-a 192.168.1.99" && got != "host-b 192.168.1.99" {
		t.Errorf("the address answers %q, %v; want one of the two", got, err)
	}
	planned := r.host("host-c", "192.168.1.4/24", nil)
	cfg := macvlanNet("macvlan", "eth0")
	cfg.IPRange = netip.MustParsePrefix("192.168.1.64/27")
	r.network(planned, cfg)
	if ip := r.container(planned, "c", on("macvlan")).Endpoints()[0].IP(); ip.String() != "192.168.1.64" {
		t.Errorf("with a range the address is %s", ip)
	}
}

// TestMacvlanOptions are Docker's texts for what it refuses (V1, V5, V9, V10), by the engine's time.
func TestMacvlanOptions(t *testing.T) {
	for _, row := range []struct {
		name     string
		driver   string
		options  map[string]string
		modern   bool
		existing string // options of a network that is there: parent and mode
		want     string // "": it is made
	}{
		{"wrong mode", DriverMacvlan, map[string]string{"macvlan_mode": "foo"}, false, "", "requested macvlan mode 'foo' is not valid, 'bridge' mode is the macvlan driver default"},
		{"wrong ipvlan mode", DriverIPVlan, map[string]string{"ipvlan_mode": "l4"}, true, "", "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default"},
		{"wrong ipvlan flag", DriverIPVlan, map[string]string{"ipvlan_flag": "x"}, true, "", "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default flag"},
		{"no such ipvlan flag here", DriverIPVlan, map[string]string{"ipvlan_flag": "vepa"}, true, "", "ipvlan flag 'vepa' is not simulated"},
		{"loopback", DriverMacvlan, map[string]string{"parent": "lo"}, false, "", "loopback interface is not a valid macvlan parent link"},
		{"no such card", DriverMacvlan, map[string]string{"parent": "eth9"}, false, "", "invalid subinterface vlan name eth9, example formatting is eth0.10"},
		{"no card below", DriverMacvlan, map[string]string{"parent": "eth9.10"}, false, "", "-o parent interface was not found on the host: eth9"},
		{"VLAN out of range", DriverMacvlan, map[string]string{"parent": "eth0.5000"}, false, "", "vlan id must be between 1-4094, received: 5000"},
		{"no VLAN number", DriverMacvlan, map[string]string{"parent": "eth0.x"}, false, "", "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"},
		{"two dots", DriverMacvlan, map[string]string{"parent": "eth0.10.20"}, false, "", "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received eth0.10.20"},
		{"shared parent in 2017", DriverMacvlan, map[string]string{"parent": "eth0"}, false, "eth0", "network dm-%s is already using parent interface eth0"},
		{"shared parent today", DriverMacvlan, map[string]string{"parent": "eth0"}, true, "eth0", ""},
		{"shared passthru", DriverMacvlan, map[string]string{"parent": "eth0", "macvlan_mode": "passthru"}, true, "eth0", "cannot use mode passthru, macvlan network"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			c := r.host("host", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = row.modern })
			id := ""
			if row.existing != "" {
				id = r.network(c, NetworkConfig{Name: "first", Driver: row.driver, Options: map[string]string{"parent": row.existing}}).ID()
			}
			n, err := c.CreateNetwork(NetworkConfig{Name: "n", Driver: row.driver, Options: row.options})
			want := strings.ReplaceAll(row.want, "%s", short(id))
			switch {
			case row.want == "" && err != nil:
				t.Fatal(err)
			case row.want == "":
				if err := c.RemoveNetwork(n.ID()); err != nil {
					t.Fatal(err)
				}
			case err == nil || !strings.HasPrefix(err.Error(), want):
				t.Errorf("error %v, want %s", err, want)
			}
			if _, ok := c.Network("n"); ok {
				t.Error("the network is there")
			}
		})
	}
}

// TestMacvlanVLANParent is V5: the driver makes eth0.10, removes it with the last network, and leaves what was there.
func TestMacvlanVLANParent(t *testing.T) {
	r := newRig(t)
	c := r.host("host", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = true })
	host := c.Host()
	r.network(c, NetworkConfig{Name: "m10", Driver: DriverMacvlan, Options: map[string]string{"parent": "eth0.10"}})
	r.network(c, NetworkConfig{Name: "also10", Driver: DriverMacvlan, Options: map[string]string{"parent": "eth0.10"}})
	v, ok := host.Interface("eth0.10")
	if !ok || v.VLAN() != 10 || !v.Up() {
		t.Fatalf("eth0.10 is there: %t", ok)
	}
	for n, name := range []string{"m10", "also10"} {
		if err := c.RemoveNetwork(name); err != nil {
			t.Fatal(err)
		}
		if _, ok := host.Interface("eth0.10"); ok != (n == 0) {
			t.Errorf("eth0.10 is there after %s went: %t", name, ok)
		}
	}
	eth0, _ := host.Interface("eth0")
	if _, err := host.AddVLAN(eth0, 20, netns.InterfaceConfig{Name: "eth0.20"}); err != nil {
		t.Fatal(err)
	}
	r.network(c, NetworkConfig{Name: "m20", Driver: DriverMacvlan, Options: map[string]string{"parent": "eth0.20"}})
	if err := c.RemoveNetwork("m20"); err != nil {
		t.Fatal(err)
	}
	if _, ok := host.Interface("eth0.20"); !ok {
		t.Error("eth0.20 was there before the network, and is gone with it")
	}
}

// TestMacvlanInternal is V7 and V8.
func TestMacvlanInternal(t *testing.T) {
	for _, row := range []struct {
		name     string
		modern   bool
		internal bool
		parent   string
		dummy    bool
	}{
		{"no parent", false, false, "", true},
		{"internal in 2017", false, true, "eth0", true},
		{"internal today", true, true, "eth0", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			c := r.host("host", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = row.modern })
			r.machine("other", "10.9.0.9/24")
			cfg := NetworkConfig{Name: "n", Driver: DriverMacvlan, Subnet: netip.MustParsePrefix("10.9.0.0/24"), Internal: row.internal}
			if row.parent != "" {
				cfg.Options = map[string]string{"parent": row.parent}
			}
			n := r.network(c, cfg)
			_, ok := c.Host().Interface("dm-" + n.ID()[:12])
			if ok != row.dummy {
				t.Errorf("there is a dummy: %t, want %t", ok, row.dummy)
			}
			a, b := r.container(c, "a", on("n")), r.container(c, "b", on("n"))
			r.pings(a.NS(), b.Endpoints()[0].IP().String())
			if row.dummy {
				r.lost(a.NS(), "10.9.0.9")
			} else {
				r.pings(a.NS(), "10.9.0.9")
			}
			if route, ok := a.NS().RouteTo(netip.MustParseAddr("8.8.8.8")); ok {
				t.Errorf("there is a way out: %v", route)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if _, ok := c.Host().Interface("dm-" + n.ID()[:12]); ok {
				t.Error("the dummy is there still")
			}
		})
	}
}

// TestIPVlanNetworks is V16.
func TestIPVlanNetworks(t *testing.T) {
	r := newRig(t)
	c := r.host("host", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = true })
	client := r.machine("client", "192.168.1.99/24")
	options := map[string]string{"parent": "eth0", "ipvlan_mode": "l3"}
	for n, name := range []string{"one", "two"} {
		r.network(c, NetworkConfig{Name: name, Driver: DriverIPVlan, Subnet: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/24", 7+n)), Options: options})
	}
	a, b := r.container(c, "a", on("one")), r.container(c, "b", on("two"))
	r.serve(b.NS(), "b", 80)
	r.says(a.NS(), b.Endpoints()[0].IP().String()+":80", "b "+a.Endpoints()[0].IP().String())
	r.lost(client, a.Endpoints()[0].IP().String())
	eth0, _ := client.Interface("eth0")
	if err := client.AddRoute(netns.Route{Dst: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.168.1.2"), Dev: eth0}); err != nil {
		t.Fatal(err)
	}
	r.pings(client, a.Endpoints()[0].IP().String())
	if _, err := c.CreateNetwork(NetworkConfig{Name: "three", Driver: DriverIPVlan, Options: map[string]string{"parent": "eth0"}}); err == nil {
		t.Error("a network in mode l2 beside those in l3 was made")
	}
	r.network(c, macvlanNet("mac", "eth0"))
	if err := r.sandbox(c, "c").Join(r.ctx, []EndpointConfig{on("mac")}); err == nil || !strings.Contains(err.Error(), "failed to create the macvlan port") {
		t.Errorf("macvlan beside ipvlan: %v", err)
	}
}

// TestMacvlanPlan is the rest of V11 and V12: addresses that others have are named to the engine, and the MTU is the parent's.
func TestMacvlanPlan(t *testing.T) {
	r := newRig(t)
	for _, mtu := range []int{1400, 9000} {
		c := r.host(fmt.Sprintf("host-%d", mtu), fmt.Sprintf("192.168.1.%d/24", mtu/100), nil)
		eth0, ok := c.Host().Interface("eth0")
		if !ok {
			t.Fatal("no eth0")
		}
		if err := eth0.SetMTU(mtu); err != nil {
			t.Fatal(err)
		}
		cfg := macvlanNet("macvlan", "eth0")
		cfg.AuxAddresses = map[string]netip.Addr{"host-b": netip.MustParseAddr("192.168.1.2"), "printer": netip.MustParseAddr("192.168.1.3")}
		n := r.network(c, cfg)
		ep := r.container(c, fmt.Sprintf("c%d", mtu), on("macvlan")).Endpoints()[0]
		if ep.IP().String() != "192.168.1.4" || n.MTU() != mtu || ep.Interface().MTU() != mtu {
			t.Errorf("the first container has %s, its network MTU %d, its interface %d; want 192.168.1.4 and %d", ep.IP(), n.MTU(), ep.Interface().MTU(), mtu)
		}
	}
}

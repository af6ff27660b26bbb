package netns

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func testDev(name string, up bool) *Interface {
	i := &Interface{name: name}
	i.up.Store(up)
	return i
}

func TestFIBLookup(t *testing.T) {
	eth0, eth1, down := testDev("eth0", true), testDev("eth1", true), testDev("down", false)
	var table FIB
	for _, r := range []Route{
		{Dst: prefix("0.0.0.0/0"), Dev: eth0, Via: addr("10.0.0.1")},
		{Dst: prefix("0.0.0.0/0"), Dev: eth1, Via: addr("10.1.0.1"), Metric: 100},
		{Dst: prefix("10.0.0.0/8"), Dev: eth1},
		{Dst: prefix("10.0.0.0/24"), Dev: eth0},
		{Dst: prefix("10.0.0.7/32"), Dev: eth1},
		{Dst: prefix("10.2.0.0/16"), Dev: down},
		{Dst: prefix("10.2.0.0/16"), Dev: eth0, Metric: 5},
	} {
		var err error
		if table, err = table.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, dst, want string }{
		{"host route", "10.0.0.7", "10.0.0.7 dev eth1  scope link"},
		{"longest prefix", "10.0.0.8", "10.0.0.0/24 dev eth0  scope link"},
		{"shorter prefix", "10.0.1.8", "10.0.0.0/8 dev eth1  scope link"},
		{"default with the lowest metric", "8.8.8.8", "default via 10.0.0.1 dev eth0"},
		{"next metric while the device is down", "10.2.0.1", "10.2.0.0/16 dev eth0  scope link  metric 5"},
		{"ipv6 has none", "fe80::1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if r, ok := table.Lookup(addr(c.dst)); ok {
				got = r.String()
			}
			if got != c.want {
				t.Errorf("Lookup(%s) = %q; want %q", c.dst, got, c.want)
			}
		})
	}
	if _, err := table.Add(Route{Dst: prefix("10.0.0.0/24"), Dev: eth1}); err == nil {
		t.Error("a second route to 10.0.0.0/24 with the same metric was taken")
	}
	if r := table.Routes(); r[0].Dst.Bits() != 0 || r[1].Metric != 100 || r[2].Dst != prefix("10.0.0.0/8") {
		t.Errorf("Routes = %v", r)
	}
}

// A large table, which is searched by map, finds what a search line by line finds.
func TestFIBLarge(t *testing.T) {
	luck := rand.New(rand.NewPCG(1, 2))
	devs := []*Interface{testDev("a", true), testDev("b", false), testDev("c", true)}
	var routes []Route
	seen := map[[2]any]bool{}
	for range 500 {
		a := netip.AddrFrom4([4]byte{10, byte(luck.IntN(3)), byte(luck.IntN(4)), byte(luck.IntN(8))})
		r := Route{Dst: netip.PrefixFrom(a, luck.IntN(33)).Masked(), Metric: luck.IntN(3), Dev: devs[luck.IntN(3)]}
		if key := [2]any{r.Dst, r.Metric}; !seen[key] {
			seen[key] = true
			routes = append(routes, r)
		}
	}
	table := newFIB(routes)
	if table.byLen == nil {
		t.Fatal("the table is not large")
	}
	for range 20000 {
		dst := netip.AddrFrom4([4]byte{10, byte(luck.IntN(4)), byte(luck.IntN(5)), byte(luck.IntN(10))})
		got, ok := table.Lookup(dst)
		want, wantOK := table.lookupLinear(addr4(dst))
		if got != want || ok != wantOK {
			t.Fatalf("Lookup(%s) = %v, %v; want %v, %v", dst, got, ok, want, wantOK)
		}
	}
}

func TestRoutes(t *testing.T) {
	ns := New(Config{Name: "h"})
	defer ns.Close()
	eth0 := must(ns.AddInterface(InterfaceConfig{Name: "eth0", Addr: prefix("10.0.0.2/24")}))
	other := New(Config{Name: "o"})
	defer other.Close()
	foreign := must(other.AddInterface(InterfaceConfig{Name: "eth0"}))
	for _, c := range []struct {
		name string
		r    Route
		ok   bool
	}{
		{"by a gateway on link", Route{Dst: prefix("10.9.1.5/16"), Via: addr("10.0.0.1"), Dev: eth0}, true},
		{"again", Route{Dst: prefix("10.9.0.0/16"), Via: addr("10.0.0.1"), Dev: eth0}, true},
		{"by another gateway", Route{Dst: prefix("10.9.0.0/16"), Via: addr("10.0.0.3"), Dev: eth0}, false},
		{"by a gateway far away", Route{Dst: prefix("10.8.0.0/16"), Via: addr("10.9.0.1"), Dev: eth0}, false},
		{"by nothing", Route{Dst: prefix("10.8.0.0/16")}, false},
		{"by a device elsewhere", Route{Dst: prefix("10.8.0.0/16"), Dev: foreign}, false},
		{"to nowhere", Route{Dev: eth0}, false},
	} {
		if err := ns.AddRoute(c.r); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := ns.AddDefaultRoute(addr("10.77.0.1")); err == nil {
		t.Error("a default route by a gateway that is not on link was taken")
	}
	if r, ok := ns.RouteTo(addr("10.9.3.3")); !ok || r.Dst != prefix("10.9.0.0/16") {
		t.Errorf("RouteTo = %v, %v", r, ok)
	}
	if err := ns.RemoveRoute(prefix("10.9.0.0/16"), nil); err != nil {
		t.Error(err)
	}
	if err := ns.RemoveRoute(prefix("10.9.0.0/16"), nil); err == nil {
		t.Error("a route was removed twice")
	}
}

// Of two routes to one network that which is meant goes, and the other carries on.
func TestDeleteRouteByMetric(t *testing.T) {
	ns := New(Config{Name: "c"})
	defer ns.Close()
	eth0 := must(ns.AddInterface(InterfaceConfig{Name: "eth0"}))
	if err := eth0.AddAddr(prefix("10.0.0.2/24")); err != nil {
		t.Fatal(err)
	}
	for metric, via := range map[int]string{50: "10.0.0.50", 60: "10.0.0.60"} {
		if err := ns.AddRoute(Route{Dst: prefix("10.9.0.0/16"), Via: addr(via), Dev: eth0, Metric: metric}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ns.DeleteRoute(Route{Dst: prefix("10.9.3.3/16"), Metric: 50}); err != nil {
		t.Error(err)
	}
	if r, ok := ns.RouteTo(addr("10.9.0.1")); !ok || r.Metric != 60 {
		t.Errorf("RouteTo = %v, %v; want that of metric 60", r, ok)
	}
	if err := ns.DeleteRoute(Route{Dst: prefix("10.9.0.0/16"), Metric: 50}); err == nil {
		t.Error("a route was deleted twice")
	}
}

// The source of a packet is the subnet's address, not an alias that a service's virtual address is.
func TestSourceFor(t *testing.T) {
	ns := New(Config{Name: "c"})
	defer ns.Close()
	eth0 := must(ns.AddInterface(InterfaceConfig{Name: "eth0"}))
	lo := must2(ns.Interface("lo"))
	for _, x := range []error{eth0.AddAddr(prefix("10.0.0.2/32")), eth0.AddAddr(prefix("10.0.0.3/24")), eth0.AddAddr(prefix("10.0.0.4/24")),
		eth0.AddAddr(prefix("10.1.0.3/24")), lo.AddAddr(prefix("10.0.0.9/32")), lo.AddAddr(prefix("192.0.2.9/32")), ns.AddDefaultRoute(addr("10.0.0.1"))} {
		if x != nil {
			t.Fatal(x)
		}
	}
	for _, c := range []struct{ dst, want string }{
		{"10.0.0.5", "10.0.0.3"}, {"10.1.0.5", "10.1.0.3"}, {"8.8.8.8", "10.0.0.3"}, {"10.0.0.2", "10.0.0.3"}, {"10.0.0.9", "10.0.0.3"},
		{"10.0.0.4", "10.0.0.3"}, {"127.0.0.11", "127.0.0.1"}, {"192.0.2.9", "192.0.2.9"},
	} {
		if got, ok := ns.SourceFor(addr(c.dst)); got != addr(c.want) && !(c.dst == "192.0.2.9" && ok) {
			t.Errorf("SourceFor(%s) = %v, %v; want %s", c.dst, got, ok, c.want)
		}
	}
}

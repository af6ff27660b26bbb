package netns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// cabledDev is an interface at the end of a cable, which has a carrier while that is in.
func cabledDev(name string) (*Interface, *fabric.Link) {
	link := fabric.NewLink(name, "peer")
	dev := testDev(name, true)
	dev.port = link.A()
	return dev, link
}

func TestMultipathWay(t *testing.T) {
	a, aLink := cabledDev("a")
	b, bLink := cabledDev("b")
	c := testDev("c", true)
	r := Route{Dst: prefix("10.9.0.0/16"), Hops: []NextHop{
		{Via: addr("10.0.0.1"), Dev: a}, {Via: addr("10.0.1.1"), Dev: b, Weight: 2}, {Via: addr("10.0.2.1"), Dev: c},
	}}.prepare()
	share := func() string {
		got := map[string]int{}
		for i := range 4096 {
			got[r.way(uint32(i)<<20).Dev.name]++
		}
		return fmt.Sprintf("a %d b %d c %d", got["a"], got["b"], got["c"])
	}
	for _, step := range []struct {
		name   string
		change func()
		want   string
	}{
		{"by weight", func() {}, "a 1024 b 2048 c 1024"},
		{"a is down", func() { a.up.Store(false) }, "a 0 b 2730 c 1366"},
		{"b has no carrier", func() { bLink.SetUp(false) }, "a 0 b 0 c 4096"},
		{"of none with a carrier, those that are up", func() { c.up.Store(false) }, "a 0 b 4096 c 0"},
		{"a is back without a carrier", func() { a.up.Store(true); aLink.SetUp(false) }, "a 1365 b 2731 c 0"},
		{"all are back", func() { aLink.SetUp(true); bLink.SetUp(true); c.up.Store(true) }, "a 1024 b 2048 c 1024"},
	} {
		step.change()
		got := share()
		// Where a third begins is a matter of rounding.
		if near := strings.NewReplacer("2731", "2730", "1366", "1365"); near.Replace(got) != near.Replace(step.want) {
			t.Errorf("%s: %s; want %s", step.name, got, step.want)
		}
	}
	a.up.Store(false)
	bLink.SetUp(false)
	want := "10.9.0.0/16 \n\tnexthop via 10.0.0.1  dev a weight 1 dead linkdown\n\tnexthop via 10.0.1.1  dev b weight 2 linkdown\n\tnexthop via 10.0.2.1  dev c weight 1"
	if got := r.String(); got != want {
		t.Errorf("String = %q; want %q", got, want)
	}
	c.up.Store(false)
	b.up.Store(false)
	if got, ok := (newFIB([]Route{r})).Lookup(addr("10.9.0.1")); ok {
		t.Errorf("Lookup with all interfaces down = %v", got)
	}
}

// A router goes by its second choice while the first has no carrier; a host, as Linux has it, does not.
func TestIgnoreLinkdown(t *testing.T) {
	a, link := cabledDev("a")
	b := testDev("b", true)
	table := newFIB([]Route{{Dst: prefix("10.9.0.0/16"), Dev: a}, {Dst: prefix("10.9.0.0/16"), Dev: b, Metric: 10}})
	for _, c := range []struct {
		router, cut bool
		want        string
	}{{false, false, "a"}, {false, true, "a"}, {true, false, "a"}, {true, true, "b"}} {
		table.linkdown = c.router
		link.SetUp(!c.cut)
		if r, ok := table.Lookup(addr("10.9.0.1")); !ok || r.Dev.name != c.want {
			t.Errorf("router %v, cut %v: %v, %v; want %s", c.router, c.cut, r, ok, c.want)
		}
	}
}

func TestMultipathRoutes(t *testing.T) {
	ns := New(Config{Name: "h"})
	defer ns.Close()
	eth0 := must(ns.AddInterface(InterfaceConfig{Name: "eth0", Addr: prefix("10.0.0.2/24")}))
	eth1 := must(ns.AddInterface(InterfaceConfig{Name: "eth1", Addr: prefix("10.0.1.2/24")}))
	two := []NextHop{{Via: addr("10.0.0.1"), Dev: eth0}, {Via: addr("10.0.1.1"), Dev: eth1}}
	for _, c := range []struct {
		name string
		r    Route
		ok   bool
	}{
		{"two ways", Route{Dst: prefix("10.9.0.0/16"), Hops: two}, true},
		{"again", Route{Dst: prefix("10.9.0.0/16"), Hops: two}, true},
		{"the same gateways with other weights", Route{Dst: prefix("10.9.0.0/16"), Hops: []NextHop{{Via: two[0].Via, Dev: eth0, Weight: 2}, two[1]}}, false},
		{"one of them alone", Route{Dst: prefix("10.9.0.0/16"), Via: two[0].Via, Dev: eth0}, false},
		{"one that is not on link", Route{Dst: prefix("10.8.0.0/16"), Hops: []NextHop{two[0], {Via: addr("10.7.0.1"), Dev: eth1}}}, false},
		{"one without a device", Route{Dst: prefix("10.8.0.0/16"), Hops: []NextHop{two[0], {Via: addr("10.0.1.1")}}}, false},
		{"a weight out of range", Route{Dst: prefix("10.8.0.0/16"), Hops: []NextHop{two[0], {Via: two[1].Via, Dev: eth1, Weight: 257}}}, false},
		{"a list of one", Route{Dst: prefix("10.7.0.0/16"), Hops: two[:1]}, true},
	} {
		if err := ns.AddRoute(c.r); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if r, ok := ns.RouteTo(addr("10.7.1.1")); !ok || r.String() != "10.7.0.0/16 via 10.0.0.1 dev eth0" {
		t.Errorf("a list of one = %v, %v", r, ok)
	}
	if src, ok := ns.SourceFor(addr("10.9.1.1")); !ok || src != addr("10.0.0.2") {
		t.Errorf("SourceFor = %v, %v", src, ok)
	}
	eth0.SetUp(false)
	if src, ok := ns.SourceFor(addr("10.9.1.1")); !ok || src != addr("10.0.1.2") {
		t.Errorf("SourceFor with eth0 down = %v, %v", src, ok)
	}
	if err := ns.RemoveInterface("eth1"); err != nil { // the whole route goes, as in Linux
		t.Fatal(err)
	}
	if ns.conf.Load().fib.holds(func(r Route) bool { return r.Dst == prefix("10.9.0.0/16") }) {
		t.Error("the route is still there")
	}
}

// diamond makes a client and a server with two routers beside each other between them, and routes with both as next
// hops at either end.
func (l *lab) diamond() (client, server *Namespace, routers [2]*Namespace) {
	client, server = l.add(Config{Name: "client"}), l.add(Config{Name: "server"})
	var there, back []NextHop
	for i := range routers {
		r := l.add(Config{Name: fmt.Sprintf("r%d", i), Forward: true})
		up, _ := l.veth(client, fmt.Sprintf("eth%d", i), fmt.Sprintf("10.1.%d.2/24", i), r, "up", fmt.Sprintf("10.1.%d.1/24", i))
		_, down := l.veth(r, "down", fmt.Sprintf("10.2.%d.1/24", i), server, fmt.Sprintf("eth%d", i), fmt.Sprintf("10.2.%d.2/24", i))
		there = append(there, NextHop{Via: addr(fmt.Sprintf("10.1.%d.1", i)), Dev: up})
		back = append(back, NextHop{Via: addr(fmt.Sprintf("10.2.%d.1", i)), Dev: down})
		routers[i] = r
	}
	lo := must2(server.Interface("lo"))
	mine := must2(client.Interface("lo"))
	for _, err := range []error{lo.AddAddr(prefix("10.9.0.1/32")), mine.AddAddr(prefix("10.8.0.1/32")),
		client.AddRoute(Route{Dst: prefix("10.9.0.1/32"), Hops: there, Src: addr("10.8.0.1")}), server.AddRoute(Route{Dst: prefix("10.8.0.1/32"), Hops: back}),
	} {
		if err != nil {
			l.Fatal(err)
		}
	}
	for i, r := range routers {
		for to, via := range map[string]string{"10.9.0.1/32": "10.2.%d.2", "10.8.0.1/32": "10.1.%d.2"} {
			hop := addr(fmt.Sprintf(via, i))
			dev, ok := r.OnLink(hop)
			if !ok {
				l.Fatal("not on link")
			}
			if err := r.AddRoute(Route{Dst: prefix(to), Via: hop, Dev: dev}); err != nil {
				l.Fatal(err)
			}
		}
	}
	return client, server, routers
}

// The connections of a host with two next hops are shared between them, each connection keeps to one, and those that
// are opened while one is down all take the other.
func TestMultipathFlows(t *testing.T) {
	l := newLab(t)
	client, server, routers := l.diamond()
	l.echo(server, ":7")
	talk := func() [2]bool {
		t.Helper()
		before := [2]uint64{must2(routers[0].Interface("up")).Read().RxFrames, must2(routers[1].Interface("up")).Read().RxFrames}
		c, err := client.Dial(l.within(patience), "tcp", "10.9.0.1:7")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 5 {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		var used [2]bool
		for i := range used {
			used[i] = must2(routers[i].Interface("up")).Read().RxFrames > before[i]+2 // ARP apart
		}
		return used
	}
	counts := map[[2]bool]int{}
	for range 40 {
		counts[talk()]++
	}
	if counts[[2]bool{true, false}] < 8 || counts[[2]bool{false, true}] < 8 || counts[[2]bool{true, true}] > 0 {
		t.Errorf("connections by the routers they took: %v", counts)
	}
	must2(client.Interface("eth0")).SetUp(false)
	must2(server.Interface("eth0")).SetUp(false)
	for range 10 {
		if used := talk(); used != [2]bool{false, true} {
			t.Fatalf("with the first way down a connection took %v", used)
		}
	}
}

// Routers in a row choose independently of each other.
func TestMultipathPolarization(t *testing.T) {
	dev := testDev("a", true)
	r := Route{Dst: prefix("10.0.0.0/8"), Hops: []NextHop{{Dev: dev}, {Dev: testDev("b", true)}}}.prepare()
	spine, leaf := New(Config{Name: "spine"}), New(Config{Name: "leaf"})
	defer spine.Close()
	defer leaf.Close()
	var same, first int
	const flows = 2000
	for i := range flows {
		f := udpFrame(wire.MAC{2}, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), "10.1.0.1", 10)
		if reason := f.ParseEthernet(); reason != 0 {
			t.Fatal(reason)
		}
		a, b := leaf.wayOf(&r, f), spine.wayOf(&r, f)
		if a.Dev == b.Dev {
			same++
		}
		if a.Dev == dev {
			first++
		}
		f.Free()
	}
	if same < flows*4/10 || same > flows*6/10 || first < flows*4/10 || first > flows*6/10 {
		t.Errorf("of %d flows both chose alike for %d, and the leaf the first way for %d; want a half", flows, same, first)
	}
}

// BenchmarkWayOf is what several next hops cost a packet whose flow's hash is not known.
func BenchmarkWayOf(b *testing.B) {
	ns := New(Config{Name: "r"})
	defer ns.Close()
	dev, _ := cabledDev("a")
	other, _ := cabledDev("b")
	f := udpFrame(wire.MAC{2}, "10.0.0.1", "10.1.0.1", 10)
	if reason := f.ParseEthernet(); reason != 0 {
		b.Fatal(reason)
	}
	for name, r := range map[string]Route{
		"one": Route{Dst: prefix("10.0.0.0/8"), Dev: dev}.prepare(),
		"two": Route{Dst: prefix("10.0.0.0/8"), Hops: []NextHop{{Dev: dev}, {Dev: other}}}.prepare(),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Hash = 0
				ns.wayOf(&r, f)
			}
		})
	}
}

package dns

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
)

func TestZoneLookup(t *testing.T) {
	z := NewZone("Net1")
	z.Add("a", "C1", ip("172.18.0.2"))
	z.Add("a", "db", ip("172.18.0.2"))
	z.Add("b", "db.", ip("::ffff:172.18.0.3"))
	z.Add("b", "db", ip("fd00::3"))
	z.Add("b", "", ip("172.18.0.9"))
	z.Add("b", "x", netip.Addr{})
	tests := []struct {
		name, ask string
		want      []netip.Addr
	}{
		{"D7 any case", "c1", ips("172.18.0.2")},
		{"D7 any case asked", "DB.", ips("172.18.0.2", "172.18.0.3", "fd00::3")},
		{"D13 all holders", "db", ips("172.18.0.2", "172.18.0.3", "fd00::3")},
		{"invalid address not added", "x", nil},
		{"empty name not added", "", nil},
		{"unknown", "nope", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := z.Lookup(tt.ask)
			if !slices.Equal(got, tt.want) || ok != (tt.want != nil) {
				t.Errorf("Lookup(%q) = %v, %v; want %v", tt.ask, got, ok, tt.want)
			}
		})
	}
	if got, want := z.Names(), []string{"c1", "db"}; !slices.Equal(got, want) {
		t.Errorf("Names = %v; want %v", got, want)
	}
}

// D9, D15, S5: a service's name lives from the first task to the last.
func TestZoneServiceName(t *testing.T) {
	z := NewZone("net")
	vip := ip("10.0.0.2")
	for _, task := range []string{"t1", "t2"} {
		if !z.Add(task, "web", vip) {
			t.Fatalf("Add(%s) = false", task)
		}
		if z.Add(task, "WEB", vip) {
			t.Errorf("second Add(%s) = true", task)
		}
	}
	steps := []struct {
		do   func() bool
		done bool
		want []netip.Addr
	}{
		{func() bool { return z.RemoveOwner("t3") }, false, []netip.Addr{vip}},
		{func() bool { return z.RemoveOwner("t1") }, true, []netip.Addr{vip}},
		{func() bool { return z.Remove("t1", "web", vip) }, false, []netip.Addr{vip}},
		{func() bool { return z.Remove("t2", "web", ip("10.0.0.9")) }, false, []netip.Addr{vip}},
		{func() bool { return z.Remove("t2", "Web.", vip) }, true, nil},
	}
	for i, s := range steps {
		if done := s.do(); done != s.done {
			t.Errorf("step %d = %v; want %v", i, done, s.done)
		}
		if got, _ := z.Lookup("web"); !slices.Equal(got, s.want) {
			t.Errorf("after step %d Lookup(web) = %v; want %v", i, got, s.want)
		}
	}
	if !reflect.DeepEqual(z, NewZone("net")) {
		t.Errorf("zone is not empty again: %+v", z)
	}
}

// S12, D10, D15: a list of tasks loses just the one that leaves, and readers keep what they were given.
func TestZoneRemoveLeavesReaders(t *testing.T) {
	z := NewZone("net")
	for i := range 4 {
		z.Add(fmt.Sprint(i), "tasks.web", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	before, _ := z.Lookup("tasks.web")
	z.RemoveOwner("1")
	z.Add("9", "tasks.web", ip("10.0.0.9"))
	after, _ := z.Lookup("tasks.web")
	if want := ips("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"); !slices.Equal(before, want) {
		t.Errorf("reader's slice = %v; want %v", before, want)
	}
	if want := ips("10.0.0.0", "10.0.0.2", "10.0.0.3", "10.0.0.9"); !slices.Equal(after, want) {
		t.Errorf("Lookup = %v; want %v", after, want)
	}
}

func TestZoneReverse(t *testing.T) {
	z := NewZone("My_Bridge")
	addr := ip("172.18.0.3")
	z.AddReverse("b", addr, "c2")
	z.AddReverse("a", addr, "other")
	if z.AddReverse("a", addr, "again") || z.AddReverse("a", netip.Addr{}, "x") || z.AddReverse("a", addr, ".") {
		t.Error("AddReverse took what it must not")
	}
	want := func(name string) {
		t.Helper()
		if got, ok := z.Reverse(addr); got != name || ok != (name != "") {
			t.Errorf("Reverse = %q, %v; want %q", got, ok, name)
		}
	}
	want("c2.My_Bridge.") // D18: the first one
	z.RemoveOwner("b")
	want("other.My_Bridge.")
	if !z.RemoveReverse("a", addr) || z.RemoveReverse("a", addr) || z.RemoveReverse("zz", addr) {
		t.Error("RemoveReverse did not report what it did")
	}
	want("")
	if !reflect.DeepEqual(z, NewZone("My_Bridge")) {
		t.Errorf("zone is not empty again: %+v", z)
	}
}

func TestSortNetworks(t *testing.T) { // D12
	networks := []NetworkZone{
		{NewSharedZone("b-local"), ScopeLocal}, {NewSharedZone("ingress"), ScopeIngress}, {NewSharedZone("zoo"), ScopeSwarm},
		{NewSharedZone("a-local"), ScopeLocal}, {NewSharedZone("ant"), ScopeSwarm},
	}
	SortNetworks(networks)
	var got []string
	for _, n := range networks {
		got = append(got, n.Zone.Network())
	}
	if want := []string{"ant", "zoo", "ingress", "a-local", "b-local"}; !slices.Equal(got, want) {
		t.Errorf("SortNetworks = %v; want %v", got, want)
	}
}

func TestRegistry(t *testing.T) {
	var r Registry
	if r.Zone("id1") != nil {
		t.Error("empty registry has a zone")
	}
	one, two := r.Open("id1", "net1"), r.Open("id2", "net2")
	if r.Open("id1", "net1") != one || r.Zone("id1") != one {
		t.Error("Open made a second zone for one network")
	}
	one.Add("node1/t1", "web", ip("10.0.0.2"))
	two.Add("node1/t1", "web", ip("10.1.0.2"))
	if !r.RemoveOwner("node1/t1") || r.RemoveOwner("node1/t1") { // D15
		t.Error("RemoveOwner did not report what it did")
	}
	if len(one.Names())+len(two.Names()) != 0 {
		t.Errorf("names left: %v %v", one.Names(), two.Names())
	}
	r.Delete("id1")
	if r.Zone("id1") != nil {
		t.Error("Delete left the zone")
	}
}

// Readers see each change whole while records come and go.
func TestSharedZoneAtOnce(t *testing.T) {
	z := NewSharedZone("net")
	z.Add("stays", "web", ip("10.0.0.2"))
	var wg sync.WaitGroup
	for i := range 4 {
		owner, addr := fmt.Sprint(i), netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})
		wg.Go(func() {
			for range 200 {
				z.Update(func(z *Zone) {
					z.Add(owner, "web", addr)
					z.Add(owner, "web", addr.Next())
					z.AddReverse(owner, addr, "web")
				})
				z.RemoveOwner(owner)
			}
		})
		wg.Go(func() {
			for range 200 {
				if addrs, ok := z.Lookup("web"); !ok || addrs[0] != ip("10.0.0.2") {
					t.Errorf("Lookup = %v, %v", addrs, ok)
				}
				z.Reverse(addr)
			}
		})
	}
	wg.Wait()
	if addrs, _ := z.Lookup("web"); len(addrs) != 1 {
		t.Errorf("Lookup = %v; want the one that stays", addrs)
	}
	z.AddReverse("stays", ip("10.0.0.2"), "web")
	if !z.RemoveReverse("stays", ip("10.0.0.2")) || !z.Remove("stays", "web", ip("10.0.0.2")) {
		t.Error("the last records were not there to remove")
	}
}

func TestAddrFromArpa(t *testing.T) {
	tests := []struct {
		name string
		want netip.Addr
	}{
		{"2.0.0.10.in-addr.arpa.", ip("10.0.0.2")},
		{"2.0.0.10.IN-ADDR.ARPA", ip("10.0.0.2")},
		{ReverseName(ip("fd00::12ab")), ip("fd00::12ab")},
		{"0.0.10.in-addr.arpa.", netip.Addr{}},
		{"256.0.0.10.in-addr.arpa.", netip.Addr{}},
		{"x.0.0.10.in-addr.arpa.", netip.Addr{}},
		{"1.2.ip6.arpa.", netip.Addr{}},
		{"web.", netip.Addr{}},
	}
	for _, tt := range tests {
		if got, ok := addrFromArpa(tt.name); got != tt.want || ok != tt.want.IsValid() {
			t.Errorf("addrFromArpa(%q) = %v, %v; want %v", tt.name, got, ok, tt.want)
		}
	}
}

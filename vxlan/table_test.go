package vxlan_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
)

var (
	mac3  = wire.MAC{2, 0x42, 10, 0, 0, 3}
	mac4  = wire.MAC{2, 0x42, 10, 0, 0, 4}
	vtep2 = netip.MustParseAddr("192.168.0.2")
	vtep3 = netip.MustParseAddr("192.168.0.3")
	vtep4 = netip.MustParseAddr("192.168.0.4")
	ip3   = netip.MustParseAddr("10.0.0.3")
	t0    = time.Unix(1000, 0)
)

func TestTableRemotes(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *vxlan.Table)
		at   time.Duration
		want netip.Addr // behind which mac3 is; zero: unknown
	}{
		{"empty", func(*vxlan.Table) {}, 0, netip.Addr{}},
		{"static", func(t *vxlan.Table) { t.AddRemote("a", mac3, vtep3) }, time.Hour, vtep3},
		{"O10 later holder wins", func(t *vxlan.Table) { t.AddRemote("a", mac3, vtep3); t.AddRemote("b", mac3, vtep4) }, 0, vtep4},
		{"O10 removal restores the other", func(t *vxlan.Table) {
			t.AddRemote("a", mac3, vtep3)
			t.AddRemote("b", mac3, vtep4)
			t.RemoveRemote("b", mac3)
		}, 0, vtep3},
		{"O10 removal of the hidden one", func(t *vxlan.Table) {
			t.AddRemote("a", mac3, vtep3)
			t.AddRemote("b", mac3, vtep4)
			t.RemoveRemote("a", mac3)
		}, 0, vtep4},
		{"O10 a repeated record is the later one", func(t *vxlan.Table) {
			t.AddRemote("a", mac3, vtep3)
			t.AddRemote("b", mac3, vtep4)
			t.AddRemote("a", mac3, vtep2)
		}, 0, vtep2},
		{"O8 removed by its only holder", func(t *vxlan.Table) { t.AddRemote("a", mac3, vtep3); t.RemoveRemote("a", mac3) }, 0, netip.Addr{}},
		{"removal by a stranger", func(t *vxlan.Table) { t.AddRemote("a", mac3, vtep3); t.RemoveRemote("x", mac3) }, 0, vtep3},
		{"L24 learned", func(t *vxlan.Table) { t.Learn(mac3, vtep3, t0) }, 299 * time.Second, vtep3},
		{"L24 learned and aged", func(t *vxlan.Table) { t.Learn(mac3, vtep3, t0) }, 300 * time.Second, netip.Addr{}},
		{"L24 refreshed", func(t *vxlan.Table) { t.Learn(mac3, vtep3, t0); t.Refresh(mac3, vtep3, t0.Add(200*time.Second)) }, 499 * time.Second, vtep3},
		{"learned and moved", func(t *vxlan.Table) { t.Learn(mac3, vtep3, t0); t.Learn(mac3, vtep4, t0) }, 0, vtep4},
		{"static before learned", func(t *vxlan.Table) { t.Learn(mac3, vtep4, t0); t.AddRemote("a", mac3, vtep3) }, 0, vtep3},
		{"static is not learned anew", func(t *vxlan.Table) {
			t.AddRemote("a", mac3, vtep3)
			t.Learn(mac3, vtep4, t0)
			t.RemoveRemote("a", mac3)
		}, 0, netip.Addr{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var table vxlan.Table
			tt.do(&table)
			got, ok := table.Lookup(mac3, t0.Add(tt.at))
			if got != tt.want || ok != tt.want.IsValid() {
				t.Errorf("Lookup = %v, %v; want %v", got, ok, tt.want)
			}
		})
	}
}

func TestTableNeighbours(t *testing.T) {
	var table vxlan.Table
	table.AddNeighbour("a", ip3, mac3)
	table.AddNeighbour("b", ip3, mac4)
	check := func(step string, want wire.MAC, wantOK bool) {
		t.Helper()
		if got, ok := table.Neighbour(ip3); got != want || ok != wantOK {
			t.Errorf("%s: Neighbour = %v, %v; want %v, %v", step, got, ok, want, wantOK)
		}
	}
	check("O10 later wins", mac4, true)
	if got, want := table.Neighbours(), []vxlan.Neighbour{{IP: ip3, MAC: mac4}}; !slices.Equal(got, want) {
		t.Errorf("Neighbours = %v; want %v", got, want)
	}
	table.RemoveNeighbour("b", ip3)
	check("O10 the other comes back", mac3, true)
	table.RemoveNeighbour("a", ip3)
	check("gone", wire.MAC{}, false)
}

func TestTableClone(t *testing.T) {
	var table vxlan.Table
	table.AddRemote("a", mac3, vtep3)
	table.AddRemote("b", mac3, vtep4)
	c := table.Clone()
	c.RemoveRemote("b", mac3)
	c.AddRemote("c", mac3, vtep2)
	c.AddRemote("d", mac4, vtep2)
	c.SetFlood([]netip.Addr{vtep2})
	if got, _ := table.Lookup(mac3, t0); got != vtep4 {
		t.Errorf("Lookup = %v after a change of the copy; want %v", got, vtep4)
	}
	if _, ok := table.Lookup(mac4, t0); ok || len(table.Flood()) != 0 {
		t.Error("a change of the copy showed in the table")
	}
}

// A table and its copies share what none of them changes: of a thousand addresses each keeps its own.
func TestTableCloneOfMany(t *testing.T) {
	mac := func(i int) wire.MAC { return wire.MAC{2, 0x42, 10, 1, byte(i >> 8), byte(i)} }
	ip := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }
	first := &vxlan.Table{}
	for i := range 1000 {
		first.AddRemote("ep", mac(i), vtep3)
		first.AddNeighbour("ep", ip(i), mac(i))
	}
	second := first.Clone()
	third := second.Clone()
	for i := range 1000 {
		switch i % 3 {
		case 0:
			first.RemoveRemote("ep", mac(i))
			first.RemoveNeighbour("ep", ip(i))
		case 1:
			second.AddRemote("later", mac(i), vtep4)
			second.AddNeighbour("later", ip(i), mac3)
		}
	}
	for i := range 1000 {
		for j, x := range []struct {
			table *vxlan.Table
			vtep  netip.Addr
			mac   wire.MAC
		}{{first, vtep3, mac(i)}, {second, vtep3, mac(i)}, {third, vtep3, mac(i)}} {
			switch {
			case j == 0 && i%3 == 0:
				x.vtep, x.mac = netip.Addr{}, wire.MAC{}
			case j == 1 && i%3 == 1:
				x.vtep, x.mac = vtep4, mac3
			}
			vtep, _ := x.table.Lookup(mac(i), time.Time{})
			mac, _ := x.table.Neighbour(ip(i))
			if vtep != x.vtep || mac != x.mac {
				t.Fatalf("address %d in table %d: %v, %v; want %v, %v", i, j, vtep, mac, x.vtep, x.mac)
			}
		}
	}
	if n, m := len(first.Remotes(time.Time{})), len(first.Neighbours()); n != 666 || m != 666 {
		t.Errorf("the first table lists %d remotes and %d neighbours; want 666", n, m)
	}
}

func TestTableListing(t *testing.T) {
	var table vxlan.Table
	table.AddRemote("a", mac4, vtep4)
	table.AddRemote("a", wire.MAC{2, 0x42, 10, 0, 0, 3}, vtep3)
	table.Learn(wire.MAC{2, 0x42, 10, 0, 0, 5}, vtep3, t0)
	table.Learn(wire.MAC{2, 0x42, 10, 0, 0, 6}, vtep3, t0.Add(-time.Hour))
	table.SetFlood([]netip.Addr{vtep2})
	got := fmt.Sprint(table.Remotes(t0))
	want := "[00:00:00:00:00:00 dst 192.168.0.2 self permanent " + "02:42:0a:00:00:03 dst 192.168.0.3 self permanent " + // L24
		"02:42:0a:00:00:04 dst 192.168.0.4 self permanent 02:42:0a:00:00:05 dst 192.168.0.3 self]"
	if got != want {
		t.Errorf("Remotes =\n%s; want\n%s", got, want)
	}
}

func TestTableIsBounded(t *testing.T) {
	var table vxlan.Table
	mac := func(i int) (m wire.MAC) {
		binary.BigEndian.PutUint32(m[2:], uint32(i)+1)
		return m
	}
	for i := range vxlan.MaxLearned {
		if !table.Learn(mac(i), vtep3, t0.Add(time.Duration(i)*time.Millisecond)) {
			t.Fatalf("address %d was not learned", i)
		}
	}
	late := t0.Add(5 * time.Second)
	if table.Learn(mac(vxlan.MaxLearned), vtep3, late) {
		t.Error("a full table learned")
	}
	if !table.Refresh(mac(vxlan.MaxLearned), vtep3, late.Add(time.Second)) {
		t.Error("a full table asks for each frame to be learned")
	}
	if at := t0.Add(vxlan.LearnedAge + time.Second); !table.Learn(mac(vxlan.MaxLearned), vtep3, at) {
		t.Error("a table with aged entries did not learn")
	}
	for _, m := range []wire.MAC{{}, wire.Broadcast, {1, 0, 0x5e, 0, 0, 1}} {
		if table.Learn(m, vtep3, t0) {
			t.Errorf("learned %v", m)
		}
	}
}

package l2switch

import (
	"slices"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

func TestForwarding(t *testing.T) {
	group := func(last byte) wire.MAC { return wire.MAC{0x01, 0x80, 0xc2, 0, 0, last} }
	tests := []struct {
		name  string
		setUp func(b *bench)
		in    string
		frame []byte
		want  []string
		drop  fabric.DropReason // expected once at the ingress port
	}{
		{"L2 known unicast goes to one port", nil, "p1", eth(mac(2), mac(1)), []string{"p2"}, 0},
		{"L2 unknown unicast is flooded", nil, "p1", eth(mac(9), mac(1)), []string{"p2", "p3"}, 0},
		{"L2 broadcast is flooded", nil, "p1", eth(wire.Broadcast, mac(1)), []string{"p2", "p3"}, 0},
		{"L4 multicast is flooded", nil, "p1", eth(wire.MAC{1, 0, 0x5e, 0, 0, 5}, mac(1)), []string{"p2", "p3"}, 0},
		{"L2 no reflection", nil, "p2", eth(mac(2), mac(7)), nil, fabric.DropHairpin},
		{"L2 hairpin reflects", func(b *bench) { b.sw.Port("p2").SetHairpin(true) }, "p2", eth(mac(2), mac(7)), []string{"p2"}, 0},
		{"L2 hairpin reflects a flood", func(b *bench) { b.sw.Port("p2").SetHairpin(true) }, "p2", eth(wire.Broadcast, mac(2)), []string{"p1", "p2", "p3"}, 0},
		{"L3 pause is not forwarded", nil, "p1", eth(group(1), mac(1)), nil, fabric.DropReservedGroup},
		{"L3 LLDP is not forwarded", nil, "p1", eth(group(0xe), mac(1)), nil, fabric.DropReservedGroup},
		{"L3 last reserved is not forwarded", nil, "p1", eth(group(0xf), mac(1)), nil, fabric.DropReservedGroup},
		{"L3 first unreserved is", nil, "p1", eth(group(0x10), mac(1)), []string{"p2", "p3"}, 0},
		{"L3 BPDU is flooded with STP off", nil, "p1", eth(group(0), mac(1)), []string{"p2", "p3"}, 0},
		{"multicast source", nil, "p1", eth(mac(2), wire.MAC{1, 2, 3, 4, 5, 6}), nil, fabric.DropMalformed},
		{"zero source", nil, "p1", eth(mac(2), wire.MAC{}), nil, fabric.DropMalformed},
		{"truncated", nil, "p1", eth(mac(2), mac(1))[:13], nil, fabric.DropTruncated},
		{"shortest", nil, "p1", eth(mac(2), mac(1))[:14], []string{"p2"}, 0},
		{"tags are carried", nil, "p1", tagged(mac(2), mac(1), 77), []string{"p2"}, 0},
		{"L5 port of the address removed", func(b *bench) { _ = b.sw.RemovePort("p2") }, "p1", eth(mac(2), mac(1)), []string{"p3"}, 0},
		{"nobody to flood to", func(b *bench) { _ = b.sw.RemovePort("p2"); _ = b.sw.RemovePort("p3") }, "p1", eth(mac(9), mac(1)), nil, fabric.DropNoReceiver},
		{"no flood", func(b *bench) { b.sw.Port("p3").SetFlood(false) }, "p1", eth(mac(9), mac(1)), []string{"p2"}, 0},
		{"no flood still gets broadcast", func(b *bench) { b.sw.Port("p3").SetFlood(false) }, "p1", eth(wire.Broadcast, mac(1)), []string{"p2", "p3"}, 0},
		{"isolated ports", isolate, "p1", eth(mac(2), mac(1)), nil, fabric.DropFilter},
		{"isolated ports are not flooded", isolate, "p1", eth(wire.Broadcast, mac(1)), []string{"p3"}, 0},
		{"L7 hook drops", func(b *bench) { b.sw.SetHook(refuse) }, "p1", eth(mac(2), mac(1)), nil, fabric.DropFilter},
		{"L7 hook removed", func(b *bench) { b.sw.SetHook(refuse); b.sw.SetHook(nil) }, "p1", eth(mac(2), mac(1)), []string{"p2"}, 0},
		{"static", func(b *bench) { _ = b.sw.AddStatic("p3", mac(2), 0) }, "p1", eth(mac(2), mac(1)), []string{"p3"}, 0},
		{"flushed", func(b *bench) { b.sw.Flush() }, "p1", eth(mac(2), mac(1)), []string{"p2", "p3"}, 0},
		{"entry removed", func(b *bench) { _ = b.sw.RemoveEntry(mac(2), 0) }, "p1", eth(mac(2), mac(1)), []string{"p2", "p3"}, 0},
		{"L1 aged", func(b *bench) { b.now = b.now.Add(300 * time.Second) }, "p1", eth(mac(2), mac(1)), []string{"p2", "p3"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			b.ports("p1", "p2", "p3")
			b.send("p2", eth(wire.Broadcast, mac(2)))
			b.reached()
			if tt.setUp != nil {
				tt.setUp(b)
			}
			b.send(tt.in, tt.frame)
			b.wantReached(tt.want...)
			in := b.sw.Port(tt.in).Read()
			if want := min(1, uint64(tt.drop)); in.Dropped() != want || (tt.drop != 0 && in.Drops[tt.drop.String()] != 1) {
				t.Errorf("drops = %v; want %d for %v", in.Drops, want, tt.drop)
			}
		})
	}
}

func isolate(b *bench) {
	b.sw.Port("p1").SetIsolated(true)
	b.sw.Port("p2").SetIsolated(true)
}

func refuse(_, _ *Port, _ *fabric.Frame) fabric.DropReason { return fabric.DropFilter }

func TestL5MovedAddressIsRelearnedAtOnce(t *testing.T) {
	b := newBench(t, Config{})
	b.ports("p1", "p2", "p3")
	b.send("p1", eth(wire.Broadcast, mac(1)))
	b.send("p2", eth(wire.Broadcast, mac(1)))
	b.reached()
	b.send("p3", eth(mac(1), mac(3)))
	b.wantReached("p2")
}

func TestNoLearning(t *testing.T) {
	b := newBench(t, Config{})
	b.ports("p1", "p2", "p3")
	b.sw.Port("p1").SetLearning(false)
	b.send("p1", eth(wire.Broadcast, mac(1)))
	b.reached()
	b.send("p3", eth(mac(1), mac(3)))
	b.wantReached("p1", "p2")
}

// The bridge's own interface gets what goes to the bridge or to its ports' own addresses, and what goes to all.
func TestL2OwnAddressGoesUp(t *testing.T) {
	tests := []struct {
		name string
		dst  wire.MAC
		want []string
	}{
		{"bridge's address", mac(100), []string{"br0"}},
		{"address of another port", mac(102), []string{"br0"}},
		{"address of the ingress port", mac(101), []string{"br0"}},
		{"broadcast", wire.Broadcast, []string{"br0", "p2"}},
		{"unknown unicast", mac(9), []string{"p2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			b.port("br0", PortConfig{Self: true})
			b.ports("p1", "p2")
			for i, p := range []string{"br0", "p1", "p2"} {
				if err := b.sw.AddLocal(p, mac(100+i)); err != nil {
					t.Fatal(err)
				}
			}
			b.sw.SetHook(func(in, out *Port, _ *fabric.Frame) fabric.DropReason {
				if in.Name() == "br0" || out.Name() == "br0" {
					t.Errorf("hook called from %s to %s", in.Name(), out.Name())
				}
				return 0
			})
			b.send("p1", eth(tt.dst, mac(1)))
			b.wantReached(tt.want...)
			b.send("br0", eth(mac(1), mac(100)))
			b.wantReached("p1")
		})
	}
}

func TestL5LocalEntries(t *testing.T) {
	b := newBench(t, Config{})
	b.port("br0", PortConfig{Self: true})
	b.ports("veth1", "veth2")
	for _, p := range []string{"br0", "veth1", "veth2"} { // the bridge took the address of its first port
		n := 1
		if p == "veth2" {
			n = 2
		}
		if err := b.sw.AddLocal(p, mac(n)); err != nil {
			t.Fatal(err)
		}
	}
	b.send("veth2", eth(mac(1), mac(7)))
	b.now = b.now.Add(5 * time.Second)
	want := []Entry{
		{MAC: mac(1), Port: "br0", Local: true},
		{MAC: mac(1), VLAN: 1, Port: "br0", Local: true},
		{MAC: mac(2), Port: "veth2", Number: 2, Local: true},
		{MAC: mac(2), VLAN: 1, Port: "veth2", Number: 2, Local: true},
		{MAC: mac(7), Port: "veth2", Number: 2, Age: 5 * time.Second},
	}
	if got := b.sw.Entries(); !slices.Equal(got, want) {
		t.Errorf("Entries = %+v; want %+v", got, want)
	}
	_ = b.sw.RemovePort("br0") // another port has its address
	want[0].Port, want[0].Number = "veth1", 1
	want[1].Port, want[1].Number = "veth1", 1
	if got := b.sw.Entries(); !slices.Equal(got, want) {
		t.Errorf("Entries = %+v; want %+v", got, want)
	}
	if err := b.sw.RemoveLocal("veth1", mac(1)); err != nil {
		t.Fatal(err)
	}
	if got := b.sw.Entries(); !slices.Equal(got, want[2:]) {
		t.Errorf("Entries = %+v; want %+v", got, want[2:])
	}
}

func TestL6Carrier(t *testing.T) {
	b := newBench(t, Config{})
	b.port("br0", PortConfig{Self: true})
	if b.sw.Carrier() {
		t.Error("a bridge without ports has a carrier")
	}
	b.ports("p1")
	if !b.sw.Carrier() {
		t.Error("a bridge with a port has no carrier")
	}
	b.taps["p1"].down = true
	if b.sw.Carrier() {
		t.Error("a bridge whose only port is down has a carrier")
	}
}

func TestL1Sweep(t *testing.T) {
	b := newBench(t, Config{})
	b.ports("p1", "p2")
	b.send("p1", eth(wire.Broadcast, mac(1)))
	if n := b.sw.Sweep(b.now.Add(299 * time.Second)); n != 0 {
		t.Errorf("Sweep after 299 s = %d; want 0", n)
	}
	if n := b.sw.Sweep(b.now.Add(300 * time.Second)); n != 1 {
		t.Errorf("Sweep after 300 s = %d; want 1", n)
	}
}

// Consecutive frames to one port leave as one batch; their order stays.
func TestRunsLeaveTogether(t *testing.T) {
	b := newBench(t, Config{})
	b.ports("p1", "p2", "p3")
	b.send("p2", eth(wire.Broadcast, mac(2)))
	b.send("p3", eth(wire.Broadcast, mac(3)))
	b.reached()
	to2, to3, all := eth(mac(2), mac(1)), eth(mac(3), mac(1)), eth(wire.Broadcast, mac(1))
	b.send("p1", to2, to2, to2, to3, to3, all, all, to2)
	if got, want := b.taps["p2"].sends, []int{3, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("p2 was sent batches of %v; want %v", got, want)
	}
	if got, want := b.taps["p3"].sends, []int{2, 2}; !slices.Equal(got, want) {
		t.Errorf("p3 was sent batches of %v; want %v", got, want)
	}
}

func TestLongFloodKeepsEveryFrame(t *testing.T) {
	b := newBench(t, Config{})
	b.ports("p1", "p2", "p3")
	b.send("p1", slices.Repeat([][]byte{eth(wire.Broadcast, mac(1))}, 150)...)
	for _, p := range []string{"p2", "p3"} {
		if n := len(b.taps[p].take()); n != 150 {
			t.Errorf("%s got %d frames; want 150", p, n)
		}
	}
}

func TestTrace(t *testing.T) {
	b := newBench(t, Config{Name: "host-a/docker0"})
	b.ports("p1", "p2", "p3")
	tr := new(fabric.Trace)
	send := func(port string, frame []byte) {
		f := fabric.FromBytes(frame)
		f.Trace = tr
		b.sw.Port(port).Receive([]*fabric.Frame{f})
	}
	send("p1", eth(mac(2), mac(1)))
	send("p2", eth(mac(1), mac(2)))
	send("p3", eth(mac(1), mac(2)))
	send("p1", eth(mac(1), mac(1)))
	const place = "host-a/docker0"
	m1, m2 := mac(1).String(), mac(2).String()
	want := []fabric.Event{
		{Kind: fabric.EventLearn, Place: place, After: m1 + " on p1"},
		{Kind: fabric.EventFlood, Place: place, Before: m2, After: "p2,p3"},
		{Kind: fabric.EventLearn, Place: place, After: m2 + " on p2"},
		{Kind: fabric.EventFDB, Place: place, Before: m1, After: "p1"},
		{Kind: fabric.EventLearn, Place: place, Before: m2 + " on p2", After: m2 + " on p3"},
		{Kind: fabric.EventFDB, Place: place, Before: m1, After: "p1"},
		{Kind: fabric.EventFDB, Place: place, Before: m1, After: "p1"},
		{Kind: fabric.EventDrop, Place: place + ":p1", Reason: fabric.DropHairpin},
	}
	got, _ := tr.Events()
	for i := range got {
		got[i].At = 0
	}
	if !slices.Equal(got, want) {
		t.Errorf("events = %+v; want %+v", got, want)
	}
}

func TestPortErrors(t *testing.T) {
	b := newBench(t, Config{})
	b.port("p1", PortConfig{Self: true})
	for name, do := range map[string]func() error{
		"name taken":      func() error { _, err := b.sw.AddPort("p1", new(tap), PortConfig{}); return err },
		"second self":     func() error { _, err := b.sw.AddPort("p2", new(tap), PortConfig{Self: true}); return err },
		"no such port":    func() error { return b.sw.RemovePort("p9") },
		"no port for mac": func() error { return b.sw.AddLocal("p9", mac(1)) },
		"group as local":  func() error { return b.sw.AddLocal("p1", wire.Broadcast) },
		"group as static": func() error { return b.sw.AddStatic("p1", wire.Broadcast, 0) },
		"static in vlan":  func() error { return b.sw.AddStatic("p1", mac(1), 5) },
		"no such local":   func() error { return b.sw.RemoveLocal("p1", mac(1)) },
		"no such entry":   func() error { return b.sw.RemoveEntry(mac(1), 0) },
		"vlan unfiltered": func() error { _, err := b.sw.AddPort("p2", new(tap), PortConfig{VLAN: 2}); return err },
		"configure":       func() error { return b.sw.Port("p1").Configure(PortConfig{VLAN: 2}) },
	} {
		if do() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p := b.sw.Port("p1")
	if err := b.sw.RemovePort("p1"); err != nil {
		t.Fatal(err)
	}
	p.Receive([]*fabric.Frame{fabric.FromBytes(eth(mac(2), mac(1)))})
	if n := p.Dropped(fabric.DropClosed); n != 1 {
		t.Errorf("a removed port dropped %d; want 1", n)
	}
	if _, learned := b.sw.learn(key(mac(1), 0), p, 0); learned || len(b.sw.Entries()) != 0 {
		t.Errorf("a removed port learned %+v", b.sw.Entries())
	}
}

func TestPortNumbersAreReused(t *testing.T) {
	b := newBench(t, Config{})
	b.ports("p1", "p2", "p3")
	_ = b.sw.RemovePort("p2")
	b.ports("p4")
	var got []int
	for _, p := range b.sw.Ports() {
		got = append(got, p.Number)
	}
	if want := []int{1, 3, 2}; !slices.Equal(got, want) {
		t.Errorf("numbers = %v; want %v", got, want)
	}
}

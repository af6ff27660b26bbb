package l2switch

import (
	"bytes"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

func TestVLANs(t *testing.T) {
	dst, src := wire.Broadcast, mac(1)
	plain := eth(dst, src)
	tests := []struct {
		name string
		in   PortConfig
		out  PortConfig
		send []byte
		want []byte // nil: does not get there
		drop fabric.DropReason
	}{
		{"no VLAN named is VLAN 1", PortConfig{}, PortConfig{VLAN: 1}, plain, plain, 0},
		{"access to access", PortConfig{VLAN: 10}, PortConfig{VLAN: 10}, plain, plain, 0},
		{"access to another access", PortConfig{VLAN: 10}, PortConfig{VLAN: 20}, plain, nil, fabric.DropNoReceiver},
		{"access to trunk", PortConfig{VLAN: 10}, PortConfig{Trunk: []uint16{10, 20}}, plain, tagged(dst, src, 10), 0},
		{"access to trunk without it", PortConfig{VLAN: 10}, PortConfig{Trunk: []uint16{20}}, plain, nil, fabric.DropNoReceiver},
		{"access to native", PortConfig{VLAN: 10}, PortConfig{Trunk: []uint16{20}, Native: 10}, plain, plain, 0},
		{"own tag into access", PortConfig{VLAN: 10}, PortConfig{VLAN: 10}, tagged(dst, src, 10), plain, 0},
		{"foreign tag into access", PortConfig{VLAN: 10}, PortConfig{VLAN: 20}, tagged(dst, src, 20), nil, fabric.DropVLAN},
		{"priority tag into access", PortConfig{VLAN: 10}, PortConfig{VLAN: 10}, tagged(dst, src, 0xa000), plain, 0},
		{"priority tag to trunk", PortConfig{VLAN: 10}, PortConfig{Trunk: []uint16{10}}, tagged(dst, src, 0xa000), tagged(dst, src, 0xa00a), 0},
		{"trunk to access", PortConfig{Trunk: []uint16{10}}, PortConfig{VLAN: 10}, tagged(dst, src, 0x600a), plain, 0},
		{"trunk to trunk", PortConfig{Trunk: []uint16{10}}, PortConfig{Trunk: []uint16{10}}, tagged(dst, src, 0x600a), tagged(dst, src, 0x600a), 0},
		{"tag that the trunk does not allow", PortConfig{Trunk: []uint16{10}}, PortConfig{Trunk: []uint16{20}}, tagged(dst, src, 20), nil, fabric.DropVLAN},
		{"untagged into trunk without native", PortConfig{Trunk: []uint16{10}}, PortConfig{VLAN: 10}, plain, nil, fabric.DropVLAN},
		{"untagged into native", PortConfig{Trunk: []uint16{10}, Native: 20}, PortConfig{VLAN: 20}, plain, plain, 0},
		{"native to trunk", PortConfig{Trunk: []uint16{10}, Native: 20}, PortConfig{Trunk: []uint16{20}}, plain, tagged(dst, src, 20), 0},
		{"tagged native", PortConfig{Trunk: []uint16{10}, Native: 20}, PortConfig{VLAN: 20}, tagged(dst, src, 20), plain, 0},
		{"VLAN 4094", PortConfig{Trunk: []uint16{4094}}, PortConfig{VLAN: 4094}, tagged(dst, src, 4094), plain, 0},
		{"VLAN 4095 is reserved", PortConfig{Trunk: []uint16{4094}}, PortConfig{VLAN: 4094}, tagged(dst, src, 4095), nil, fabric.DropVLAN},
		{"truncated tag", PortConfig{Trunk: []uint16{10}}, PortConfig{VLAN: 10}, tagged(dst, src, 10)[:17], nil, fabric.DropTruncated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{VLANFiltering: true})
			b.port("in", tt.in)
			b.port("out", tt.out)
			b.send("in", tt.send)
			check(t, b, "flooded", tt.want)
			in := b.sw.Port("in").Read()
			if tt.drop != 0 && in.Drops[tt.drop.String()] != 1 || tt.drop == 0 && in.Drops != nil {
				t.Errorf("drops = %v; want %v", in.Drops, tt.drop)
			}
			if tt.want == nil {
				return
			}
			// The way back is learned, and the way there now is unicast.
			back := bytes.Clone(tt.want)
			copy(back, src[:])
			copy(back[6:], macBytes(2))
			b.send("out", back)
			if got := b.taps["in"].take(); len(got) != 1 {
				t.Fatalf("%d frames came back; want 1", len(got))
			}
			there, want := bytes.Clone(tt.send), bytes.Clone(tt.want)
			copy(there, macBytes(2))
			copy(want, macBytes(2))
			b.send("in", there)
			check(t, b, "unicast", want)
		})
	}
}

func check(t *testing.T, b *bench, how string, want []byte) {
	t.Helper()
	got := b.taps["out"].take()
	switch {
	case want == nil && len(got) != 0:
		t.Errorf("%s: out got %x; want nothing", how, got)
	case want != nil && (len(got) != 1 || !bytes.Equal(got[0], want)):
		t.Errorf("%s: out got %x; want %x", how, got, want)
	}
}

func TestVLANConfig(t *testing.T) {
	tests := []struct {
		name string
		cfg  PortConfig
		ok   bool
	}{
		{"nothing", PortConfig{}, true},
		{"access", PortConfig{VLAN: 4094}, true},
		{"access out of range", PortConfig{VLAN: 4095}, false},
		{"trunk", PortConfig{Trunk: []uint16{1, 2}, Native: 3}, true},
		{"trunk with VLAN 0", PortConfig{Trunk: []uint16{0}}, false},
		{"native out of range", PortConfig{Trunk: []uint16{1}, Native: 4095}, false},
		{"access and trunk", PortConfig{VLAN: 1, Trunk: []uint16{2}}, false},
		{"native without trunk", PortConfig{Native: 1}, false},
	}
	for _, tt := range tests {
		if _, err := tt.cfg.compile(Config{VLANFiltering: true}); (err == nil) != tt.ok {
			t.Errorf("%s: error %v; want ok = %v", tt.name, err, tt.ok)
		}
	}
}

// An address is known per VLAN, and what a port learned goes with its VLAN.
func TestVLANChange(t *testing.T) {
	b := newBench(t, Config{VLANFiltering: true})
	b.port("p1", PortConfig{VLAN: 10})
	b.port("p2", PortConfig{VLAN: 10})
	b.port("p3", PortConfig{VLAN: 20})
	if err := b.sw.AddLocal("p1", mac(100)); err != nil {
		t.Fatal(err)
	}
	b.send("p1", eth(wire.Broadcast, mac(1)))
	b.wantReached("p2")
	if err := b.sw.Port("p1").Configure(PortConfig{VLAN: 20}); err != nil {
		t.Fatal(err)
	}
	b.send("p2", eth(mac(1), mac(2)))
	b.wantReached()
	b.wantDrops("p2", fabric.DropNoReceiver, 1)
	b.send("p1", eth(wire.Broadcast, mac(1)))
	b.wantReached("p3")
	for _, e := range b.sw.Entries() {
		if e.Port == "p1" && e.VLAN == 10 {
			t.Errorf("entry of the former VLAN: %+v", e)
		}
	}
	if e := b.sw.Entries(); !e[len(e)-1].Local || e[len(e)-1].VLAN != 20 {
		t.Errorf("the port's address is not listed in its new VLAN: %+v", e)
	}
}

// A frame without room for a tag is dropped and counted.
func TestVLANNoRoomForTag(t *testing.T) {
	b := newBench(t, Config{VLANFiltering: true})
	b.port("in", PortConfig{VLAN: 10})
	b.port("out", PortConfig{Trunk: []uint16{10}})
	f := fabric.FromBytes(eth(wire.Broadcast, mac(1)))
	f.Prepend(fabric.Headroom - 2)
	copy(f.Linear(), eth(wire.Broadcast, mac(1)))
	b.sw.Port("in").Receive([]*fabric.Frame{f})
	b.wantReached()
	b.wantDrops("in", fabric.DropVLAN, 1)
}

// The same address may be on different ports in different VLANs, and unicast goes to one of them only.
func TestAddressesArePerVLAN(t *testing.T) {
	b := newBench(t, Config{VLANFiltering: true})
	b.port("trunk", PortConfig{Trunk: []uint16{10, 20}})
	for name, vlan := range map[string]uint16{"a10": 10, "b10": 10, "a20": 20, "b20": 20} {
		b.port(name, PortConfig{VLAN: vlan})
	}
	b.send("a10", eth(wire.Broadcast, mac(2)))
	b.send("b20", eth(wire.Broadcast, mac(2)))
	b.reached()
	b.send("trunk", tagged(mac(2), mac(1), 10))
	b.wantReached("a10")
	b.send("trunk", tagged(mac(2), mac(1), 20))
	b.wantReached("b20")
	b.send("a20", eth(mac(1), mac(3)))
	b.wantReached("trunk")
}

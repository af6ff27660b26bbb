package stp

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

var sample = BPDU{
	Kind: KindRST, TC: true, Role: RoleDesignated, Proposal: true, Learning: true,
	Vector: Vector{Root: NewBridgeID(0x1000, wire.MAC{2, 0, 0, 0, 0, 1}), Cost: 20000, Bridge: NewBridgeID(0x8000, wire.MAC{2, 0, 0, 0, 0, 2}), Port: 0x8003},
	Times:  Times{MessageAge: time.Second, MaxAge: 20 * time.Second, Hello: 2 * time.Second, Forward: 15 * time.Second},
}

// The bytes are those of IEEE 802.1D-2004 figures 9-1 to 9-3.
func TestBPDU(t *testing.T) {
	config := sample
	config.Kind, config.Proposal, config.Learning, config.TCAck = KindConfig, false, false, true
	for _, tt := range []struct {
		name string
		p    BPDU
		want string
	}{
		{"rst", sample, "0000" + "02" + "02" + "1f" + "1000020000000001" + "00004e20" + "8000020000000002" + "8003" + "0100" + "1400" + "0200" + "0f00" + "00"},
		{"config", config, "0000" + "00" + "00" + "81" + "1000020000000001" + "00004e20" + "8000020000000002" + "8003" + "0100" + "1400" + "0200" + "0f00"},
		{"tcn", BPDU{Kind: KindTCN}, "00000080"},
	} {
		b := tt.p.Append(nil)
		if got := hex.EncodeToString(b); got != tt.want {
			t.Errorf("%s: Append = %s; want %s", tt.name, got, tt.want)
		}
		if got, err := Parse(append(b, 0, 0, 0)); err != nil || !reflect.DeepEqual(got, tt.p) {
			t.Errorf("%s: Parse = %+v, %v; want %+v", tt.name, got, err, tt.p)
		}
	}
	if got := sample.Root.String(); got != "1000.020000000001" {
		t.Errorf("String = %s", got)
	}
}

func TestParseRefuses(t *testing.T) {
	old := sample
	old.Kind, old.MessageAge = KindConfig, 20*time.Second
	change := func(i int, v byte) []byte {
		b := sample.Append(nil)
		b[i] = v
		return b
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, errShort}, {"a short one", sample.Append(nil)[:35], errShort}, {"a short config", old.Append(nil)[:34], errShort},
		{"another protocol", change(1, 1), errUnknown}, {"another type", change(3, 1), errUnknown},
		{"a rapid one of version 0", change(2, 0), errUnknown}, {"one that came too far", old.Append(nil), errExpired},
	} {
		if _, err := Parse(tt.b); err != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, err, tt.want)
		}
	}
}

// What is parsed and built again is the same, and a bridge takes all of it.
func FuzzParse(f *testing.F) {
	f.Add(sample.Append(nil))
	f.Add([]byte{0, 0, 0, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(p.Append(nil))
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
	})
}

// A bridge takes any BPDUs from any ports at any time, comes to rest after each, and always knows when it wants to be asked next.
func FuzzBridge(f *testing.F) {
	f.Add(sample.Append(nil), uint16(0x1203))
	f.Fuzz(func(t *testing.T, data []byte, script uint16) {
		b := New(Config{ID: NewBridgeID(0x8000, wire.MAC{2, 0, 0, 0, 0, 2}), Legacy: script&1 != 0})
		at := time.Duration(0)
		for n := range uint16(3) {
			b.AddPort(n+1, PortConfig{Edge: script>>n&2 != 0})
			b.SetLink(n+1, true, at)
		}
		for i := 0; len(data) > 0; i++ {
			n := min(len(data), lenRST)
			if p, err := Parse(data[:n]); err == nil {
				b.Receive(uint16(i)%3+1, p, at)
			}
			data = data[n:]
			if next, ok := b.Next(); !ok || next <= at {
				t.Fatalf("at %v Next = %v, %v", at, next, ok)
			} else if script>>(i%16)&1 != 0 {
				at = next
				b.Tick(at)
			}
			for _, a := range b.Take() {
				if a.Port < 1 || a.Port > 3 {
					t.Fatalf("action %+v", a)
				}
			}
		}
	})
}

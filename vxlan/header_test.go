package vxlan_test

import (
	"bytes"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
)

func TestParseHeader(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		vni  uint32
		err  error
	}{
		{"L22 golden", []byte{8, 0, 0, 0, 0, 1, 1, 0}, 257, nil},
		{"largest VNI", []byte{8, 0, 0, 0, 255, 255, 255, 0}, vxlan.MaxVNI, nil},
		{"reserved bits are ignored", []byte{0xff, 1, 2, 3, 0, 0, 5, 9, 1}, 5, nil},
		{"I flag missing", []byte{0xf7, 0, 0, 0, 0, 1, 1, 0}, 0, wire.ErrMalformed},
		{"seven bytes", []byte{8, 0, 0, 0, 0, 1, 1}, 0, wire.ErrTruncated},
		{"nothing", nil, 0, wire.ErrTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := vxlan.ParseHeader(tt.b)
			if err != tt.err {
				t.Fatalf("ParseHeader = %v; want %v", err, tt.err)
			}
			if err == nil && h.VNI() != tt.vni {
				t.Errorf("VNI = %d; want %d", h.VNI(), tt.vni)
			}
		})
	}
}

func TestPut(t *testing.T) {
	b := bytes.Repeat([]byte{0xff}, 9)
	vxlan.Put(b, 257)
	if want := []byte{8, 0, 0, 0, 0, 1, 1, 0, 0xff}; !bytes.Equal(b, want) { // L22
		t.Errorf("Put = %x; want %x", b, want)
	}
	if vxlan.Overhead != 50 || vxlan.Port != 4789 {
		t.Errorf("Overhead, Port = %d, %d; want 50, 4789", vxlan.Overhead, vxlan.Port)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{8, 0, 0, 0, 0, 1, 1, 0})
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := vxlan.ParseHeader(b)
		if err != nil {
			return
		}
		var out [vxlan.HeaderLen]byte
		vxlan.Put(out[:], h.VNI())
		again, err := vxlan.ParseHeader(out[:])
		if err != nil || again.VNI() != h.VNI() {
			t.Errorf("%x: VNI %d became %d, %v", b, h.VNI(), again.VNI(), err)
		}
	})
}

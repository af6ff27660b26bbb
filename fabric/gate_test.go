package fabric

import "testing"

// A gate drops what it refuses, counted at the end that it is at, and all else stays in order.
func TestGate(t *testing.T) {
	link := NewLink("a", "b")
	e := link.B()
	var got []byte
	e.SetReceiver(ReceiverFunc(func(batch []*Frame) {
		for _, f := range batch {
			got = append(got, f.Linear()[0])
			f.Free()
		}
	}))
	arrive := func() {
		got = nil
		var batch []*Frame
		for i := range byte(6) {
			batch = append(batch, FromBytes([]byte{i}))
		}
		e.arrived(batch)
	}
	for _, tt := range []struct {
		name string
		gate Gate
		want string
	}{
		{"none", nil, "\x00\x01\x02\x03\x04\x05"},
		{"odd frames", func(f *Frame) DropReason {
			if f.Linear()[0]%2 == 1 {
				return DropPartition
			}
			return 0
		}, "\x00\x02\x04"},
		{"all", func(*Frame) DropReason { return DropPartition }, ""},
		{"none again", nil, "\x00\x01\x02\x03\x04\x05"},
	} {
		e.SetGate(tt.gate)
		if arrive(); string(got) != tt.want {
			t.Errorf("%s: %q arrived; want %q", tt.name, got, tt.want)
		}
	}
	if n := e.Dropped(DropPartition); n != 9 {
		t.Errorf("%d were dropped; want 9", n)
	}
}

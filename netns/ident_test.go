package netns

import "testing"

// Identifications of one protocol are not used again soon, and those of two are not mistaken for each other by who XORs
// them with the protocol, as tshark does.
func TestIdentifications(t *testing.T) {
	ns := New(Config{Name: "a", Seed: 1})
	const icmp, udp, each = 1, 17, 1000
	seen := map[uint16]uint8{}
	for i := range 2 * each {
		proto := uint8(icmp)
		if i >= each {
			proto = udp
		}
		key := ns.nextID(proto, 1) ^ uint16(proto)
		if before, ok := seen[key]; ok {
			t.Fatalf("packet %d of protocol %d has the key of one of protocol %d", i, proto, before)
		}
		seen[key] = proto
	}
	if first, next := ns.nextID(6, 10), ns.nextID(6, 1); next != first+10 {
		t.Errorf("after a train of 10 from %d comes %d", first, next)
	}
}

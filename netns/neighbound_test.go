package netns

import (
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// A table that was filled with neighbours, all of which answered, has room again once they were unused for long; until
// then it is not searched for each packet.
func TestFullNeighbourTableRecovers(t *testing.T) {
	var n neighbours
	n.init()
	for i := range maxNeighbours {
		n.entryLocked(prefixAddr(i), 0).confirm(wire.MAC{2}, 0, int64(baseReachable))
	}
	soon := int64(baseReachable)
	if n.entryLocked(prefixAddr(maxNeighbours), soon) != nil {
		t.Error("a table of neighbours in use took one more than it may hold")
	}
	if late := soon + int64(failedLifetime) + 1; n.entryLocked(prefixAddr(maxNeighbours), late) == nil || len(n.m) != 1 {
		t.Errorf("a table of neighbours that nobody used for a minute holds %d, and has no room for another", len(n.m))
	}
}

// What waits for an address is bounded in bytes too: trains are large. The latest always waits.
func TestNeighQueueBytes(t *testing.T) {
	ns, eth0, _ := node(t, Config{})
	raw := must(ns.ListenRaw(wire.ProtoUDP))
	for range 10 {
		if err := raw.Send(addr("10.0.0.9"), make([]byte, 1400), RawOptions{Proto: 99}); err != nil {
			t.Fatal(err)
		}
	}
	if n := eth0.Dropped(fabric.DropNeighQueue); n != 0 {
		t.Errorf("%d drops of 14 kB; want none", n)
	}
	e := eth0.neigh.m[addr("10.0.0.9")]
	for range 10 {
		for _, f := range e.wait(fabric.FromBytes(make([]byte, 60000))) {
			f.Free()
		}
	}
	if len(e.queue) != 3 || e.bytes != 180000 {
		t.Errorf("%d frames of %d bytes wait; want 3 of 180000", len(e.queue), e.bytes)
	}
}

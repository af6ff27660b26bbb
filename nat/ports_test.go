package nat

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
)

// flowTo masquerades a new flow from the client number i to one server, and returns the port it got; 0 if it was dropped.
func flowTo(tb testing.TB, n *Netfilter, i int) uint16 {
	tb.Helper()
	src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 17, byte(i >> 8), byte(i)}), 40000)
	f := udpFrame(src.String(), "8.8.8.8:53")
	defer f.Free()
	switch _, v := forward(n, f, "docker0", "eth0", sec(0)); {
	case v.Action == Accept:
		return f.Src().Port()
	case v.Reason != fabric.DropNATExhausted:
		tb.Fatalf("flow %d: %v; want nat-exhausted", i, v.Reason)
	}
	return 0
}

// B31: a small range is used to its last port, of a large one most; no two flows to one server get the same port, and
// the search for one ends in both.
func TestPortsOfARange(t *testing.T) {
	for _, row := range []struct{ lo, hi, flows, least int }{
		{2000, 2000, 5, 1}, {2000, 2015, 20, 16}, {2000, 2127, 140, 128}, {2000, 2999, 2000, 800},
	} {
		t.Run(fmt.Sprintf("%d to %d", row.lo, row.hi), func(t *testing.T) {
			n := newHost(t, fmt.Sprintf("-t nat -A POSTROUTING -p udp -o eth0 -j MASQUERADE --to-ports %d-%d", row.lo, row.hi))
			seen := map[uint16]int{}
			for i := range row.flows {
				p := flowTo(t, n, i+2)
				if p == 0 {
					continue
				}
				if int(p) < row.lo || int(p) > row.hi || seen[p] > 0 {
					t.Fatalf("flow %d got port %d, which flow %d has", i, p, seen[p])
				}
				seen[p] = i
			}
			if size := row.hi - row.lo + 1; len(seen) < row.least || len(seen) > size {
				t.Errorf("%d ports of %d used by %d flows; want %d at least", len(seen), size, row.flows, row.least)
			}
		})
	}
}

// BenchmarkPortsRunOut is what a new flow costs, with the table's lock held, when all ports to its server are used.
func BenchmarkPortsRunOut(b *testing.B) {
	n := newHost(b, "-t nat -A POSTROUTING -p udp -o eth0 -j MASQUERADE")
	for i := range 64512 * 2 {
		flowTo(b, n, i%65000)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		f := udpFrame("172.18.0.1:40000", "8.8.8.8:53")
		be.PutUint16(f.L4(), uint16(40000+i%1000))
		forward(n, f, "docker0", "eth0", sec(0))
		f.Free()
	}
}

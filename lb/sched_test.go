package lb

import (
	"net/netip"
	"strings"
	"testing"
)

// letters returns the destinations that n new connections get, A for realA and so on, - for none.
func letters(table *Table, n, firstPort int) string {
	var b strings.Builder
	for i := range n {
		to, v := table.Pick(syn(port(firstPort+i)), after(0))
		switch {
		case v != Handled:
			b.WriteByte('-')
		default:
			b.WriteByte('A' + to.Addr().As4()[3] - 6)
		}
	}
	return b.String()
}

func TestSchedulers(t *testing.T) {
	type step struct {
		edit func(*Table) error // nil: none
		want string             // what the next connections get
	}
	weight := func(d netip.AddrPort, w int) func(*Table) error {
		return func(t *Table) error { return t.EditDestination(Mark(256), d, w) }
	}
	add := func(d netip.AddrPort, w int) func(*Table) error {
		return func(t *Table) error { return t.AddDestination(Mark(256), d, w) }
	}
	del := func(d netip.AddrPort) func(*Table) error {
		return func(t *Table) error { return t.DelDestination(Mark(256), d) }
	}
	for _, tt := range []struct {
		name, scheduler string
		steps           []step
	}{
		{"S3 rr alternates, newest first", "rr", []step{{add(realA, 1), ""}, {add(realB, 1), "BABA"}}},
		{"rr of three goes down the list", "rr", []step{{add(realA, 1), ""}, {add(realB, 1), ""}, {add(realC, 1), "CBACBA"}}},
		{"S4 a new one takes part at once", "rr", []step{{add(realA, 1), ""}, {add(realB, 1), "BA"}, {add(realC, 1), "CBA"}}},
		{"S4 a new one waits for its turn", "rr", []step{{add(realA, 1), ""}, {add(realB, 1), "B"}, {add(realC, 1), "ACB"}}},
		{"S14 weight 0 is passed over", "rr", []step{{add(realA, 1), ""}, {add(realB, 1), "BA"}, {weight(realB, 0), "AAA"}, {weight(realB, 1), "BA"}}},
		{"S5 all weights 0", "rr", []step{{add(realA, 0), "--"}}},
		{"rr goes on behind a removed one", "rr", []step{{add(realA, 1), ""}, {add(realB, 1), ""}, {add(realC, 1), "CB"}, {del(realB), "ACAC"}}},
		{"rr removed one behind the last", "rr", []step{{add(realA, 1), ""}, {add(realB, 1), ""}, {add(realC, 1), "C"}, {del(realA), "BCB"}}},
		{"rr without any", "rr", []step{{add(realA, 1), "A"}, {del(realA), "-"}}},
		{"wrr by weight", "wrr", []step{{add(realA, 1), ""}, {add(realB, 2), ""}, {add(realC, 3), "CBACCBCBACCB"}}},
		{"wrr with a common divisor", "wrr", []step{{add(realA, 10), ""}, {add(realB, 20), "BABBAB"}}},
		{"wrr equal weights", "wrr", []step{{add(realA, 5), ""}, {add(realB, 5), "BABA"}}},
		{"wrr passes over 0", "wrr", []step{{add(realA, 2), ""}, {add(realB, 0), "AAA"}}},
		{"wrr all weights 0", "wrr", []step{{add(realA, 0), "--"}}},
		{"lc the least loaded, newest of equals", "lc", []step{{add(realA, 9), ""}, {add(realB, 1), "BABA"}}},
		{"lc a new one gets all until it is even", "lc", []step{{add(realA, 1), "AA"}, {add(realB, 1), "BBB"}}},
		{"lc passes over 0", "lc", []step{{add(realA, 0), ""}, {add(realB, 1), "BB"}}},
		{"wlc load for weight", "wlc", []step{{add(realA, 2), ""}, {add(realB, 1), "BAABAA"}}},
		{"wlc is the default", "", []step{{add(realA, 2), ""}, {add(realB, 1), "BAABAA"}}},
		{"sh one client, one destination", "sh", []step{{add(realA, 1), "AAA"}}},
		{"sh weight 0 is not replaced", "sh", []step{{add(realA, 0), "--"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, p := NewTable(Config{}), 1000
			must(t, table.AddService(Mark(256), tt.scheduler))
			for i, s := range tt.steps {
				must(t, s.edit(table))
				if got := letters(table, len(s.want), p); got != s.want {
					t.Errorf("step %d: connections go to %q, want %q", i, got, s.want)
				}
				p += len(s.want)
			}
		})
	}
}

func TestLeastConnCountsActive(t *testing.T) {
	table := marked(t, Config{}, "lc", realA, realB)
	to, _ := table.Pick(syn(port(1)), after(0)) // B
	table.Reply(Flow{Proto: 6, Flags: 0x12, Src: netip.AddrPortFrom(to.Addr(), 80), Dst: port(1)}, after(0))
	table.Pick(segment(port(1), 0x10), after(0)) // established: 256 inactive ones weigh less
	if got := letters(table, 5, 1000); got != "AAAAA" {
		t.Errorf("connections go to %q, want AAAAA", got)
	}
}

func TestSourceHashSpreads(t *testing.T) {
	table := marked(t, Config{}, "sh", realA, realB)
	count := map[string]int{}
	for i := range 200 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 1, byte(i)}), 1000)
		first, _ := table.Pick(syn(from), after(0))
		again, _ := table.Pick(syn(netip.AddrPortFrom(from.Addr(), 2000)), after(0))
		if first != again {
			t.Fatalf("client %v goes to %v, then to %v", from.Addr(), first, again)
		}
		count[first.String()]++
	}
	for to, n := range count {
		if n < 60 {
			t.Errorf("%s has %d of 200 clients", to, n)
		}
	}
}

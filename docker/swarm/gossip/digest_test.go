package gossip

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

const rest = digestQuiet * 200 * time.Millisecond

// sees is what a state says of net once it rests.
func (s *state) sees() digest {
	d, _ := s.digest("net", rest, epoch)
	return d
}

// Two nodes that hold the same say the same, in whatever order they heard it and whatever tombstones they have.
func TestDigestSays(t *testing.T) {
	a, b := member(), member()
	put := func(s *state, key string, ltime uint64, gone bool) {
		s.learn("net", record{table: "t", key: key, owner: "a", ltime: ltime, gone: gone, left: time.Minute}, epoch)
	}
	same := func(what string, want bool) {
		t.Helper()
		if got := a.sees() == b.sees(); got != want {
			t.Errorf("%s: the same is %v; want %v", what, got, want)
		}
	}
	same("nothing", true)
	put(a, "x", 7, false)
	same("one has an entry", false)
	put(a, "y", 8, false)
	put(b, "y", 8, false)
	put(b, "x", 7, false)
	same("both have both", true)
	put(a, "x", 9, false)
	same("one has a later value", false)
	put(b, "x", 9, false)
	put(a, "z", 10, false)
	put(a, "z", 11, true)
	same("one has a tombstone", true)
	put(a, "y", 12, true)
	same("one has a deletion", false)
	put(b, "y", 12, true)
	same("both have it", true)
	a.reap(epoch.Add(time.Hour), 24*time.Hour)
	same("one forgot the tombstones", true)
	a.down("a", epoch)
	same("one takes the owner for dead", false)
	b.down("a", epoch)
	same("both do", true)
	a.up("c", netip.MustParseAddrPort("10.0.0.3:7946"), epoch)
	same("one knows a node that is not on the network", true)
	a.attach(attachment{node: "c", network: "net", ltime: 20}, epoch)
	same("one knows that it is there", false)
}

// Nodes exchange tables if theirs differ while both rest, and not again before either has changed or a bulk sync's time has passed.
func TestDigestDiffers(t *testing.T) {
	s := member()
	at := epoch
	differs := func(what string, after time.Duration, theirs []digest, want bool) {
		t.Helper()
		at = at.Add(after)
		if got := s.differs(theirs, rest, 30*time.Second, at); got != want {
			t.Errorf("%s: %v; want %v", what, got, want)
		}
	}
	mine := s.sees()
	other := digest{mine.network, mine.sum + 1}
	if got := s.digests(rest, at); len(got) != 0 {
		t.Errorf("before it rests it says %v", got)
	}
	differs("before it rests", rest-1, []digest{other}, false)
	if got := s.digests(rest, at.Add(1)); !slices.Equal(got, []digest{mine}) {
		t.Errorf("at rest it says %v; want %v", got, mine)
	}
	differs("the same", time.Second, []digest{mine}, false)
	differs("another network", 0, []digest{{1, 2}}, false)
	differs("nothing", 0, nil, false)
	differs("another", 0, []digest{other}, true)
	differs("again", time.Second, []digest{other}, false)
	differs("another one", 0, []digest{{mine.network, 3}}, true)
	differs("the first after long", 31*time.Second, []digest{other}, true)
	s.learn("net", record{table: "t", key: "k", owner: "a", ltime: 9}, at)
	differs("when there is news", 0, []digest{other}, false)
	differs("that is old", rest, []digest{other}, true)
}

// More networks than an answer has room for are told of by and by.
func TestDigestsAreBounded(t *testing.T) {
	s := newState("me", time.Minute)
	for i := range 3 * maxDigests {
		s.attachSelf(fmt.Sprint("net", i), false, epoch)
	}
	s.digests(rest, epoch)
	told := map[digest]bool{}
	for range 1000 {
		all := s.digests(rest, epoch.Add(time.Minute))
		if len(all) != maxDigests {
			t.Fatalf("an answer tells of %d networks; want %d", len(all), maxDigests)
		}
		for _, d := range all {
			told[d] = true
		}
	}
	if len(told) != 3*maxDigests {
		t.Errorf("%d networks were told of; want %d", len(told), 3*maxDigests)
	}
}

// What a node missed is there long before the next bulk sync, though everybody has stopped passing it on.
func TestDigestRepairs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nodes := r.cluster(4, func(c *Config) {
		c.Times = Times{Gossip: 20 * time.Millisecond, Probe: 100 * time.Millisecond, Sync: time.Hour, PushPull: time.Hour}
	})
	r.met(nodes)
	r.put(nodes[0], "before", "x")
	r.all(nodes, "before", "x")
	for i := range 6 { // one after the other, for the nodes look of their own accord a few times after they have joined
		nodes[0].mu.Lock()
		s := nodes[0].state
		s.put("net", record{table: EndpointTable, key: fmt.Sprint(i), owner: "node1", value: []byte("y"), ltime: s.tick()}, time.Now()) // queued nowhere
		nodes[0].mu.Unlock()
		r.all(nodes, fmt.Sprint(i), "y")
	}
	nodes[0].mu.Lock()
	s := nodes[0].state
	s.put("net", record{table: EndpointTable, key: "before", owner: "node1", ltime: s.tick(), gone: true, left: time.Hour}, time.Now())
	nodes[0].mu.Unlock()
	r.all(nodes, "before", "")
}

// A node that leaves answers its own pings, which says nothing of the peers; an answer that cannot be read is refused.
func TestAnswersOfPings(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(2, nil)
	r.met(nodes)
	n := nodes[0]
	asked := &memberlist.Node{Name: "peer"}
	for _, c := range []struct {
		payload []byte
		refused uint64 // in all
	}{
		{nil, 0},
		{[]byte{digestVersion}, 0},
		{[]byte{digestVersion + 1}, 1},
		{[]byte{digestVersion, 1}, 2},
	} {
		(*delegate)(n).NotifyPingComplete(asked, 0, c.payload)
		if got := n.Refused()[Malformed]; got != c.refused {
			t.Errorf("after %v, %d refused as malformed; want %d", c.payload, got, c.refused)
		}
	}
}

func FuzzDigests(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendDigests(nil, []digest{{1, 2}, {3, 4}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, ok := parseDigests(b)
		if !ok {
			return
		}
		if got := appendDigests(nil, all); string(got) != string(b) {
			t.Errorf("%x is written as %x", b, got)
		}
		member().differs(all, rest, time.Minute, epoch)
	})
}

// BenchmarkDigests is what an answer to a probe, and its comparison, cost a node on 10 networks of a thousand entries.
func BenchmarkDigests(b *testing.B) {
	s := newState("me", time.Minute)
	for i := range 10 {
		name := fmt.Sprint("net", i)
		s.attachSelf(name, false, epoch)
		for j := range 1000 {
			s.put(name, record{table: "t", key: fmt.Sprint(j), owner: "me", ltime: s.tick()}, epoch)
		}
	}
	at := epoch.Add(time.Minute)
	s.digests(rest, epoch)
	b.ReportAllocs()
	for b.Loop() {
		all, _ := parseDigests(appendDigests(nil, s.digests(rest, at)))
		if len(all) != 10 || s.differs(all, rest, time.Minute, at) {
			b.Fatal("they differ")
		}
	}
}

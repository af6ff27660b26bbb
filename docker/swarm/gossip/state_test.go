package gossip

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

var epoch = time.Unix(1e9, 0)

// member returns the state of node "me" on network "net" with live members a and b.
func member() *state {
	s := newState("me", time.Minute)
	s.attachSelf("net", false, epoch)
	for _, name := range []string{"a", "b"} {
		s.up(name, netip.MustParseAddrPort("10.0.0.1:7946"), epoch)
		s.attach(attachment{node: name, network: "net", ltime: 5}, epoch)
	}
	return s
}

func (s *state) held(key string) string {
	e := s.nets["net"].tables["t"][key]
	if e == nil {
		return ""
	}
	return fmt.Sprintf("%s %s %d %v", e.owner, e.value, e.ltime, e.gone)
}

// C8: the later wins, of two of the same time the same everywhere, in whatever order they come.
func TestConflicts(t *testing.T) {
	rec := func(owner, value string, ltime uint64, gone bool) record {
		return record{table: "t", key: "k", owner: owner, value: []byte(value), ltime: ltime, gone: gone, left: time.Minute}
	}
	for name, c := range map[string]struct {
		records []record
		want    string
	}{
		"later":            {[]record{rec("a", "1", 7, false), rec("a", "2", 8, false)}, "a 2 8 false"},
		"same time":        {[]record{rec("a", "1", 7, false), rec("b", "2", 7, false)}, "b 2 7 false"},
		"tombstone":        {[]record{rec("a", "1", 7, false), rec("a", "", 9, true)}, "a  9 true"},
		"back to life":     {[]record{rec("a", "", 9, true), rec("a", "1", 10, false)}, "a 1 10 false"},
		"another takes it": {[]record{rec("b", "1", 7, false), rec("a", "2", 8, false)}, "a 2 8 false"},
	} {
		for _, order := range [][]int{{0, 1}, {1, 0}, {0, 1, 0, 1}} {
			s := member()
			for _, i := range order {
				s.learn("net", c.records[i], epoch)
			}
			if got := s.held("k"); got != c.want {
				t.Errorf("%s, in order %v: %q; want %q", name, order, got, c.want)
			}
		}
	}
}

func TestVerdicts(t *testing.T) {
	s := member()
	s.attach(attachment{node: "gone", network: "net", ltime: 6}, epoch) // not alive
	s.up("dead", netip.MustParseAddrPort("10.0.0.2:7946"), epoch)
	s.down("dead", epoch)
	for name, c := range map[string]struct {
		network, owner string
		want           verdict
	}{
		"fresh": {"net", "a", fresh}, "another network": {"other", "a", foreign}, "owner that is not up yet": {"net", "gone", shelved}, "stranger": {"net", "x", shelved}, "dead owner": {"net", "dead", unknown},
	} {
		if got := s.learn(c.network, record{table: "t", key: name, owner: c.owner, ltime: 9}, epoch); got != c.want {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
	s.nets["net"].entries = maxEntries
	if got := s.learn("net", record{table: "t", key: "one more", owner: "a", ltime: 9}, epoch); got != crowded {
		t.Errorf("one more: %v; want %v", got, crowded)
	}
}

// What comes before its owner is known is seen once that is a live member, in the order of its times; or forgotten.
func TestLimbo(t *testing.T) {
	s := member()
	rec := func(key, value string, ltime uint64) record {
		return record{table: "t", key: key, owner: "c", value: []byte(value), ltime: ltime}
	}
	for _, r := range []record{rec("k", "2", 8), rec("k", "1", 7), rec("l", "x", 9)} {
		s.learn("net", r, epoch)
	}
	s.up("c", netip.MustParseAddrPort("10.0.0.3:7946"), epoch)
	if s.held("k") != "" {
		t.Error("seen before its owner is on the network")
	}
	s.attach(attachment{node: "c", network: "net", ltime: 5}, epoch)
	if s.held("k") != "c 2 8 false" || s.held("l") != "c x 9 false" {
		t.Errorf("holds %q and %q", s.held("k"), s.held("l"))
	}
	s.learn("net", record{table: "t", key: "m", owner: "d", ltime: 9}, epoch)
	s.reap(epoch.Add(limboLife), time.Hour)
	if len(s.nets["net"].limbo) != 0 {
		t.Error("what waits for nobody is kept")
	}
	for i := range maxLimbo {
		s.learn("net", record{table: "t", key: fmt.Sprint(i), owner: fmt.Sprint("e", i%50), ltime: 9}, epoch)
	}
	if got := s.learn("net", record{table: "t", key: "more", owner: "f", ltime: 9}, epoch); got != crowded {
		t.Errorf("one more than there is room for: %v", got)
	}
}

// A node says what is true of its own entries and networks, with a later time.
func TestDisputes(t *testing.T) {
	s := member()
	if got := s.learn("net", record{table: "t", key: "ghost", owner: "me", ltime: 50}, epoch); got != disputed {
		t.Errorf("an entry it does not have: %v", got)
	}
	if got := s.held("ghost"); got != "me  51 true" {
		t.Errorf("it holds %q; want a later tombstone", got)
	}
	s.put("net", record{table: "t", key: "mine", owner: "me", value: []byte("v"), ltime: s.tick()}, epoch)
	if got := s.learn("net", record{table: "t", key: "mine", owner: "me", ltime: 90, gone: true, left: time.Second}, epoch); got != disputed {
		t.Errorf("a tombstone of an entry that it has: %v", got)
	}
	if got := s.held("mine"); got != "me v 91 false" {
		t.Errorf("it holds %q; want the entry with a later time", got)
	}
	if got := s.learn("net", record{table: "t", key: "mine", owner: "me", ltime: 91}, epoch); got != stale {
		t.Errorf("its own entry comes back: %v", got)
	}
	if got := s.attach(attachment{node: "me", network: "net", ltime: 200, gone: true}, epoch); got != disputed || !s.member("net", "me") {
		t.Errorf("others have it off the network: %v", got)
	}
	if got := s.attach(attachment{node: "me", network: "past", ltime: 300}, epoch); got != disputed || s.member("past", "me") {
		t.Errorf("others have it on a network of its past: %v", got)
	}
	if got := s.news.NumQueued(); got != 2 {
		t.Errorf("%d attachments are being spread; want those of me to net and past", got)
	}
	if s.clock <= 300 {
		t.Errorf("its clock is at %d", s.clock)
	}
}

// C8, C9: tombstones are reaped after their time, what a dead node owned is gone at once, and the node itself after long.
func TestReap(t *testing.T) {
	s := member()
	s.learn("net", record{table: "t", key: "k", owner: "a", ltime: 9, gone: true, left: time.Hour}, epoch) // no longer than we keep ours
	s.learn("net", record{table: "t", key: "l", owner: "b", ltime: 9}, epoch)
	s.reap(epoch.Add(59*time.Second), time.Hour)
	if s.held("k") == "" {
		t.Error("a tombstone was reaped too soon")
	}
	s.reap(epoch.Add(time.Minute), time.Hour)
	if s.held("k") != "" || s.nets["net"].entries != 1 {
		t.Errorf("a tombstone is still there; %d entries", s.nets["net"].entries)
	}
	s.down("b", epoch)
	if s.held("l") != "" || s.nets["net"].entries != 0 || s.member("net", "b") {
		t.Error("a dead node's entry is still there")
	}
	s.reap(epoch.Add(time.Hour), time.Hour)
	if s.peers["b"] != nil || s.on["net"]["b"] != nil {
		t.Error("a node that is long dead is still known")
	}
}

// A watcher that is slow hears the latest of each entry, and takes no more room than there are entries.
func TestWatcherCoalesces(t *testing.T) {
	n := &Node{state: member()}
	w := n.Watch("net", "t")
	put := func(key, value string, ltime uint64) {
		n.state.learn("net", record{table: "t", key: key, owner: "a", value: []byte(value), ltime: ltime}, epoch)
	}
	del := func(key string, ltime uint64) {
		n.state.learn("net", record{table: "t", key: key, owner: "a", ltime: ltime, gone: true, left: time.Minute}, epoch)
	}
	ltime := uint64(10)
	for range 1000 {
		put("x", "1", ltime)
		put("brief", "1", ltime)
		del("brief", ltime+1)
		ltime += 2
	}
	put("x", "2", ltime)
	if len(w.order) > 300 {
		t.Errorf("%d keys wait", len(w.order))
	}
	want := []Event{{Network: "net", Table: "t", Key: "x", Owner: "a", Value: []byte("2")}}
	if got := w.Take(); !reflect.DeepEqual(got, want) {
		t.Errorf("Take = %v; want %v", got, want)
	}
	n.state.down("a", epoch)
	want = []Event{{Network: "net", Table: "t", Key: "x", Owner: "a", Gone: true}}
	if got := w.Take(); !reflect.DeepEqual(got, want) {
		t.Errorf("Take = %v; want %v", got, want)
	}
	w.Close()
	if len(n.state.watchers) != 0 {
		t.Error("a watcher is still there")
	}
}

func messages() []message {
	return []message{
		{kind: kindAttachments, attachments: []attachment{{node: "a", network: "net", ltime: 1 << 40}, {node: "b", ltime: 3, gone: true}}},
		{kind: kindRecords, network: "net", records: []record{{table: "t", key: "k", owner: "a", value: []byte("v"), ltime: 300}, {table: "t", key: "l", owner: "a", ltime: 301, gone: true, left: 30 * time.Minute}}},
		{kind: kindSync, from: "a", network: "net", attachments: []attachment{{node: "a", network: "net", ltime: 7}}},
	}
}

func TestWire(t *testing.T) {
	for _, m := range messages() {
		if got, err := parse(m.appendAll(nil)); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("parse = %+v, %v; want %+v", got, err, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range messages() {
		f.Add(m.appendAll(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if got := m.appendAll(nil); string(got) != string(b) {
			t.Errorf("%x is written as %x", b, got)
		}
		// A node takes it in whatever it says.
		n := &Node{cfg: Config{Name: "me"}, state: member(), syncs: newTodo(), log: silent}
		(*delegate)(n).NotifyMsg(b)
		(*delegate)(n).MergeRemoteState(b, false)
		n.takeSync(m)
		n.state.reap(epoch.Add(time.Hour), time.Hour)
	})
}

func FuzzPushPull(f *testing.F) {
	f.Add([]byte{mlPushPull, 0x81, 0xa5, 'N', 'o', 'd', 'e', 's', 1, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parsePushPull(b) })
}

// BenchmarkLearn is what a record that has come costs a node, with its parsing.
func BenchmarkLearn(b *testing.B) {
	s := member()
	m := message{kind: kindRecords, network: "net", records: []record{{table: EndpointTable, key: "0123456789abcdef", owner: "a", value: make([]byte, 80)}}}
	b.ReportAllocs()
	for b.Loop() {
		m.records[0].ltime++
		got, err := parse(m.appendAll(nil))
		if err != nil {
			b.Fatal(err)
		}
		s.learn("net", got.records[0], epoch)
	}
}

// BenchmarkUpdate is how long an update takes to all of 50 nodes, rounds of 200 ms included.
func BenchmarkUpdate(b *testing.B) {
	r := newRig(b)
	nodes := r.cluster(50, nil)
	r.met(nodes)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		want := fmt.Sprint(i)
		r.put(nodes[i%50], "of"+nodes[i%50].cfg.Name, want)
		r.all(nodes, "of"+nodes[i%50].cfg.Name, want)
	}
}

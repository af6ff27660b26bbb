package gossip

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// quick makes failures found and healed sooner than Docker does.
func quick(c *Config) {
	c.Times = Times{Gossip: 50 * time.Millisecond, Probe: 300 * time.Millisecond, Reconnect: 300 * time.Millisecond}
}

func TestThreeNodesConverge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nodes := r.cluster(3, nil)
	w := nodes[1].Watch("net", EndpointTable)
	defer w.Close()
	r.put(nodes[0], "ep1", "web.1 10.0.1.2")
	r.all(nodes, "ep1", "web.1 10.0.1.2")
	r.put(nodes[0], "ep1", "web.1 disabled")
	r.all(nodes, "ep1", "web.1 disabled")
	if err := nodes[1].Put("net", EndpointTable, "ep1", nil); err == nil {
		t.Error("a node changed the entry of another")
	}
	if err := nodes[1].Delete("net", EndpointTable, "ep1"); err == nil {
		t.Error("a node deleted the entry of another")
	}
	if err := nodes[0].Delete("net", EndpointTable, "ep1"); err != nil {
		t.Fatal(err)
	}
	r.all(nodes, "ep1", "")
	last := Event{}
	r.eventually("the watcher hears of it", func() bool {
		for _, e := range w.Take() {
			last = e
		}
		return last.Gone || last.Key == ""
	})
	if len(nodes[2].Refused()) != 0 && nodes[2].Refused()[Malformed]+nodes[2].Refused()[Forged] != 0 {
		t.Errorf("refused %v", nodes[2].Refused())
	}
}

// C6: who joins a network later gets all that its members have, and they what it has.
func TestLateMemberGetsTables(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nodes := r.cluster(3, nil)
	for i := range 400 {
		r.put(nodes[i%3], fmt.Sprintf("ep%d", i), fmt.Sprintf("%0400d", i)) // more than a frame
	}
	late := r.node(nil)
	if err := late.JoinNetwork("net"); err != nil {
		t.Fatal(err)
	}
	r.put(late, "late", "here")
	r.join(late, nodes[2])
	nodes = append(nodes, late)
	r.all(nodes, "late", "here")
	for i := range 400 {
		r.all(nodes, fmt.Sprintf("ep%d", i), fmt.Sprintf("%0400d", i))
	}
}

// C1, C2, C9, C10: a node behind a cut cable is suspected, then dead, and its entries are gone on both sides; once the cable is
// back, so are node and entries.
func TestCutCable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nodes := r.cluster(4, quick)
	for i, n := range nodes {
		r.put(n, fmt.Sprint("of", i), "x")
		r.all(nodes, fmt.Sprint("of", i), "x")
	}
	before, _ := memberState(nodes[0], "node4")
	r.cables[3].SetUp(false)
	r.eventually("node4 is suspect", func() bool { m, _ := memberState(nodes[0], "node4"); return m.State == Suspect })
	if _, ok := value(nodes[0], "of3"); !ok {
		t.Error("the entry of a node is gone that is only suspect")
	}
	r.eventually("node4 is dead", func() bool { m, _ := memberState(nodes[0], "node4"); return m.State == Dead })
	r.all(nodes[:3], "of3", "")
	r.all(nodes[3:], "of0", "")
	r.put(nodes[0], "meanwhile", "y")
	if err := nodes[1].Delete("net", EndpointTable, "of1"); err != nil {
		t.Fatal(err)
	}
	r.cables[3].SetUp(true)
	r.all(nodes, "of3", "x")
	r.all(nodes, "of0", "x")
	r.all(nodes, "meanwhile", "y")
	r.all(nodes, "of1", "")
	if m, _ := memberState(nodes[0], "node4"); m.State != Alive || m.Incarnation <= before.Incarnation {
		t.Errorf("node4 is back as %+v; it was %+v", m, before)
	}
}

// C3: who leaves is gone at once, and is not called again.
func TestLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nodes := r.cluster(3, nil)
	r.met(nodes)
	r.put(nodes[2], "ep", "x")
	r.all(nodes, "ep", "x")
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	begun := time.Now()
	if err := nodes[2].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	r.all(nodes[:2], "ep", "")
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	r.eventually("node3 has left", func() bool { m, ok := memberState(nodes[0], "node3"); return !ok || m.State == Left })
	if err := nodes[2].JoinNetwork("other"); err == nil {
		t.Error("a node that has left joined a network")
	}
}

// A node that was away too shortly to be missed takes back what it had published in its life before.
func TestRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nodes := r.cluster(2, nil)
	ns, addr := r.host()
	ctx, stop := context.WithCancel(r.ctx)
	first, done := r.start(ctx, ns, addr, nil)
	r.join(first, nodes[0])
	if err := first.JoinNetwork("net"); err != nil {
		t.Fatal(err)
	}
	r.put(first, "old", "x")
	r.put(first, "both", "x")
	r.all(nodes, "old", "x")
	stop()
	<-done
	second, _ := r.start(r.ctx, ns, addr, nil)
	if err := second.JoinNetwork("net"); err != nil {
		t.Fatal(err)
	}
	r.put(second, "both", "y")
	r.join(second, nodes[0])
	r.all(append(nodes, second), "both", "y")
	r.all(append(nodes, second), "old", "")
}

// C15: news reaches all of a larger cluster in about a second.
func TestManyNodesConverge(t *testing.T) {
	count := 32
	if testing.Short() {
		count = 10
	}
	r := newRig(t)
	nodes := r.cluster(count, nil)
	r.met(nodes)
	begun := time.Now()
	r.put(nodes[7], "ep", "x")
	r.all(nodes, "ep", "x")
	t.Logf("%d nodes know after %v", len(nodes), time.Since(begun))
	for _, n := range nodes {
		if got := n.Refused(); got[Forged]+got[Replayed]+got[Malformed]+got[Oversized]+got[TooMany] > 0 {
			t.Errorf("%s refused %v", n.cfg.Name, got)
		}
	}
}

// C4: what happens in a network is sent to its members only.
func TestScoping(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nodes := r.cluster(3, nil)
	outsider := r.node(nil)
	r.join(outsider, nodes[0])
	if err := outsider.JoinNetwork("other"); err != nil {
		t.Fatal(err)
	}
	r.eventually("all know the outsider", func() bool {
		m, ok := memberState(nodes[2], "node4")
		return ok && len(m.Networks) == 1 && m.Networks[0] == "other"
	})
	w := outsider.Watch("net", EndpointTable)
	defer w.Close()
	for i := range 50 {
		r.put(nodes[i%3], fmt.Sprint("ep", i), "secret")
	}
	r.all(nodes, "ep49", "secret")
	r.all(nodes, "ep0", "secret")
	if v := outsider.Snapshot(); len(v.Networks) != 1 || v.Networks[0].Name != "other" || len(v.Networks[0].Tables) != 0 || v.Refused[Foreign] != 0 {
		t.Errorf("the outsider knows %+v", v)
	}
	if e := w.Take(); len(e) != 0 {
		t.Errorf("the outsider hears %v", e)
	}
	nodes[2].LeaveNetwork("net")
	r.put(nodes[0], "after", "x")
	r.all(nodes[:2], "after", "x")
	if _, ok := value(nodes[2], "after"); ok {
		t.Error("a node that has left the network hears of it")
	}
}

func TestSnapshot(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(2, nil)
	r.put(nodes[0], "ep", "x")
	r.all(nodes, "ep", "x")
	v := nodes[1].Snapshot()
	if len(v.Members) != 2 || v.Members[0].Name != "node1" || v.Members[0].Addr != nodes[0].cfg.Addr || v.Members[0].State != Alive || v.Members[0].Incarnation == 0 {
		t.Errorf("members %+v", v.Members)
	}
	e := v.Networks[0].Tables[0].Entries[0]
	if e.Key != "ep" || e.Owner != "node1" || string(e.Value) != "x" || e.Ltime == 0 || e.Ltime > v.Clock {
		t.Errorf("entry %+v at %d", e, v.Clock)
	}
}

func TestMisuse(t *testing.T) {
	r := newRig(t)
	ctx, cut := context.WithCancel(r.ctx)
	ns, addr := r.hostUntil(ctx)
	for name, cfg := range map[string]Config{
		"no name":      {NS: ns, Addr: addr},
		"no namespace": {Name: "a", Addr: addr},
		"no address":   {Name: "a", NS: ns},
		"short key":    {Name: "a", NS: ns, Addr: addr, Keys: [][]byte{make([]byte, 5)}},
		"four keys":    {Name: "a", NS: ns, Addr: addr, Keys: [][]byte{key(1), key(2), key(3), key(4)}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New gives no error", name)
		}
	}
	n, done := r.start(r.ctx, ns, addr, nil)
	if err := n.Put("net", EndpointTable, "ep", nil); err == nil {
		t.Error("Put works on a network that the node is not on")
	}
	if err := n.JoinNetwork("net"); err != nil {
		t.Fatal(err)
	}
	if err := n.Put("net", EndpointTable, "ep", make([]byte, 1400)); err == nil {
		t.Error("Put takes an entry that no packet has room for")
	}
	<-n.Ready()
	if err := n.Run(r.ctx); err == nil {
		t.Error("Run works twice")
	}
	cut()
	<-done // with its namespace
	if err := n.Join(r.ctx, addr); err == nil {
		t.Error("Join works after the end")
	}
}

package directory

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// host is a node with a directory and a cable.
type host struct {
	*Directory
	t     *testing.T
	g     *gossip.Node
	cable *fabric.Link
	addr  netip.Addr
	stop  func() // ends Run of the directory, and waits until it has
}

// hosts are nodes on one switch, not connected yet.
func hosts(t *testing.T, names ...string) []*host {
	tor := l2switch.New(l2switch.Config{Name: "tor"})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	var all []*host
	for i, name := range names {
		h := &host{t: t, addr: netip.AddrFrom4([4]byte{192, 168, 1, byte(i + 2)})}
		ns := netns.New(netns.Config{Name: name, Seed: uint64(i)})
		h.cable = fabric.NewLink(name+"/eth0", "tor/"+name)
		if _, err := tor.AddPort(name, h.cable.B(), l2switch.PortConfig{}); err != nil {
			t.Fatal(err)
		}
		if _, err := ns.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: h.cable.A(), Addr: netip.PrefixFrom(h.addr, 24)}); err != nil {
			t.Fatal(err)
		}
		var err error
		if h.g, err = gossip.New(gossip.Config{NS: ns, Name: name, Addr: h.addr, Times: gossip.Times{
			Gossip: 20 * time.Millisecond, Probe: 200 * time.Millisecond, Sync: time.Second, PushPull: time.Second,
		}}); err != nil {
			t.Fatal(err)
		}
		h.Directory = New(Config{Node: name, VTEP: h.addr})
		for _, run := range []func(context.Context) error{ns.Run, h.cable.Run, h.g.Run} {
			wg.Go(func() {
				if err := run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		<-h.g.Ready()
		if i > 0 {
			if err := h.g.Join(ctx, all[0].addr); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, h)
	}
	return all
}

// connect lets the directory run until the test ends, or stop is called.
func (h *host) connect() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.Run(ctx, h.g); err != nil {
			h.t.Error(err)
		}
	}()
	h.stop = func() { cancel(); <-done }
	h.t.Cleanup(h.stop)
}

// record is that of an endpoint of the host with that number.
func (h *host) record(n byte) cnm.Record {
	return cnm.Record{
		Key: fmt.Sprintf("ep%d", n), Name: fmt.Sprintf("c%d", n), IP: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 24),
		MAC: wire.MAC{2, 0x42, 10, 0, 0, n}, VTEP: h.addr, Node: h.cfg.Node,
	}
}

// knows waits until the directory holds just these records of the network n, in any order.
func (h *host) knows(what string, want ...cnm.Record) {
	h.t.Helper()
	limit := time.After(patience)
	byKey := func(a, b cnm.Record) int { return int(a.Key[len(a.Key)-1]) - int(b.Key[len(b.Key)-1]) }
	slices.SortFunc(want, byKey)
	for {
		got, changed := h.Records("n")
		slices.SortFunc(got, byKey)
		if len(got) == 0 && len(want) == 0 || reflect.DeepEqual(got, want) {
			return
		}
		select {
		case <-changed:
		case <-limit:
			h.t.Fatalf("%s: %s knows %+v; want %+v", what, h.cfg.Node, got, want)
		}
	}
}

func TestDirectoryOverGossip(t *testing.T) {
	all := hosts(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	ha, hb := &hearer{t: t}, &hearer{t: t}
	a.Join("n", ha)
	a.Publish("n", a.record(1))
	if got := ha.take(); !slices.Equal(got, []string{"+ep1@a"}) {
		t.Errorf("not connected, heard %v of its own", got)
	}
	for _, h := range all {
		h.connect()
	}
	leave := b.Join("n", hb)
	b.knows("what was there before", a.record(1))
	b.Publish("n", b.record(2))
	a.knows("of another node", a.record(1), b.record(2))
	c.knows("C4: who is not on the network hears nothing")

	changed := a.record(1)
	changed.Disabled = true
	changed.Service = &cnm.ServiceBinding{ServiceID: "s", ServiceName: "web", VIP: netip.MustParseAddr("10.0.0.9")}
	a.Publish("n", changed)
	b.knows("a change", changed, b.record(2))
	b.Withdraw("n", "ep1")
	a.knows("only its owner takes a record back", changed, b.record(2))
	a.Withdraw("n", "ep1")
	b.knows("a record that was taken back", b.record(2))
	if got := ha.take(); !slices.Equal(got, []string{"+ep2@b", "+ep1@a", "-ep1@a"}) {
		t.Errorf("a heard %v", got)
	}

	b.Withdraw("n", "ep2")
	leave()
	a.knows("O4: after the last endpoint nothing is left")
	b.mu.Lock()
	if len(b.topics) != 0 {
		t.Errorf("left behind: %v", b.topics)
	}
	b.mu.Unlock()
	b.Join("n", hb)
	a.Publish("n", a.record(3))
	b.knows("on the network again", a.record(3))
}

// TestCutCable: of a node that is not there any more nothing is left (C9), and it is told again when the cable is back.
func TestCutCable(t *testing.T) {
	all := hosts(t, "a", "b")
	a, b := all[0], all[1]
	for _, h := range all {
		h.connect()
		h.Join("n", &hearer{t: t})
	}
	a.Publish("n", a.record(1))
	b.Publish("n", b.record(2))
	a.knows("before", a.record(1), b.record(2))
	b.cable.SetUp(false)
	a.knows("C9", a.record(1))
	b.cable.SetUp(true)
	a.knows("C10", a.record(1), b.record(2))
	b.knows("C10", a.record(1), b.record(2))
}

// TestAnotherConnection: what was told over one connection is forgotten when there is another.
func TestAnotherConnection(t *testing.T) {
	all := hosts(t, "a", "b")
	a, b := all[0], all[1]
	a.connect()
	b.connect()
	a.Join("n", &hearer{t: t})
	a.Publish("n", a.record(1))
	b.Publish("n", b.record(2))
	b.Publish("n", b.record(3))
	a.knows("before", a.record(1), b.record(2), b.record(3))
	a.stop()
	b.Withdraw("n", "ep2")
	a.Publish("n", a.record(5))
	a.knows("not connected", a.record(1), b.record(2), b.record(3), a.record(5))
	a.connect()
	a.knows("after", a.record(1), b.record(3), a.record(5))
	b.knows("after", a.record(1), b.record(3), a.record(5))
}

// TestBadRecords: what makes no sense is not a record.
func TestBadRecords(t *testing.T) {
	all := hosts(t, "a", "b")
	a, b := all[0], all[1]
	a.connect()
	b.connect()
	a.Join("n", &hearer{t: t})
	b.Publish("n", b.record(1))
	a.knows("before", b.record(1))
	for _, e := range []struct{ table, key, value string }{
		{gossip.EndpointTable, "ep2", "{"}, {gossip.PeerTable, "ep2", "{"}, {gossip.PeerTable, "ep3", `{"ip":"10.0.0.3/24","mac":"02:42:0a:00:00:03","vtep":"192.168.1.2"}`},
	} {
		if err := b.g.Put("n", e.table, e.key, []byte(e.value)); err != nil {
			t.Fatal(err)
		}
	}
	b.Publish("n", b.record(4))
	a.knows("a record of which one half came is none", b.record(1), b.record(4))
	if err := b.g.Put("n", gossip.PeerTable, "ep4", []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	a.knows("one that makes no sense any more is gone", b.record(1))
}

package stp

import (
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

func (n *network) portInfo(e end) PortInfo {
	n.Helper()
	for _, p := range n.bridges[e.bridge].Ports() {
		if p.Number == e.port {
			return p
		}
	}
	n.Fatalf("no port %v", e)
	return PortInfo{}
}

// An edge port forwards at once; any other port without a bridge behind it after three seconds, as it finds out.
func TestEdges(t *testing.T) {
	n := newNetwork(t, 1, nil)
	edge, host := n.port(0, PortConfig{Edge: true}), n.port(0, PortConfig{})
	for _, e := range []end{edge, host} {
		n.bridges[0].SetLink(e.port, true, n.now)
		n.obey(0)
	}
	if got := n.states[0][edge.port]; got != Forwarding {
		t.Errorf("the edge is %v at once", got)
	}
	n.run(2900*time.Millisecond, nil)
	if got := n.states[0][host.port]; got != Discarding {
		t.Errorf("the other is %v before 3 s", got)
	}
	n.run(200*time.Millisecond, nil)
	if got := n.states[0][host.port]; got != Forwarding || !n.portInfo(host).Edge {
		t.Errorf("the other is %v after 3 s", got)
	}
	n.bridges[0].Receive(edge.port, sample, n.now) // there is a bridge after all, and a better one
	n.obey(0)
	if p := n.portInfo(edge); p.Edge || p.Role != RoleRoot {
		t.Errorf("the edge that heard a bridge = %+v", p)
	}
}

// The bridge with the lowest priority is the root, and the cheapest way to it is taken.
func TestPrioritiesAndCosts(t *testing.T) {
	n := newNetwork(t, 3, func(i int, c *Config) {
		if i == 2 {
			c.ID = NewBridgeID(0x1000, wire.MAC{2, 9})
		}
	})
	c := &cable{a: n.port(0, PortConfig{Cost: 100}), b: n.port(2, PortConfig{})}
	n.cables = append(n.cables, c)
	n.cable(0, 1)
	n.cable(1, 2)
	n.start()
	n.converge(time.Second, n.noLoops)
	if i := n.bridges[0].Info(); i.Root != NewBridgeID(0x1000, wire.MAC{2, 9}) || i.RootCost != 100 || i.RootPort != c.a.port {
		t.Errorf("Info = %+v", i)
	}
}

// A topology change flushes what was learned elsewhere, and not where it came from.
func TestTopologyChangeFlushes(t *testing.T) {
	n := newNetwork(t, 4, nil)
	ring(n)
	edge := n.port(1, PortConfig{Edge: true})
	n.bridges[1].SetLink(edge.port, true, n.now)
	n.obey(1)
	n.start()
	n.converge(time.Second, nil)
	n.run(30*time.Second, nil)
	before, edges := 0, n.flushed[1][edge.port]
	for _, f := range n.flushed {
		for _, k := range f {
			before += k
		}
	}
	n.set(n.cables[0], false)
	n.converge(time.Second, nil)
	after := 0
	for _, f := range n.flushed {
		for _, k := range f {
			after += k
		}
	}
	if after < before+3 || n.flushed[1][edge.port] != edges {
		t.Errorf("%d flushes, of which %d at an edge; want some, and none there", after-before, n.flushed[1][edge.port]-edges)
	}
}

// Ports to a bridge of 1998 speak as that does, and those to others do not; once it is replaced they speak the rapid protocol again.
func TestNeighbourOf1998(t *testing.T) {
	n := newNetwork(t, 3, func(i int, c *Config) { c.Legacy = i == 2 })
	ring(n)
	n.start()
	n.run(time.Minute, n.noLoops)
	if w := n.wrong(); w != "" {
		t.Fatal(w)
	}
	for _, c := range n.cables {
		for _, e := range []end{c.a, c.b} {
			other := c.a.bridge + c.b.bridge - e.bridge
			if p := n.portInfo(e); e.bridge != 2 && p.Legacy != (other == 2) {
				t.Errorf("the port of %d to %d: legacy %v", e.bridge, other, p.Legacy)
			}
		}
	}
	n.bridges[2].cfg.Legacy = false
	for _, p := range n.bridges[2].ports {
		p.sendRSTP, p.newInfo = true, true
	}
	n.run(time.Minute, nil)
	for _, c := range n.cables {
		if n.portInfo(c.a).Legacy || n.portInfo(c.b).Legacy {
			t.Errorf("after the upgrade a port still speaks version 0")
		}
	}
}

// A cable that carries frames one way only makes no loop: the bridge that is not heard notices.
func TestDispute(t *testing.T) {
	n := newNetwork(t, 2, nil)
	c := n.cable(0, 1)
	n.start()
	n.converge(time.Second, nil)
	n.bridges[1].Receive(c.b.port, BPDU{Kind: KindRST, Role: RoleDesignated, Learning: true, // as if bridge 1 had never been heard by the root
		Vector: Vector{Root: NewBridgeID(0x9000, wire.MAC{2, 9}), Bridge: NewBridgeID(0x9000, wire.MAC{2, 9}), Port: 1}, Times: sample.Times}, n.now)
	if n.bridges[1].port(c.b.port).disputed != true {
		t.Error("an inferior BPDU of a designated port that learns is not disputed")
	}
	b := n.bridges[0] // whose port is designated and forwards
	b.Receive(c.a.port, BPDU{Kind: KindRST, Role: RoleDesignated, Learning: true,
		Vector: Vector{Root: NewBridgeID(0x9000, wire.MAC{2, 9}), Bridge: NewBridgeID(0x9000, wire.MAC{2, 9}), Port: 1}, Times: sample.Times}, n.now)
	n.obey(0)
	if got := n.states[0][c.a.port]; got != Discarding {
		t.Errorf("the port is %v; want it discarding", got)
	}
}

// No more than the hold count of BPDUs are sent in a second, whatever happens.
func TestTransmitHold(t *testing.T) {
	b := New(Config{ID: NewBridgeID(0x8000, wire.MAC{2, 1})})
	b.AddPort(1, PortConfig{})
	b.SetLink(1, true, 0)
	m, sent := sample, 0
	for i := range 1000 {
		m.Vector.Cost = uint32(i%2) * 100
		m.Root = NewBridgeID(uint16(0x1000*(1+i%2)), wire.MAC{3})
		b.Receive(1, m, time.Duration(i)*time.Millisecond)
		for _, a := range b.Take() {
			if a.Do == Send {
				sent++
			}
		}
	}
	if sent < 2 || sent > 7 {
		t.Errorf("%d BPDUs in a second; want at most 6 and what was sent before", sent)
	}
}

func TestCostOf(t *testing.T) {
	for rate, want := range map[uint64]uint32{0: 2000, 10_000_000: 2_000_000, 1_000_000_000: 20_000, 10_000_000_000: 2000, 1: 200_000_000, 1e15: 1} {
		if got := CostOf(rate); got != want {
			t.Errorf("CostOf(%d) = %d; want %d", rate, got, want)
		}
	}
}

func BenchmarkReceiveHello(b *testing.B) {
	br := New(Config{ID: NewBridgeID(0x8000, wire.MAC{2, 2})})
	for n := range uint16(8) {
		br.AddPort(n+1, PortConfig{})
		br.SetLink(n+1, true, 0)
	}
	b.ReportAllocs()
	at := time.Duration(0)
	for b.Loop() {
		at += time.Millisecond
		br.Receive(1, sample, at)
		br.Take()
	}
}

package stp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// network is bridges with cables between them, and its own time.
type network struct {
	testing.TB
	bridges []*Bridge
	states  []map[uint16]State
	flushed []map[uint16]int
	cables  []*cable
	now     time.Duration
	flying  flying
	sent    int
	delay   func() time.Duration
}

// cable is between two ports.
type cable struct {
	a, b end
	up   bool
}

type end struct {
	bridge int
	port   uint16
}

// frame is a BPDU that is on its way.
type frame struct {
	at   time.Duration
	seq  int
	to   end
	via  *cable
	data []byte
}

type flying []frame

func (f flying) Len() int { return len(f) }
func (f flying) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].seq < f[j].seq
}
func (f flying) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flying) Push(x any)   { *f = append(*f, x.(frame)) }
func (f *flying) Pop() any {
	last := len(*f) - 1
	x := (*f)[last]
	*f = (*f)[:last]
	return x
}

func newNetwork(t testing.TB, bridges int, change func(i int, c *Config)) *network {
	n := &network{TB: t, delay: func() time.Duration { return time.Millisecond }}
	for i := range bridges {
		cfg := Config{ID: NewBridgeID(0x8000, wire.MAC{2, 0, 0, 0, 0, byte(i + 1)})}
		if change != nil {
			change(i, &cfg)
		}
		n.bridges = append(n.bridges, New(cfg))
		n.states = append(n.states, map[uint16]State{})
		n.flushed = append(n.flushed, map[uint16]int{})
	}
	return n
}

func (n *network) port(bridge int, cfg PortConfig) end {
	e := end{bridge, uint16(len(n.states[bridge]) + 1)}
	n.bridges[bridge].AddPort(e.port, cfg)
	n.states[bridge][e.port] = Discarding
	return e
}

// cable connects two bridges; it is out at first.
func (n *network) cable(a, b int) *cable {
	c := &cable{a: n.port(a, PortConfig{}), b: n.port(b, PortConfig{})}
	n.cables = append(n.cables, c)
	return c
}

func (n *network) set(c *cable, up bool) {
	c.up = up
	for _, e := range []end{c.a, c.b} {
		n.bridges[e.bridge].SetLink(e.port, up, n.now)
		n.obey(e.bridge)
	}
}

func (n *network) start() *network {
	for _, c := range n.cables {
		n.set(c, true)
	}
	return n
}

// obey does what a bridge wants.
func (n *network) obey(bridge int) {
	for _, a := range n.bridges[bridge].Take() {
		from := end{bridge, a.Port}
		switch a.Do {
		case Change:
			n.states[bridge][a.Port] = a.To
		case Flush:
			n.flushed[bridge][a.Port]++
		case Send:
			for _, c := range n.cables {
				to := c.b
				if c.b == from {
					to = c.a
				} else if c.a != from {
					continue
				}
				n.sent++
				heap.Push(&n.flying, frame{n.now + n.delay(), n.sent, to, c, a.BPDU.Append(nil)})
			}
		}
	}
}

// run lets that much time pass. each, if not nil, is called after every event.
func (n *network) run(d time.Duration, each func()) {
	n.Helper()
	end := n.now + d
	for {
		next, who := end, -1
		for i, b := range n.bridges {
			if at, ok := b.Next(); ok && at < next {
				next, who = max(at, n.now), i
			}
		}
		if len(n.flying) > 0 && n.flying[0].at <= next {
			f := heap.Pop(&n.flying).(frame)
			n.now = max(n.now, f.at)
			if f.via.up {
				m, err := Parse(f.data)
				if err == nil {
					n.bridges[f.to.bridge].Receive(f.to.port, m, n.now)
					n.obey(f.to.bridge)
				} else if err != errExpired {
					n.Fatal(err)
				}
			}
		} else if who >= 0 {
			n.now = next
			n.bridges[who].Tick(n.now)
			n.obey(who)
		} else {
			n.now = end
			return
		}
		if each != nil {
			each()
		}
	}
}

// groups returns a function that tells the representative of a bridge among those that cables connect for which is says so.
func (n *network) groups(is func(*cable) bool) (find func(int) int, loops int) {
	parent := make([]int, len(n.bridges))
	for i := range parent {
		parent[i] = i
	}
	find = func(i int) int {
		for parent[i] != i {
			i = parent[i]
		}
		return i
	}
	for _, c := range n.cables {
		if !is(c) {
			continue
		}
		x, y := find(c.a.bridge), find(c.b.bridge)
		if x == y {
			loops++
		}
		parent[x] = y
	}
	return find, loops
}

func (n *network) carries(c *cable) bool {
	return c.up && n.states[c.a.bridge][c.a.port] == Forwarding && n.states[c.b.bridge][c.b.port] == Forwarding
}

// wrong tells what keeps the cables that carry frames from being a spanning tree; "" if nothing does.
func (n *network) wrong() string {
	tree, loops := n.groups(n.carries)
	all, _ := n.groups(func(c *cable) bool { return c.up })
	if loops > 0 {
		return fmt.Sprintf("there are %d loops", loops)
	}
	for i := range n.bridges {
		root := n.bridges[i].cfg.ID
		for j := range n.bridges {
			if all(i) == all(j) {
				root = min(root, n.bridges[j].cfg.ID)
			}
		}
		if got := n.bridges[i].Info().Root; got != root {
			return fmt.Sprintf("the root of bridge %d is %v; want %v", i, got, root)
		}
		for j := range i {
			if (tree(i) == tree(j)) != (all(i) == all(j)) {
				return fmt.Sprintf("bridges %d and %d are cabled and not connected", j, i)
			}
		}
		for _, p := range n.bridges[i].Ports() {
			if !p.Settled && n.upAt(end{i, p.Number}) {
				return fmt.Sprintf("port %d of bridge %d is not settled: %+v", p.Number, i, p)
			}
		}
	}
	return ""
}

func (n *network) upAt(e end) bool {
	for _, c := range n.cables {
		if c.a == e || c.b == e {
			return c.up
		}
	}
	return true
}

// converge runs until the tree is right, and returns how long that took.
func (n *network) converge(limit time.Duration, each func()) time.Duration {
	n.Helper()
	begun := n.now
	for n.wrong() != "" {
		if n.now-begun > limit {
			n.Fatalf("not converged after %v: %s", limit, n.wrong())
		}
		n.run(5*time.Millisecond, each)
	}
	return n.now - begun
}

func (n *network) noLoops() {
	if _, loops := n.groups(n.carries); loops > 0 {
		n.Fatalf("at %v there are %d loops", n.now, loops)
	}
}

// A ring and a full mesh come up, and find another way when a cable is cut, in a few round trips and without ever having a loop.
func TestConvergesFast(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sws   int
		build func(n *network)
	}{
		{"two bridges with two cables", 2, func(n *network) { n.cable(0, 1); n.cable(0, 1) }},
		{"triangle", 3, ring},
		{"ring of seven", 7, ring},
		{"mesh of five", 5, func(n *network) {
			for i := range 5 {
				for j := range i {
					n.cable(j, i)
				}
			}
		}},
		{"three tiers", 6, func(n *network) {
			for _, c := range [][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}, {2, 4}, {3, 4}, {2, 5}, {3, 5}} {
				n.cable(c[0], c[1])
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t, tt.sws, nil)
			tt.build(n)
			n.start()
			if took := n.converge(10*time.Second, n.noLoops); took > 500*time.Millisecond {
				t.Errorf("it took %v to come up", took)
			}
			n.run(10*time.Second, n.noLoops)
			for i, c := range n.cables {
				n.set(c, false)
				took := n.converge(20*time.Second, n.noLoops)
				if took > 500*time.Millisecond {
					t.Errorf("it took %v without cable %d", took, i)
				}
				n.run(10*time.Second, n.noLoops)
				n.set(c, true)
				if took := n.converge(20*time.Second, n.noLoops); took > 500*time.Millisecond {
					t.Errorf("it took %v to take cable %d back", took, i)
				}
				n.run(10*time.Second, n.noLoops)
			}
		})
	}
}

func ring(n *network) {
	for i := range n.bridges {
		n.cable(i, (i+1)%len(n.bridges))
	}
}

// Whatever the cabling and whatever is cut, what remains after a while is exactly a spanning tree of what is cabled.
func TestSpanningTreeOfAnyMesh(t *testing.T) {
	seeds := 80
	if testing.Short() {
		seeds = 15
	}
	for seed := range uint64(seeds) {
		luck := rand.New(rand.NewPCG(seed, 1))
		n := newNetwork(t, 2+luck.IntN(9), func(i int, c *Config) {
			c.ID = NewBridgeID(uint16(luck.IntN(3))<<12, wire.MAC{2, byte(luck.IntN(256)), 0, 0, 0, byte(i)})
			c.Legacy = luck.IntN(12) == 0
		})
		n.delay = func() time.Duration { return 2*time.Millisecond + time.Duration(luck.IntN(20))*time.Microsecond }
		for range len(n.bridges) - 1 + luck.IntN(2*len(n.bridges)) {
			if a, b := luck.IntN(len(n.bridges)), luck.IntN(len(n.bridges)); a != b {
				n.cable(a, b)
			}
		}
		n.start()
		for round := range 6 {
			n.run(90*time.Second, nil) // in which what is old has aged, and ports to bridges of 1998 have waited twice
			n.run(10*time.Second, func() {
				if w := n.wrong(); w != "" {
					t.Fatalf("seed %d round %d at %v: %s", seed, round, n.now, w)
				}
			})
			for _, c := range n.cables {
				if luck.IntN(3) == 0 {
					n.set(c, !c.up)
				}
			}
		}
	}
}

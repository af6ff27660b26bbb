package l2switch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// mesh is a number of switches that veth pairs connect; all of it runs on the goroutine of who sends.
type mesh struct {
	testing.TB
	sws   []*Switch
	ports int
	hosts []*sink
}

func newMesh(t testing.TB, switches int) *mesh {
	m := &mesh{TB: t}
	for i := range switches {
		m.sws = append(m.sws, New(Config{Name: fmt.Sprintf("sw%d", i)}))
	}
	return m
}

// cable connects two switches with n pairs.
func (m *mesh) cable(a, b, n int) {
	for range n {
		m.ports++
		x, y := fabric.NewVeth(fmt.Sprintf("x%d", m.ports), fmt.Sprintf("y%d", m.ports))
		m.add(a, x.Name(), x)
		m.add(b, y.Name(), y)
	}
}

// host puts a host on a switch; it counts what reaches it.
func (m *mesh) host(sw int) *Port {
	h := new(sink)
	m.hosts = append(m.hosts, h)
	return m.add(sw, fmt.Sprintf("h%d", len(m.hosts)-1), h)
}

func (m *mesh) add(sw int, name string, p fabric.Port) *Port {
	m.Helper()
	port, err := m.sws[sw].AddPort(name, p, PortConfig{})
	if err != nil {
		m.Fatal(err)
	}
	return port
}

// totals returns how many frames the switches received, and how many ends of pairs dropped for the hop limit.
func (m *mesh) totals() (received, loops uint64) {
	for _, sw := range m.sws {
		for _, p := range *sw.ports.Load() {
			s := p.Read()
			received += s.RxFrames
			if v, ok := p.wire.(*fabric.VethEnd); ok {
				loops += v.Dropped(fabric.DropHopLimit)
			}
		}
	}
	return received, loops
}

// A broadcast in a network with loops ends, on the sender's goroutine, after a bounded number of frames. What is left of
// it is counted as dropped for the hop limit, and no port holds a frame back.
func TestStormEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build func(m *mesh)
		sws   int
	}{
		{"two cables between two switches", func(m *mesh) { m.cable(0, 1, 2) }, 2},
		{"three cables between two switches", func(m *mesh) { m.cable(0, 1, 3) }, 2},
		{"ten cables between two switches", func(m *mesh) { m.cable(0, 1, 10) }, 2},
		{"a ring of four", func(m *mesh) {
			for i := range 4 {
				m.cable(i, (i+1)%4, 1)
			}
		}, 4},
		{"a full mesh of six", func(m *mesh) {
			for i := range 6 {
				for k := range i {
					m.cable(i, k, 1)
				}
			}
		}, 6},
		{"a cable from a switch to itself", func(m *mesh) { m.cable(0, 0, 2) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && (tt.sws > 4 || strings.HasPrefix(tt.name, "ten")) {
				t.Skip("a quarter of a million frames, as in the small ones")
			}
			m := newMesh(t, tt.sws)
			from := m.host(0)
			last := m.host(tt.sws - 1)
			tt.build(m)
			f := fabric.FromBytes(eth(wire.Broadcast, mac(1)))
			f.Hops = 1 // it came by the host's veth pair
			from.Receive([]*fabric.Frame{f})
			received, loops := m.totals()
			if most := uint64(1 << 18); received > most {
				t.Errorf("the switches received %d frames; want no more than %d", received, most)
			}
			if loops == 0 {
				t.Errorf("nothing was dropped for the hop limit, of %d frames", received)
			}
			if last.Read().TxFrames == 0 {
				t.Error("the host on the last switch got no frame")
			}
			t.Logf("%d frames received, %d dropped for the hop limit", received, loops)
		})
	}
}

// Where there is no loop, every host gets a broadcast once, however many switches lie between.
func TestFloodReachesEveryHost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build func(m *mesh) (switches []int) // with hosts
		sws   int
		hosts int // on each
	}{
		{"15 switches in a row", func(m *mesh) (at []int) {
			for i := range 15 {
				if at = append(at, i); i > 0 {
					m.cable(i-1, i, 1)
				}
			}
			return at
		}, 15, 1},
		{"100 switches in a row, hosts at the ends", func(m *mesh) []int {
			for i := 1; i < 100; i++ {
				m.cable(i-1, i, 1)
			}
			return []int{0, 99}
		}, 100, 1},
		{"7 switches of 8 ports in a row", func(m *mesh) (at []int) {
			for i := range 7 {
				if at = append(at, i); i > 0 {
					m.cable(i-1, i, 1)
				}
			}
			return at
		}, 7, 7},
		{"a core, 8 in the middle, 4 below each", func(m *mesh) (at []int) {
			for i := 1; i <= 8; i++ {
				m.cable(0, i, 1)
				for k := range 4 {
					edge := 9 + (i-1)*4 + k
					m.cable(i, edge, 1)
					at = append(at, edge)
				}
			}
			return at
		}, 41, 20},
		{"two of 1,000 ports", func(m *mesh) []int { m.cable(0, 1, 1); return []int{0, 1} }, 2, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMesh(t, tt.sws)
			var from *Port
			for _, sw := range tt.build(m) {
				for range tt.hosts {
					if p := m.host(sw); from == nil {
						from = p
					}
				}
			}
			f := fabric.FromBytes(eth(wire.Broadcast, mac(1)))
			f.Hops = 1
			from.Receive([]*fabric.Frame{f})
			for i, h := range m.hosts[1:] {
				if n := h.n.Load(); n != 1 {
					t.Fatalf("host %d of %d got %d frames; want 1", i+1, len(m.hosts), n)
				}
			}
			if n := m.hosts[0].n.Load(); n != 0 {
				t.Errorf("the sender got %d of its own", n)
			}
		})
	}
}

// A frame that goes to one port, known or not, ages no faster than by the devices it passes.
func TestForwardingDoesNotAge(t *testing.T) {
	m := newMesh(t, 100)
	from, to := m.host(0), new(collector)
	m.add(99, "last", to)
	for i := 1; i < 100; i++ {
		m.cable(i-1, i, 1)
	}
	f := fabric.FromBytes(eth(mac(9), mac(1)))
	f.Hops = 1
	from.Receive([]*fabric.Frame{f})
	if len(to.hops) != 1 || to.hops[0] != 100 {
		t.Errorf("arrived after %d hops; want [100]", to.hops)
	}
}

// collector is a port that notes the age of what it is sent.
type collector struct{ hops []uint8 }

func (c *collector) Send(batch []*fabric.Frame) {
	for _, f := range batch {
		c.hops = append(c.hops, f.Hops)
		f.Free()
	}
}

func (c *collector) SetReceiver(fabric.Receiver) {}

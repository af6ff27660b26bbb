package l2switch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch/stp"
)

// grove is switches that speak the spanning tree protocol, with cables between them.
type grove struct {
	testing.TB
	sws   []*Switch
	links []*fabric.Link
	ctx   context.Context
	wg    sync.WaitGroup
}

func newGrove(t testing.TB, switches int) *grove {
	g := &grove{TB: t}
	var stop context.CancelFunc
	g.ctx, stop = context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); g.wg.Wait() })
	for i := range switches {
		id := stp.NewBridgeID(0x8000, wire.MAC{2, 0, 0, 0, byte(i)})
		g.sws = append(g.sws, New(Config{Name: fmt.Sprintf("sw%d", i), STP: &stp.Config{ID: id}}))
	}
	return g
}

func (g *grove) run(f func(context.Context) error) {
	g.wg.Go(func() {
		if err := f(g.ctx); err != nil {
			g.Error(err)
		}
	})
}

func (g *grove) cable(a, b int) *fabric.Link {
	n := len(g.links)
	link := fabric.NewLink(fmt.Sprintf("l%da", n), fmt.Sprintf("l%db", n))
	g.links = append(g.links, link)
	g.port(a, link.A().Name(), link.A(), PortConfig{})
	g.port(b, link.B().Name(), link.B(), PortConfig{})
	g.run(link.Run)
	return link
}

func (g *grove) port(sw int, name string, p fabric.Port, cfg PortConfig) *Port {
	g.Helper()
	port, err := g.sws[sw].AddPort(name, p, cfg)
	if err != nil {
		g.Fatal(err)
	}
	return port
}

// until waits for what must happen.
func (g *grove) until(what string, is func() bool) {
	g.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			for _, sw := range g.sws {
				tree, _ := sw.Tree()
				g.Logf("%s: %+v", sw.Name(), tree)
			}
			g.Fatalf("%s does not come true", what)
		}
	}
}

func (g *grove) settled() bool {
	for range 3 {
		for _, sw := range g.sws {
			if !sw.Settled() {
				return false
			}
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// A ring settles, carries frames between edges once and not twice, and does so after a cut.
func TestTree(t *testing.T) {
	g := newGrove(t, 3)
	for i := range 3 {
		g.cable(i, (i+1)%3)
	}
	left, right := new(tap), new(tap)
	edge := g.port(0, "left", left, PortConfig{STP: stp.PortConfig{Edge: true}})
	g.port(2, "right", right, PortConfig{STP: stp.PortConfig{Edge: true}})
	edge.Receive([]*fabric.Frame{fabric.FromBytes(frame(1))})
	if n := edge.Dropped(fabric.DropSTP); n != 1 {
		t.Errorf("before Run %d frames were dropped as blocked; want 1", n)
	}
	for _, sw := range g.sws {
		g.run(sw.Run)
	}
	g.until("that the tree is settled", g.settled)
	for round := range 2 {
		right.take()
		before := blocked(g)
		edge.Receive([]*fabric.Frame{fabric.FromBytes(frame(byte(10 + round)))})
		g.until("that the frame arrives", func() bool { return countFrames(right.take()) == 1 })
		if round == 0 {
			g.until("that its copy is dropped where the ring is cut open", func() bool { return blocked(g) > before })
		}
		time.Sleep(5 * time.Millisecond)
		if n := countFrames(right.take()); n > 0 {
			t.Errorf("%d more copies arrived", n)
		}
		g.links[2].SetUp(false) // the way that is taken
		g.until("that the tree is settled again", g.settled)
	}
	tree, ok := g.sws[1].Tree()
	if !ok || tree.Root != stp.NewBridgeID(0x8000, wire.MAC{2}) || len(tree.Ports) != 2 || tree.Ports[0].Name != "l0b" || tree.Ports[0].Role != stp.RoleRoot {
		t.Errorf("Tree = %+v", tree)
	}
	if err := g.sws[0].RemovePort("l0a"); err != nil {
		t.Fatal(err)
	}
	g.until("that the port is gone from the tree", func() bool {
		tree, _ := g.sws[0].Tree()
		return len(tree.Ports) == 2 && tree.Ports[0].Name != "l0a"
	})
}

// frame is a broadcast from a host.
func frame(host byte) []byte {
	b := make([]byte, 64)
	wire.PutEthernet(b, wire.Broadcast, wire.MAC{2, 0, 0, 1, 0, host}, 0x0800)
	return b
}

// countFrames counts frames that are no BPDUs.
func countFrames(all [][]byte) int {
	n := 0
	for _, b := range all {
		if b[0] == 0xff {
			n++
		}
	}
	return n
}

func blocked(g *grove) uint64 {
	var n uint64
	for _, sw := range g.sws {
		for _, p := range *sw.ports.Load() {
			n += p.Dropped(fabric.DropSTP)
		}
	}
	return n
}

func TestTreeTakesAnyFrame(t *testing.T) {
	sw := New(Config{Name: "sw", STP: &stp.Config{ID: 1 << 48}})
	in := &tap{}
	p, err := sw.AddPort("p", in, PortConfig{})
	if err != nil {
		t.Fatal(err)
	}
	good := append(make([]byte, 0, 60), 0x01, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 7, 0x42, 0x42, 0x03, 0, 0, 0, 0x80)
	for n := 12; n < len(good); n++ {
		p.Receive([]*fabric.Frame{fabric.FromBytes(good[:n])})
	}
	other := append([]byte(nil), good...)
	other[14] = 0xaa
	p.Receive([]*fabric.Frame{fabric.FromBytes(other)})
	if n := p.Read().Dropped(); n != uint64(len(good)-12+1) {
		t.Errorf("%d of %d were dropped; want all", n, len(good)-12+1)
	}
	for range bpduQueue + 5 { // nobody runs the switch
		p.Receive([]*fabric.Frame{fabric.FromBytes(good)})
	}
	if n := p.Dropped(fabric.DropQueueFull); n != 5 {
		t.Errorf("%d BPDUs were dropped for want of room; want 5", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sw.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := sw.Run(ctx); err == nil {
		t.Error("a switch ran twice")
	}
	if err := New(Config{}).Run(t.Context()); err != nil {
		t.Errorf("Run of a switch without the protocol = %v", err)
	}
	if _, ok := New(Config{}).Tree(); ok || !New(Config{}).Settled() {
		t.Error("a switch without the protocol has a tree")
	}
}

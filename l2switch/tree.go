package l2switch

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch/stp"
)

// holding says what the spanning tree keeps a port from.
type holding uint8

const (
	holdNothing holding = iota
	holdFrames          // it learns, and carries nothing
	holdAll
)

// bpduQueue is how many BPDUs may wait for Run. A neighbour sends at most a handful in a second.
const bpduQueue = 256

// llc is the 802.2 header of BPDUs (IEEE 802.1D 9.2): SAP 0x42 for both, unnumbered information.
var llc = [3]byte{0x42, 0x42, 0x03}

// minFrame is the length of the shortest Ethernet frame, without its check sequence.
const minFrame = 60

// tree drives a stp.Bridge: it owns its clock and hands its BPDUs to and fro.
type tree struct {
	sw      *Switch
	mac     wire.MAC
	in      chan arrival
	news    chan struct{} // holds one when ports or carriers have changed
	running atomic.Bool

	mu     sync.Mutex
	bridge *stp.Bridge // guarded by mu
}

// arrival is a BPDU that a port received.
type arrival struct {
	port uint16
	from *Port
	bpdu stp.BPDU
}

func newTree(s *Switch, cfg stp.Config) *tree {
	t := &tree{sw: s, in: make(chan arrival, bpduQueue), news: make(chan struct{}, 1), bridge: stp.New(cfg)}
	for i := range t.mac {
		t.mac[i] = byte(cfg.ID >> (40 - 8*i))
	}
	return t
}

// carrierWatcher is a port that tells when its carrier may have changed. The carrier of others is looked at every few
// seconds.
type carrierWatcher interface{ WatchCarrier(func()) }

func (t *tree) add(p *Port, cfg stp.PortConfig) {
	t.mu.Lock()
	t.bridge.AddPort(uint16(p.number), cfg)
	t.mu.Unlock()
	if w, ok := p.wire.(carrierWatcher); ok {
		w.WatchCarrier(t.wake)
	}
	t.wake()
}

func (t *tree) remove(p *Port) {
	if w, ok := p.wire.(carrierWatcher); ok {
		w.WatchCarrier(nil)
	}
	t.mu.Lock()
	t.bridge.RemovePort(uint16(p.number), t.sw.now())
	t.mu.Unlock()
	t.wake()
}

// wake has Run look at the carriers, and do what is to be done.
func (t *tree) wake() {
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// arrived takes a frame to the group address of bridges. It runs on the data path.
func (t *tree) arrived(p *Port, f *fabric.Frame) {
	b := f.Linear()
	if len(b) < wire.EthernetLen+len(llc) || !bytes.Equal(b[wire.EthernetLen:wire.EthernetLen+len(llc)], llc[:]) {
		p.Drop(f, fabric.DropMalformed, p.place)
		return
	}
	bpdu, err := stp.Parse(b[wire.EthernetLen+len(llc):])
	if err != nil {
		p.Drop(f, fabric.DropMalformed, p.place)
		return
	}
	select {
	case t.in <- arrival{uint16(p.number), p, bpdu}:
		f.Free()
	default:
		p.Drop(f, fabric.DropQueueFull, p.place)
	}
}

// Run speaks the spanning tree protocol until ctx ends, if the switch was told to; otherwise it returns at once. A
// switch runs once.
func (s *Switch) Run(ctx context.Context) error {
	t := s.tree
	if t == nil {
		return nil
	}
	if t.running.Swap(true) {
		return fmt.Errorf("run switch %s: a switch runs once", s.cfg.Name)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-t.in:
			t.step(func(b *stp.Bridge, at time.Duration) {
				b.SetLink(a.port, a.from.Carrier(), at) // the BPDU may be quicker than the news of the carrier
				b.Receive(a.port, a.bpdu, at)
			})
		case <-t.news:
			t.step(t.lookAtCarriers)
		case <-timer.C:
			t.step(t.lookAtCarriers)
		}
		if !timer.Stop() {
			select { // what has been sent already
			case <-timer.C:
			default:
			}
		}
		timer.Reset(t.untilNext())
	}
}

// untilNext returns how long nothing is to be done.
func (t *tree) untilNext() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	const idle = time.Second // for ports that do not tell when their carrier changes
	if at, ok := t.bridge.Next(); ok {
		return min(max(at-t.sw.now(), 0), idle)
	}
	return idle
}

func (t *tree) lookAtCarriers(b *stp.Bridge, at time.Duration) {
	for _, p := range *t.sw.ports.Load() {
		if p.number > 0 {
			b.SetLink(uint16(p.number), p.Carrier(), at)
		}
	}
	b.Tick(at)
}

// step has the bridge do something, and then does what it wants. Only Run calls it.
func (t *tree) step(do func(b *stp.Bridge, at time.Duration)) {
	t.mu.Lock()
	do(t.bridge, t.sw.now())
	actions := t.bridge.Take()
	t.mu.Unlock()
	if len(actions) == 0 {
		return
	}
	ports := map[uint16]*Port{}
	for _, p := range *t.sw.ports.Load() {
		ports[uint16(p.number)] = p
	}
	for _, a := range actions {
		p := ports[a.Port]
		switch {
		case p == nil: // it was removed just now
		case a.Do == stp.Send:
			t.send(p, a.BPDU)
		case a.Do == stp.Flush:
			t.sw.forget(p)
		default:
			t.sw.holdBack(p, a.To)
		}
	}
}

// send sends a BPDU. It has no VLAN tag (IEEE 802.1Q 8.13.9).
func (t *tree) send(p *Port, bpdu stp.BPDU) {
	body := bpdu.Append(make([]byte, 0, minFrame))
	f := fabric.New()
	b := f.Extend(max(wire.EthernetLen+len(llc)+len(body), minFrame))
	clear(b)
	mac := t.mac
	mac[5] += byte(p.number)
	wire.PutEthernet(b, wire.MAC{0x01, 0x80, 0xc2}, mac, uint16(len(llc)+len(body)))
	copy(b[wire.EthernetLen:], llc[:])
	copy(b[wire.EthernetLen+len(llc):], body)
	p.send([]*fabric.Frame{f})
}

// forget forgets what was learned on a port.
func (s *Switch) forget(p *Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fdb.remove(func(e *entry) bool { return e.port == p && !e.permanent() })
}

// holdBack gives a port its state in the tree.
func (s *Switch) holdBack(p *Port, to stp.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := *p.rules.Load()
	r.hold = holdAll
	switch to {
	case stp.Learning:
		r.hold = holdFrames
	case stp.Forwarding:
		r.hold = holdNothing
	}
	p.rules.Store(&r)
}

// Tree is what a switch knows of the spanning tree.
type Tree struct {
	stp.Info
	Ports []TreePort
}

// TreePort is a port in the tree.
type TreePort struct {
	Name string
	stp.PortInfo
}

// Tree returns what the switch knows of the spanning tree; false if it does not speak the protocol.
func (s *Switch) Tree() (Tree, bool) {
	if s.tree == nil {
		return Tree{}, false
	}
	names := map[uint16]string{}
	for _, p := range *s.ports.Load() {
		names[uint16(p.number)] = p.name
	}
	s.tree.mu.Lock()
	defer s.tree.mu.Unlock()
	all := Tree{Info: s.tree.bridge.Info()}
	for _, p := range s.tree.bridge.Ports() {
		all.Ports = append(all.Ports, TreePort{names[p.Number], p})
	}
	return all, true
}

// Settled tells whether the spanning tree is done with every port that has a carrier, as far as this switch knows. One
// that does not speak the protocol is.
func (s *Switch) Settled() bool {
	tree, ok := s.Tree()
	if !ok {
		return true
	}
	if !s.tree.running.Load() || len(s.tree.news) > 0 || len(s.tree.in) > 0 {
		return false
	}
	for _, p := range tree.Ports {
		port := s.Port(p.Name)
		if port != nil && port.Carrier() && (!p.Settled || p.Role == stp.RoleDisabled) {
			return false
		}
	}
	return true
}

package stp

import (
	"math"
	"slices"
	"time"
)

// Config says what a bridge is like. The zero value but for ID is IEEE 802.1D-2004's (table 17-1).
type Config struct {
	ID          BridgeID
	Hello       time.Duration // between BPDUs; 0: 2 s
	MaxAge      time.Duration // 0: 20 s
	Forward     time.Duration // forward delay; 0: 15 s
	TxHoldCount int           // BPDUs of a port in a second; 0: 6
	Legacy      bool          // speak the protocol of 1998, with its waiting times
}

// PortConfig says what a port is like. The zero value is a port to another bridge.
type PortConfig struct {
	Cost     uint32 // of a way through the port; 0: DefaultCost
	Priority uint8  // of two ports beside each other, the lower is taken; the upper 4 bits count; 0: 128
	Edge     bool   // no bridge is behind the port: it forwards at once
	Shared   bool   // the link has more than two ends
}

// DefaultCost is that of a port of 10 Gbit/s (table 17-3).
const DefaultCost = 2000

// CostOf returns the cost of a port of that many bits per second (table 17-3); 0: DefaultCost.
func CostOf(rate uint64) uint32 {
	if rate == 0 {
		return DefaultCost
	}
	return uint32(min(max(20_000_000_000_000/rate, 1), 200_000_000))
}

const migrateTime = 3 * time.Second // 17.13.9

// State is what a port does with frames.
type State uint8

// The states (7.4).
const (
	Discarding State = iota // or disabled
	Learning
	Forwarding
)

// String returns the state's name.
func (s State) String() string { return [...]string{"discarding", "learning", "forwarding"}[s%3] }

// Action is what is to be done.
type Action struct {
	Port uint16
	Do   Do
	BPDU BPDU  // of Send
	To   State // of Change
}

// Do says what an Action is.
type Do uint8

// The actions.
const (
	Send   Do = iota // send a BPDU
	Change           // change the state of the port
	Flush            // forget what was learned on the port
)

// Bridge is a bridge's part of the protocol. Its methods must be called one at a time, with a time that never goes
// back. What is to be done after each is what Take returns.
type Bridge struct {
	cfg     Config
	ports   []*port
	at      time.Duration
	root    Vector // rootPriority
	times   Times  // rootTimes
	rootVia uint16 // rootPortId; 0: the bridge is the root
	changes int    // topology changes seen
	actions []Action
}

// New returns a bridge without ports.
func New(cfg Config) *Bridge {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&cfg.Hello, 2*time.Second)
	def(&cfg.MaxAge, 20*time.Second)
	def(&cfg.Forward, 15*time.Second)
	if cfg.TxHoldCount <= 0 {
		cfg.TxHoldCount = 6
	}
	b := &Bridge{cfg: cfg}
	b.chooseRoot()
	return b
}

// AddPort adds a port, whose link is down. Numbers are 1 to 4095; one that is there already is not added again.
func (b *Bridge) AddPort(number uint16, cfg PortConfig) {
	if cfg.Cost == 0 {
		cfg.Cost = DefaultCost
	}
	if cfg.Priority == 0 {
		cfg.Priority = 128
	}
	if b.port(number) != nil {
		return
	}
	p := &port{b: b, number: number, cfg: cfg, id: uint16(cfg.Priority&0xf0)<<8 | number&0xfff}
	p.begin()
	b.ports = append(b.ports, p)
	slices.SortFunc(b.ports, func(x, y *port) int { return int(x.number) - int(y.number) })
}

// RemovePort takes a port out.
func (b *Bridge) RemovePort(number uint16, at time.Duration) {
	b.ports = slices.DeleteFunc(b.ports, func(p *port) bool { return p.number == number })
	for _, p := range b.ports {
		p.reselect, p.selected = true, false
	}
	b.run(at)
}

func (b *Bridge) port(number uint16) *port {
	for _, p := range b.ports {
		if p.number == number {
			return p
		}
	}
	return nil
}

// SetLink says whether the link of a port is up.
func (b *Bridge) SetLink(number uint16, up bool, at time.Duration) {
	p := b.port(number)
	if p == nil || p.enabled == up {
		return
	}
	b.at = at
	if p.enabled = up; up {
		p.linkUp()
	}
	b.run(at)
}

// Receive takes a BPDU that arrived at a port.
func (b *Bridge) Receive(number uint16, m BPDU, at time.Duration) {
	p := b.port(number)
	if p == nil || !p.enabled || b.cfg.Legacy && m.Kind == KindRST { // which a bridge of 1998 does not know
		return
	}
	if m.Kind != KindTCN && m.Bridge == b.cfg.ID && m.Port == p.id {
		return // its own (9.3.4)
	}
	b.at = at
	p.receive(m)
	b.run(at)
}

// Tick says that it is that time. It is wanted when Next says so, and may come at any time.
func (b *Bridge) Tick(at time.Duration) { b.run(at) }

// Take returns what is to be done, in order, and forgets it.
func (b *Bridge) Take() []Action {
	all := b.actions
	b.actions = nil
	return all
}

func (b *Bridge) do(a Action) { b.actions = append(b.actions, a) }

// Next returns when Tick is wanted next; false if nothing is to be waited for.
func (b *Bridge) Next() (time.Duration, bool) {
	next := time.Duration(math.MaxInt64)
	for _, p := range b.ports {
		if p.enabled {
			next = min(next, p.next())
		}
	}
	return next, next != math.MaxInt64
}

// run has every state machine take steps until none can, and then sends. A step is cheap and there are few; that the
// machines come to rest is what the standard promises, and the bound keeps a mistake from hanging a switch.
func (b *Bridge) run(at time.Duration) {
	b.at = max(at, b.at)
	for _, p := range b.ports {
		p.hold()
	}
	for range 100 + 50*len(b.ports) {
		changed := false
		for _, p := range b.ports {
			for _, step := range []func() bool{p.migration, p.edgeDetection, p.information} {
				changed = step() || changed
			}
		}
		changed = b.selection() || changed
		for _, p := range b.ports {
			for _, step := range []func() bool{p.transitions, p.stateTransition, p.topologyChange} {
				changed = step() || changed
			}
		}
		if !changed {
			break
		}
	}
	for _, p := range b.ports {
		p.transmit()
	}
}

// Info is what a bridge knows of the tree.
type Info struct {
	ID              BridgeID
	Root            BridgeID
	RootCost        uint32
	RootPort        uint16 // its number; 0: the bridge is the root
	Times           Times  // of the root
	TopologyChanges int
}

// Info returns what the bridge knows of the tree.
func (b *Bridge) Info() Info {
	return Info{ID: b.cfg.ID, Root: b.root.Root, RootCost: b.root.Cost, RootPort: b.rootVia & 0xfff, Times: b.times, TopologyChanges: b.changes}
}

// PortInfo is what a port is in the tree.
type PortInfo struct {
	Number     uint16
	ID         uint16 // with its priority
	Cost       uint32
	Role       Role
	State      State
	Edge       bool   // it was found that no bridge is behind the port, or told
	Legacy     bool   // the neighbour speaks version 0
	Designated Vector // of the link
	Settled    bool   // the role is final unless something changes, and the state is that of the role
}

// Ports returns the ports by number.
func (b *Bridge) Ports() []PortInfo {
	var all []PortInfo
	for _, p := range b.ports {
		i := PortInfo{
			Number: p.number, ID: p.id, Cost: p.cfg.Cost, Role: p.role, State: p.state(), Edge: p.operEdge,
			Legacy: !p.sendRSTP && !b.cfg.Legacy, Designated: p.priority,
		}
		blocked := p.role != RoleRoot && p.role != RoleDesignated
		i.Settled = p.selected && !p.updtInfo && p.role == p.selectedRole && p.forwarding != blocked
		all = append(all, i)
	}
	return all
}

package l2switch

import (
	"fmt"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Port is a port of a Switch. Its counters count what came in and went out by it; a drop counts where the frame came in.
type Port struct {
	fabric.Counters
	name   string
	place  string
	number int // 1 and up; 0: the bridge's own interface
	sw     *Switch
	wire   fabric.Port
	rules  atomic.Pointer[rules]
	gone   atomic.Bool // removed from the switch
	locals []wire.MAC  // guarded by sw.mu
}

// Name returns the port's name.
func (p *Port) Name() string { return p.name }

// Number returns the port's number on its switch, 1 and up; 0 is the bridge's own interface.
func (p *Port) Number() int { return p.number }

// Carrier tells whether the port is connected. One that cannot tell is.
func (p *Port) Carrier() bool {
	c, ok := p.wire.(interface{ Carrier() bool })
	return !ok || c.Carrier()
}

// Config returns how the port behaves.
func (p *Port) Config() PortConfig {
	c := p.rules.Load().PortConfig
	c.Trunk = append([]uint16(nil), c.Trunk...)
	return c
}

// Configure changes how the port behaves; Self stays as it is. If its VLANs change, it forgets what it learned.
func (p *Port) Configure(cfg PortConfig) error {
	p.sw.mu.Lock()
	defer p.sw.mu.Unlock()
	return p.configureLocked(cfg)
}

func (p *Port) configureLocked(cfg PortConfig) error {
	old := p.rules.Load()
	cfg.Self = old.Self
	r, err := cfg.compile(p.sw.cfg)
	if err != nil {
		return fmt.Errorf("configure port %s of switch %s: %w", p.name, p.sw.cfg.Name, err)
	}
	r.hold = old.hold
	p.rules.Store(r)
	if p.gone.Load() || r.member == nil || (*r.member == *old.member && r.pvid == old.pvid) {
		return nil
	}
	p.sw.fdb.remove(func(e *entry) bool {
		_, vlan := unkey(e.key)
		return e.port == p && (!e.static || !r.allows(vlan))
	})
	for _, q := range *p.sw.ports.Load() {
		p.sw.addLocalsLocked(q)
	}
	return nil
}

// SetHairpin says whether frames may leave by the port that they came in on.
func (p *Port) SetHairpin(on bool) { p.change(func(c *PortConfig) { c.Hairpin = on }) }

// SetLearning says whether source addresses are learned.
func (p *Port) SetLearning(on bool) { p.change(func(c *PortConfig) { c.NoLearning = !on }) }

// SetFlood says whether unicast to unknown addresses is flooded to the port.
func (p *Port) SetFlood(on bool) { p.change(func(c *PortConfig) { c.NoFlood = !on }) }

// SetIsolated says whether the port exchanges no frames with other isolated ports.
func (p *Port) SetIsolated(on bool) { p.change(func(c *PortConfig) { c.Isolated = on }) }

// change changes the flags of the port, never its VLANs.
func (p *Port) change(set func(*PortConfig)) {
	p.sw.mu.Lock()
	defer p.sw.mu.Unlock()
	r := *p.rules.Load()
	set(&r.PortConfig)
	p.rules.Store(&r)
}

// Receive implements fabric.Receiver: it bridges what arrived at the port.
func (p *Port) Receive(batch []*fabric.Frame) {
	p.Rx(batch)
	if p.gone.Load() {
		for _, f := range batch {
			p.Drop(f, fabric.DropClosed, p.place)
		}
		return
	}
	p.sw.bridge(p, batch)
}

// send hands frames to whatever is connected to the port.
func (p *Port) send(batch []*fabric.Frame) {
	p.Tx(batch)
	p.wire.Send(batch)
}

package netns

import (
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// MacvlanMode is how the macvlan interfaces on one interface reach each other (V2; Linux's drivers/net/macvlan.c).
type MacvlanMode uint8

// The modes.
const (
	MacvlanBridge   MacvlanMode = iota // directly
	MacvlanPrivate                     // never
	MacvlanVEPA                        // if the switch outside sends their frames back
	MacvlanPassthru                    // there is one only, which has the lower interface's address
)

var macvlanModes = [...]string{"bridge", "private", "vepa", "passthru"}

// String returns the mode as ip and Docker name it.
func (m MacvlanMode) String() string {
	if int(m) < len(macvlanModes) {
		return macvlanModes[m]
	}
	return strconv.Itoa(int(m))
}

// ParseMacvlanMode is the opposite of String.
func ParseMacvlanMode(name string) (MacvlanMode, bool) {
	for m, s := range macvlanModes {
		if s == name {
			return MacvlanMode(m), true
		}
	}
	return 0, false
}

// MacvlanMode returns the mode of a KindMacvlan interface.
func (i *Interface) MacvlanMode() MacvlanMode {
	if m := i.upper.mac; m != nil {
		return m.mode
	}
	return 0
}

// AddMacvlan adds an interface with a hardware address of its own on top of another, which may be in another namespace.
// What the lower one gets for that address is the new one's; the lower one's namespace and its macvlan interfaces do not
// reach each other (V4).
func (ns *Namespace) AddMacvlan(lower *Interface, mode MacvlanMode, cfg InterfaceConfig) (*Interface, error) {
	if mode == MacvlanPassthru {
		cfg.MAC = lower.mac
	}
	name := ns.cfg.Name + "/" + cfg.Name
	own, inner := fabric.NewVeth(name, name)
	m := &macvlan{mode: mode, end: inner}
	cfg.Kind, cfg.Port, cfg.upper = KindMacvlan, own, upper{mac: m}
	return ns.addUpper(lower, cfg, func(i *Interface) error {
		port, ok := lower.shared.(*macvlanPort)
		if lower.shared != nil && !ok || lower.master != nil {
			return lower.errBusy()
		}
		if err := lower.checkMacvlan(i, mode); err != nil {
			return err
		}
		if port == nil {
			port = &macvlanPort{lower: lower}
			port.table.Store(new(macvlanTable))
			lower.takeOverLocked(port)
		}
		m.port, m.dev = port, i
		m.end.SetReceiver(m)
		return nil
	})
}

// checkMacvlan tells whether a macvlan interface may join those that are there. The caller holds mu.
func (i *Interface) checkMacvlan(u *Interface, mode MacvlanMode) error {
	if mode != MacvlanPassthru && u.mac == i.mac {
		return fmt.Errorf("%s has the address %s itself: address already in use", i.place, u.mac)
	}
	for _, o := range i.uppers {
		switch m := o.upper.mac; {
		case m == nil:
		case mode == MacvlanPassthru || m.mode == MacvlanPassthru:
			return fmt.Errorf("%s has another macvlan interface, and one of them is in mode passthru: invalid argument", i.place)
		case o.mac == u.mac:
			return fmt.Errorf("%s has the address %s already: address already in use", o.place, u.mac)
		}
	}
	return nil
}

// macvlan is one interface of a macvlanPort.
type macvlan struct {
	port *macvlanPort
	dev  *Interface
	mode MacvlanMode
	end  *fabric.VethEnd // whose other end is the interface's port
}

// macvlanPort takes over what arrives on an interface that has macvlan interfaces.
type macvlanPort struct {
	lower *Interface
	table atomic.Pointer[macvlanTable]
}

// macvlanTable finds interfaces by hardware address. It never changes.
type macvlanTable struct {
	buckets  [256][]*macvlan // by the last byte
	all      []*macvlan
	passthru *macvlan
}

// find returns the interface with an address, as the first bytes of b; nil if none has it.
func (t *macvlanTable) find(b []byte) *macvlan {
	for _, m := range t.buckets[b[5]] {
		if m.dev.mac == wire.MAC(b[:6]) {
			return m
		}
	}
	return nil
}

// rebuild implements upperPort.
func (p *macvlanPort) rebuild(uppers []*Interface) {
	t := new(macvlanTable)
	for _, u := range uppers {
		m := u.upper.mac
		if m == nil {
			continue
		}
		t.all = append(t.all, m)
		t.buckets[u.mac[5]] = append(t.buckets[u.mac[5]], m)
		if m.mode == MacvlanPassthru {
			t.passthru = m
		}
	}
	p.table.Store(t)
}

// macvlanWay is where a frame goes. Those in a row that go the same way stay together.
type macvlanWay struct {
	to    *macvlan
	from  *macvlan // of a flood from outside: who sent it, if one of the port's own did
	flood bool
	bad   bool
}

// Receive implements fabric.Receiver: it takes what arrived on the lower interface (macvlan_handle_frame).
func (p *macvlanPort) Receive(batch []*fabric.Frame) {
	t := p.table.Load()
	var run macvlanWay
	from := 0
	for n, f := range batch {
		if w := t.inward(f); w != run {
			p.bringIn(t, run, batch[from:n])
			run, from = w, n
		}
	}
	p.bringIn(t, run, batch[from:])
}

// inward is the way of a frame from outside; the zero way leads to the lower interface's namespace.
func (t *macvlanTable) inward(f *fabric.Frame) macvlanWay {
	switch {
	case !hasEthernet(f):
		return macvlanWay{bad: true}
	case isGroup(f):
		return macvlanWay{flood: true, from: t.find(f.Linear()[6:])}
	case t.passthru != nil:
		return macvlanWay{to: t.passthru}
	}
	return macvlanWay{to: t.find(f.Linear())}
}

func (p *macvlanPort) bringIn(t *macvlanTable, w macvlanWay, run []*fabric.Frame) {
	switch {
	case len(run) == 0:
	case w.bad:
		p.lower.dropAll(run, fabric.DropTruncated)
	case w.flood:
		p.floodIn(t, w.from, run)
	case w.to != nil:
		p.lower.traceUpper(fabric.EventFDB, run, w.to.dev.place)
		w.to.send(run)
	default:
		p.lower.ns.input(p.lower, run)
	}
}

// floodIn copies a broadcast from outside to all interfaces, and lets the lower one's namespace have it (V3). One that
// an own interface sent, and that came back, reaches those that have not seen it on its way out; one that a private
// interface sent, as in Linux, only itself.
func (p *macvlanPort) floodIn(t *macvlanTable, from *macvlan, run []*fabric.Frame) {
	if from != nil && (from.mode == MacvlanPrivate || from.mode == MacvlanPassthru) {
		from.send(run)
		return
	}
	p.copies(t, run, func(m *macvlan) bool {
		switch {
		case from == nil:
			return true
		case from.mode == MacvlanVEPA:
			return m != from && (m.mode == MacvlanVEPA || m.mode == MacvlanBridge)
		}
		return m != from && m.mode == MacvlanVEPA
	})
	p.lower.ns.input(p.lower, run)
}

// copies sends copies of a run to the interfaces that want it, and ages it for that.
func (p *macvlanPort) copies(t *macvlanTable, run []*fabric.Frame, wants func(*macvlan) bool) {
	n := 0
	for _, m := range t.all {
		if wants(m) && m.dev.Up() {
			n++
		}
	}
	if n == 0 {
		return
	}
	cost := fabric.FloodCost(n + 1)
	for _, f := range run {
		f.Age(cost)
	}
	p.lower.traceUpper(fabric.EventFlood, run, strconv.Itoa(n)+" macvlan interfaces")
	for _, m := range t.all {
		if wants(m) && m.dev.Up() {
			sendCopies(m.end, run)
		}
	}
}

// send hands a run to the interface.
func (m *macvlan) send(run []*fabric.Frame) {
	if !m.dev.Up() {
		m.dev.dropAll(run, fabric.DropLinkDown)
		return
	}
	m.end.Send(run)
}

// Receive implements fabric.Receiver: it takes what the interface sends (macvlan_queue_xmit).
func (m *macvlan) Receive(batch []*fabric.Frame) {
	if m.mode != MacvlanBridge {
		m.port.lower.transmit(batch)
		return
	}
	t := m.port.table.Load()
	var run macvlanWay
	from := 0
	for n, f := range batch {
		if w := t.outward(f); w != run {
			m.takeOut(t, run, batch[from:n])
			run, from = w, n
		}
	}
	m.takeOut(t, run, batch[from:])
}

// outward is the way of a frame of an interface in bridge mode; the zero way leads out by the lower interface.
func (t *macvlanTable) outward(f *fabric.Frame) macvlanWay {
	switch {
	case !hasEthernet(f):
		return macvlanWay{bad: true}
	case isGroup(f):
		return macvlanWay{flood: true}
	}
	if to := t.find(f.Linear()); to != nil && to.mode == MacvlanBridge {
		return macvlanWay{to: to}
	}
	return macvlanWay{}
}

func (m *macvlan) takeOut(t *macvlanTable, w macvlanWay, run []*fabric.Frame) {
	switch {
	case len(run) == 0:
	case w.bad:
		m.dev.dropAll(run, fabric.DropTruncated)
	case w.to != nil:
		m.port.lower.traceUpper(fabric.EventFDB, run, w.to.dev.place)
		w.to.send(run)
	default:
		if w.flood {
			m.port.copies(t, run, func(o *macvlan) bool { return o != m && o.mode == MacvlanBridge })
		}
		m.port.lower.transmit(run)
	}
}

package netns

import (
	"errors"
	"net/netip"
	"strconv"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/nat"
)

// IPVlanMode is on which layer ipvlan interfaces share their lower interface (V16; Linux's drivers/net/ipvlan).
type IPVlanMode uint8

// The modes.
const (
	IPVlanL2  IPVlanMode = iota // like a switch with one address: each answers ARP requests for itself
	IPVlanL3                    // like a router: no ARP, no broadcasts, and the lower one's namespace routes what they send
	IPVlanL3S                   // L3 whose packets pass the netfilter of the lower one's namespace both ways
)

var ipvlanModes = [...]string{"l2", "l3", "l3s"}

// String returns the mode as ip and Docker name it.
func (m IPVlanMode) String() string {
	if int(m) < len(ipvlanModes) {
		return ipvlanModes[m]
	}
	return strconv.Itoa(int(m))
}

// ParseIPVlanMode is the opposite of String.
func ParseIPVlanMode(name string) (IPVlanMode, bool) {
	for m, s := range ipvlanModes {
		if s == name {
			return IPVlanMode(m), true
		}
	}
	return 0, false
}

// IPVlanMode returns the mode of a KindIPVlan interface.
func (i *Interface) IPVlanMode() IPVlanMode {
	if v := i.upper.ip; v != nil {
		return v.port.mode
	}
	return 0
}

// AddIPVlan adds an interface on top of another, which may be in another namespace, that shares its hardware address:
// what comes in is for the one that has its IP address. All on one lower interface have one mode.
func (ns *Namespace) AddIPVlan(lower *Interface, mode IPVlanMode, cfg InterfaceConfig) (*Interface, error) {
	cfg.MAC = lower.mac
	name := ns.cfg.Name + "/" + cfg.Name
	own, inner := fabric.NewVeth(name, name)
	fresh := &ipvlanPort{lower: lower, mode: mode}
	fresh.table.Store(new(ipvlanTable))
	v := &ipvlan{port: fresh, end: inner}
	cfg.Kind, cfg.Port, cfg.upper = KindIPVlan, own, upper{ip: v}
	return ns.addUpper(lower, cfg, func(i *Interface) error {
		port, ok := lower.shared.(*ipvlanPort)
		switch {
		case lower.shared != nil && !ok || lower.master != nil:
			return lower.errBusy()
		case ok && port.mode != mode:
			return errors.New(lower.place + " has ipvlan interfaces in mode " + port.mode.String() + ": invalid argument")
		case ok:
			v.port = port
		default:
			lower.takeOverLocked(fresh)
			if mode == IPVlanL3S {
				lower.l3s.Store(fresh)
			}
		}
		v.dev = i
		v.end.SetReceiver(v)
		return nil
	})
}

// ipvlan is one interface of an ipvlanPort.
type ipvlan struct {
	port *ipvlanPort
	dev  *Interface
	end  *fabric.VethEnd // whose other end is the interface's port
}

// ipvlanPort takes over what arrives on an interface that has ipvlan interfaces.
type ipvlanPort struct {
	lower *Interface
	mode  IPVlanMode
	table atomic.Pointer[ipvlanTable]
}

// ipvlanTable finds interfaces by address. It never changes.
type ipvlanTable struct {
	byAddr map[uint32]*ipvlan
	all    []*ipvlan
}

// rebuild implements upperPort.
func (p *ipvlanPort) rebuild(uppers []*Interface) {
	t := &ipvlanTable{byAddr: make(map[uint32]*ipvlan)}
	for _, u := range uppers {
		v := u.upper.ip
		if v == nil {
			continue
		}
		t.all = append(t.all, v)
		for _, a := range u.Addrs() {
			if n := addr4(a.Addr()); t.byAddr[n] == nil {
				t.byAddr[n] = v
			}
		}
	}
	p.table.Store(t)
}

// find returns the interface that has an address; nil if none has.
func (p *ipvlanPort) find(a netip.Addr) *ipvlan {
	if !a.Is4() {
		return nil
	}
	return p.table.Load().byAddr[addr4(a)]
}

// to returns the interface that a frame is for by the address that it asks for or goes to; nil if there is none.
func (t *ipvlanTable) to(f *fabric.Frame) *ipvlan {
	if f.L3() == nil && f.ParseEthernet() != 0 {
		return nil
	}
	if h := f.IPv4(); h != nil {
		return t.byAddr[addr4(h.Dst())]
	}
	if f.EtherType != wire.TypeARP {
		return nil
	}
	a, err := wire.ParseARP(f.Linear()[f.Eth().Len():])
	if err != nil {
		return nil
	}
	return t.byAddr[addr4(a.TargetIP())]
}

// ipvlanWay is where a frame goes. Those in a row that go the same way stay together.
type ipvlanWay struct {
	to                *ipvlan
	flood, own, outer bool // to many; to the lower interface's namespace; out by the lower interface
	reason            fabric.DropReason
}

// Receive implements fabric.Receiver: it takes what arrived on the lower interface (ipvlan_handle_frame).
func (p *ipvlanPort) Receive(batch []*fabric.Frame) {
	t := p.table.Load()
	var run ipvlanWay
	from := 0
	for n, f := range batch {
		if w := p.inward(t, f); w != run {
			p.move(t, nil, run, batch[from:n])
			run, from = w, n
		}
	}
	p.move(t, nil, run, batch[from:])
}

func (p *ipvlanPort) inward(t *ipvlanTable, f *fabric.Frame) ipvlanWay {
	switch {
	case !hasEthernet(f):
		return ipvlanWay{reason: fabric.DropTruncated}
	case p.mode == IPVlanL3S:
		return ipvlanWay{own: true} // the namespace's hooks come first
	case isGroup(f):
		return ipvlanWay{flood: p.mode == IPVlanL2, own: true}
	case f.Eth().Dst() != p.lower.mac:
		return ipvlanWay{own: true} // which drops it
	}
	if to := t.to(f); to != nil {
		return ipvlanWay{to: to}
	}
	return ipvlanWay{own: true}
}

// move takes a run its way; from sent it, nil if it came in by the lower interface.
func (p *ipvlanPort) move(t *ipvlanTable, from *ipvlan, w ipvlanWay, run []*fabric.Frame) {
	if len(run) == 0 {
		return
	}
	if w.flood {
		p.copies(t, from, run)
	}
	switch {
	case w.reason != 0 && from != nil:
		from.dev.dropAll(run, w.reason)
	case w.reason != 0:
		p.lower.dropAll(run, w.reason)
	case w.to != nil:
		p.lower.traceUpper(fabric.EventFDB, run, w.to.dev.place)
		w.to.send(run)
	case w.own:
		p.lower.ns.input(p.lower, run)
	case w.outer:
		p.lower.transmit(run)
	default:
		p.route(from, run)
	}
}

// copies sends copies of a broadcast to all interfaces but the one that sent it.
func (p *ipvlanPort) copies(t *ipvlanTable, from *ipvlan, run []*fabric.Frame) {
	cost := fabric.FloodCost(len(t.all))
	for _, f := range run {
		f.Age(cost)
	}
	p.lower.traceUpper(fabric.EventFlood, run, strconv.Itoa(len(t.all))+" ipvlan interfaces")
	for _, v := range t.all {
		if v != from && v.dev.Up() {
			sendCopies(v.end, run)
		}
	}
}

// send hands a run to the interface.
func (v *ipvlan) send(run []*fabric.Frame) {
	if !v.dev.Up() {
		v.dev.dropAll(run, fabric.DropLinkDown)
		return
	}
	v.end.Send(run)
}

// Receive implements fabric.Receiver: it takes what the interface sends (ipvlan_queue_xmit).
func (v *ipvlan) Receive(batch []*fabric.Frame) {
	t := v.port.table.Load()
	var run ipvlanWay
	from := 0
	for n, f := range batch {
		if w := v.outward(t, f); w != run {
			v.port.move(t, v, run, batch[from:n])
			run, from = w, n
		}
	}
	v.port.move(t, v, run, batch[from:])
}

// outward is the way of a frame that the interface sends; the zero way is that of the lower namespace's routes.
func (v *ipvlan) outward(t *ipvlanTable, f *fabric.Frame) ipvlanWay {
	switch {
	case !hasEthernet(f):
		return ipvlanWay{reason: fabric.DropTruncated}
	case v.port.mode == IPVlanL2 && isGroup(f):
		return ipvlanWay{flood: true, outer: true}
	case v.port.mode == IPVlanL2 && f.Eth().Dst() != v.port.lower.mac:
		return ipvlanWay{outer: true}
	}
	to := t.to(f)
	switch {
	case to != nil:
		return ipvlanWay{to: to}
	case v.port.mode == IPVlanL2:
		return ipvlanWay{own: true}
	case isGroup(f):
		return ipvlanWay{reason: fabric.DropNoReceiver} // there are no broadcasts on layer 3
	case f.IPv4() == nil:
		return ipvlanWay{reason: fabric.DropUnknownProto}
	}
	return ipvlanWay{}
}

// route sends packets by the routes of the lower interface's namespace, as packets of its own (ipvlan_process_outbound):
// their time to live stays as it is.
func (p *ipvlanPort) route(from *ipvlan, run []*fabric.Frame) {
	ns := p.lower.ns
	out := ns.newEmitter()
	for _, f := range run {
		if !f.IPv4().Valid() {
			from.dev.Drop(f, fabric.DropChecksum, from.dev.place)
			continue
		}
		f.TrimFront(f.Eth().Len())
		ns.outputBy(p.lower, f, out)
	}
	out.release()
}

// outputBy sends a packet as output does, but only by that interface or to an address of it.
func (ns *Namespace) outputBy(dev *Interface, f *fabric.Frame, out *emitter) {
	p := out.begin()
	defer out.end(p)
	p.Frame, p.c, p.at, p.out = f, ns.conf.Load(), out.now(), out
	dst := f.IPv4().Dst()
	r, ok := p.c.fib.Lookup(dst)
	if p.c.known.may(dst) && p.c.local[dst] == dev {
		r, ok = ns.lo, true
	} else if ok {
		r = ns.wayOf(r, f)
		ok = r.Dev == dev
	}
	if !ok {
		ns.drop(p, fabric.DropNoRoute)
		return
	}
	p.Out = r.Dev.name
	if ns.early(nat.Output, p) && ns.late(nat.Output, p) {
		ns.leave(p, r)
	}
}

// takeL3S takes a packet that has passed PREROUTING of the lower interface's namespace and is for one of the interfaces
// in mode L3S: after INPUT it is theirs. False: it is not for one of them.
func (p *ipvlanPort) takeL3S(q *pass) bool {
	v := p.find(q.Frame.IPv4().Dst())
	if v == nil {
		return false
	}
	ns := p.lower.ns
	if !ns.hook(nat.Input, q) {
		return true
	}
	b := q.Frame.Prepend(wire.EthernetLen)
	if b == nil {
		ns.drop(q, fabric.DropMalformed)
		return true
	}
	wire.PutEthernet(b, v.dev.mac, p.lower.mac, q.Frame.EtherType)
	p.lower.traceUpper(fabric.EventFDB, []*fabric.Frame{q.Frame}, v.dev.place)
	v.send([]*fabric.Frame{q.Frame})
	return true
}

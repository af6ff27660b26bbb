package netns

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// upper is what an interface is that stands on top of another one. Its zero value is that of all others.
type upper struct {
	lower *Interface
	vlan  uint16
	mac   *macvlan
	ip    *ipvlan
}

// upperPort is what takes the frames of an interface over for those on top of it.
type upperPort interface {
	fabric.Receiver
	rebuild(uppers []*Interface)
}

func (u *upper) noARP() bool { return u.ip != nil && u.ip.port.mode != IPVlanL2 }

// claim tells whether the interface may have an address: those of ipvlan interfaces on one lower interface differ.
func (u *upper) claim(i *Interface, a netip.Addr) error {
	if u.ip == nil {
		return nil
	}
	if owner := u.ip.port.find(a); owner != nil && owner.dev != i {
		return fmt.Errorf("%s has it already: address already in use", owner.dev.place)
	}
	return nil
}

// readdress has the lower interface know the addresses of an ipvlan interface.
func (u *upper) readdress() {
	if u.ip != nil {
		u.lower.rebuildUppers()
	}
}

// Lower returns the interface that this one is on top of; nil if there is none.
func (i *Interface) Lower() *Interface { return i.upper.lower }

// VLAN returns the VLAN of a KindVLAN interface; 0 for others.
func (i *Interface) VLAN() uint16 { return i.upper.vlan }

// NoARP tells whether the interface has no neighbours with addresses of their own, as ipvlan's in mode L3 do.
func (i *Interface) NoARP() bool { return i.noARP }

// Uppers returns the VLAN, macvlan and ipvlan interfaces on top of the interface, oldest first, in whatever namespaces
// they are.
func (i *Interface) Uppers() []*Interface {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.uppers)
}

// errBusy is for an interface that something else has taken over.
func (i *Interface) errBusy() error {
	return fmt.Errorf("%s is busy: a bridge or interfaces of another kind have it", i.place)
}

// errNoLower refuses to put something on top of what carries no Ethernet frames, or is gone.
func (i *Interface) errNoLower() error {
	if i.kind == KindLoopback || i.port == nil {
		return fmt.Errorf("%s carries no Ethernet frames of others", i.place)
	}
	if now, ok := i.ns.Interface(i.name); !ok || now != i {
		return fmt.Errorf("%s is gone", i.place)
	}
	return nil
}

// addUpper adds the interface of cfg to a namespace and to those on top of lower. check, with lower.mu held, may refuse.
func (ns *Namespace) addUpper(lower *Interface, cfg InterfaceConfig, check func(*Interface) error) (*Interface, error) {
	address := cfg.Addr
	cfg.Addr, cfg.upper.lower = netip.Prefix{}, lower
	if cfg.MTU == 0 {
		cfg.MTU = lower.MTU()
	}
	if cfg.MTU > lower.MTU() {
		return nil, fmt.Errorf("add interface %q in %s: its MTU %d is above that of %s, %d", cfg.Name, ns.cfg.Name, cfg.MTU, lower.place, lower.MTU())
	}
	if err := lower.errNoLower(); err != nil {
		return nil, fmt.Errorf("add interface %q in %s: %w", cfg.Name, ns.cfg.Name, err)
	}
	i, err := ns.AddInterface(cfg)
	if err != nil {
		return nil, err
	}
	lower.mu.Lock()
	if err = check(i); err == nil {
		lower.uppers = append(lower.uppers, i)
		lower.rebuildUppersLocked()
	}
	lower.mu.Unlock()
	if err == nil && address.IsValid() {
		err = i.AddAddr(address)
	}
	if err != nil {
		if rm := ns.RemoveInterface(cfg.Name); rm != nil {
			return nil, rm
		}
		return nil, fmt.Errorf("add interface %q in %s: %w", cfg.Name, ns.cfg.Name, err)
	}
	return i, nil
}

// leaveLower takes an interface off the one that it is on top of.
func (i *Interface) leaveLower() {
	l := i.upper.lower
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uppers = slices.DeleteFunc(slices.Clone(l.uppers), func(u *Interface) bool { return u == i })
	l.rebuildUppersLocked()
}

// removeUppers removes the interfaces on top of this one, as Linux does when a network card goes.
func (i *Interface) removeUppers() error {
	var first error
	for _, u := range i.Uppers() {
		if err := u.ns.RemoveInterface(u.name); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (i *Interface) rebuildUppers() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rebuildUppersLocked()
}

// rebuildUppersLocked replaces the tables that frames are held against. The caller holds mu.
func (i *Interface) rebuildUppersLocked() {
	i.vlans.Store(newVLANGroup(i.uppers))
	if i.shared == nil {
		return
	}
	i.shared.rebuild(i.uppers)
	if !slices.ContainsFunc(i.uppers, func(u *Interface) bool { return u.upper.mac != nil || u.upper.ip != nil }) {
		i.shared = nil
		i.l3s.Store(nil)
		i.rx.Store(nil)
	}
}

// takeOverLocked makes p what gets the interface's frames. The caller holds mu.
func (i *Interface) takeOverLocked(p upperPort) {
	i.shared = p
	i.SetReceiver(p)
}

// frameScratch is where copies of a run are put together.
type frameScratch [emitLen]*fabric.Frame

var frameScratches = sync.Pool{New: func() any { return new(frameScratch) }}

// sendCopies sends copies of a run to an interface on top of another.
func sendCopies(to *fabric.VethEnd, run []*fabric.Frame) {
	s := frameScratches.Get().(*frameScratch)
	for len(run) > 0 {
		n := min(len(run), len(s))
		for k, f := range run[:n] {
			s[k] = f.Clone()
		}
		to.Send(s[:n])
		clear(s[:n])
		run = run[n:]
	}
	frameScratches.Put(s)
}

// dropAll ends the frames of a run where i is.
func (i *Interface) dropAll(run []*fabric.Frame, reason fabric.DropReason) {
	for _, f := range run {
		i.Drop(f, reason, i.place)
	}
}

// traceUpper tells the marked frames of a run which interface they go to.
func (i *Interface) traceUpper(kind fabric.EventKind, run []*fabric.Frame, to string) {
	for _, f := range run {
		if f.Trace != nil {
			f.Trace.Add(fabric.Event{Kind: kind, Place: i.place, Before: f.Eth().Dst().String(), After: to})
		}
	}
}

// AddDummy adds an interface that sends nowhere, as Linux's dummy driver does. Others may stand on top of it.
func (ns *Namespace) AddDummy(cfg InterfaceConfig) (*Interface, error) {
	cfg.Kind, cfg.Port = KindDummy, nowherePort{}
	return ns.AddInterface(cfg)
}

// nowherePort takes frames and frees them: they were sent, to nobody.
type nowherePort struct{}

// Send implements fabric.Port.
func (nowherePort) Send(batch []*fabric.Frame) { fabric.FreeAll(batch) }

// SetReceiver implements fabric.Port: nothing ever arrives.
func (nowherePort) SetReceiver(fabric.Receiver) {}

// isGroup tells whether a frame, whose linear part holds an Ethernet header, is for more than one.
func isGroup(f *fabric.Frame) bool { return f.Linear()[0]&1 != 0 }

// hasEthernet tells whether a frame's linear part holds an Ethernet header.
func hasEthernet(f *fabric.Frame) bool { return len(f.Linear()) >= wire.EthernetLen }

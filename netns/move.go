package netns

import (
	"errors"
	"fmt"
)

// What keeps an interface from being moved.
var (
	// ErrImmutable says that interfaces of its kind stay where they were made (Linux's NETIF_F_NETNS_LOCAL).
	ErrImmutable = errors.New("the interface's namespace is immutable")
	// ErrTaken says that there is an interface of that name.
	ErrTaken = errors.New("an interface of that name exists")
	// ErrBusy says that the interface is up, or that others stand on top of it.
	ErrBusy = errors.New("the interface is busy")
)

// Peer returns the other end of a veth pair; nil if there is none.
func (i *Interface) Peer() *Interface { return i.veth.Load() }

// Move takes the interface into another namespace, under the name it has there; empty: its own. As with `ip link set DEV
// netns` it is down then, without addresses, routes, neighbours and bridge, and keeps its hardware address, its MTU, its
// cable and, if that is free, its index. i is of no use after: the interface is what Move returns. The error wraps
// ErrImmutable, ErrTaken or ErrBusy; then nothing has changed.
func (i *Interface) Move(to *Namespace, name string) (*Interface, error) {
	if name == "" {
		name = i.name
	}
	if to == i.ns && name == i.name {
		return i, nil
	}
	return i.replace(to, name)
}

// Rename gives an interface that is down another name. It keeps its addresses, and i is of no use after: the interface is
// what Rename returns. The error wraps ErrImmutable, ErrTaken or ErrBusy; then nothing has changed.
func (i *Interface) Rename(name string) (*Interface, error) {
	switch {
	case i.Up():
		return nil, fmt.Errorf("rename %s: %w", i.place, ErrBusy)
	case name == i.name:
		return i, nil
	}
	addrs, master := i.Addrs(), i.Master()
	n, err := i.replace(i.ns, name)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		err = errors.Join(err, n.AddAddr(a))
	}
	if master != nil {
		err = errors.Join(err, n.SetMaster(master))
	}
	return n, err
}

// replace puts another interface in the place of this one, which ends.
func (i *Interface) replace(to *Namespace, name string) (*Interface, error) {
	fail := func(err error) (*Interface, error) {
		return nil, fmt.Errorf("move %s to %s/%s: %w", i.place, to.cfg.Name, name, err)
	}
	switch {
	case i.kind == KindLoopback || i.kind == KindBridge || i.kind == KindVXLAN:
		return fail(ErrImmutable)
	case len(i.Uppers()) > 0:
		return fail(ErrBusy)
	}
	if _, taken := to.Interface(name); taken {
		return fail(ErrTaken)
	}
	if ours, err := i.ns.remove(i); !ours || err != nil {
		return fail(errors.Join(err, errors.New("it is gone")))
	}
	port := i.port
	if p, ok := port.(*vlanPort); ok {
		port = &vlanPort{lower: p.lower, id: p.id}
	}
	n, err := to.addInterface(InterfaceConfig{Name: name, Kind: i.kind, MAC: i.mac, MTU: i.MTU(), Port: port, Peer: i.peer,
		Device: i.dev, Down: true, index: i.index, upper: i.upper.copied()})
	if err != nil { // the name was taken meanwhile, or the namespace ended: as if it had been deleted there
		_, failed := fail(err)
		return nil, errors.Join(failed, i.end())
	}
	if n.port != nil {
		n.port.SetReceiver(n.receiver())
	}
	n.upper.standOn(n)
	if p := i.veth.Swap(nil); p != nil {
		n.veth.Store(p)
		p.veth.CompareAndSwap(i, n)
	}
	return n, nil
}

// copied returns the same for the interface that takes another's place.
func (u *upper) copied() upper {
	n := *u
	if u.mac != nil {
		n.mac = &macvlan{port: u.mac.port, mode: u.mac.mode, end: u.mac.end}
	}
	if u.ip != nil {
		n.ip = &ipvlan{port: u.ip.port, end: u.ip.end}
	}
	return n
}

// standOn puts n, whose own u is, on top of the interface below.
func (u *upper) standOn(n *Interface) {
	if u.lower == nil {
		return
	}
	u.lower.mu.Lock()
	switch {
	case u.mac != nil:
		u.mac.dev = n
		u.mac.end.SetReceiver(u.mac)
		if u.lower.shared == nil { // it was the last, with which the port went
			u.lower.takeOverLocked(u.mac.port)
		}
	case u.ip != nil:
		u.ip.dev = n
		u.ip.end.SetReceiver(u.ip)
		if u.lower.shared == nil {
			u.lower.takeOverLocked(u.ip.port)
			if u.ip.port.mode == IPVlanL3S {
				u.lower.l3s.Store(u.ip.port)
			}
		}
	}
	u.lower.uppers = append(u.lower.uppers, n)
	u.lower.rebuildUppersLocked()
	u.lower.mu.Unlock()
}

// Dissolve takes all interfaces out of a namespace that is about to end: those at cables go to another, as Linux gives
// network cards back to the first namespace, and the others are removed, veth pairs with both ends. A card whose name is taken
// there gets a name of the kernel's, dev1 for one of index 1.
func (ns *Namespace) Dissolve(home *Namespace) error {
	var failed error
	for _, i := range ns.Interfaces() {
		if now, ok := ns.Interface(i.name); !ok || now != i || i.kind == KindLoopback {
			continue // it went with another, or it stays
		}
		if i.kind != KindPhysical || home == nil {
			failed = errors.Join(failed, ns.RemoveInterface(i.name))
			continue
		}
		if len(i.Uppers()) > 0 {
			failed = errors.Join(failed, i.removeUppers())
		}
		_, err := i.Move(home, "")
		if errors.Is(err, ErrTaken) {
			_, err = i.Move(home, fmt.Sprintf("dev%d", i.index))
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

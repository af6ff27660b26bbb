package netns

import (
	"errors"
	"fmt"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
)

// NewVethPair makes a veth pair with one end in each of two namespaces, which may be the same.
func NewVethPair(a *Namespace, ac InterfaceConfig, b *Namespace, bc InterfaceConfig) (*Interface, *Interface, error) {
	pa, pb := fabric.NewVeth(a.cfg.Name+"/"+ac.Name, b.cfg.Name+"/"+bc.Name)
	ac.Kind, bc.Kind, ac.Port, bc.Port = KindVeth, KindVeth, pa, pb
	ia, err := a.AddInterface(ac)
	if err != nil {
		return nil, nil, err
	}
	ib, err := b.AddInterface(bc)
	if err != nil {
		return nil, nil, errors.Join(err, a.RemoveInterface(ac.Name))
	}
	ia.veth.Store(ib)
	ib.veth.Store(ia)
	return ia, ib, nil
}

// AddBridge adds a bridge interface. Other interfaces become its ports by SetMaster.
func (ns *Namespace) AddBridge(cfg InterfaceConfig) (*Interface, error) {
	name := ns.cfg.Name + "/" + cfg.Name
	own, port := fabric.NewVeth(name, name)
	cfg.Kind, cfg.Port, cfg.bridge = KindBridge, own, l2switch.New(l2switch.Config{Name: name})
	if _, err := cfg.bridge.AddPort(cfg.Name, port, l2switch.PortConfig{Self: true}); err != nil {
		return nil, err
	}
	i, err := ns.AddInterface(cfg)
	if err != nil {
		return nil, err
	}
	if err := i.bridge.AddLocal(cfg.Name, i.mac); err != nil {
		return nil, errors.Join(err, ns.RemoveInterface(cfg.Name))
	}
	return i, nil
}

// RemoveInterface takes an interface out with its addresses, routes and neighbours, and those on top of it; the ports of
// a bridge become interfaces of their own. Frames sent to it after are dropped. With one end of a veth pair goes the other,
// in whatever namespace that is.
func (ns *Namespace) RemoveInterface(name string) error {
	i, ok := ns.Interface(name)
	if !ok || i.kind == KindLoopback {
		return fmt.Errorf("remove interface %q in %s: no such interface", name, ns.cfg.Name)
	}
	_, err := ns.remove(i)
	return errors.Join(err, i.end())
}

// end removes the other end of a veth pair whose one end was removed.
func (i *Interface) end() error {
	p := i.veth.Swap(nil)
	if p == nil || !p.veth.CompareAndSwap(i, nil) { // who removes both at once has removed both
		return nil
	}
	_, err := p.ns.remove(p)
	return err
}

// remove takes one interface out, unless somebody else has done so.
func (ns *Namespace) remove(i *Interface) (ours bool, err error) {
	ns.mu.Lock()
	if ns.ifaces[i.name] != i {
		ns.mu.Unlock()
		return false, nil
	}
	delete(ns.ifaces, i.name)
	ns.mu.Unlock()
	i.SetUp(false)
	err = errors.Join(i.removeUppers(), i.SetMaster(nil))
	i.leaveLower()
	for _, p := range i.Ports() {
		err = errors.Join(err, p.SetMaster(nil))
	}
	if i.port != nil {
		i.port.SetReceiver(nil)
	}
	i.mu.Lock()
	i.addrs = nil
	i.mu.Unlock()
	err = errors.Join(err, ns.change(func(c *config) error {
		ns.readdressLocked(c)
		c.fib = c.fib.Remove(func(r Route) bool { return r.uses(i) })
		return nil
	}))
	i.neigh.close(i)
	return true, err
}

// carrier is a port that knows whether something is at its other end.
type carrier interface{ Carrier() bool }

// Carrier tells whether the interface could carry frames: a cable that is in, a bridge with a port that is up.
func (i *Interface) Carrier() bool {
	if i.kind == KindBridge {
		for _, p := range i.Ports() {
			if p.Up() && p.Carrier() {
				return true
			}
		}
		return false
	}
	if l := i.upper.lower; l != nil {
		return l.Up() && l.Carrier()
	}
	if c, ok := i.port.(carrier); ok {
		return c.Carrier()
	}
	return true
}

// Master returns the bridge that the interface is a port of; nil if none.
func (i *Interface) Master() *Interface {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.master
}

// Ports returns the interfaces that are ports of a bridge, by index.
func (i *Interface) Ports() []*Interface {
	var ports []*Interface
	for _, p := range i.ns.Interfaces() {
		if p.Master() == i {
			ports = append(ports, p)
		}
	}
	return ports
}

// SetMaster makes the interface a port of a bridge in its namespace; nil takes it out of the one it is in.
func (i *Interface) SetMaster(br *Interface) error {
	if br != nil && (br.kind != KindBridge || br.ns != i.ns || br == i || i.kind == KindBridge || i.kind == KindLoopback) {
		return fmt.Errorf("set master of %s: %s is no bridge of its namespace, or %s can be no port", i.place, br.name, i.name)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if br != nil && i.shared != nil {
		return fmt.Errorf("set master of %s: it is busy: it has macvlan or ipvlan interfaces", i.place)
	}
	if old := i.master; old != nil {
		i.master = nil
		if err := old.bridge.RemovePort(i.name); err != nil { // which takes the receiver away
			return fmt.Errorf("set master of %s: %w", i.place, err)
		}
	}
	if br == nil {
		return nil
	}
	if _, err := br.bridge.AddPort(i.name, i, l2switch.PortConfig{}); err != nil {
		return fmt.Errorf("set master of %s: %w", i.place, err)
	}
	i.master = br
	return br.bridge.AddLocal(i.name, i.mac)
}

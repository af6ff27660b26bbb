package cnm

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/netsim-lab/netsim/netns"
)

// Options of macvlan and ipvlan networks (V1, V16).
const (
	optParent      = "parent"
	optMacvlanMode = "macvlan_mode"
	optIPVlanMode  = "ipvlan_mode"
	optIPVlanFlag  = "ipvlan_flag"
)

// parentDriver makes networks whose containers stand on top of an interface of the host: macvlan and ipvlan. There is no
// gateway, no rule and no published port of the host's (V12).
type parentDriver struct {
	c       *Controller
	name    string // DriverMacvlan or DriverIPVlan
	parents *parentTable
}

// parentTable are the interfaces of the host that networks of both drivers are on.
type parentTable struct {
	mu   sync.Mutex
	uses []*parentUse    // oldest first, guarded by mu
	made map[string]bool // that were made for networks, guarded by mu
}

// parentUse is what a parentDriver keeps with a network. It does not change.
type parentUse struct {
	network  *Network
	parent   string
	macvlan  netns.MacvlanMode
	ipvlan   netns.IPVlanMode
	internal bool // containers get no way out
}

// use reads a network's options.
func (d *parentDriver) use(n *Network) (*parentUse, error) {
	u := &parentUse{network: n, parent: n.cfg.Options[optParent], internal: n.cfg.Internal}
	ok := true
	switch mode := n.cfg.Options[d.modeOption()]; {
	case mode == "":
	case d.name == DriverMacvlan:
		if u.macvlan, ok = netns.ParseMacvlanMode(mode); !ok {
			return nil, fail(ErrSystem, "requested macvlan mode '%s' is not valid, 'bridge' mode is the macvlan driver default", mode)
		}
	default:
		if u.ipvlan, ok = netns.ParseIPVlanMode(mode); !ok {
			return nil, fail(ErrSystem, "requested ipvlan mode '%s' is not valid, 'l2' mode is the ipvlan driver default", mode)
		}
	}
	switch flag := n.cfg.Options[optIPVlanFlag]; {
	case d.name != DriverIPVlan || flag == "" || flag == "bridge":
	case flag == "private" || flag == "vepa":
		return nil, fail(ErrSystem, "ipvlan flag '%s' is not simulated: use 'bridge', or macvlan with that mode", flag)
	default:
		return nil, fail(ErrSystem, "requested ipvlan flag '%s' is not valid, 'bridge' is the ipvlan driver default flag", flag)
	}
	if u.parent == "lo" {
		return nil, fail(ErrSystem, "loopback interface is not a valid %s parent link", d.name) // V10
	}
	if u.parent == "" || u.internal && !d.c.cfg.Modern { // V7, V8
		u.parent, u.internal = dummyName(n.id), true
	}
	return u, nil
}

func (d *parentDriver) modeOption() string {
	if d.name == DriverMacvlan {
		return optMacvlanMode
	}
	return optIPVlanMode
}

// dummyName is the name of the parent of a network that has none (I27).
func dummyName(id string) string { return "dm-" + short(id) }

// createNetwork implements driver.
func (d *parentDriver) createNetwork(n *Network) error {
	if err := n.needsPool(); err != nil {
		return err
	}
	u, err := d.use(n)
	if err != nil {
		return err
	}
	t := d.parents
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.uses {
		if o.parent == u.parent && o.network.cfg.Driver == d.name {
			if err := d.share(u, o); err != nil {
				return err
			}
		}
	}
	if err := d.makeParent(u); err != nil {
		return err
	}
	t.uses = append(t.uses, u)
	n.setState(u)
	return nil
}

// share tells whether a new network may be on the parent of another (V9).
func (d *parentDriver) share(u, o *parentUse) error {
	switch {
	case !d.c.cfg.Modern:
		return fail(ErrSystem, "network %s is already using parent interface %s", dummyName(o.network.id), u.parent)
	case d.name == DriverIPVlan && u.ipvlan != o.ipvlan:
		return fail(ErrSystem, "ipvlan network %s is already using parent interface %s in mode %s", o.network.id, u.parent, o.ipvlan)
	case d.name != DriverMacvlan:
	case u.macvlan == netns.MacvlanPassthru:
		return fail(ErrSystem, "cannot use mode passthru, macvlan network %s is already using parent interface %s", o.network.id, u.parent)
	case o.macvlan == netns.MacvlanPassthru:
		return fail(ErrSystem, "macvlan network %s is already using parent interface %s in mode passthru", o.network.id, u.parent)
	}
	return nil
}

// makeParent makes the parent if the host has none of that name: a dummy, or the VLAN interface that the name tells of
// (V5, V7). The caller holds the table's lock.
func (d *parentDriver) makeParent(u *parentUse) error {
	host := d.c.cfg.Host
	if _, ok := host.Interface(u.parent); ok {
		return nil
	}
	var err error
	if u.parent == dummyName(u.network.id) {
		d.c.newIndex(host)
		_, err = host.AddDummy(netns.InterfaceConfig{Name: u.parent})
	} else {
		err = d.makeVLAN(u.parent)
	}
	if err != nil {
		return err
	}
	if d.parents.made == nil {
		d.parents.made = make(map[string]bool)
	}
	d.parents.made[u.parent] = true
	return nil
}

func (d *parentDriver) makeVLAN(name string) error {
	if !strings.Contains(name, ".") {
		return fail(ErrSystem, "invalid subinterface vlan name %s, example formatting is eth0.10", name)
	}
	parts := strings.Split(name, ".")
	if len(parts) != 2 {
		return fail(ErrSystem, "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received %s", name)
	}
	id, err := strconv.Atoi(parts[1])
	if err != nil {
		return fail(ErrSystem, "unable to parse a valid vlan id from: %s (ex. eth0.10 for vlan 10)", parts[1])
	}
	lower, ok := d.c.cfg.Host.Interface(parts[0])
	switch {
	case !ok:
		return fail(ErrSystem, "-o parent interface was not found on the host: %s", parts[0])
	case id < 1 || id > 4094:
		return fail(ErrSystem, "vlan id must be between 1-4094, received: %d", id)
	}
	d.c.newIndex(d.c.cfg.Host)
	if _, err := d.c.cfg.Host.AddVLAN(lower, uint16(id), netns.InterfaceConfig{Name: name}); err != nil {
		return fail(ErrSystem, "failed to create %s vlan link: %v", name, err)
	}
	return nil
}

// deleteNetwork implements driver. A parent that was made for networks goes with the last of them.
func (d *parentDriver) deleteNetwork(n *Network) error {
	u, ok := n.state().(*parentUse)
	if !ok {
		return nil
	}
	t := d.parents
	t.mu.Lock()
	defer t.mu.Unlock()
	t.uses = slices.DeleteFunc(t.uses, func(o *parentUse) bool { return o == u })
	if !t.made[u.parent] || slices.ContainsFunc(t.uses, func(o *parentUse) bool { return o.parent == u.parent }) {
		return nil
	}
	delete(t.made, u.parent)
	if _, ok := d.c.cfg.Host.Interface(u.parent); !ok {
		return nil // somebody removed it by hand
	}
	return d.c.cfg.Host.RemoveInterface(u.parent)
}

// join implements driver.
func (d *parentDriver) join(ep *Endpoint, s *Sandbox) (joinInfo, error) {
	u, ok := ep.network.state().(*parentUse)
	if !ok {
		return joinInfo{}, d.c.errNoNetwork(ep.network.name)
	}
	lower, ok := d.c.cfg.Host.Interface(u.parent)
	if !ok {
		return joinInfo{}, fail(ErrSystem, "the requested parent interface %s was not found on the Docker host", u.parent)
	}
	d.c.newIndex(s.cfg.NS)
	cfg := netns.InterfaceConfig{Name: ep.device, MAC: ep.mac, Addr: ep.ip}
	var i *netns.Interface
	var err error
	if d.name == DriverMacvlan {
		i, err = s.cfg.NS.AddMacvlan(lower, u.macvlan, cfg)
	} else {
		i, err = s.cfg.NS.AddIPVlan(lower, u.ipvlan, cfg)
	}
	if err != nil {
		return joinInfo{}, fail(ErrSystem, "failed to create the %s port: %v", d.name, err)
	}
	ep.mac = i.MAC() // the parent's, with ipvlan and in mode passthru
	var info joinInfo
	switch {
	case u.internal:
	case u.routed():
		info.routes = []staticRoute{{dst: defaultRoute}}
	default:
		info.gateway = ep.poolGateway()
	}
	return info, nil
}

// routed tells whether containers send all to their parent, which routes it (V16).
func (u *parentUse) routed() bool {
	return u.network.cfg.Driver == DriverIPVlan && u.ipvlan != netns.IPVlanL2
}

// leave implements driver.
func (d *parentDriver) leave(ep *Endpoint, s *Sandbox) error {
	if _, ok := s.cfg.NS.Interface(ep.device); !ok {
		return nil // it went with its parent
	}
	return s.cfg.NS.RemoveInterface(ep.device)
}

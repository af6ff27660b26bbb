package netns

import (
	"fmt"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// AddVLAN adds an interface for the frames of one VLAN on another interface of the namespace, as Linux's 8021q does: it
// takes the tag off what comes in by that, and puts it on what goes out (V6). Its address is that of the lower one
// unless cfg says otherwise.
func (ns *Namespace) AddVLAN(lower *Interface, id uint16, cfg InterfaceConfig) (*Interface, error) {
	if id < 1 || id > 4094 {
		return nil, fmt.Errorf("add VLAN interface %q in %s: VLAN %d is not within 1 to 4094", cfg.Name, ns.cfg.Name, id)
	}
	if lower.ns != ns {
		return nil, fmt.Errorf("add VLAN interface %q in %s: %s is in another namespace", cfg.Name, ns.cfg.Name, lower.place)
	}
	if cfg.MAC.IsZero() {
		cfg.MAC = lower.mac
	}
	port := &vlanPort{lower: lower, id: id}
	cfg.Kind, cfg.Port, cfg.upper = KindVLAN, port, upper{vlan: id}
	return ns.addUpper(lower, cfg, func(*Interface) error {
		for _, u := range lower.uppers {
			if u.upper.vlan == id {
				return fmt.Errorf("%s is VLAN %d of %s already", u.name, id, lower.name)
			}
		}
		return nil
	})
}

// vlanPort is where the frames of a VLAN leave and arrive.
type vlanPort struct {
	lower *Interface
	id    uint16
	rx    fabric.Receiver // set once, before frames arrive
}

// Send implements fabric.Port.
func (p *vlanPort) Send(batch []*fabric.Frame) {
	for n, f := range batch {
		if f.PushTag(p.id) {
			continue
		}
		// No frame of a lab is without room; one that came from elsewhere ends here, the others go on.
		p.lower.transmit(batch[:n])
		p.lower.Drop(f, fabric.DropVLAN, p.lower.place)
		p.Send(batch[n+1:])
		return
	}
	if len(batch) > 0 {
		p.lower.transmit(batch)
	}
}

// SetReceiver implements fabric.Port. Frames come only while the interface is among those on top of its lower one.
func (p *vlanPort) SetReceiver(r fabric.Receiver) {
	if r != nil {
		p.rx = r
	}
}

// vlanGroup are the VLAN interfaces on top of one interface, by VLAN. It never changes.
type vlanGroup [16]*[256]*vlanPort

// newVLANGroup returns the group of the VLAN interfaces among those; nil if there are none.
func newVLANGroup(uppers []*Interface) *vlanGroup {
	var g *vlanGroup
	for _, u := range uppers {
		p, ok := u.port.(*vlanPort)
		if !ok {
			continue
		}
		if g == nil {
			g = new(vlanGroup)
		}
		if g[p.id>>8] == nil {
			g[p.id>>8] = new([256]*vlanPort)
		}
		g[p.id>>8][p.id&255] = p
	}
	return g
}

// of returns whose frame f is; nil: it has no tag, or that of a VLAN that nobody has.
func (g *vlanGroup) of(f *fabric.Frame) *vlanPort {
	e, err := wire.ParseEthernet(f.Linear())
	if err != nil {
		return nil
	}
	id, tagged := e.VLAN()
	if !tagged || g[id>>8] == nil {
		return nil
	}
	return g[id>>8][id&255]
}

// demux hands the frames of VLANs to their interfaces, and all others on.
func (i *Interface) demux(g *vlanGroup, batch []*fabric.Frame) {
	var run *vlanPort
	from := 0
	for n, f := range batch {
		if p := g.of(f); p != run {
			i.untag(run, batch[from:n])
			run, from = p, n
		}
	}
	i.untag(run, batch[from:])
}

// untag takes the tags off a run of frames for one VLAN interface.
func (i *Interface) untag(p *vlanPort, run []*fabric.Frame) {
	switch {
	case len(run) == 0:
	case p == nil:
		i.accept(run)
	default:
		for _, f := range run {
			f.PopTag() // of looked at it
		}
		p.rx.Receive(run)
	}
}

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/vxlan"
)

// A lab may be split over several netsim processes, on one machine or on several: each runs the nodes that have no remote
// address in its view of the topology (topology.Spec.At). What crosses is what a cable carries, Ethernet frames, over real
// UDP as VXLAN (RFC 7348). Every cable between two parts has a VNI of its own and leads to one address, so that the far end
// may as well be a vxlan device of Linux: the kernel then is the node.
//
// One packet's way, from host-a to host-b, which another process runs, both on the switch tor, which is here: host-a's
// train comes out of its cable to tor; tor sends it into the cable to host-b, whose impairments, for the direction from tor,
// are this process's to apply. At the end of that cable, where host-b would be, a vxlan.Device puts the VXLAN header in
// front, with the cable's VNI, and the one socket of this process sends the wire frames to host-b's address, by one system
// call for the train. There a socket joins them to a train, the VTEP finds the device by the VNI, and the device sends the
// train out of the end of host-b's cable where tor would be: it passes the cable's queue, but not its impairments, and is
// in host-b. Back it goes likewise; the impairments of that direction are the other process's.
//
// The name server, the docker engine and the swarm of a part know what runs in that part. The name server is in the part
// where a subnet's switch is, and knows the machines of all.

// joint is a cable that leads to another process.
type joint struct {
	node string          // that is there
	end  *fabric.LinkEnd // its end of the cable
	to   netip.AddrPort
	vni  uint32
	mtu  int
}

// KindVXLAN is the Listening of a cable that leads to another process.
const KindVXLAN = "vxlan"

// plugJoint makes a cable with one end here at most. The end that is elsewhere is left open until the lab runs.
func (p *physical) plugJoint(spec *topology.Spec, c topology.Cable) error {
	here, there := c.A, c.B
	if p.away[here.Node].IsValid() {
		here, there = there, here
	}
	if p.away[here.Node].IsValid() {
		p.distant = append(p.distant, c)
		return nil
	}
	link := fabric.NewLink(p.endName(c.A, c.B), p.endName(c.B, c.A))
	inner, outer := link.A(), link.B()
	flap := c.Flap
	if here != c.A {
		inner, outer = outer, inner
		flap = topology.Flap{} // the other process has it go down, for both
	}
	out := c.Forward
	if here != c.A {
		out = c.Reverse
	}
	if _, err := inner.Impair(func(i *fabric.Impairment) { *i = impairment(out) }); err != nil {
		return err
	}
	p.cables = append(p.cables, &cable{link: link, a: c.A.Node, b: c.B.Node, flap: flap})
	p.joints = append(p.joints, &joint{node: there.Node, end: outer, to: p.away[there.Node], vni: c.VNI, mtu: c.MTU})
	return p.connect(spec, here, there, inner, c.MTU)
}

// underlay is the real socket of a part of a lab, and what it leads to.
type underlay struct {
	udp    *vxlan.UDP
	vtep   *vxlan.VTEP
	joints []*joint
}

// openUnderlay opens the real socket, if cables lead to other processes, and connects them to it.
func (l *Lab) openUnderlay() error {
	if len(l.phys.joints) == 0 {
		return nil
	}
	at := l.spec.Fabric.Listen
	udp, err := vxlan.ListenUDP(vxlan.UDPConfig{Name: "vxlan " + at.String(), Listen: at, Log: l.log})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("vxlan %s: the port is in use on this machine, perhaps by the other part of this lab; give \"fabric\" another \"listen\"", at)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("vxlan %s: this machine does not have the address", at)
	case err != nil:
		return err
	}
	u := &underlay{udp: udp, joints: l.phys.joints}
	u.vtep = vxlan.New(vxlan.Config{Name: "vxlan " + at.String(), Transport: udp})
	for _, j := range u.joints {
		dev, err := u.vtep.Add(vxlan.DeviceConfig{VNI: j.vni, Name: j.end.Name() + "/vxlan", MTU: j.mtu, Remote: j.to})
		if err != nil {
			return errors.Join(err, udp.Close())
		}
		dev.SetReceiver(fabric.ReceiverFunc(j.end.Send))
		j.end.SetReceiver(fabric.ReceiverFunc(dev.Send))
	}
	l.mu.Lock()
	l.underlay = u
	l.mu.Unlock()
	l.running().spawn(udp.Run)
	return nil
}

// listening tells of every cable that leads to another process. A nil underlay has none.
func (u *underlay) listening() []Listening {
	if u == nil {
		return nil
	}
	var all []Listening
	for _, j := range u.joints {
		all = append(all, Listening{Kind: KindVXLAN, Listen: u.udp.LocalAddr().String(), Node: j.node, Remote: j.to.String(), VNI: j.vni})
	}
	return all
}

// drops tells what was dropped on the way to other processes and from them. A nil underlay dropped nothing.
func (u *underlay) drops(add func(place string, s fabric.Stats)) {
	if u == nil {
		return
	}
	name := "vxlan " + u.udp.LocalAddr().String()
	add(name, u.udp.Read())
	add(name, u.vtep.Read())
	for _, d := range u.vtep.Devices() {
		add(d.Name(), d.Read())
	}
}

// elsewhere says of a node that another process runs it; empty if none does.
func (p *physical) elsewhere(name string) string {
	if at := p.away[name]; at.IsValid() {
		return fmt.Sprintf(" is run by another process, at %s; ask that", at)
	}
	return ""
}

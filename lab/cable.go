package lab

import (
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// mtuPort is the end of a cable whose device has no MTU of its own, as a switch port: what is too long for the cable
// is dropped there.
type mtuPort struct {
	*fabric.LinkEnd
	mtu int
}

// Send implements fabric.Port.
func (p mtuPort) Send(batch []*fabric.Frame) {
	for i, f := range batch {
		if p.fits(f) {
			continue
		}
		kept := append(make([]*fabric.Frame, 0, len(batch)), batch[:i]...)
		for _, f := range batch[i:] {
			if p.fits(f) {
				kept = append(kept, f)
			} else {
				p.Drop(f, fabric.DropMTU, p.Name())
			}
		}
		batch = kept
		break
	}
	if len(batch) > 0 {
		p.LinkEnd.Send(batch)
	}
}

// fits tells whether the longest wire frame of f is within the MTU. A VLAN tag does not count, as in IEEE 802.1Q.
func (p mtuPort) fits(f *fabric.Frame) bool {
	n := f.PacketLen()
	if f.L3() == nil { // nobody looked into it: then it is counted from its Ethernet header
		n -= wire.EthernetLen
	}
	return n <= p.mtu
}

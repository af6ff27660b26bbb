package lab

import "github.com/netsim-lab/netsim/fabric"

// mtuPort is the end of a cable whose device has no MTU of its own, as a switch port: what is too long for the cable
// is dropped there.
type mtuPort struct {
	*fabric.LinkEnd
	mtu int
}

// Send implements fabric.Port.
func (p mtuPort) Send(batch []*fabric.Frame) {
	for i, f := range batch {
		if f.Fits(p.mtu) {
			continue
		}
		kept := append(make([]*fabric.Frame, 0, len(batch)), batch[:i]...)
		for _, f := range batch[i:] {
			if f.Fits(p.mtu) {
				kept = append(kept, f)
				continue
			}
			large, rest := f.CutToFit(p.mtu)
			p.Drop(large, fabric.DropMTU, p.Name())
			if rest != nil {
				kept = append(kept, rest)
			}
		}
		batch = kept
		break
	}
	if len(batch) > 0 {
		p.LinkEnd.Send(batch)
	}
}

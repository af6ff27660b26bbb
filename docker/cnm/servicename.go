package cnm

import (
	"net/netip"

	"github.com/netsim-lab/netsim/dns"
)

// nameRecord is a name that a record gives an address, or the other way round.
type nameRecord struct {
	owner, name string
	addr        netip.Addr
	reverse     bool
}

func (n nameRecord) add(z *dns.Zone) {
	if n.reverse {
		z.AddReverse(n.owner, n.addr, n.name)
		return
	}
	z.Add(n.owner, n.name, n.addr)
}

func (n nameRecord) remove(z *dns.Zone) {
	if n.reverse {
		z.RemoveReverse(n.owner, n.addr)
		return
	}
	z.Remove(n.owner, n.name, n.addr)
}

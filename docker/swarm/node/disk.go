package node

import (
	"math/rand/v2"
	"net/netip"
	"sync"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// Disk is what a host keeps of its membership while it is off: the swarm's addresses, its certificate and key, and on a
// manager raft's log. The zero value is an empty one.
type Disk struct {
	mu   sync.Mutex
	held *record // nil: in no swarm; guarded by mu
}

// record is one membership.
type record struct {
	listen, addr string     // of a manager here: host:port
	dataPath     netip.Addr // of VXLAN tunnels; not valid: that of addr
	remotes      []string
	token        string // to join with, until there is a certificate
	availability swarmapi.NodeSpec_Availability

	key, chain, root []byte // PEM; empty until the node has a certificate
	storage          *consensus.Storage
	lock             []byte // what a manager that is started again must be given; nil: nothing
}

// read returns a copy of what the disk holds, and false if that is nothing.
func (d *Disk) read() (record, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		return record{}, false
	}
	return *d.held, true
}

// write replaces what the disk holds.
func (d *Disk) write(r record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = &r
}

// change changes what the disk holds, unless that is nothing.
func (d *Disk) change(f func(*record)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held != nil {
		f(d.held)
	}
}

// wipe forgets everything.
func (d *Disk) wipe() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = nil
}

// identity is the certificate that is on the disk.
func (r *record) identity() (*ca.Identity, error) { return ca.NewIdentity(r.key, r.chain, r.root) }

// raft is the manager's storage, which is made when it is first asked for.
func (d *Disk) raft(luck *rand.Rand) *consensus.Storage {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		return consensus.NewStorage(luck)
	}
	if d.held.storage == nil {
		d.held.storage = consensus.NewStorage(luck)
	}
	return d.held.storage
}

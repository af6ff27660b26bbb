package node

import (
	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
	"github.com/netsim-lab/netsim/docker/swarm/manager"
)

// LocalState is how a node stands to swarms, in the words of docker info.
type LocalState string

// The states.
const (
	Inactive LocalState = "inactive"
	Pending  LocalState = "pending"
	Active   LocalState = "active"
	Failed   LocalState = "error"
	Locked   LocalState = "locked"
)

// Info is what a node knows of its membership without asking anybody.
type Info struct {
	State     LocalState
	NodeID    string
	ClusterID string
	Addr      string // advertised, without a port; "" outside a swarm
	Manager   bool   // the certificate says so
	Control   bool   // the manager runs and is a member of raft: the API can be used, if there is a quorum
	Err       string // why it is not active
	Managers  []swarmapi.Peer
}

// Status is more than Info, for display and tests.
type Status struct {
	Info
	Raft     consensus.Status // zero unless Control
	Refusals manager.Refusals
	Sessions uint64      // that the agent has had
	Gossip   gossip.View // zero unless Gossips
	Gossips  bool
}

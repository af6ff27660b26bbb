package node

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
)

// Port is where managers listen.
const Port = 2377

// Executor is what carries out a node's tasks, and the engine's whole side of a membership: package executor.
type Executor interface {
	exec.Executor
	// Run lives as long as a membership of a swarm: gossip and what follows from it. It may be called again.
	Run(ctx context.Context) error
	// Leave removes what the membership has left on the engine: tasks, ingress, overlays, and has gossip say goodbye if Run
	// is still running. Nothing enters the swarm again before the next Run.
	Leave(ctx context.Context) error
	// SetAddresses is called before a membership runs: which of the host's addresses it advertises, and that of its VXLAN tunnels
	// if that is another one. What is not valid is the executor's choice.
	SetAddresses(advertise, dataPath netip.Addr)
	// View is what gossip knows; false while there is none.
	View() (gossip.View, bool)
}

// Config says what a Node is to be.
type Config struct {
	Network  consensus.Network // where it listens and calls: the host's namespace; must be set
	Name     string            // of the host, for logs; must be set
	Addr     netip.Addr        // advertised and listened on unless InitOptions or JoinOptions say otherwise; must be set
	Executor Executor          // must be set
	Disk     *Disk             // what it knew when it last ran; nil: a new one
	Log      *slog.Logger      // nil: silent
	Luck     *rand.Rand        // the Node's own from now on; nil: seeded by Name
	Modern   bool              // networks are numbered as by today's Docker, and not as by that of 17.03 (O1)
	Now      func() time.Time  // for certificates; nil: time.Now
	Times    Times
}

// Times are the intervals of a swarm. The zero value is Docker's.
type Times struct {
	Tick          time.Duration // of raft (W18); 0: 1 s
	ElectionTicks int           // 0: 10; 3 in Docker 17.03
	Heartbeat     time.Duration // of agents, set in the swarm that Init makes (W4); 0: 5 s
	CertLife      time.Duration // of nodes' certificates, set in the swarm that Init makes (W16); 0: 90 days
	KeyRotation   time.Duration // of gossip's and IPsec's keys (C12); 0: 12 h
	Renewal       time.Duration // between looks whether a new certificate is due; 0: a minute
	Describe      time.Duration // between looks whether managers know what the node is, the root it trusts with it; 0: 20 s
	Join          time.Duration // for which Join waits; 0: 20 s
	Request       time.Duration // for which a request to the swarm's API waits; 0: 20 s

	SnapshotEvery, KeepEntries uint64 // of raft's log; 0: 10,000 and 500
}

// InitOptions say how a swarm begins. The zero value works.
type InitOptions struct {
	ListenAddr      string     // host:port; "": the address and port that is advertised
	AdvertiseAddr   string     // host:port; "": Config.Addr and Port
	DataPathAddr    netip.Addr // of VXLAN tunnels; not valid: that which is advertised
	DataPathPort    uint32     // of VXLAN; 0: 4789
	DefaultAddrPool []string   // prefixes that networks get their subnets from; none: 10.0.0.0/8
	SubnetSize      uint32     // length of the subnets' prefixes; 0: 24

	Availability    swarmapi.NodeSpec_Availability
	AutoLock        bool // a restarted manager waits for Unlock (W17)
	ForceNewCluster bool // go on alone with what this manager knows
}

// JoinOptions say which swarm to join.
type JoinOptions struct {
	Remotes       []string // managers, host:port; at least one
	Token         string
	ListenAddr    string // as for InitOptions
	AdvertiseAddr string
	DataPathAddr  netip.Addr // as for InitOptions
	Availability  swarmapi.NodeSpec_Availability
	Patience      time.Duration // for which Join waits, and goes on asking to be let in; 0: Times.Join, and five times (swarmkit's ca/config.go)

	// Turn closes when the node may take its place among the nodes; by then it has asked for the swarm's root. nil: at once.
	Turn <-chan struct{}

	// Enrolled is called once the swarm has given the node its place among the nodes; what is left is to get the certificate, and
	// to take part. Who has many nodes join in an order need not wait for more. nil: not.
	Enrolled func()
}

// Docker's times: dockerd's daemon/cluster/cluster.go.
const (
	joinTime    = 20 * time.Second
	requestTime = 20 * time.Second
	renewalTime = time.Minute
)

func (t Times) complete() Times {
	if t.Renewal == 0 {
		t.Renewal = renewalTime
	}
	if t.Join == 0 {
		t.Join = joinTime
	}
	if t.Request == 0 {
		t.Request = requestTime
	}
	return t
}

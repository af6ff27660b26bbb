package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/daemon/cluster/convert"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Swarm is an engine's side of a swarm. Its methods may be called at once from several goroutines; errors with a gRPC
// status keep it, and become the answers of the same kind.
type Swarm interface {
	// Info tells how the engine stands to a swarm. It does not block.
	Info() SwarmInfo
	// Init makes a swarm whose first manager the engine is, and returns its node id once it is one.
	Init(ctx context.Context, req SwarmInit) (nodeID string, err error)
	// Join makes the engine a node of a swarm that exists, and returns once it is one, or when it cannot be.
	Join(ctx context.Context, req SwarmJoin) error
	// Leave takes the engine out of its swarm, and its tasks with it. Whether a manager may go has been asked before.
	Leave(ctx context.Context, force bool) error
	// Control is the managers' API, on a manager that is active; nil: there is none that can be reached from here.
	Control() Control
}

// Control is the API of a swarm's managers.
type Control = swarmapi.ControlServer

// SwarmLogs is a Swarm that can tell what tasks wrote.
type SwarmLogs interface {
	// Logs hands out what tasks wrote until all of it is there, or, if the request follows, until ctx ends.
	Logs(ctx context.Context, r *swarmapi.SubscribeLogsRequest, each func(*swarmapi.SubscribeLogsMessage) error) error
}

// SwarmWatch is a Swarm that tells of changes.
type SwarmWatch interface {
	// Watch hands out what changes in the swarm, whenever the engine is a manager of one, until ctx ends.
	Watch(ctx context.Context, r *swarmapi.WatchRequest, each func(*swarmapi.WatchMessage) error) error
}

// SwarmPeers is a Swarm that knows who is on a network.
type SwarmPeers interface {
	// Peers returns the nodes that are on a network of the swarm, by its id, as far as this one has heard.
	Peers(network string) []NetworkPeer
}

// NetworkPeer is a node that is on a network.
type NetworkPeer struct {
	Name string
	Addr netip.Addr
}

// SwarmLock is a Swarm whose managers can be locked.
type SwarmLock interface {
	// UnlockKey returns the key that a restarted manager needs, SWMKEY-1-...; "": none.
	UnlockKey(ctx context.Context) (string, error)
	// Unlock gives a locked manager its key.
	Unlock(ctx context.Context, key string) error
}

// SwarmState is how far an engine is in a swarm.
type SwarmState string

// States of an engine in respect of swarms, as docker info has them.
const (
	SwarmInactive SwarmState = "" // in none
	SwarmPending  SwarmState = "pending"
	SwarmActive   SwarmState = "active"
	SwarmError    SwarmState = "error"
	SwarmLocked   SwarmState = "locked"
)

// SwarmInfo is how an engine stands to a swarm. The zero value is one that is in none.
type SwarmInfo struct {
	State   SwarmState
	Error   string // why the node is not as it should be
	Manager bool   // the node is a manager
	Control bool   // the node is a manager and can answer for the swarm
	NodeID  string // 25 characters
	// NodeAddr is the node's address, without a port.
	NodeAddr string
	// RemoteManagers are the managers that the node knows.
	RemoteManagers []SwarmPeer
}

// SwarmPeer is a manager of a swarm.
type SwarmPeer struct{ NodeID, Addr string }

// SwarmInit says how a swarm is to be made.
type SwarmInit struct {
	Listen, Advertise netip.AddrPort
	DataPath          netip.Addr // invalid: that of Advertise
	DataPathPort      uint16     // of VXLAN
	ForceNew          bool       // go on with what the node knows of its swarm, as its only manager
	Availability      swarm.NodeAvailability
	AutoLock          bool
	Pools             []netip.Prefix // of overlay networks' subnets; nil: Docker's
	SubnetSize        int            // of those subnets; 0: Docker's
}

// SwarmJoin says how a swarm is to be joined.
type SwarmJoin struct {
	Listen       netip.AddrPort
	Advertise    netip.AddrPort // invalid: what the managers see
	DataPath     netip.Addr     // invalid: that of Advertise
	Remote       string         // HOST:PORT of a manager
	Token        string
	Availability swarm.NodeAvailability
}

// Availability reads a node's availability as the API has it; empty: active.
func Availability(text swarm.NodeAvailability) (swarmapi.NodeSpec_Availability, error) {
	spec, err := convert.NodeSpecToGRPC(swarm.NodeSpec{Role: swarm.NodeRoleWorker, Availability: cmp.Or(text, swarm.NodeAvailabilityActive)})
	if err != nil {
		return 0, invalid("%v", err)
	}
	return spec.Availability, nil
}

// swarmPatience is how long a manager has for an answer, as in dockerd.
const swarmPatience = 20 * time.Second

// swarm returns how the engine stands to a swarm.
func (s *Server) swarm() SwarmInfo {
	if s.cfg.Swarm == nil {
		return SwarmInfo{}
	}
	return s.cfg.Swarm.Info()
}

// status is how the header Swarm has it.
func (i SwarmInfo) status() string {
	switch {
	case i.State == SwarmInactive:
		return "inactive"
	case i.State != SwarmActive:
		return string(i.State)
	case i.Manager:
		return "active/manager"
	}
	return "active/worker"
}

// Texts of engines that are asked for what only a manager of a swarm knows.
const (
	textNoSwarm = `This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`
	textWorker  = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. " +
		"Please run this command on a manager node or promote the current node to a manager."
	textPreparing = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
	textLocked    = `Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.`
	textNotPart   = "This node is not part of a swarm"
	textPart      = `This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.`
	textNoInit    = "this host cannot be in a swarm: it has no address on its links"
)

func unavailable(text string) error { return &apiError{http.StatusServiceUnavailable, text} }

// noManager tells why the engine cannot answer for a swarm; nil: it can.
func (i SwarmInfo) noManager() error {
	switch {
	case i.State == SwarmLocked:
		return unavailable(textLocked)
	case i.State == SwarmInactive:
		return unavailable(textNoSwarm)
	case !i.Manager:
		return unavailable(textWorker)
	case !i.Control:
		return unavailable(textPreparing)
	}
	return nil
}

// control returns the managers' API.
func (c *call) control() (swarmapi.ControlServer, error) {
	if err := c.s.swarm().noManager(); err != nil {
		return nil, err
	}
	if ctl := c.s.cfg.Swarm.Control(); ctl != nil {
		return ctl, nil
	}
	return nil, unavailable(textPreparing)
}

// managed is a handler that asks a manager, for some seconds at most.
func managed(h func(c *call, ctx context.Context, ctl swarmapi.ControlServer) error) handler { //nolint:revive // c is the receiver
	return func(c *call) error {
		ctl, err := c.control()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience)
		defer cancel()
		return rpcError(untranslated(func() error { return h(c, ctx, ctl) }))
	}
}

// untranslated carries out what translates a client's objects: Docker's converters stumble over elements of lists that are
// null, which dockerd's clients are told by a connection that breaks.
func untranslated(f func() error) (err error) {
	defer func() {
		if what := recover(); what != nil {
			err = invalid("the request cannot be understood: %v", what)
		}
	}()
	return f()
}

// isUnavailable tells whether an error says of itself, as those of dockerd do, that a swarm cannot be asked as things are.
func isUnavailable(err error) bool {
	var own interface{ Unavailable() }
	return errors.As(err, &own)
}

// unknownPrefix is what gRPC puts before an error without a code.
const unknownPrefix = "rpc error: code = Unknown desc = "

// rpcError is an error as it comes from a manager, which is an RPC away in Docker: what has no code there is unknown.
func rpcError(err error) error {
	var own *apiError
	if _, ok := status.FromError(err); ok || errors.As(err, &own) || isUnavailable(err) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unknown, strings.TrimPrefix(err.Error(), unknownPrefix)) // some errors of a manager say it themselves
}

// getCluster returns the swarm itself.
func getCluster(ctx context.Context, ctl swarmapi.ControlServer) (*swarmapi.Cluster, error) {
	r, err := ctl.ListClusters(ctx, &swarmapi.ListClustersRequest{})
	if err != nil {
		return nil, err
	}
	if len(r.Clusters) == 0 {
		return nil, unavailable(textNotPart)
	}
	return r.Clusters[0], nil
}

// swarmInfo is what docker info says of the swarm.
func (c *call) swarmInfo() swarm.Info {
	i := c.s.swarm()
	out := swarm.Info{
		NodeID: i.NodeID, NodeAddr: i.NodeAddr, LocalNodeState: swarm.LocalNodeState(i.State), ControlAvailable: i.Control, Error: i.Error,
	}
	if i.State == SwarmInactive {
		out.LocalNodeState = swarm.LocalNodeStateInactive
	}
	for _, p := range i.RemoteManagers {
		out.RemoteManagers = append(out.RemoteManagers, swarm.Peer{NodeID: p.NodeID, Addr: p.Addr})
	}
	if !i.Control {
		return out
	}
	ctl := c.s.cfg.Swarm.Control()
	if ctl == nil {
		out.Error = textPreparing
		return out
	}
	ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience)
	defer cancel()
	if err := managerInfo(ctx, ctl, &out); err != nil {
		out.Error = err.Error()
	}
	return out
}

const twoManagers = `WARNING: Running Swarm in a two-manager configuration. This configuration provides
         no fault tolerance, and poses a high risk to lose control over the cluster.
         Refer to https://docs.docker.com/engine/swarm/admin_guide/ to configure the
         Swarm for fault-tolerance.`

// managerInfo fills in what a manager knows.
func managerInfo(ctx context.Context, ctl swarmapi.ControlServer, out *swarm.Info) error {
	cluster, err := getCluster(ctx, ctl)
	if err != nil {
		return err
	}
	v := convert.SwarmFromGRPC(*cluster)
	out.Cluster = &v.ClusterInfo
	nodes, err := ctl.ListNodes(ctx, &swarmapi.ListNodesRequest{})
	if err != nil {
		return err
	}
	out.Nodes = len(nodes.Nodes)
	for _, n := range nodes.Nodes {
		if n.ManagerStatus != nil {
			out.Managers++
		}
	}
	if out.Managers == 2 {
		out.Warnings = append(out.Warnings, twoManagers)
	}
	return nil
}

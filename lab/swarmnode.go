package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path"
	"slices"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/api"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/swarm/executor"
	"github.com/netsim-lab/netsim/docker/swarm/node"
)

// swarmNode is a host's side of a swarm: a node that is in none until somebody types docker swarm init or join, and what
// carries its tasks out.
type swarmNode struct {
	*node.Node
	exec *executor.Executor
	disk *node.Disk // outlives the node
}

// What swarms of 2017 have otherwise than today's.
const (
	guideElection  = 3           // ticks without a leader after which managers elect one (W18)
	guideSuspicion = 5           // periods for which a node is suspect (C1)
	guideTombstone = time.Minute // for which a deletion is remembered (C8)
)

// newSwarmNode makes a host's side of a swarm.
func (l *Lab) newSwarmNode(m *machine, eng *engine.Engine) (*swarmNode, error) {
	n := &swarmNode{disk: &node.Disk{}}
	x := executor.Config{
		Engine: eng, NS: m.ns, Name: m.name, Addr: m.addr.Addr(), Log: l.log, EngineVersion: l.release().Engine,
		Managers: n.managers, Resource: n.resource, Turns: l.turns,
	}
	if !l.modern() {
		x.SuspicionMult, x.Gossip.Tombstone = guideSuspicion, guideTombstone
	}
	n.exec = executor.New(x)
	cfg := node.Config{
		Network: m.ns, Name: m.name, Addr: m.addr.Addr(), Executor: n.exec, Disk: n.disk, Log: l.log, Modern: l.modern(),
		Luck: rand.New(rand.NewPCG(derive(l.seed, "swarm "+m.name), 0)),
	}
	if !l.modern() {
		cfg.Times.ElectionTicks = guideElection
	}
	if l.spec.Swarm != nil {
		cfg.Times.KeyRotation = l.spec.Swarm.KeyRotation
	}
	var err error
	n.Node, err = node.New(cfg)
	return n, err
}

// hostFile returns a file of a machine: its names, and the certificates of its node.
func (l *Lab) hostFile(m *machine, name string) ([]byte, bool) {
	if dir, file := path.Split(name); path.Clean(dir) == node.CertificatesDir {
		if n := l.swarmNode(m.name); n != nil {
			text, ok := n.disk.Certificates()[file]
			return text, ok
		}
	}
	if m.report != nil && path.Clean(name) == balancerLog {
		return m.report.log.text(), true
	}
	return m.names.file(name)
}

// hostPaths returns the paths of the certificates of a machine's node, and of the log of a balancer.
func (l *Lab) hostPaths(m *machine) (all []string) {
	if m.report != nil {
		all = append(all, balancerLog)
	}
	if n := l.swarmNode(m.name); n != nil {
		for name := range n.disk.Certificates() {
			all = append(all, path.Join(node.CertificatesDir, name))
		}
	}
	return all
}

// managers are the addresses of the managers that the node knows, for gossip to begin with.
func (n *swarmNode) managers() (all []netip.Addr) {
	for _, p := range n.Node.Info().Managers {
		if a, err := netip.ParseAddrPort(p.Addr); err == nil {
			all = append(all, a.Addr())
		}
	}
	return all
}

// resource is what gives containers that are no tasks a place on networks of the swarm; nil: the host is in none.
func (n *swarmNode) resource() executor.Resource {
	if n.Node.Info().State != node.Active {
		return nil
	}
	return n.Resource()
}

// swarmNode returns a host's side of a swarm; nil: it has none.
func (l *Lab) swarmNode(host string) *swarmNode {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes[host]
}

// apiSwarm is a swarmNode as the Docker API has it.
type apiSwarm struct{ n *swarmNode }

// Info implements api.Swarm.
func (s apiSwarm) Info() api.SwarmInfo {
	i := s.n.Node.Info()
	out := api.SwarmInfo{
		State: api.SwarmState(i.State), Error: i.Err, Manager: i.Manager, Control: i.Control, NodeID: i.NodeID, NodeAddr: i.Addr,
	}
	if i.State == node.Inactive {
		out.State = api.SwarmInactive
	}
	for _, p := range i.Managers {
		out.RemoteManagers = append(out.RemoteManagers, api.SwarmPeer{NodeID: p.NodeID, Addr: p.Addr})
	}
	return out
}

// Init implements api.Swarm.
func (s apiSwarm) Init(ctx context.Context, req api.SwarmInit) (string, error) {
	o := node.InitOptions{
		ListenAddr: listenText(req.Listen, req.Advertise), AdvertiseAddr: req.Advertise.String(), DataPathAddr: req.DataPath, DataPathPort: uint32(req.DataPathPort),
		SubnetSize: uint32(req.SubnetSize), AutoLock: req.AutoLock, ForceNewCluster: req.ForceNew,
	}
	for _, p := range req.Pools {
		o.DefaultAddrPool = append(o.DefaultAddrPool, p.String())
	}
	var err error
	if o.Availability, err = api.Availability(req.Availability); err != nil {
		return "", err
	}
	return s.n.Init(ctx, o)
}

// Join implements api.Swarm.
func (s apiSwarm) Join(ctx context.Context, req api.SwarmJoin) error {
	o := node.JoinOptions{
		Remotes: []string{req.Remote}, Token: req.Token, ListenAddr: listenText(req.Listen, req.Advertise), DataPathAddr: req.DataPath,
	}
	if req.Advertise.IsValid() {
		o.AdvertiseAddr = req.Advertise.String()
	}
	var err error
	if o.Availability, err = api.Availability(req.Availability); err != nil {
		return err
	}
	return s.n.Node.Join(ctx, o)
}

// listenText is an address to listen on as node takes it: that which is advertised, unless another one is asked for.
func listenText(listen, advertise netip.AddrPort) string {
	switch {
	case !listen.Addr().IsUnspecified():
		return listen.String()
	case advertise.IsValid():
		return netip.AddrPortFrom(advertise.Addr(), listen.Port()).String()
	}
	return ""
}

// Leave implements api.Swarm.
func (s apiSwarm) Leave(ctx context.Context, force bool) error { return s.n.Leave(ctx, force) }

// Control implements api.Swarm.
func (s apiSwarm) Control() api.Control { return s.n.Control() }

// Watch implements api.SwarmWatch.
func (s apiSwarm) Watch(ctx context.Context, r *swarmapi.WatchRequest, each func(*swarmapi.WatchMessage) error) error {
	return s.n.Watch(ctx, r, each)
}

// Logs implements api.SwarmLogs.
func (s apiSwarm) Logs(ctx context.Context, r *swarmapi.SubscribeLogsRequest, each func(*swarmapi.SubscribeLogsMessage) error) error {
	return s.n.Logs(ctx, r, each)
}

// Peers implements api.SwarmPeers.
func (s apiSwarm) Peers(network string) (all []api.NetworkPeer) {
	v, ok := s.n.exec.View()
	if !ok {
		return nil
	}
	for _, m := range v.Members {
		if slices.Contains(m.Networks, network) {
			all = append(all, api.NetworkPeer{Name: m.Name, Addr: m.Addr})
		}
	}
	return all
}

// UnlockKey implements api.SwarmLock.
func (s apiSwarm) UnlockKey(ctx context.Context) (string, error) { return s.n.UnlockKey(ctx) }

// Unlock implements api.SwarmLock.
func (s apiSwarm) Unlock(ctx context.Context, key string) error { return s.n.Unlock(ctx, key) }

// startNode gives a host its side of a swarm; one without an address can be in none.
func (l *Lab) startNode(m *machine, eng *engine.Engine) error {
	if !m.addr.IsValid() {
		return nil
	}
	n, err := l.newSwarmNode(m, eng)
	if err != nil {
		return fmt.Errorf("swarm node of %s: %w", m.name, err)
	}
	l.mu.Lock()
	l.nodes[m.name] = n
	l.mu.Unlock()
	l.running().spawn(n.Run)
	return nil
}

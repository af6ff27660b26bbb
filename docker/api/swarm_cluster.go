package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/daemon/cluster/convert"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/encryption"
)

func (rs routes) addSwarm() {
	rs.add(get, "/swarm", managed((*call).swarmInspect))
	rs.add(post, "/swarm/init", (*call).swarmInit)
	rs.add(post, "/swarm/join", (*call).swarmJoin)
	rs.add(post, "/swarm/leave", (*call).swarmLeave)
	rs.add(post, "/swarm/update", managed((*call).swarmUpdate))
	rs.add(get, "/swarm/unlockkey", (*call).swarmUnlockKey)
	rs.add(post, "/swarm/unlock", (*call).swarmUnlock)
	rs.add(get, "/nodes", managed((*call).nodeList))
	rs.add(get, "/nodes/{name}", managed((*call).nodeInspect))
	rs.add(post, "/nodes/{name}/update", managed((*call).nodeUpdate))
	rs.add(remove, "/nodes/{name}", managed((*call).nodeRemove))
	rs.add(get, "/tasks", managed((*call).taskList))
	rs.add(get, "/tasks/{name}", managed((*call).taskInspect))
	rs.add(get, "/services", managed((*call).serviceList))
	rs.add(post, "/services/create", managed((*call).serviceCreate))
	rs.add(get, "/services/{name}", managed((*call).serviceInspect))
	rs.add(post, "/services/{name}/update", managed((*call).serviceUpdate))
	rs.add(remove, "/services/{name}", managed((*call).serviceRemove))
	rs.addSince(29, get, "/services/{name}/logs", (*call).serviceLogs)
	rs.addSince(29, get, "/tasks/{name}/logs", (*call).taskLogs)
	rs.addSince(25, get, "/secrets", managed((*call).secretList))
	rs.addSince(25, post, "/secrets/create", managed((*call).secretCreate))
	rs.addSince(25, get, "/secrets/{name}", managed((*call).secretInspect))
	rs.addSince(25, remove, "/secrets/{name}", managed((*call).secretRemove))
	rs.addSince(25, post, "/secrets/{name}/update", managed((*call).secretUpdate))
	rs.addSince(30, get, "/configs", managed((*call).configList))
	rs.addSince(30, post, "/configs/create", managed((*call).configCreate))
	rs.addSince(30, get, "/configs/{name}", managed((*call).configInspect))
	rs.addSince(30, remove, "/configs/{name}", managed((*call).configRemove))
	rs.addSince(30, post, "/configs/{name}/update", managed((*call).configUpdate))
}

// swarmInspect answers what docker swarm join-token, update and ca ask for first.
func (c *call) swarmInspect(ctx context.Context, ctl swarmapi.ControlServer) error {
	cluster, err := getCluster(ctx, ctl)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, convert.SwarmFromGRPC(*cluster))
}

// swarmInit answers docker swarm init.
func (c *call) swarmInit() error {
	var req swarm.InitRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	if c.version < version139 {
		req.DefaultAddrPool, req.SubnetSize = nil, 0
	}
	if c.version < version140 {
		req.DataPathPort = 0
	}
	info := c.s.swarm()
	switch {
	case c.s.cfg.Swarm == nil:
		return &apiError{http.StatusNotImplemented, textNoInit}
	case info.State != SwarmInactive && !req.ForceNewCluster:
		return unavailable(textPart)
	case info.State != SwarmInactive && !info.Manager:
		return unavailable(textWorker)
	case !slices.Contains([]string{"", "default"}, req.Spec.Name):
		return invalid(`swarm spec must be named "default"`)
	}
	order, err := c.s.initOrder(&req)
	if err != nil {
		return err
	}
	id, err := c.s.cfg.Swarm.Init(c.ctx(), order)
	if err != nil {
		return err
	}
	if err := untranslated(func() error { return c.initSpec(req.Spec) }); err != nil {
		return err
	}
	return c.json(http.StatusOK, id)
}

// initOrder reads the request for a new swarm.
func (s *Server) initOrder(req *swarm.InitRequest) (order SwarmInit, err error) {
	addrs := hostAddresses{s.engine.Host()}
	order = SwarmInit{ForceNew: req.ForceNewCluster, Availability: req.Availability, AutoLock: req.AutoLockManagers, SubnetSize: int(req.SubnetSize)}
	if order.Listen, err = addrs.listen(req.ListenAddr); err != nil {
		return order, err
	}
	if order.Advertise, err = addrs.advertise(req.AdvertiseAddr, order.Listen.Port()); err != nil {
		return order, err
	}
	if order.Listen.Addr().IsUnspecified() && !addrs.owns(order.Advertise.Addr()) {
		if _, err := addrs.system(); err != nil {
			return order, invalid("must specify a listening address because the address to advertise is not recognized as a system address, " +
				"and a system's IP address to use could not be uniquely identified")
		}
	}
	if order.DataPath, err = addrs.dataPath(req.DataPathAddr); err != nil {
		return order, err
	}
	if order.DataPathPort, err = checkDataPathPort(req.DataPathPort); err != nil {
		return order, err
	}
	order.Pools, err = addressPools(req.DefaultAddrPool, req.SubnetSize)
	return order, err
}

// initSpec lays what a client gave over what a new swarm has by itself.
func (c *call) initSpec(spec swarm.Spec) error {
	ctl := c.s.cfg.Swarm.Control()
	if ctl == nil {
		return unavailable(textPreparing)
	}
	ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience)
	defer cancel()
	cluster, err := getCluster(ctx, ctl)
	if err != nil {
		return err
	}
	spec.Name = "default"
	merged, err := convert.MergeSwarmSpecToGRPC(spec, cluster.Spec)
	if err != nil {
		return fmt.Errorf("error updating cluster settings: %w", err)
	}
	_, err = ctl.UpdateCluster(ctx, &swarmapi.UpdateClusterRequest{ClusterID: cluster.ID, ClusterVersion: &cluster.Meta.Version, Spec: &merged})
	return rpcError(err)
}

// swarmJoin answers docker swarm join.
func (c *call) swarmJoin() error {
	var req swarm.JoinRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	switch {
	case c.s.cfg.Swarm == nil:
		return &apiError{http.StatusNotImplemented, textNoInit}
	case c.s.swarm().State != SwarmInactive:
		return unavailable(textPart)
	case len(req.RemoteAddrs) == 0:
		return invalid("at least 1 RemoteAddr is required to join")
	case req.RemoteAddrs[0] == "":
		return invalid(`invalid remoteAddr "": invalid empty address`)
	}
	addrs := hostAddresses{c.s.engine.Host()}
	order := SwarmJoin{Remote: withPort(req.RemoteAddrs[0]), Token: req.JoinToken, Availability: req.Availability}
	var err error
	if order.Listen, err = addrs.listen(req.ListenAddr); err != nil {
		return err
	}
	if req.AdvertiseAddr != "" {
		if a, err := addrs.advertise(req.AdvertiseAddr, order.Listen.Port()); err == nil { // else the managers see it, as with dockerd
			order.Advertise = a
		}
	}
	if order.DataPath, err = addrs.dataPath(req.DataPathAddr); err != nil {
		return err
	}
	if err := c.s.cfg.Swarm.Join(c.ctx(), order); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// swarmLeave answers docker swarm leave. A manager goes only if it is forced to (W8).
func (c *call) swarmLeave() error {
	info, force := c.s.swarm(), c.bool("force")
	switch {
	case info.State == SwarmInactive:
		return unavailable(textNotPart)
	case info.State == SwarmLocked && !force:
		return unavailable("Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.")
	case info.Manager && !force:
		return unavailable(c.mayNotLeave(info))
	}
	if err := c.s.cfg.Swarm.Leave(c.ctx(), force); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// mayNotLeave is what a manager hears that wants to leave (W8).
func (c *call) mayNotLeave(info SwarmInfo) string {
	text := "You are attempting to leave the swarm on a node that is participating as a manager. "
	const end = "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. " +
		"Use `--force` to suppress this message."
	ctl, err := c.control()
	if err != nil {
		return text + "Doing so may lose the consensus of your cluster. " + end
	}
	ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience/4)
	defer cancel()
	r, err := ctl.ListNodes(ctx, &swarmapi.ListNodesRequest{})
	if err != nil {
		return text + end
	}
	self, reachable, unreachable := countManagers(r.Nodes, info.NodeID)
	switch {
	case !self || reachable-2 > unreachable:
	case reachable == 1 && unreachable == 0:
		return text + "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. "
	default:
		text += fmt.Sprintf("Removing this node leaves %d managers out of %d. Without a Raft quorum your swarm will be inaccessible. ",
			reachable-1, reachable+unreachable)
	}
	return text + end
}

// countManagers counts the managers that are there and those that are not; self tells whether the node is one of the first.
func countManagers(nodes []*swarmapi.Node, id string) (self bool, reachable, unreachable int) {
	for _, n := range nodes {
		switch {
		case n.ManagerStatus == nil:
		case n.ManagerStatus.Reachability == swarmapi.RaftMemberStatus_REACHABLE:
			reachable++
			self = self || n.ID == id
		case n.ManagerStatus.Reachability == swarmapi.RaftMemberStatus_UNREACHABLE:
			unreachable++
		}
	}
	return self, reachable, unreachable
}

// objectVersion reads the version of an object that a client changes.
func (c *call) objectVersion(what string) (*swarmapi.Version, error) {
	text := c.query.Get("version")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, invalid("invalid %s version '%s': %v", what, text, err)
	}
	return &swarmapi.Version{Index: n}, nil
}

// flag reads a flag of the query that must be a truth value.
func (c *call) flag(key string) (bool, error) {
	text := c.query.Get(key)
	if text == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return false, invalid("invalid value for %s: %s", key, text)
	}
	return v, nil
}

// swarmUpdate answers docker swarm update, docker swarm join-token --rotate and docker swarm ca --rotate.
func (c *call) swarmUpdate(ctx context.Context, ctl swarmapi.ControlServer) error {
	var spec swarm.Spec
	if err := c.decode(&spec); err != nil {
		return err
	}
	version, err := c.objectVersion("swarm")
	if err != nil {
		return err
	}
	var rotate swarmapi.KeyRotation
	for key, to := range map[string]*bool{
		"rotateWorkerToken": &rotate.WorkerJoinToken, "rotateManagerToken": &rotate.ManagerJoinToken, "rotateManagerUnlockKey": &rotate.ManagerUnlockKey,
	} {
		if *to, err = c.flag(key); err != nil {
			return err
		}
	}
	switch spec.Name {
	case "":
		spec.Name = "default"
	case "default":
	default:
		return invalid(`swarm spec must be named "default"`)
	}
	cluster, err := getCluster(ctx, ctl)
	if err != nil {
		return err
	}
	to, err := convert.SwarmSpecToGRPC(spec)
	if err != nil {
		return invalid("%v", err)
	}
	_, err = ctl.UpdateCluster(ctx, &swarmapi.UpdateClusterRequest{ClusterID: cluster.ID, Spec: &to, ClusterVersion: version, Rotation: rotate})
	if err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// swarmUnlockKey answers docker swarm unlock-key.
func (c *call) swarmUnlockKey() error {
	if err := c.s.swarm().noManager(); err != nil {
		return err
	}
	lock, ok := c.s.cfg.Swarm.(SwarmLock)
	if !ok {
		return c.json(http.StatusOK, swarm.UnlockKeyResponse{})
	}
	key, err := lock.UnlockKey(c.ctx())
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, swarm.UnlockKeyResponse{UnlockKey: key})
}

// swarmUnlock answers docker swarm unlock.
func (c *call) swarmUnlock() error {
	var req swarm.UnlockRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	info := c.s.swarm()
	if info.State != SwarmLocked {
		if err := info.noManager(); err != nil {
			return err
		}
		return &apiError{http.StatusConflict, "swarm is not locked"}
	}
	lock, ok := c.s.cfg.Swarm.(SwarmLock)
	if !ok {
		return unavailable(textLocked)
	}
	if _, err := encryption.ParseHumanReadableKey(req.UnlockKey); err != nil {
		return invalid("%v", err)
	}
	if err := lock.Unlock(c.ctx(), req.UnlockKey); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

package api

import (
	"context"
	"maps"
	"net/http"
	"strconv"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/daemon/cluster/convert"
	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// scopeSwarm is the scope of networks that all nodes of a swarm know.
const scopeSwarm = "swarm"

// predefinedLabel marks what stands in the swarm for the networks bridge and host of every node.
const predefinedLabel = "com.docker.swarm.predefined"

// swarmNetworks returns the networks of the swarm, where the engine can answer for one; else none.
func (c *call) swarmNetworks() []network.Inspect {
	ctl, err := c.control()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience)
	defer cancel()
	r, err := ctl.ListNetworks(ctx, &swarmapi.ListNetworksRequest{})
	if err != nil {
		return nil // then the engine tells what it has itself, as dockerd does
	}
	var all []network.Inspect
	for _, n := range r.Networks {
		if n.Spec.Annotations.Labels[predefinedLabel] == "true" {
			continue
		}
		all = append(all, c.s.swarmNetwork(n))
	}
	return all
}

// swarmNetwork is a network of the swarm as a manager without a task on it knows it.
func (s *Server) swarmNetwork(n *swarmapi.Network) network.Inspect {
	v := convert.BasicNetworkFromGRPC(*n)
	if v.Labels == nil && s.cfg.Modern {
		v.Labels = map[string]string{}
	}
	return v
}

// vxlanOption is the driver option that names the VXLAN of an overlay.
const vxlanOption = "com.docker.network.driver.overlay.vxlanid_list"

// addSwarm says of a network that is here what its swarm knows: its VXLAN, and the nodes that are on it.
func (s *Server) addSwarm(v *network.Inspect, n *cnm.Network) {
	if n.Scope() != scopeSwarm {
		return
	}
	if v.Options[vxlanOption] == "" && n.VNI() != 0 {
		options := maps.Clone(v.Options)
		if options == nil {
			options = map[string]string{}
		}
		options[vxlanOption] = strconv.Itoa(int(n.VNI()))
		v.Options = options
	}
	if len(v.IPAM.Options) == 0 {
		v.IPAM.Options = nil
	}
	if peers, ok := s.cfg.Swarm.(SwarmPeers); ok {
		for _, p := range peers.Peers(n.ID()) {
			v.Peers = append(v.Peers, network.PeerInfo{Name: p.Name, IP: p.Addr.String()})
		}
	}
}

// networks returns every network that the engine knows: those of the swarm first.
func (c *call) networks(detailed bool) []network.Inspect {
	all := c.swarmNetworks()
	known := map[string]bool{}
	for _, n := range all {
		known[n.ID] = true
	}
	for _, n := range c.s.engine.Networks() {
		if !known[n.ID()] {
			all = append(all, inspectNetwork(n, detailed))
		}
	}
	return all
}

// swarmDriver tells whether a network that is to be made is the swarm's.
func swarmDriver(req *network.CreateRequest) bool {
	return req.Driver == cnm.DriverOverlay || req.Scope == scopeSwarm
}

// createSwarmNetwork makes a network of the swarm. Where the engine cannot, it has the words.
func (c *call) createSwarmNetwork(req *network.CreateRequest, cfg *cnm.NetworkConfig, warning string) error {
	info := c.s.swarm()
	if info.State == SwarmActive && !info.Manager {
		return &apiError{http.StatusForbidden, "Cannot create a multi-host network from a worker node. Please create the network from a manager node."}
	}
	if info.State == SwarmInactive {
		return &apiError{http.StatusForbidden, textNoSwarm}
	}
	ctl, err := c.control()
	if err != nil {
		return err
	}
	if p := cfg.Subnet; p != p.Masked() {
		return invalid("invalid network config:\ninvalid subnet %s: it should be %s", p, p.Masked())
	}
	if builtIn(req.Name) {
		return &apiError{http.StatusForbidden, req.Name + " is a pre-defined network and cannot be created"}
	}
	for _, n := range c.networks(false) {
		if n.Name == req.Name {
			return &apiError{http.StatusConflict, "network with name " + req.Name + " already exists"}
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience)
	defer cancel()
	spec := convert.BasicNetworkCreateToGRPC(*req)
	r, err := ctl.CreateNetwork(ctx, &swarmapi.CreateNetworkRequest{Spec: &spec})
	if err != nil {
		return rpcError(err)
	}
	return c.json(http.StatusCreated, network.CreateResponse{ID: r.Network.ID, Warning: warning})
}

// builtIn tells whether every engine has a network of that name.
func builtIn(name string) bool {
	switch name {
	case "bridge", "host", "none", "default":
		return true
	}
	return false
}

// removeSwarmNetwork takes a network of the swarm away.
func (c *call) removeSwarmNetwork(id string) error {
	ctl, err := c.control()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience)
	defer cancel()
	if _, err := ctl.RemoveNetwork(ctx, &swarmapi.RemoveNetworkRequest{NetworkID: id}); err != nil {
		return rpcError(err)
	}
	return c.status(http.StatusNoContent)
}

// matchNetwork tells whether a network passes docker network ls --filter. busy: it has containers.
func matchNetwork(f filters.Args, n *network.Inspect, busy bool) (bool, error) {
	ok := f.ExactMatch("driver", n.Driver) && f.Match("name", n.Name) && f.Match("id", n.ID) &&
		f.MatchKVList("label", n.Labels) && f.ExactMatch("scope", n.Scope)
	own := builtIn(n.Name)
	if f.Contains("dangling") {
		dangling, err := boolFilter(f, "dangling")
		if err != nil {
			return false, err
		}
		ok = ok && dangling == (!own && !busy)
	}
	if kinds := f.Get("type"); len(kinds) > 0 {
		fits := false
		for _, kind := range kinds {
			switch kind {
			case "builtin":
				fits = fits || own
			case "custom":
				fits = fits || !own
			default:
				return false, invalid("invalid filter: 'type'='%s'", kind)
			}
		}
		ok = ok && fits
	}
	return ok, nil
}

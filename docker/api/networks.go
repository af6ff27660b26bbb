package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// inspectNetwork is a network in the order of keys of API 1.50, which the docker command prints as it comes.
func inspectNetwork(n *cnm.Network, detailed bool) network.Inspect {
	v := network.Inspect{
		Name: n.Name(), ID: n.ID(), Created: n.Created(), Scope: n.Scope(), Driver: n.Driver(), EnableIPv4: true,
		IPAM: network.IPAM{Driver: n.IPAMDriver()}, Internal: n.Internal(), Attachable: n.Attachable(), Ingress: n.Ingress(),
		Containers: map[string]network.EndpointResource{}, Options: n.Options(), Labels: n.Labels(),
	}
	if v.IPAM.Options = n.IPAMOptions(); v.IPAM.Options == nil && n.UserDefined() {
		v.IPAM.Options = map[string]string{}
	}
	for _, p := range n.Pools() {
		cfg := network.IPAMConfig{Subnet: p.Subnet.String()}
		if p.IPRange.IsValid() {
			cfg.IPRange = p.IPRange.String()
		}
		if p.Gateway.IsValid() {
			cfg.Gateway = p.Gateway.String()
		}
		for name, a := range p.AuxAddresses {
			if cfg.AuxAddress == nil {
				cfg.AuxAddress = map[string]string{}
			}
			cfg.AuxAddress[name] = a.String()
		}
		v.IPAM.Config = append(v.IPAM.Config, cfg)
	}
	if !detailed {
		return v
	}
	for _, ep := range n.Endpoints() {
		r := network.EndpointResource{Name: ep.EndpointName(), EndpointID: ep.ID()}
		if ep.Prefix().IsValid() {
			r.IPv4Address = ep.Prefix().String()
		}
		if !ep.MAC().IsZero() {
			r.MacAddress = ep.MAC().String()
		}
		v.Containers[ep.Sandbox().ContainerID()] = r
	}
	return v
}

// guideNetwork is a network in the order of keys of 2017 (B38, E13).
type guideNetwork struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	EnableIPv6 bool
	IPAM       network.IPAM
	Internal   bool
	Attachable bool
	Ingress    bool `json:",omitempty"` // docker network rm asks for it
	Containers map[string]network.EndpointResource
	Options    map[string]string
	Labels     map[string]string
	Peers      []network.PeerInfo `json:",omitempty"`
}

// inspected is what a client prints.
func (s *Server) inspected(v network.Inspect) any {
	if s.cfg.Modern {
		return v
	}
	if v.IPAM.Config == nil {
		v.IPAM.Config = []network.IPAMConfig{}
	}
	return guideNetwork{
		Name: v.Name, ID: v.ID, Created: v.Created, Scope: v.Scope, Driver: v.Driver, EnableIPv6: v.EnableIPv6, IPAM: v.IPAM,
		Internal: v.Internal, Attachable: v.Attachable, Ingress: v.Ingress, Containers: v.Containers, Options: v.Options,
		Labels: v.Labels, Peers: v.Peers,
	}
}

// networkList answers docker network ls. Clients before 1.28 hear of the containers too.
func (c *call) networkList() error {
	f, err := c.filters("dangling", "driver", "id", "label", "name", "scope", "type")
	if err != nil {
		return err
	}
	busy := map[string]bool{}
	for _, n := range c.s.engine.Networks() {
		busy[n.ID()] = len(n.Endpoints()) > 0
	}
	list := []network.Inspect{}
	for _, n := range c.networks(c.version < version128) {
		ok, err := matchNetwork(f, &n, busy[n.ID])
		if err != nil {
			return err
		}
		if ok {
			list = append(list, n)
		}
	}
	return c.json(http.StatusOK, list)
}

// boolFilter reads a filter that is true or false.
func boolFilter(f filters.Args, key string) (bool, error) {
	values := f.Get(key)
	if len(values) != 1 {
		return false, invalid("got more than one value for filter key %q", key)
	}
	switch values[0] {
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, invalid(`invalid value for filter '%s', must be "true" (or "1"), or "false" (or "0")`, key)
}

// network finds the network that the path names: by its whole id, its name, or the beginning of its id. One of the swarm
// that is not on this host has no cnm.Network.
func (c *call) network() (found network.Inspect, local *cnm.Network, err error) {
	scope := c.query.Get("scope")
	var byName, byPrefix []network.Inspect
	match := func() (network.Inspect, error) {
		for _, n := range c.networks(false) {
			switch {
			case scope != "" && n.Scope != scope:
			case n.ID == c.name:
				return n, nil
			case n.Name == c.name:
				byName = append(byName, n)
			case strings.HasPrefix(n.ID, c.name):
				byPrefix = append(byPrefix, n)
			}
		}
		for _, found := range []struct {
			all []network.Inspect
			by  string
		}{{byName, "name"}, {byPrefix, "ID prefix"}} {
			switch len(found.all) {
			case 0:
			case 1:
				return found.all[0], nil
			default:
				return network.Inspect{}, invalid("network %s is ambiguous (%d matches found based on %s)", c.name, len(found.all), found.by)
			}
		}
		return network.Inspect{}, notFound("network %s not found", c.name)
	}
	if found, err = match(); err != nil {
		return found, nil, err
	}
	for _, n := range c.s.engine.Networks() {
		if n.ID() == found.ID {
			local = n
		}
	}
	return found, local, nil
}

// networkInspect answers docker network inspect.
func (c *call) networkInspect() error {
	if v := c.query.Get("verbose"); v != "" {
		if _, err := strconv.ParseBool(v); err != nil {
			return invalid("invalid value for verbose: %s: %v", v, err)
		}
	}
	v, local, err := c.network()
	if err != nil {
		return err
	}
	if local != nil {
		v = inspectNetwork(local, true)
		c.s.addSwarm(&v, local)
	}
	return c.json(http.StatusOK, c.s.inspected(v))
}

// networkCreate answers docker network create.
func (c *call) networkCreate() error {
	var req network.CreateRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	cfg, warning, err := networkConfig(&req)
	if err != nil {
		return err
	}
	if swarmDriver(&req) {
		return c.createSwarmNetwork(&req, &cfg, warning)
	}
	n, err := c.s.engine.CreateNetwork(cfg)
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, network.CreateResponse{ID: n.ID(), Warning: warning})
}

// textNoIPv6 warns of what a lab has not.
const textNoIPv6 = "IPv6 is not simulated: the network has IPv4 only"

// networkConfig returns a network as the controller takes it.
func networkConfig(req *network.CreateRequest) (cfg cnm.NetworkConfig, warning string, err error) {
	switch {
	case strings.TrimSpace(req.Name) == "":
		return cfg, "", invalid("network name cannot be empty")
	case req.ConfigOnly || req.ConfigFrom != nil && req.ConfigFrom.Network != "":
		return cfg, "", &apiError{http.StatusNotImplemented, "config-only networks are not simulated"}
	case req.EnableIPv4 != nil && !*req.EnableIPv4:
		return cfg, "", &apiError{http.StatusNotImplemented, "networks without IPv4 are not simulated"}
	case req.Ingress:
		return cfg, "", &apiError{http.StatusNotImplemented, "the ingress network of a lab is made with its swarm"}
	}
	cfg = cnm.NetworkConfig{
		Name: req.Name, Driver: req.Driver, Internal: req.Internal, Attachable: req.Attachable, Options: req.Options, Labels: req.Labels,
	}
	if req.EnableIPv6 != nil && *req.EnableIPv6 {
		warning = textNoIPv6
	}
	if req.IPAM == nil {
		return cfg, warning, nil
	}
	cfg.IPAMDriver = req.IPAM.Driver
	cfg.IPAMOptions = req.IPAM.Options
	var v4 []network.IPAMConfig
	for _, p := range req.IPAM.Config {
		if strings.Contains(p.Subnet, ":") {
			warning = textNoIPv6
			continue
		}
		v4 = append(v4, p)
	}
	if cfg.Driver == cnm.DriverOverlay && len(v4) > 1 {
		return cfg, "", invalid("overlay driver doesn't support multiple subnets")
	}
	for i, p := range v4 {
		pool, err := poolConfig(p)
		switch {
		case err != nil:
			return cfg, "", err
		case i > 0:
			cfg.MorePools = append(cfg.MorePools, pool)
		default:
			cfg.Subnet, cfg.Gateway, cfg.IPRange, cfg.AuxAddresses = pool.Subnet, pool.Gateway, pool.IPRange, pool.AuxAddresses
		}
	}
	return cfg, warning, nil
}

// poolConfig returns a subnet as the controller takes it, with Docker's texts for addresses that are none (I16).
func poolConfig(p network.IPAMConfig) (cfg cnm.PoolConfig, err error) {
	var bad []string
	prefix := func(what, text string) (v netip.Prefix) {
		if text == "" {
			return v
		}
		v, err := netip.ParsePrefix(text)
		if err != nil {
			bad = append(bad, fmt.Sprintf("invalid %s %s: invalid CIDR block notation", what, text))
		}
		return v
	}
	cfg.Subnet, cfg.IPRange = prefix("subnet", p.Subnet), prefix("ip-range", p.IPRange)
	if p.Gateway != "" {
		addr, err := netip.ParseAddr(p.Gateway)
		if err != nil {
			bad = append(bad, fmt.Sprintf("invalid gateway %s: invalid address", p.Gateway))
		}
		cfg.Gateway = addr
	}
	for name, text := range p.AuxAddress {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			bad = append(bad, fmt.Sprintf("invalid auxiliary address %s: invalid address", name))
			continue
		}
		if cfg.AuxAddresses == nil {
			cfg.AuxAddresses = map[string]netip.Addr{}
		}
		cfg.AuxAddresses[name] = addr
	}
	if len(bad) > 0 {
		return cfg, invalid("invalid network config:\n%s", strings.Join(bad, "\n"))
	}
	return cfg, nil
}

// networkRemove answers docker network rm.
func (c *call) networkRemove() error {
	n, _, err := c.network()
	if err != nil {
		return err
	}
	if n.Scope == scopeSwarm {
		return c.removeSwarmNetwork(n.ID)
	}
	if err := c.s.engine.RemoveNetwork(n.ID); err != nil {
		return err
	}
	return c.status(http.StatusNoContent)
}

// networkConnect answers docker network connect.
func (c *call) networkConnect() error {
	var req network.ConnectOptions
	if err := c.decode(&req); err != nil {
		return err
	}
	if c.version < version148 && req.EndpointConfig != nil {
		req.EndpointConfig.GwPriority = 0
	}
	ep, err := endpointConfig(c.name, req.EndpointConfig)
	if err != nil {
		return err
	}
	if err := c.s.engine.ConnectNetwork(c.ctx(), c.name, req.Container, ep); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// networkDisconnect answers docker network disconnect.
func (c *call) networkDisconnect() error {
	var req network.DisconnectOptions
	if err := c.decode(&req); err != nil {
		return err
	}
	if err := c.s.engine.DisconnectNetwork(c.ctx(), c.name, req.Container, req.Force); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// networkPrune answers docker network prune.
func (c *call) networkPrune() error {
	f, err := c.filters("label", "label!", "until")
	if err != nil {
		return err
	}
	until, err := untilFilter(f)
	if err != nil {
		return err
	}
	names := c.s.engine.PruneNetworks(func(n *cnm.Network) bool {
		young := !until.IsZero() && n.Created().After(until)
		return young || !matchLabels(f, n.Labels())
	})
	return c.json(http.StatusOK, network.PruneReport{NetworksDeleted: names})
}

// matchLabels tells whether something passes the label filters of a prune.
func matchLabels(f filters.Args, labels map[string]string) bool {
	if !f.MatchKVList("label", labels) {
		return false
	}
	return !f.Contains("label!") || !f.MatchKVList("label!", labels)
}

// untilFilter reads the filter until of a prune: a time, or how long ago.
func untilFilter(f filters.Args) (time.Time, error) {
	values := f.Get("until")
	switch len(values) {
	case 0:
		return time.Time{}, nil
	case 1:
	default:
		return time.Time{}, invalid("more than one until filter specified")
	}
	if d, err := time.ParseDuration(values[0]); err == nil {
		return time.Now().Add(-d), nil
	}
	return parseTime(values[0])
}

package cnm

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Kinds of errors, for errors.Is. The text of an error is the one that Docker prints.
var (
	ErrNotFound  = errors.New("not found")
	ErrForbidden = errors.New("forbidden")
	ErrConflict  = errors.New("conflict")
	ErrInvalid   = errors.New("invalid parameter")
	ErrSystem    = errors.New("system error") // nobody's fault but the host's: a port or an address is taken
)

// dockerError is an error with Docker's text and a kind.
type dockerError struct {
	kind error
	text string
}

// Error implements error.
func (e *dockerError) Error() string { return e.text }

// Unwrap returns the error's kind.
func (e *dockerError) Unwrap() error { return e.kind }

func fail(kind error, format string, args ...any) error {
	return &dockerError{kind: kind, text: fmt.Sprintf(format, args...)}
}

// say returns the text of the engine's time: that of 2017 or today's.
func (c *Controller) say(guide, modern string) string {
	if c.cfg.Modern {
		return modern
	}
	return guide
}

// upper returns the text with the capital letter that engines of 2017 began it with.
func (c *Controller) upper(text string) string {
	if c.cfg.Modern {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func (c *Controller) errNoNetwork(name string) error {
	return fail(ErrNotFound, "network %s not found", name)
}

func (c *Controller) errNetworkExists(name string) error {
	return fail(ErrConflict, "network with name %s already exists", name)
}

// errPredefinedCreate refuses to make a network that every host has (B34, H4).
func (c *Controller) errPredefinedCreate(name string) error {
	if c.cfg.Modern {
		return fail(ErrForbidden, "operation is not permitted on predefined %s network ", name)
	}
	return fail(ErrForbidden, "%s is a pre-defined network and cannot be created", name)
}

func (c *Controller) errPredefinedRemove(name string) error {
	return fail(ErrForbidden, "%s is a pre-defined network and cannot be removed", name)
}

func (c *Controller) errOneInstance(driver string) error {
	return fail(ErrForbidden, "only one instance of %q network is allowed", driver)
}

// errActive refuses to remove a network in use (B35).
func (c *Controller) errActive(n *Network) error {
	if !c.cfg.Modern {
		return fail(ErrForbidden, "network %s has active endpoints", n.name)
	}
	var users []string
	for _, ep := range n.Endpoints() {
		users = append(users, fmt.Sprintf("name:%q id:%q", ep.EndpointName(), short(ep.id)))
	}
	return fail(ErrForbidden, "error while removing network: network %s has active endpoints (%s)", n.name, strings.Join(users, ", "))
}

// errEndpointExists refuses to connect a container twice (B41, I32).
func (c *Controller) errEndpointExists(name, network string) error {
	if c.cfg.Modern {
		return fail(ErrForbidden, "endpoint with name %s already exists in network %s", name, network)
	}
	return fail(ErrForbidden, "service endpoint with name %s already exists", name)
}

// errNotConnected refuses to disconnect what is not connected (B41).
func (c *Controller) errNotConnected(container, network string) error {
	return fail(ErrForbidden, c.say("container %s is not connected to the network %s", "container %s is not connected to network %s"), container, network)
}

func (c *Controller) errNoPlugin(name string) error {
	return fail(ErrNotFound, c.say("plugin %q not found", "could not find plugin %s in v1 plugin registry: plugin not found"), name)
}

func (c *Controller) errNoSwarm() error {
	return fail(ErrForbidden, `This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`)
}

// endpointInvalid is a rule about an endpoint's settings that was broken (I14).
func (c *Controller) endpointInvalid(text string) error {
	if c.cfg.Modern {
		return fail(ErrInvalid, "invalid endpoint settings:\n%s", text)
	}
	return fail(ErrInvalid, "%s", c.upper(text))
}

// errHostConnect refuses host mode at run time (H5).
func (c *Controller) errHostConnect() error {
	return fail(ErrForbidden, "%s", c.say("Container cannot be disconnected from host network or connected to host network",
		"cannot connect container to host network - container must be created in host network mode"))
}

// errSharing refuses to connect a container in host mode to a network (H6).
func (c *Controller) errSharing() error {
	return fail(ErrForbidden, "%s", c.upper("container sharing network namespace with another container or host cannot be connected to any other network"))
}

// errHostDisconnect refuses to disconnect a container in host mode (H6).
func (c *Controller) errHostDisconnect() error {
	return fail(ErrForbidden, "%s", c.say("Container cannot be disconnected from host network or connected to host network",
		"cannot disconnect container from host network - container was created in host network mode"))
}

// errPrivate refuses to mix none with other networks (H7).
func (c *Controller) errPrivate() error {
	return fail(ErrForbidden, "%s", c.upper("container cannot be connected to multiple networks with one of the networks in private (none) mode"))
}

// checkEndpoint holds an endpoint's settings against what its network allows (I14).
func (c *Controller) checkEndpoint(cfg EndpointConfig, n *Network) error {
	switch {
	case cfg.IP.IsValid() && !n.UserDefined() && n.name != NetworkGateway:
		return c.endpointInvalid("user specified IP address is supported on user defined networks only")
	case cfg.IP.IsValid() && n.cfg.Driver != DriverOverlay && !n.UserSubnet() && n.name != NetworkGateway:
		return c.endpointInvalid("user specified IP address is supported only when connecting to networks with user configured subnets")
	case cfg.IP.IsValid() && c.cfg.Modern && !n.contains(cfg.IP):
		return c.endpointInvalid("no configured subnet or ip-range contain the IP address " + cfg.IP.String())
	case len(cfg.Aliases) > 0 && !n.UserDefined():
		return c.endpointInvalid("network-scoped alias is supported only for containers in user defined networks")
	}
	return nil
}

// checkNetwork holds the configuration of a new network against the rules (I16).
func (c *Controller) checkNetwork(cfg NetworkConfig) error {
	var errs []string
	add := func(format string, args ...any) { errs = append(errs, fmt.Sprintf(format, args...)) }
	if len(cfg.MorePools) > 0 && cfg.Driver == DriverBridge {
		return fail(ErrInvalid, "bridge driver doesn't support multiple subnets") // I16
	}
	for _, p := range cfg.pools() {
		p.check(add)
	}
	if len(errs) == 0 {
		return nil
	}
	return fail(ErrInvalid, "invalid network config:\n%s", strings.Join(errs, "\n"))
}

// check holds a subnet against the rules, and adds what is wrong with it.
func (cfg *PoolConfig) check(add func(format string, args ...any)) {
	s := cfg.Subnet
	switch {
	case s == (netip.Prefix{}):
		if cfg.Gateway.IsValid() || cfg.IPRange.IsValid() || len(cfg.AuxAddresses) > 0 {
			add("%s", "a gateway or an ip-range needs a subnet that it is in")
		}
	case !s.IsValid() || !s.Addr().Is4():
		add("invalid subnet %s: it must be an IPv4 subnet", s)
	case s != s.Masked():
		add("invalid subnet %s: it should be %s", s, s.Masked())
	default:
		if cfg.Gateway.IsValid() && !s.Contains(cfg.Gateway) {
			add("invalid gateway %s: parent subnet %s doesn't contain this address", cfg.Gateway, s)
		}
		for name, a := range cfg.AuxAddresses {
			if !s.Contains(a) {
				add("auxiliary address: (%s:%s) must belong to the master pool: %s", name, a, s) // I15
			}
		}
		if r := cfg.IPRange; r.IsValid() && (r.Bits() < s.Bits() || !s.Contains(r.Addr())) {
			add("invalid ip-range %s: parent subnet %s doesn't contain ip-range", r, s)
		}
	}
}

func short(id string) string { return id[:min(len(id), 12)] }

// CheckConnect tells whether a container that is on some networks, given by name or id, may be on one more: what Connect
// would say of one that runs.
func (c *Controller) CheckConnect(on []string, cfg EndpointConfig) error {
	n, ok := c.Network(cfg.Network)
	if !ok {
		return c.errNoNetwork(cfg.Network)
	}
	for _, name := range on {
		other, ok := c.Network(name)
		switch {
		case !ok || other == n:
		case other.cfg.Driver == DriverHost:
			return c.errSharing()
		case n.cfg.Driver == DriverHost:
			return c.errHostConnect()
		case other.cfg.Driver == DriverNull || n.cfg.Driver == DriverNull:
			return c.errPrivate()
		}
	}
	return c.checkEndpoint(cfg, n)
}

// ErrSharing refuses to connect a container that is in another's namespace, or the host's, to a network (H6).
func (c *Controller) ErrSharing() error { return c.errSharing() }

// ErrNotConnected refuses to disconnect a container from a network that it is not on (B41).
func (c *Controller) ErrNotConnected(container, network string) error {
	return c.errNotConnected(container, network)
}

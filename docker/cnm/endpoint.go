package cnm

import (
	"net/netip"
	"slices"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// EndpointConfig says how a container is to be on a network.
type EndpointConfig struct {
	Network string     // name or id
	IP      netip.Addr // zero: the next free one; on an overlay the swarm gives it
	MAC     wire.MAC   // zero: 02:42 and the address
	Aliases []string   // further names of the container on this network
	Ports   []PortBinding
	// Links, DriverOpts and GwPriority are kept for whoever asks; the endpoint with the highest GwPriority gives the
	// default route (I37).
	Links      []string
	DriverOpts map[string]string
	GwPriority int
	Service    *ServiceBinding // nil: no task of a service
	Held       bool            // a task that is not ready: it serves nobody until Sandbox.SetServing (S13)
}

// PortBinding publishes a port of a container on the host.
type PortBinding struct {
	Proto                   string     // tcp or udp; empty: tcp
	HostIP                  netip.Addr // zero: the network's default, all addresses if it has none
	HostPort, ContainerPort uint16     // HostPort 0: the next free one from 32768 on
	HostPortEnd             uint16     // the first that is free from HostPort up to this one (B27); 0: HostPort alone
}

// Endpoint is a sandbox's place on a network. It does not change once it has joined.
type Endpoint struct {
	id      string
	network *Network
	sandbox *Sandbox
	cfg     EndpointConfig
	ip      netip.Prefix
	mac     wire.MAC
	device  string
	info    joinInfo
	pool    *pool // that the address is of; nil: the swarm gave it, or there is none
}

// ID returns the endpoint's id.
func (ep *Endpoint) ID() string { return ep.id }

// Name returns the name of the interface in the container, eth0 and so on; empty on host and none.
func (ep *Endpoint) Name() string { return ep.device }

// EndpointName returns what the network calls the endpoint: the container's name, or gateway_<id> on docker_gwbridge.
func (ep *Endpoint) EndpointName() string {
	if ep.isGateway() {
		return "gateway_" + short(ep.sandbox.cfg.ID) // O12
	}
	return ep.sandbox.Name()
}

// Network returns the network.
func (ep *Endpoint) Network() *Network { return ep.network }

// Sandbox returns the sandbox.
func (ep *Endpoint) Sandbox() *Sandbox { return ep.sandbox }

// IP returns the address; invalid on host and none.
func (ep *Endpoint) IP() netip.Addr { return ep.ip.Addr() }

// Prefix returns the address with the length of the subnet's prefix.
func (ep *Endpoint) Prefix() netip.Prefix { return ep.ip }

// MAC returns the hardware address.
func (ep *Endpoint) MAC() wire.MAC { return ep.mac }

// Gateway returns the way out by this endpoint; invalid: none.
func (ep *Endpoint) Gateway() netip.Addr { return ep.info.gateway }

// HostInterface returns the name of the other end of the container's interface, in the host's namespace or in that of
// the overlay; empty if there is none.
func (ep *Endpoint) HostInterface() string { return ep.info.hostIfName }

// Interface returns the interface in the container; nil if there is none.
func (ep *Endpoint) Interface() *netns.Interface {
	i, _ := ep.sandbox.cfg.NS.Interface(ep.device)
	return i
}

// Aliases returns the names that the user gave the container on this network.
func (ep *Endpoint) Aliases() []string { return slices.Clone(ep.cfg.Aliases) }

// Config returns what the endpoint was made from. It must not be changed.
func (ep *Endpoint) Config() EndpointConfig { return ep.cfg }

// Service returns the service that the container is a task of; nil: none.
func (ep *Endpoint) Service() *ServiceBinding { return ep.cfg.Service }

// isGateway tells whether the endpoint is the one on docker_gwbridge.
func (ep *Endpoint) isGateway() bool { return ep.network.name == NetworkGateway }

// hasInterface tells whether the network gives containers an interface.
func (ep *Endpoint) hasInterface() bool {
	return ep.network.cfg.Driver != DriverHost && ep.network.cfg.Driver != DriverNull
}

// routeOf returns a route of the container by an endpoint.
func routeOf(ep *Endpoint, r staticRoute) netns.Route {
	return netns.Route{Dst: r.dst, Via: r.via, Dev: ep.Interface()}
}

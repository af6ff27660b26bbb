package cnm

import (
	"net/netip"

	"github.com/netsim-lab/netsim/netns"
)

// NetworkDriver is a network driver that comes as a plug-in: docker network create -d NAME makes networks with it once
// Controller.AddNetworkDriver knows it. There is one call at a time for each network and each sandbox; calls for different
// ones may come at once. A call must not call the controller back for the same network or sandbox, but for the accessors
// and NewVeth.
type NetworkDriver interface {
	// CreateNetwork builds what the network needs on the host: n.Subnet(), n.Gateway() and n.Options() say what it is to be.
	CreateNetwork(n *Network) error
	// DeleteNetwork undoes CreateNetwork. All endpoints have left.
	DeleteNetwork(n *Network) error
	// Join makes the interface ep.Name() in the namespace ep.Sandbox().NS(), with ep.MAC() and ep.IP(), which is not valid where
	// the address driver gives none (IPAMNull): n.Subnet() was 0.0.0.0/0 then, which CreateNetwork may refuse.
	Join(ep *Endpoint) (JoinInfo, error)
	// Leave undoes Join.
	Leave(ep *Endpoint) error
}

// JoinInfo is what a NetworkDriver tells of an endpoint that it connected. The zero value is an endpoint without a way out.
type JoinInfo struct {
	HostInterface string        // the other end of the container's interface; empty: there is none
	Gateway       netip.Addr    // the default route's; zero: none by this network
	Routes        []StaticRoute // added to the container's before the default route
}

// StaticRoute is a route of a container by the interface of an endpoint.
type StaticRoute struct {
	Dst netip.Prefix
	Via netip.Addr // zero: on link
}

// AddNetworkDriver makes a network driver known under a name.
func (c *Controller) AddNetworkDriver(name string, d NetworkDriver) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == "" || name == DriverOverlay || c.drivers[name] != nil {
		return fail(ErrConflict, "there is a network driver %q already", name)
	}
	c.drivers[name] = pluginDriver{d}
	return nil
}

// NewVeth makes a veth pair between a container's namespace and another, mostly the host's, with indices that are unique on
// the host and follow each other, as Docker's do. Its ends are removed with RemoveInterface; with one goes the other.
func (c *Controller) NewVeth(inner *netns.Namespace, ic netns.InterfaceConfig, outer *netns.Namespace, oc netns.InterfaceConfig) (in, out *netns.Interface, err error) {
	if oc.Name == "" {
		oc.Name = c.newVethName()
	}
	return c.newVeth(inner, ic, outer, oc)
}

// pluginDriver is a NetworkDriver as the controller calls it.
type pluginDriver struct{ d NetworkDriver }

func (p pluginDriver) createNetwork(n *Network) error { return p.d.CreateNetwork(n) }

func (p pluginDriver) deleteNetwork(n *Network) error { return p.d.DeleteNetwork(n) }

func (p pluginDriver) join(ep *Endpoint, _ *Sandbox) (joinInfo, error) {
	info, err := p.d.Join(ep)
	if err != nil {
		return joinInfo{}, err
	}
	j := joinInfo{hostIfName: info.HostInterface, gateway: info.Gateway}
	for _, r := range info.Routes {
		j.routes = append(j.routes, staticRoute{dst: r.Dst, via: r.Via})
	}
	return j, nil
}

func (p pluginDriver) leave(ep *Endpoint, _ *Sandbox) error { return p.d.Leave(ep) }

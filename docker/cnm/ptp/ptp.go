// Package ptp is a network driver that comes as a plug-in, and the worked example of one: point-to-point links. Each
// container has a cable of its own to its host, and there is no switch between them: the host routes, so that containers
// see each other one hop away, and no broadcast of one reaches another.
package ptp

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/netns"
)

// Driver is the driver on one host. Its zero value does not work: New makes one.
type Driver struct{ c *cnm.Controller }

// New returns the driver for a host. Make it known with c.AddNetworkDriver("ptp", ptp.New(c)).
func New(c *cnm.Controller) Driver { return Driver{c} }

// rules let containers of a network speak with each other and the world: their host forwards, and masquerades what leaves.
func rules(n *cnm.Network) [][3]string {
	s := n.Subnet()
	all := [][3]string{
		{"filter", "FORWARD", fmt.Sprintf("-s %s -d %s -j ACCEPT", s, s)},
	}
	if n.Internal() {
		return all
	}
	return append(all,
		[3]string{"filter", "FORWARD", fmt.Sprintf("-s %s -j ACCEPT", s)},
		[3]string{"filter", "FORWARD", fmt.Sprintf("-d %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", s)},
		[3]string{"nat", "POSTROUTING", fmt.Sprintf("-s %s ! -d %s -j MASQUERADE", s, s)})
}

// CreateNetwork implements cnm.NetworkDriver. A network has nothing of its own on the host but rules.
func (d Driver) CreateNetwork(n *cnm.Network) error {
	if n.Subnet().Bits() == 0 {
		return errors.New("ipv4 pool is empty: each container needs an address, for its route on the host")
	}
	nf := d.c.Host().Netfilter()
	for i, r := range rules(n) {
		if err := nf.Append(r[0], r[1], r[2]); err != nil {
			for _, done := range rules(n)[:i] {
				err = errors.Join(err, nf.Delete(done[0], done[1], done[2]))
			}
			return fmt.Errorf("create network %s: %w", n.Name(), err)
		}
	}
	return nil
}

// DeleteNetwork implements cnm.NetworkDriver.
func (d Driver) DeleteNetwork(n *cnm.Network) error {
	var errs []error
	for _, r := range rules(n) {
		errs = append(errs, d.c.Host().Netfilter().Delete(r[0], r[1], r[2]))
	}
	return errors.Join(errs...)
}

// Join implements cnm.NetworkDriver: a veth pair whose host's end has the network's gateway address, a route on the host to
// the container, and in the container one to the gateway, by which all else goes.
func (d Driver) Join(ep *cnm.Endpoint) (cnm.JoinInfo, error) {
	host, gateway := d.c.Host(), netip.PrefixFrom(ep.Network().Gateway(), 32)
	_, out, err := d.c.NewVeth(
		ep.Sandbox().NS(), netns.InterfaceConfig{Name: ep.Name(), MAC: ep.MAC(), MTU: ep.Network().MTU(), Addr: netip.PrefixFrom(ep.IP(), 32)},
		host, netns.InterfaceConfig{MTU: ep.Network().MTU(), Addr: gateway})
	if err != nil {
		return cnm.JoinInfo{}, err
	}
	if err := host.AddRoute(netns.Route{Dst: netip.PrefixFrom(ep.IP(), 32), Dev: out}); err != nil {
		return cnm.JoinInfo{}, errors.Join(err, host.RemoveInterface(out.Name()))
	}
	info := cnm.JoinInfo{HostInterface: out.Name(), Routes: []cnm.StaticRoute{{Dst: gateway}}}
	if ep.Network().Internal() {
		info.Routes = append(info.Routes, cnm.StaticRoute{Dst: ep.Network().Subnet(), Via: gateway.Addr()})
	} else {
		info.Gateway = gateway.Addr()
	}
	return info, nil
}

// Leave implements cnm.NetworkDriver. With the host's end go the other one and the routes.
func (d Driver) Leave(ep *cnm.Endpoint) error {
	if _, ok := d.c.Host().Interface(ep.HostInterface()); !ok {
		return nil
	}
	return d.c.Host().RemoveInterface(ep.HostInterface())
}

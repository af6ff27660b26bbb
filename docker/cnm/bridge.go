package cnm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/nat"
	"github.com/netsim-lab/netsim/netns"
)

// bridgeDriver makes networks out of bridges in the host's namespace.
type bridgeDriver struct {
	c  *Controller
	nf *nat.Netfilter

	mu       sync.Mutex // held while rules of networks change
	networks []*bridge  // oldest first, guarded by mu
}

// bridge is what the driver keeps with a network.
type bridge struct {
	id, name string
	iface    *netns.Interface
	foreign  bool         // the interface was there before
	added    netip.Prefix // the address that it was given then
	subnet   netip.Prefix
	internal bool
	opts     bridgeOptions
}

func newBridgeDriver(c *Controller) *bridgeDriver {
	return &bridgeDriver{c: c, nf: c.cfg.Host.Netfilter()}
}

// createNetwork implements driver.
func (d *bridgeDriver) createNetwork(n *Network) error {
	b, err := d.newBridge(n)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.adopt(b, n); err != nil {
		return err
	}
	b.iface.SetRouteLocalnet(d.c.cfg.NoUserlandProxy) // B21
	if !b.opts.icc || d.c.cfg.NoUserlandProxy {
		b.iface.Bridge().SetHook(d.filterBridged(b.name))
	}
	if err := d.addNetworkRules(b); err != nil {
		return errors.Join(fmt.Errorf("create network %s: %w", n.name, err), d.disown(b))
	}
	d.networks = append(d.networks, b)
	n.setState(b)
	return nil
}

func (d *bridgeDriver) newBridge(n *Network) (*bridge, error) {
	opts, err := parseBridgeOptions(&n.cfg)
	if err == nil {
		err = n.needsPool()
	}
	if err != nil {
		return nil, err
	}
	b := &bridge{id: n.id, name: n.cfg.Options[optBridgeName], subnet: n.subnet, internal: n.cfg.Internal, opts: opts}
	if b.name == "" {
		b.name = "br-" + short(n.id) // I25
	}
	return b, nil
}

// filterBridged is br_netfilter: what the bridge carries from port to port passes the host's netfilter. Networks have it
// whose containers must not reach each other (B2), and those whose published ports are left to netfilter: the answer of
// a neighbour is translated back on its way over the bridge (B21).
func (d *bridgeDriver) filterBridged(name string) l2switch.Hook {
	stages := []nat.Hook{nat.Prerouting, nat.Forward, nat.Postrouting}
	return func(_, _ *l2switch.Port, f *fabric.Frame) fabric.DropReason {
		if f.L3() == nil {
			if reason := f.ParseEthernet(); reason != 0 {
				return reason
			}
		}
		if f.IPv4() == nil {
			return 0
		}
		at := time.Now().UnixNano()
		p := nat.Packet{Frame: f, In: name}
		if f.Eth().Dst().IsMulticast() { // it goes to several ports, and stays as it is
			p.Out = name
			return refusal(d.nf.Run(nat.Forward, &p, at))
		}
		for _, stage := range stages {
			if stage != nat.Prerouting {
				p.Out = name
			}
			if reason := refusal(d.nf.Run(stage, &p, at)); reason != 0 {
				return reason
			}
		}
		return 0
	}
}

// refusal returns why a packet must not pass; 0: it may.
func refusal(v nat.Verdict) fabric.DropReason {
	if v.Action == nat.Accept {
		return 0
	}
	return v.Reason
}

// deleteNetwork implements driver.
func (d *bridgeDriver) deleteNetwork(n *Network) error {
	b, ok := n.state().(*bridge)
	if !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.networks = slices.DeleteFunc(d.networks, func(o *bridge) bool { return o == b })
	return errors.Join(d.deleteNetworkRules(b), d.disown(b))
}

// join implements driver.
func (d *bridgeDriver) join(ep *Endpoint, s *Sandbox) (joinInfo, error) {
	b, ok := ep.network.state().(*bridge)
	if !ok {
		return joinInfo{}, d.c.errNoNetwork(ep.network.name)
	}
	host, mtu := d.c.cfg.Host, ep.network.MTU()
	info := joinInfo{hostIfName: d.c.newVethName()}
	if !b.internal {
		info.gateway = ep.network.gateway
	}
	_, out, err := d.c.newVeth(s.cfg.NS, netns.InterfaceConfig{Name: ep.device, MAC: ep.mac, MTU: mtu, Addr: ep.ip},
		host, netns.InterfaceConfig{Name: info.hostIfName, MTU: mtu})
	if err != nil {
		return joinInfo{}, err
	}
	if err := out.SetMaster(b.iface); err != nil {
		return joinInfo{}, errors.Join(err, removeVeth(s.cfg.NS, ep.device, host, info.hostIfName))
	}
	if err := addRules(d.nf, b.directRule(ep)); err != nil {
		return joinInfo{}, errors.Join(err, removeVeth(s.cfg.NS, ep.device, host, info.hostIfName))
	}
	if port := b.iface.Bridge().Port(info.hostIfName); port != nil && d.c.cfg.NoUserlandProxy {
		port.SetHairpin(true) // B21
	}
	return info, nil
}

// leave implements driver. The host forgets its neighbour and the connections that were translated to it.
func (d *bridgeDriver) leave(ep *Endpoint, s *Sandbox) error {
	err := removeVeth(s.cfg.NS, ep.device, d.c.cfg.Host, ep.info.hostIfName)
	if b, ok := ep.network.state().(*bridge); ok {
		b.iface.RemoveNeighbour(ep.IP())
		err = errors.Join(err, deleteRules(d.nf, b.directRule(ep)))
	}
	d.nf.Forget(time.Now().UnixNano(), func(conn nat.Connection) bool {
		return conn.Original.Src.Addr() == ep.IP() || conn.Reply.Src.Addr() == ep.IP()
	})
	return err
}

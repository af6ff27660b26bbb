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

// Options of bridge networks, and the MTU of all (B23).
const (
	optDefaultBridge = "com.docker.network.bridge.default_bridge"
	optICC           = "com.docker.network.bridge.enable_icc"
	optMasquerade    = "com.docker.network.bridge.enable_ip_masquerade"
	optHostBinding   = "com.docker.network.bridge.host_binding_ipv4"
	optBridgeName    = "com.docker.network.bridge.name"
	optMTU           = "com.docker.network.driver.mtu"
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
	name        string
	iface       *netns.Interface
	subnet      netip.Prefix
	icc, masq   bool
	internal    bool
	hostBinding netip.Addr // where ports are published by default
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
	host := d.c.cfg.Host
	if _, ok := host.Interface(b.name); ok {
		return fail(ErrForbidden, "cannot create network %s (%s): the host has an interface of that name", n.id, b.name)
	}
	d.c.newIndex(host)
	b.iface, err = host.AddBridge(netns.InterfaceConfig{
		Name: b.name, MAC: d.c.newBridgeMAC(), MTU: n.MTU(), Addr: netip.PrefixFrom(n.gateway, n.subnet.Bits()),
	})
	if err != nil {
		return fmt.Errorf("create network %s: %w", n.name, err)
	}
	if !b.icc {
		b.iface.Bridge().SetHook(d.filterBridged(b.name))
	}
	if err := d.addNetworkRules(b); err != nil {
		return errors.Join(fmt.Errorf("create network %s: %w", n.name, err), host.RemoveInterface(b.name))
	}
	d.networks = append(d.networks, b)
	n.setState(b)
	return nil
}

func (d *bridgeDriver) newBridge(n *Network) (*bridge, error) {
	b := &bridge{
		name: n.cfg.Options[optBridgeName], subnet: n.subnet, internal: n.cfg.Internal,
		icc: true, masq: true, hostBinding: netip.IPv4Unspecified(),
	}
	if b.name == "" {
		b.name = "br-" + short(n.id) // I25
	}
	for name, to := range map[string]*bool{optICC: &b.icc, optMasquerade: &b.masq} {
		switch v := n.cfg.Options[name]; v {
		case "", "true", "1":
		case "false", "0":
			*to = false
		default:
			return nil, fail(ErrInvalid, "invalid value %q of option %s: it is true or false", v, name)
		}
	}
	if v := n.cfg.Options[optHostBinding]; v != "" {
		a, err := netip.ParseAddr(v)
		if err != nil || !a.Is4() {
			return nil, fail(ErrInvalid, "invalid value %q of option %s: it is an IPv4 address", v, optHostBinding)
		}
		b.hostBinding = a
	}
	return b, nil
}

// filterBridged is br_netfilter: what the bridge carries from port to port goes through the host's FORWARD chain. Only
// networks whose containers must not reach each other have it (B2).
func (d *bridgeDriver) filterBridged(name string) l2switch.Hook {
	return func(_, _ *l2switch.Port, f *fabric.Frame) fabric.DropReason {
		if f.L3() == nil {
			if reason := f.ParseEthernet(); reason != 0 {
				return reason
			}
		}
		if f.IPv4() == nil {
			return 0
		}
		p := nat.Packet{Frame: f, In: name, Out: name}
		v := d.nf.Run(nat.Forward, &p, time.Now().UnixNano())
		if v.Action == nat.Accept {
			return 0
		}
		return v.Reason
	}
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
	return errors.Join(d.deleteNetworkRules(b), d.c.cfg.Host.RemoveInterface(b.name))
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
	return info, nil
}

// leave implements driver. The host forgets its neighbour and the connections that were translated to it.
func (d *bridgeDriver) leave(ep *Endpoint, s *Sandbox) error {
	err := removeVeth(s.cfg.NS, ep.device, d.c.cfg.Host, ep.info.hostIfName)
	if b, ok := ep.network.state().(*bridge); ok {
		b.iface.RemoveNeighbour(ep.IP())
	}
	d.nf.Forget(time.Now().UnixNano(), func(conn nat.Connection) bool {
		return conn.Original.Src.Addr() == ep.IP() || conn.Reply.Src.Addr() == ep.IP()
	})
	return err
}

package cnm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

// Options of bridge networks, and those that all drivers know (B23 to B25).
const (
	optDefaultBridge = "com.docker.network.bridge.default_bridge"
	optICC           = "com.docker.network.bridge.enable_icc"
	optMasquerade    = "com.docker.network.bridge.enable_ip_masquerade"
	optHostBinding   = "com.docker.network.bridge.host_binding_ipv4"
	optBridgeName    = "com.docker.network.bridge.name"
	optGatewayMode   = "com.docker.network.bridge.gateway_mode_ipv4"
	optInhibitIPv4   = "com.docker.network.bridge.inhibit_ipv4"
	optHostIPv4      = "com.docker.network.host_ipv4"
	optMTU           = "com.docker.network.driver.mtu"
	optIfacePrefix   = "com.docker.network.container_iface_prefix"
)

// gatewayMode is how a bridge network is tied to what lies outside (B25).
type gatewayMode string

const (
	gatewayNAT         gatewayMode = "nat"
	gatewayUnprotected gatewayMode = "nat-unprotected" // all ports are open to who has a route
	gatewayRouted      gatewayMode = "routed"          // nothing is translated, published ports are open
	gatewayIsolated    gatewayMode = "isolated"        // the host has no address on an internal network
)

// bridgeOptions are what a bridge network was asked to be.
type bridgeOptions struct {
	icc, masq   bool
	inhibit     bool // the bridge gets no address
	mode        gatewayMode
	hostBinding netip.Addr // where ports are published by default
	snat        netip.Addr // what leaves has this address; invalid: that of the interface it leaves by
}

// parseBridgeOptions reads the options of a bridge network. Errors have Docker's text.
func parseBridgeOptions(cfg *NetworkConfig) (bridgeOptions, error) {
	b := bridgeOptions{icc: true, masq: true, mode: gatewayNAT, hostBinding: netip.IPv4Unspecified()}
	bad := func(name, value, why string) error {
		return fail(ErrInvalid, "failed to parse %s value: %s (%s)", name, value, why)
	}
	for _, o := range []struct {
		name string
		flag *bool
		addr *netip.Addr
	}{{optICC, &b.icc, nil}, {optMasquerade, &b.masq, nil}, {optInhibitIPv4, &b.inhibit, nil},
		{optHostBinding, nil, &b.hostBinding}, {optHostIPv4, nil, &b.snat}} {
		v := cfg.Options[o.name]
		var err error
		switch {
		case v == "":
		case o.flag != nil:
			*o.flag, err = strconv.ParseBool(v)
		default:
			if *o.addr, err = netip.ParseAddr(v); err != nil || !o.addr.Is4() {
				err = errors.New("nil ip")
			}
		}
		if err != nil {
			return b, bad(o.name, v, err.Error())
		}
	}
	switch m := gatewayMode(cfg.Options[optGatewayMode]); m {
	case "":
	case gatewayNAT, gatewayUnprotected, gatewayRouted, gatewayIsolated:
		b.mode = m
	default:
		return b, bad(optGatewayMode, string(m), fmt.Sprintf("unknown gateway mode %s", m))
	}
	if b.mode == gatewayIsolated && !cfg.Internal {
		return b, fail(ErrInvalid, "gateway mode 'isolated' can only be used for an internal network")
	}
	if name := cfg.Options[optBridgeName]; name != "" && !validIfName(name) {
		return b, fail(ErrInvalid, "invalid bridge name %q: the name of an interface has 1 to 15 characters, and no blank or slash", name)
	}
	return b, checkCommonOptions(cfg, bad)
}

// checkCommonOptions checks the options that all drivers know.
func checkCommonOptions(cfg *NetworkConfig, bad func(name, value, why string) error) error {
	if v := cfg.Options[optMTU]; v != "" {
		mtu, err := strconv.Atoi(v)
		if err != nil {
			return bad(optMTU, v, err.Error())
		}
		if mtu < 0 || mtu > 65535 || mtu > 0 && mtu < 68 {
			return fail(ErrInvalid, "invalid MTU number: %d", mtu)
		}
	}
	// Docker leaves room for two digits.
	if v := cfg.Options[optIfacePrefix]; v != "" && (!validIfName(v+"00") || v == "lo") {
		return fail(ErrInvalid, "invalid value %q of option %s: it begins the name of an interface, which has up to 15 characters", v, optIfacePrefix)
	}
	return nil
}

// validIfName tells whether Linux takes a name for an interface (dev_valid_name in net/core/dev.c).
func validIfName(name string) bool {
	return name != "" && len(name) <= 15 && name != "." && name != ".." && !strings.ContainsAny(name, "/: \t\n\v\f\r")
}

// ifPrefix returns how the names of the interfaces of containers on the network begin.
func (n *Network) ifPrefix() string {
	if p := n.cfg.Options[optIfacePrefix]; p != "" {
		return p
	}
	return "eth"
}

// adopt makes the host's interface of a bridge, or takes one that is there: somebody made it by hand, and it stays
// when the network goes. The caller holds mu.
func (d *bridgeDriver) adopt(b *bridge, n *Network) error {
	host := d.c.cfg.Host
	for _, o := range d.networks {
		if o.subnet.Overlaps(b.subnet) { // address drivers know nothing of each other
			return fail(ErrForbidden, "cannot create network %s (%s): conflicts with network %s (%s): networks have overlapping IPv4",
				n.id, b.name, o.id, o.name)
		}
		if o.name == b.name {
			return fail(ErrForbidden, "cannot create network %s (%s): conflicts with network %s (%s): networks have same bridge name",
				n.id, b.name, o.id, o.name)
		}
	}
	addr := netip.PrefixFrom(n.gateway, n.subnet.Bits())
	if b.opts.inhibit || b.opts.mode == gatewayIsolated {
		addr = netip.Prefix{}
	}
	if i, ok := host.Interface(b.name); ok {
		if i.Bridge() == nil {
			return fail(ErrForbidden, "cannot create network %s (%s): existing interface %s is not a bridge", n.id, b.name, b.name)
		}
		b.iface, b.foreign = i, true
		if !addr.IsValid() || slices.Contains(i.Addrs(), addr) {
			return nil
		}
		b.added = addr
		return i.AddAddr(addr)
	}
	d.c.newIndex(host)
	var err error
	b.iface, err = host.AddBridge(netns.InterfaceConfig{Name: b.name, MAC: d.c.newBridgeMAC(), MTU: n.MTU(), Addr: addr})
	return err
}

// disown removes a bridge's interface, or what adopt added to one that was there before.
func (d *bridgeDriver) disown(b *bridge) error {
	if !b.foreign {
		return d.c.cfg.Host.RemoveInterface(b.name)
	}
	var err error
	b.iface.Bridge().SetHook(nil)
	if b.added.IsValid() {
		err = b.iface.RemoveAddr(b.added)
	}
	return err
}

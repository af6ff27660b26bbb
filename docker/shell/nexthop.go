package shell

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/netsim-lab/netsim/netns"
)

// nextHops takes the nexthop groups off the end of the arguments of a route: nexthop via ADDR [dev DEV] [weight N].
func (i *ipCall) nextHops() ([]netns.NextHop, error) {
	at := slices.Index(i.args, "nexthop")
	if at < 0 {
		return nil, nil
	}
	groups := i.args[at:]
	i.args = i.args[:at]
	var hops []netns.NextHop
	for len(groups) > 0 {
		group := groups[1:]
		if end := slices.Index(group, "nexthop"); end >= 0 {
			group = group[:end]
		}
		groups = groups[1+len(group):]
		h, err := (&ipCall{Call: i.Call, ns: i.ns, args: group}).nextHop()
		if err != nil {
			return nil, err
		}
		hops = append(hops, h)
	}
	return hops, nil
}

// nextHop reads one group.
func (i *ipCall) nextHop() (h netns.NextHop, err error) {
	got, err := i.pairs("", "via", "dev", "weight")
	if err != nil {
		return h, err
	}
	if text := got["via"]; text != "" {
		if h.Via, err = netip.ParseAddr(text); err != nil || !h.Via.Is4() {
			return h, bad("Error: inet address is expected rather than \"" + text + "\".")
		}
	}
	if text := got["weight"]; text != "" {
		if h.Weight, err = strconv.Atoi(text); err != nil || h.Weight < 1 || h.Weight > 256 {
			return h, bad("Error: \"weight\" is invalid: \"" + text + "\"")
		}
	}
	h.Dev, err = i.hopDevice(h.Via, got["dev"])
	return h, err
}

// hopDevice returns the interface of a next hop: the one that is named, or that by which the gateway is on link.
func (i *ipCall) hopDevice(via netip.Addr, name string) (*netns.Interface, error) {
	if name != "" {
		d, ok := i.ns.Interface(name)
		if !ok {
			return nil, bad("Cannot find device \"" + name + "\"")
		}
		return d, nil
	}
	if !via.IsValid() {
		return nil, kernelSays("No such device")
	}
	d, ok := i.ns.OnLink(via)
	if !ok {
		return nil, kernelSays("Network is unreachable")
	}
	return d, nil
}

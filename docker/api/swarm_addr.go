package api

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

// swarmPort is where managers listen; the flags of the docker command leave it out.
const swarmPort = "2377"

// errNoIdentifier is for text that is neither an interface nor an address.
var errNoIdentifier = invalid("must specify a valid IP address or interface name")

// hostAddresses looks the addresses of a host up, as dockerd does for the flags of docker swarm init and join.
type hostAddresses struct{ host *netns.Namespace }

// listen reads where to listen, ADDRESS:PORT; the address may be an interface's name.
func (h hostAddresses) listen(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, invalid(`invalid ListenAddr "": invalid empty address`)
	}
	host, port, err := net.SplitHostPort(withPort(text))
	if err != nil {
		return netip.AddrPort{}, invalid("could not parse listen address %s", text)
	}
	a, err := h.address(host, true, "listen address must be an IP address or network interface (with optional port number)")
	if err != nil {
		return netip.AddrPort{}, err
	}
	return joinPort(a, port)
}

// advertise reads what a node tells others its address is; empty: the only one that the host has.
func (h hostAddresses) advertise(text string, port uint16) (netip.AddrPort, error) {
	if text == "" {
		a, err := h.system()
		return netip.AddrPortFrom(a, port), err
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		host, portText = text, strconv.Itoa(int(port))
	}
	a, err := h.address(host, false, "advertise address must be a non-zero IP address or network interface (with optional port number)")
	if err != nil {
		return netip.AddrPort{}, err
	}
	return joinPort(a, portText)
}

// dataPath reads the address of VXLAN; empty: none is asked for.
func (h hostAddresses) dataPath(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return h.address(text, false, "data path address must be a non-zero IP address or network interface (without a port number)")
}

// address reads an address, or takes that of an interface; bad is what to say of text that is neither.
func (h hostAddresses) address(text string, anyIsOne bool, bad string) (netip.Addr, error) {
	for _, i := range h.host.Interfaces() {
		if i.Name() != text {
			continue
		}
		switch addrs := i.Addrs(); len(addrs) {
		case 0:
			return netip.Addr{}, invalid("interface %s has no usable IPv4 or IPv6 address", text)
		case 1:
			return addrs[0].Addr(), nil
		default:
			return netip.Addr{}, invalid("interface %s has more than one IPv4 address (%s and %s)", text, addrs[0].Addr(), addrs[1].Addr())
		}
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.IsUnspecified() && !anyIsOne {
		return netip.Addr{}, invalid("%s", cmp.Or(bad, errNoIdentifier.Error()))
	}
	return a.Unmap(), nil
}

// system returns the only address of the host's network cards (W13).
func (h hostAddresses) system() (netip.Addr, error) {
	var found netip.Addr
	var on string
	const which = "could not choose an IP address to advertise since this system has multiple addresses on "
	for _, i := range h.host.Interfaces() {
		if i.Kind() != netns.KindPhysical && i.Kind() != netns.KindVLAN || !i.Up() {
			continue
		}
		for _, p := range i.Addrs() {
			a := p.Addr()
			switch {
			case !a.IsGlobalUnicast():
			case !found.IsValid():
				found, on = a, i.Name()
			case on == i.Name():
				return a, invalid("%sinterface %s (%s and %s) - specify one with --advertise-addr", which, on, found, a)
			default:
				return a, invalid("%sdifferent interfaces (%s on %s and %s on %s) - specify one with --advertise-addr", which, found, on, a, i.Name())
			}
		}
	}
	if !found.IsValid() {
		return found, invalid("could not find the system's IP address - specify one with --advertise-addr")
	}
	return found, nil
}

// owns tells whether an address is one of the host's.
func (h hostAddresses) owns(a netip.Addr) bool {
	return slices.ContainsFunc(h.host.Interfaces(), func(i *netns.Interface) bool {
		return slices.ContainsFunc(i.Addrs(), func(p netip.Prefix) bool { return p.Addr() == a })
	})
}

// withPort adds the port of managers to an address that has none.
func withPort(text string) string {
	text = strings.TrimPrefix(text, "tcp://")
	if _, _, err := net.SplitHostPort(text); err == nil {
		return text
	}
	return net.JoinHostPort(text, swarmPort)
}

func joinPort(a netip.Addr, port string) (netip.AddrPort, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, invalid("invalid port %q", port)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// addressPools reads the pools that subnets of overlay networks are taken from.
func addressPools(pools []string, size uint32) (all []netip.Prefix, err error) {
	if len(pools) > 0 && size == 0 {
		size = 24
	}
	if len(pools) > 0 && size > 29 {
		return nil, invalid("subnet size is out of range: %d", size)
	}
	for _, text := range pools {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		switch {
		case err != nil:
			return nil, invalid("invalid base pool %s: invalid CIDR address: %s", text, text)
		case int(size) < p.Bits():
			return nil, invalid("invalid CIDR: %q. Subnet size is too small for pool: %d", text, size)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Ports that VXLAN of a swarm may have, and the one that it has if nobody asks for another.
const (
	dataPathMin, dataPathMax = 1024, 49151
	dataPathPort             = 4789
)

func checkDataPathPort(n uint32) (uint16, error) {
	if n == 0 {
		return dataPathPort, nil
	}
	if n < dataPathMin || n > dataPathMax {
		return 0, &apiError{http.StatusInternalServerError, fmt.Sprintf("Datapath port number is not in valid range (%d-%d) : %d", dataPathMin, dataPathMax, n)}
	}
	return uint16(n), nil
}

package cnm

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/ipam"
	"github.com/netsim-lab/netsim/netns"
)

// cable is a network driver that gives a container a cable of its own and leaves addresses to whoever makes them.
type cable struct{ c *Controller }

func (cable) CreateNetwork(*Network) error { return nil }

func (cable) DeleteNetwork(*Network) error { return nil }

func (d cable) Join(ep *Endpoint) (JoinInfo, error) {
	_, out, err := d.c.NewVeth(ep.Sandbox().NS(), netns.InterfaceConfig{Name: ep.Name(), MAC: ep.MAC(), Addr: ep.Prefix()}, d.c.Host(), netns.InterfaceConfig{})
	if err != nil {
		return JoinInfo{}, err
	}
	return JoinInfo{HostInterface: out.Name()}, nil
}

func (d cable) Leave(ep *Endpoint) error { return d.c.Host().RemoveInterface(ep.HostInterface()) }

// TestIPAMDrivers checks which address drivers each network driver takes, and Docker's words for those that it does not,
// in both eras (I15, I16, H4).
func TestIPAMDrivers(t *testing.T) {
	subnet := netip.MustParsePrefix("10.1.0.0/24")
	const empty, known = "ipv4 pool is empty", "null ipam driver does not handle specific address pool requests"
	for _, modern := range []bool{false, true} {
		r := newRig(t)
		c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = modern })
		noPlugin := map[bool]string{false: `plugin "nobody" not found`, true: "could not find plugin nobody in v1 plugin registry: plugin not found"}[modern]
		for _, err := range []error{
			c.AddNetworkDriver("cable", cable{c}),
			c.AddIPAMDriver("corp", ipam.NewDriver(false, ipam.Range{Base: netip.MustParsePrefix("10.80.0.0/16"), Bits: 24})),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{IPAMNull, IPAMDefault, "corp"} {
			if err := c.AddIPAMDriver(name, ipam.Null{}); !errors.Is(err, ErrConflict) {
				t.Errorf("a second address driver %q: %v", name, err)
			}
		}
		for _, row := range []struct {
			driver, ipam string
			subnet       netip.Prefix
			ipRange      netip.Prefix
			want         string // an error, or the subnet
			kind         error
		}{
			{DriverBridge, "", netip.Prefix{}, netip.Prefix{}, "172.18.0.0/16", nil},
			{DriverBridge, IPAMDefault, subnet, netip.Prefix{}, "10.1.0.0/24", nil},
			{DriverBridge, IPAMNull, netip.Prefix{}, netip.Prefix{}, empty, ErrInvalid},
			{DriverMacvlan, IPAMNull, netip.Prefix{}, netip.Prefix{}, empty, ErrInvalid},
			{DriverIPVlan, IPAMNull, netip.Prefix{}, netip.Prefix{}, empty, ErrInvalid},
			{DriverBridge, IPAMNull, subnet, netip.Prefix{}, known, ErrInvalid},
			{DriverMacvlan, IPAMNull, subnet, netip.MustParsePrefix("10.1.0.64/28"), known, ErrInvalid},
			{"cable", IPAMNull, netip.Prefix{}, netip.Prefix{}, "0.0.0.0/0", nil},
			{"cable", IPAMNull, subnet, netip.Prefix{}, known, ErrInvalid},
			{"cable", "corp", netip.Prefix{}, netip.Prefix{}, "10.80.0.0/24", nil},
			{DriverBridge, "corp", netip.Prefix{}, netip.Prefix{}, "10.80.0.0/24", nil},
			{DriverMacvlan, "corp", netip.MustParsePrefix("10.80.3.0/24"), netip.Prefix{}, "10.80.3.0/24", nil},
			{DriverBridge, "nobody", netip.Prefix{}, netip.Prefix{}, noPlugin, ErrNotFound},
			{"nobody", "corp", netip.Prefix{}, netip.Prefix{}, noPlugin, ErrNotFound},
			{DriverHost, "corp", netip.Prefix{}, netip.Prefix{}, `only one instance of "host" network is allowed`, ErrForbidden},
			{DriverNull, IPAMNull, netip.Prefix{}, netip.Prefix{}, `only one instance of "null" network is allowed`, ErrForbidden},
			{DriverOverlay, IPAMNull, netip.Prefix{}, netip.Prefix{}, c.errNoSwarm().Error(), ErrForbidden},
		} {
			name := fmt.Sprintf("modern=%t %s with %q of %s", modern, row.driver, row.ipam, row.subnet)
			n, err := c.CreateNetwork(NetworkConfig{Name: "n", Driver: row.driver, IPAMDriver: row.ipam, Subnet: row.subnet, IPRange: row.ipRange})
			switch {
			case row.kind != nil:
				if err == nil || err.Error() != row.want || !errors.Is(err, row.kind) {
					t.Errorf("%s: %v; want %s (%v)", name, err, row.want, row.kind)
				}
				if _, ok := c.Network("n"); ok {
					t.Errorf("%s: the network is there", name)
				}
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case n.Subnet().String() != row.want:
				t.Errorf("%s: subnet %s; want %s", name, n.Subnet(), row.want)
			}
			if err == nil {
				if err := c.RemoveNetwork("n"); err != nil {
					t.Errorf("%s: remove: %v", name, err)
				}
			}
		}
	}
}

// TestNoAddresses checks a container on a network of a plug-in driver whose address driver gives none: it has an interface,
// and no name or line of /etc/hosts.
func TestNoAddresses(t *testing.T) {
	for _, modern := range []bool{false, true} {
		r := newRig(t)
		c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = modern })
		if err := c.AddNetworkDriver("cable", cable{c}); err != nil {
			t.Fatal(err)
		}
		n := r.network(c, NetworkConfig{Name: "bare", Driver: "cable", IPAMDriver: IPAMNull})
		if pools := n.Pools(); len(pools) != 1 || pools[0].Subnet.String() != "0.0.0.0/0" || pools[0].Gateway.IsValid() || n.UserSubnet() {
			t.Errorf("pools are %v", pools)
		}
		a, b := r.container(c, "a", on("bare")), r.container(c, "b", on("bare"), on("bridge"))
		ep := a.Endpoints()[0]
		i := ep.Interface()
		if i == nil || len(i.Addrs()) != 0 || ep.IP().IsValid() || ep.MAC().IsZero() || ep.Gateway().IsValid() {
			t.Errorf("the endpoint has %s, %s by %s; interface %v", ep.Prefix(), ep.MAC(), ep.Gateway(), i)
		}
		other, _ := b.Endpoint("bare")
		if other.MAC() == ep.MAC() {
			t.Errorf("both containers have %s", ep.MAC())
		}
		r.finds(b, "a", "")
		r.pings(b.NS(), "172.17.0.1")
		if strings.Contains(a.Hosts(), "invalid") || !strings.Contains(b.Hosts(), "172.17.0.2") {
			t.Errorf("/etc/hosts is\n%s\nand\n%s", a.Hosts(), b.Hosts())
		}
		if err := r.sandbox(c, "c").Join(r.ctx, []EndpointConfig{at("bare", "10.1.0.9")}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "user configured subnets") {
			t.Errorf("an address on a network without: %v", err)
		}
		if err := errors.Join(a.Delete(), b.Delete(), c.RemoveNetwork("bare")); err != nil {
			t.Error(err)
		}
	}
}

// TestNetworksWithoutGateway checks which networks keep no address for a gateway that nobody named: their first container gets
// the first address (I9; V8, V16).
func TestNetworksWithoutGateway(t *testing.T) {
	for _, row := range []struct {
		driver        string
		internal      bool
		options       map[string]string
		guide, modern string // the first container's address
	}{
		{DriverBridge, true, nil, "10.1.0.2", "10.1.0.2"},
		{DriverBridge, true, map[string]string{optInhibitIPv4: "true"}, "10.1.0.2", "10.1.0.1"},
		{DriverBridge, false, map[string]string{optInhibitIPv4: "true"}, "10.1.0.2", "10.1.0.2"},
		{DriverBridge, true, map[string]string{optGatewayMode: "isolated"}, "10.1.0.1", "10.1.0.1"},
		{DriverMacvlan, false, nil, "10.1.0.2", "10.1.0.2"},
		{DriverMacvlan, true, nil, "10.1.0.2", "10.1.0.1"},
		{DriverIPVlan, false, map[string]string{optIPVlanMode: "l2"}, "10.1.0.2", "10.1.0.2"},
		{DriverIPVlan, false, map[string]string{optIPVlanMode: "l3"}, "10.1.0.2", "10.1.0.1"},
		{DriverIPVlan, true, nil, "10.1.0.2", "10.1.0.1"},
	} {
		for _, modern := range []bool{false, true} {
			r := newRig(t)
			c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = modern })
			n := r.network(c, NetworkConfig{Name: "n", Driver: row.driver, Subnet: netip.MustParsePrefix("10.1.0.0/24"), Internal: row.internal, Options: row.options})
			want := row.guide
			if modern {
				want = row.modern
			}
			if got := r.container(c, "c", on("n")).Endpoints()[0].IP().String(); got != want || n.Gateway().IsValid() == (want == "10.1.0.1") {
				t.Errorf("%s, internal %t, %v, modern %t: first address %s, gateway %s; want %s", row.driver, row.internal, row.options, modern, got, n.Gateway(), want)
			}
		}
	}
}

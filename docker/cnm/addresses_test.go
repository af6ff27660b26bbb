package cnm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/netsim-lab/netsim/docker/ipam"
)

// tempered is an address driver that can be made to fail, or to give what nobody can use.
type tempered struct {
	*ipam.Driver
	fails   atomic.Bool
	address atomic.Pointer[netip.Prefix]
	macs    []string
}

var errDied = errors.New("the plug-in died")

func (d *tempered) RequiresMAC() bool { return true }

func (d *tempered) RequestPool(ctx context.Context, r ipam.PoolRequest) (ipam.Lease, error) {
	if d.fails.Load() {
		return ipam.Lease{}, errDied
	}
	if r.Options["bad"] != "" {
		return ipam.Lease{ID: "x", Subnet: netip.MustParsePrefix("fd00::/64")}, nil
	}
	return d.Driver.RequestPool(ctx, r)
}

func (d *tempered) ReleasePool(ctx context.Context, id string) error {
	if d.fails.Load() {
		return errDied
	}
	return d.Driver.ReleasePool(ctx, id)
}

func (d *tempered) RequestAddress(ctx context.Context, r ipam.AddressRequest) (netip.Prefix, error) {
	switch a := d.address.Load(); {
	case d.fails.Load():
		return netip.Prefix{}, errDied
	case a != nil && !r.Gateway:
		return *a, nil
	case !r.Gateway:
		d.macs = append(d.macs, r.MAC.String())
	}
	return d.Driver.RequestAddress(ctx, r)
}

func (d *tempered) ReleaseAddress(ctx context.Context, id string, a netip.Addr) error {
	if d.fails.Load() {
		return errDied
	}
	return d.Driver.ReleaseAddress(ctx, id, a)
}

// TestAddressDriverThatFails checks that a plug-in which dies or talks nonsense makes its calls fail, and nothing else.
func TestAddressDriverThatFails(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	d := &tempered{Driver: ipam.NewDriver(false, ipam.Range{Base: netip.MustParsePrefix("10.70.0.0/16"), Bits: 24})}
	if err := c.AddIPAMDriver("corp", d); err != nil {
		t.Fatal(err)
	}
	if err := c.AddIPAMDriver(IPAMDefault, d); !errors.Is(err, ErrConflict) {
		t.Errorf("a second driver of that name = %v", err)
	}
	if _, err := c.CreateNetwork(NetworkConfig{Name: "n", IPAMDriver: "nobody"}); !errors.Is(err, ErrNotFound) || err.Error() != `plugin "nobody" not found` {
		t.Errorf("a driver that nobody knows = %v", err)
	}
	before := rulesOf(t, c, "-t", "nat", "-S") + rulesOf(t, c, "-S")
	n := r.network(c, NetworkConfig{Name: "n", IPAMDriver: "corp"})
	if n.Subnet().String() != "10.70.0.0/24" || n.Gateway().String() != "10.70.0.1" || n.IPAMDriver() != "corp" {
		t.Errorf("network = %s, %s of %s", n.Subnet(), n.Gateway(), n.IPAMDriver())
	}
	s := r.container(c, "c1", on("n"))
	if ep := s.Endpoints()[0]; len(d.macs) != 1 || d.macs[0] != ep.MAC().String() || ep.IP().String() != "10.70.0.2" {
		t.Errorf("the driver heard of %v; the endpoint has %s, %s", d.macs, ep.MAC(), ep.IP())
	}
	if _, err := c.CreateNetwork(NetworkConfig{Name: "twin", Subnet: n.Subnet()}); !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "networks have overlapping IPv4") {
		t.Errorf("a subnet that another driver gave, too = %v", err)
	}
	if _, err := c.CreateNetwork(NetworkConfig{Name: "v6", IPAMDriver: "corp", IPAMOptions: map[string]string{"bad": "1"}}); err == nil || !strings.Contains(err.Error(), "it must have an id and an IPv4 subnet") {
		t.Errorf("a pool that is none = %v", err)
	}
	for _, text := range []string{"10.99.0.1/24", "10.70.0.1/24"} {
		p := netip.MustParsePrefix(text)
		d.address.Store(&p)
		other := r.sandbox(c, "other")
		if err := other.Join(r.ctx, []EndpointConfig{on("n")}); err == nil || !strings.Contains(err.Error(), "which is no free address of 10.70.0.0/24") {
			t.Errorf("Join with %s = %v", text, err)
		}
		_ = other.Delete()
	}
	d.address.Store(nil)

	d.fails.Store(true)
	other := r.sandbox(c, "other")
	if err := other.Join(r.ctx, []EndpointConfig{on("n")}); err == nil || !strings.Contains(err.Error(), errDied.Error()) || len(other.Endpoints()) != 0 {
		t.Errorf("Join while the plug-in is dead = %v", err)
	}
	r.pings(s.NS(), "10.70.0.1") // what is there works on
	for _, err := range []error{other.Delete(), s.Delete(), c.RemoveNetwork("n")} {
		if err != nil {
			t.Errorf("taking down while the plug-in is dead: %v", err)
		}
	}
	if after := rulesOf(t, c, "-t", "nat", "-S") + rulesOf(t, c, "-S"); after != before {
		t.Errorf("rules after = %s\nbefore = %s", after, before)
	}
	if _, err := c.CreateNetwork(NetworkConfig{Name: "n", IPAMDriver: "corp"}); err == nil || err.Error() != errDied.Error() {
		t.Errorf("CreateNetwork while the plug-in is dead = %v", err)
	}
	d.fails.Store(false)
	r.network(c, NetworkConfig{Name: "n", IPAMDriver: "corp"})
}

// TestSeveralSubnets checks a network with two subnets: the second gives addresses when the first has none (I16).
func TestSeveralSubnets(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	cfg := NetworkConfig{Name: "m", Driver: DriverMacvlan, Subnet: netip.MustParsePrefix("10.1.0.0/30"), Options: map[string]string{"parent": "eth0"},
		MorePools: []PoolConfig{{Subnet: netip.MustParsePrefix("10.2.0.0/29"), Gateway: netip.MustParseAddr("10.2.0.6"), AuxAddresses: map[string]netip.Addr{"nas": netip.MustParseAddr("10.2.0.1")}}}}
	n := r.network(c, cfg)
	if got := fmt.Sprint(len(n.Pools()), n.Pools()[0].Gateway, n.Pools()[1].Gateway, n.Subnet()); got != "2 10.1.0.1 10.2.0.6 10.1.0.0/30" {
		t.Errorf("pools = %s", got)
	}
	var got []string
	for i := range 5 {
		ep := r.container(c, fmt.Sprintf("c%d", i), on("m")).Endpoints()[0]
		got = append(got, ep.Prefix().String()+" via "+ep.Gateway().String())
	}
	if want := "[10.1.0.2/30 via 10.1.0.1 10.2.0.2/29 via 10.2.0.6 10.2.0.3/29 via 10.2.0.6 10.2.0.4/29 via 10.2.0.6 10.2.0.5/29 via 10.2.0.6]"; fmt.Sprint(got) != want {
		t.Errorf("addresses = %v; want %s", got, want)
	}
	if err := r.sandbox(c, "last").Join(r.ctx, []EndpointConfig{on("m")}); err == nil || !strings.Contains(err.Error(), "no available IPv4 addresses on this network's address pools: m (") {
		t.Errorf("Join of one too many = %v", err)
	}
	cfg.Name, cfg.Driver, cfg.Options = "b", DriverBridge, nil
	if _, err := c.CreateNetwork(cfg); err == nil || err.Error() != "bridge driver doesn't support multiple subnets" {
		t.Errorf("a bridge with two subnets = %v", err)
	}
	cfg.Name, cfg.Driver, cfg.Subnet, cfg.MorePools = "o", DriverMacvlan, netip.MustParsePrefix("10.3.0.0/24"), []PoolConfig{{Subnet: netip.MustParsePrefix("10.3.0.128/25")}}
	cfg.Options = map[string]string{"parent": "eth0.7"}
	if _, err := c.CreateNetwork(cfg); !errors.Is(err, ErrForbidden) || err.Error() != string(ipam.ErrPoolOverlap) {
		t.Errorf("two subnets that overlap = %v", err)
	}
	cfg.MorePools = nil
	r.network(c, cfg) // what the failed one had was given back
}

// An address driver of one's own: give it the calls of IPAMDriver, here those of another that it tells of, and make it
// known with c.AddIPAMDriver("corp", d): docker network create --ipam-driver corp takes it.
func ExampleIPAMDriver() {
	var d IPAMDriver = loggingIPAM{ipam.NewDriver(true, ipam.Range{Base: netip.MustParsePrefix("10.60.0.0/16"), Bits: 24})}
	lease, err := d.RequestPool(context.Background(), ipam.PoolRequest{})
	fmt.Println(lease.Subnet, err)
	for range 2 {
		a, err := d.RequestAddress(context.Background(), ipam.AddressRequest{Pool: lease.ID})
		fmt.Println(a, err, d.ReleaseAddress(context.Background(), lease.ID, a.Addr()))
	}
	// Output:
	// 10.60.0.0/24 <nil>
	// asked for an address
	// 10.60.0.1/24 <nil> <nil>
	// asked for an address
	// 10.60.0.2/24 <nil> <nil>
}

// loggingIPAM tells of each address.
type loggingIPAM struct{ IPAMDriver }

func (d loggingIPAM) RequestAddress(ctx context.Context, r ipam.AddressRequest) (netip.Prefix, error) {
	fmt.Println("asked for an address")
	return d.IPAMDriver.RequestAddress(ctx, r)
}

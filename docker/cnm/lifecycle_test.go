package cnm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/netns"
)

// TestConnectDisconnect checks networks that come and go while a container runs (B12, B41, I36, I37).
func TestConnectDisconnect(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	r.network(c, NetworkConfig{Name: "a-net"})
	r.network(c, NetworkConfig{Name: "z-net"})
	other := r.container(c, "other", on("a-net"))
	pub := published("z-net", PortBinding{HostPort: 8080, ContainerPort: 80})
	s := r.container(c, "web", pub)
	r.serve(s.NS(), "web", 80)
	r.says(c.Host(), "127.0.0.1:8080", "web 172.19.0.1")
	if err := s.Connect(r.ctx, on("a-net")); err != nil {
		t.Fatal(err)
	}
	checkShape(t, s, "eth0=z-net eth1=a-net", "172.18.0.1")
	r.finds(s, "other", ipOf(other, 0).String())
	r.says(c.Host(), "127.0.0.1:8080", "web 172.18.0.1") // the ports moved with the default route
	if err := s.Connect(r.ctx, on("a-net")); err == nil || err.Error() != "service endpoint with name web already exists" {
		t.Errorf("second Connect = %v", err)
	}
	if err := s.Disconnect("a-net"); err != nil {
		t.Fatal(err)
	}
	checkShape(t, s, "eth0=z-net", "172.19.0.1")
	r.finds(s, "other", "")
	want := fmt.Sprintf("container %s is not connected to the network a-net", s.ContainerID())
	if err := s.Disconnect("a-net"); err == nil || err.Error() != want {
		t.Errorf("second Disconnect = %v; want %s", err, want)
	}
	if err := s.Connect(r.ctx, on("a-net")); err != nil {
		t.Fatal(err)
	}
	checkShape(t, s, "eth0=z-net eth2=a-net", "172.18.0.1")
}

// checkShape compares the interfaces and the default route of a sandbox; no gateway: no default route.
func checkShape(t *testing.T, s *Sandbox, want, gateway string) {
	t.Helper()
	var shape []string
	for _, ep := range s.Endpoints() {
		shape = append(shape, ep.Name()+"="+ep.Network().Name())
	}
	via := ""
	for _, route := range s.NS().Routes() {
		if route.Dst.Bits() == 0 {
			via = route.Via.String()
		}
	}
	if got := strings.Join(shape, " "); got != want || via != gateway {
		t.Errorf("%s has %s, default via %q; want %s, %q", s.Name(), got, via, want, gateway)
	}
}

// flatDriver stands in for the overlay driver: it gives interfaces that lead nowhere.
type flatDriver struct{ c *Controller }

func (d flatDriver) createNetwork(*Network) error { return nil }

func (d flatDriver) deleteNetwork(*Network) error { return nil }

func (d flatDriver) join(ep *Endpoint, s *Sandbox) (joinInfo, error) {
	_, err := s.NS().AddInterface(netns.InterfaceConfig{Name: ep.Name(), Kind: netns.KindVeth, MAC: ep.MAC(), Addr: ep.Prefix(), MTU: ep.Network().MTU()})
	return joinInfo{}, err
}

func (d flatDriver) leave(ep *Endpoint, s *Sandbox) error { return s.NS().RemoveInterface(ep.Name()) }

// inCluster gives a controller docker_gwbridge and a driver for overlays.
func inCluster(c *Controller) error {
	c.mu.Lock()
	c.drivers[DriverOverlay] = flatDriver{c}
	c.mu.Unlock()
	_, err := c.gatewayNetwork()
	return err
}

// TestInterfaceOrderI34 checks the table of I34 and the default route of I37.
func TestInterfaceOrderI34(t *testing.T) {
	for _, tt := range []struct {
		name     string
		networks []string
		want, gw string
	}{
		{"one bridge", []string{"bridge"}, "eth0=bridge", "172.17.0.1"},
		{"overlay", []string{"overnet"}, "eth0=overnet eth1=docker_gwbridge", "172.18.0.1"},
		{"published, after ingress", []string{"overnet", "ingress"}, "eth0=ingress eth1=docker_gwbridge eth2=overnet", "172.18.0.1"},
		{"published, before ingress", []string{"appnet", "ingress"}, "eth0=appnet eth1=docker_gwbridge eth2=ingress", "172.18.0.1"},
		{"published only", []string{"ingress"}, "eth0=ingress eth1=docker_gwbridge", "172.18.0.1"},
		{"internal overlay", []string{"inner"}, "eth0=inner", ""},
		{"overlay and bridge", []string{"user", "appnet"}, "eth0=appnet eth1=user", "172.19.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			c := r.host("host-a", "192.168.1.2/24", nil)
			if err := inCluster(c); err != nil {
				t.Fatal(err)
			}
			r.network(c, NetworkConfig{Name: "user"})
			for i, name := range []string{"ingress", "overnet", "appnet", "inner"} {
				r.network(c, NetworkConfig{Name: name, Driver: DriverOverlay, Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 24),
					Ingress: name == "ingress", Internal: name == "inner"})
			}
			var eps []EndpointConfig
			for _, name := range tt.networks {
				ep := on(name)
				if n, _ := c.Network(name); n.Driver() == DriverOverlay {
					ep.IP = n.Subnet().Addr().Next().Next()
				}
				eps = append(eps, ep)
			}
			s := r.container(c, "web", eps...)
			checkShape(t, s, tt.want, tt.gw)
			for _, ep := range s.Endpoints() {
				want := 1500
				if ep.Network().Driver() == DriverOverlay {
					want = 1450
				}
				if ep.Interface().MTU() != want {
					t.Errorf("mtu of %s = %d; want %d", ep.Name(), ep.Interface().MTU(), want)
				}
			}
		})
	}
}

// TestGatewayFollows checks that docker_gwbridge comes and goes with the need for it.
func TestGatewayFollows(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	if err := inCluster(c); err != nil {
		t.Fatal(err)
	}
	r.network(c, NetworkConfig{Name: "user"})
	r.network(c, NetworkConfig{Name: "over", Driver: DriverOverlay, Subnet: netip.MustParsePrefix("10.0.0.0/24")})
	over := on("over")
	over.IP = netip.MustParseAddr("10.0.0.3")
	s := r.container(c, "web", over)
	checkShape(t, s, "eth0=over eth1=docker_gwbridge", "172.18.0.1")
	if gw, _ := s.Endpoint(NetworkGateway); gw.EndpointName() != "gateway_"+s.ContainerID()[:12] {
		t.Errorf("gateway endpoint is called %s", gw.EndpointName())
	}
	if err := s.Connect(r.ctx, on("user")); err != nil {
		t.Fatal(err)
	}
	checkShape(t, s, "eth0=over eth2=user", "172.19.0.1")
	if err := s.Disconnect("user"); err != nil {
		t.Fatal(err)
	}
	checkShape(t, s, "eth0=over eth3=docker_gwbridge", "172.18.0.1")
	if err := s.Disconnect("over"); err != nil {
		t.Fatal(err)
	}
	checkShape(t, s, "", "")
}

// TestNetworkErrors checks the texts of what is refused about networks (B34, B35, B36, I7, I16, I32, H4, O3).
func TestNetworkErrors(t *testing.T) {
	for _, modern := range []bool{false, true} {
		r := newRig(t)
		c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = modern })
		r.network(c, NetworkConfig{Name: "n1", Subnet: netip.MustParsePrefix("10.1.0.0/24")})
		s := r.container(c, "c1", on("n1"))
		ep := s.Endpoints()[0].ID()[:12]
		create := func(cfg NetworkConfig) error { _, err := c.CreateNetwork(cfg); return err }
		for _, tt := range []struct {
			name          string
			err           error
			guide, modern string
			kind          error
		}{
			{"B34 create", create(NetworkConfig{Name: "bridge"}), "bridge is a pre-defined network and cannot be created", "operation is not permitted on predefined bridge network ", ErrForbidden},
			{"B34 remove", c.RemoveNetwork("host"), "host is a pre-defined network and cannot be removed", "", ErrForbidden},
			{"B35", c.RemoveNetwork("n1"), "network n1 has active endpoints",
				fmt.Sprintf("error while removing network: network n1 has active endpoints (name:\"c1\" id:%q)", ep), ErrForbidden},
			{"B36", c.RemoveNetwork("n9"), "network n9 not found", "", ErrNotFound},
			{"I32", create(NetworkConfig{Name: "n1"}), "network with name n1 already exists", "", ErrConflict},
			{"I7", create(NetworkConfig{Name: "n2", Subnet: netip.MustParsePrefix("10.1.0.0/16")}),
				"Pool overlaps with other one on this address space", "invalid pool request: Pool overlaps with other one on this address space", ErrForbidden},
			{"I16", create(NetworkConfig{Name: "n2", Subnet: netip.MustParsePrefix("10.0.0.5/24")}),
				"invalid network config:\ninvalid subnet 10.0.0.5/24: it should be 10.0.0.0/24", "", ErrInvalid},
			{"I16 gateway", create(NetworkConfig{Name: "n2", Subnet: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.9.0.1")}),
				"invalid network config:\ninvalid gateway 10.9.0.1: parent subnet 10.0.0.0/24 doesn't contain this address", "", ErrInvalid},
			{"H4", create(NetworkConfig{Name: "h2", Driver: "host"}), `only one instance of "host" network is allowed`, "", ErrForbidden},
			{"O3", create(NetworkConfig{Name: "o", Driver: "overlay"}), c.errNoSwarm().Error(), "", ErrForbidden},
		} {
			want := tt.guide
			if modern && tt.modern != "" {
				want = tt.modern
			}
			if tt.err == nil || tt.err.Error() != want || !errors.Is(tt.err, tt.kind) {
				t.Errorf("%s = %v; want %s (%v)", tt.name, tt.err, want, tt.kind)
			}
		}
	}
}

// TestEndpointErrors checks the texts of what is refused about endpoints (I13, I14, H5, H6, H7).
func TestEndpointErrors(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	r.network(c, NetworkConfig{Name: "auto"})
	r.network(c, NetworkConfig{Name: "user", Subnet: netip.MustParsePrefix("10.1.0.0/24")})
	fixed := func(network, ip string) EndpointConfig {
		return EndpointConfig{Network: network, IP: netip.MustParseAddr(ip)}
	}
	if ep := r.container(c, "c1", fixed("user", "10.1.0.254")).Endpoints()[0]; ep.Prefix().String() != "10.1.0.254/24" {
		t.Errorf("--ip 10.1.0.254 gave %s", ep.Prefix())
	}
	none := r.container(c, "lonely", on("none"))
	checkShape(t, none, "=none", "")
	plain := r.container(c, "plain", on("bridge"))
	hosted, err := c.NewSandbox(SandboxConfig{ID: "feed", Name: "hosted", UseHost: true})
	if err == nil {
		err = hosted.Join(r.ctx, []EndpointConfig{on("host")})
	}
	if err != nil || hosted.NS() != c.Host() {
		t.Fatal(err)
	}
	aliased := on("bridge")
	aliased.Aliases = []string{"x"}
	join := func(eps ...EndpointConfig) error {
		s := r.sandbox(c, "c2")
		defer s.Delete() //nolint:errcheck // it is on nothing
		return s.Join(r.ctx, eps)
	}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"I13", join(fixed("user", "10.1.0.254")), "Address already in use"},
		{"I14 default bridge", join(fixed("bridge", "172.17.0.9")), "User specified IP address is supported on user defined networks only"},
		{"I14 auto subnet", join(fixed("auto", "172.18.0.9")), "User specified IP address is supported only when connecting to networks with user configured subnets"},
		{"I14 alias", join(aliased), "Network-scoped alias is supported only for containers in user defined networks"},
		{"I15", join(fixed("user", "10.9.0.9")), "Requested address is out of range"},
		{"H5", plain.Connect(r.ctx, on("host")), "Container cannot be disconnected from host network or connected to host network"},
		{"H6", hosted.Connect(r.ctx, on("user")), "Container sharing network namespace with another container or host cannot be connected to any other network"},
		{"H7 none first", none.Connect(r.ctx, on("user")), "Container cannot be connected to multiple networks with one of the networks in private (none) mode"},
		{"H7 none last", plain.Connect(r.ctx, on("none")), "Container cannot be connected to multiple networks with one of the networks in private (none) mode"},
		{"B36", plain.Connect(r.ctx, on("nowhere")), "network nowhere not found"},
	} {
		if tt.err == nil || tt.err.Error() != tt.want {
			t.Errorf("%s = %v; want %s", tt.name, tt.err, tt.want)
		}
	}
	if n, _ := c.Network("user"); len(n.Endpoints()) != 1 {
		t.Errorf("%d endpoints are on user; want 1", len(n.Endpoints()))
	}
}

// TestDeleteAfterEnd checks that a sandbox can be deleted after its namespace ended.
func TestDeleteAfterEnd(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	r.network(c, NetworkConfig{Name: "n1"})
	ns := netns.New(netns.Config{Name: "host-a/web"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r.wg.Go(func() { done <- ns.Run(ctx) })
	s, err := c.NewSandbox(SandboxConfig{ID: "0123456789abcdef", Name: "web", NS: ns})
	if err == nil {
		err = s.Join(r.ctx, []EndpointConfig{published("n1", PortBinding{HostPort: 80, ContainerPort: 80})})
	}
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Delete(), s.Delete()); err != nil {
		t.Errorf("Delete = %v", err)
	}
	if err := c.RemoveNetwork("n1"); err != nil {
		t.Errorf("RemoveNetwork = %v", err)
	}
	if _, ok := c.Sandbox("0123456789abcdef"); ok {
		t.Error("the sandbox is still known")
	}
}

// TestAtOnce makes and removes networks and containers from many goroutines.
func TestAtOnce(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	before := rulesOf(t, c, "-t", "nat", "-S") + rulesOf(t, c, "-S")
	var wg sync.WaitGroup
	for i := range 8 {
		name := fmt.Sprintf("n%d", i)
		s := r.sandbox(c, "c"+name)
		wg.Go(func() {
			for range 5 {
				if _, err := c.CreateNetwork(NetworkConfig{Name: name}); err != nil {
					t.Error(err)
				}
				if err := s.Join(r.ctx, []EndpointConfig{on(name), published("bridge", PortBinding{ContainerPort: 80})}); err != nil {
					t.Error(err)
				}
				for _, ep := range s.Endpoints() {
					if err := s.Disconnect(ep.Network().Name()); err != nil {
						t.Error(err)
					}
				}
				if err := c.RemoveNetwork(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if after := rulesOf(t, c, "-t", "nat", "-S") + rulesOf(t, c, "-S"); after != before {
		t.Errorf("rules after:\n%s\nbefore:\n%s", after, before)
	}
}

package cnm

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/netsim-lab/netsim/netns"
)

// TestBridgeOptionErrors checks the texts for options that make no sense, and that nothing stays of such a network (B23, B25).
func TestBridgeOptionErrors(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	r.network(c, NetworkConfig{Name: "first", Options: map[string]string{optBridgeName: "br-mine"}})
	before := rulesOf(t, c, "-t", "nat", "-S") + rulesOf(t, c, "-S")
	for _, tt := range []struct{ name, option, value, want string }{
		{"icc", optICC, "maybe", `failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)`},
		{"masquerade", optMasquerade, "7", `failed to parse com.docker.network.bridge.enable_ip_masquerade value: 7 (strconv.ParseBool: parsing "7": invalid syntax)`},
		{"binding", optHostBinding, "here", "failed to parse com.docker.network.bridge.host_binding_ipv4 value: here (nil ip)"},
		{"mode", optGatewayMode, "x", "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: x (unknown gateway mode x)"},
		{"isolated and not internal", optGatewayMode, "isolated", "gateway mode 'isolated' can only be used for an internal network"},
		{"mtu", optMTU, "big", `failed to parse com.docker.network.driver.mtu value: big (strconv.Atoi: parsing "big": invalid syntax)`},
		{"a bridge of another network", optBridgeName, "br-mine", "networks have same bridge name"},
		{"a name that is none", optBridgeName, "a/b", `invalid bridge name "a/b"`},
		{"an interface that is no bridge", optBridgeName, "eth0", "existing interface eth0 is not a bridge"},
		{"a prefix without room", optIfacePrefix, "averylongprefix", "it begins the name of an interface"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.CreateNetwork(NetworkConfig{Name: "n", Options: map[string]string{tt.option: tt.value}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("CreateNetwork = %v; want %q", err, tt.want)
			}
		})
	}
	if after := rulesOf(t, c, "-t", "nat", "-S") + rulesOf(t, c, "-S"); after != before {
		t.Errorf("rules after = %s\nbefore = %s", after, before)
	}
	if n := r.network(c, NetworkConfig{Name: "n"}); n.Subnet().String() != "172.19.0.0/16" {
		t.Errorf("the next network has %s; want 172.19.0.0/16", n.Subnet())
	}
}

// TestBridgeOptions checks what each option does (B6, B23, B24, B25; I39).
func TestBridgeOptions(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	client := r.machine("client", "192.168.1.10/24")
	r.serve(client, "client", 80)
	if err := client.AddRoute(netnsRoute(client, "10.0.0.0/8", "192.168.1.2")); err != nil {
		t.Fatal(err)
	}
	eth0, _ := c.Host().Interface("eth0")
	for _, a := range []string{"192.168.1.20/24", "192.168.1.21/24"} {
		if err := eth0.AddAddr(netip.MustParsePrefix(a)); err != nil {
			t.Fatal(err)
		}
	}
	// with makes a network and a container that serves and publishes port 80 as 8080.
	with := func(name, subnet string, options map[string]string) *Sandbox {
		r.network(c, NetworkConfig{Name: name, Subnet: netip.MustParsePrefix(subnet), Options: options})
		s := r.container(c, name+"-web", published(name, PortBinding{HostPort: 8080, ContainerPort: 80}))
		r.serve(s.NS(), name, 80)
		r.serve(s.NS(), name, 81)
		return s
	}
	t.Run("B23 name, mtu and prefix", func(t *testing.T) {
		s := with("plain", "10.1.0.0/24", map[string]string{optBridgeName: "br-plain", optMTU: "1400", optIfacePrefix: "net"})
		ep := s.Endpoints()[0]
		out, _ := c.Host().Interface(ep.HostInterface())
		if ep.Name() != "net0" || ep.Interface().MTU() != 1400 || out.MTU() != 1400 || out.Master().Name() != "br-plain" || out.Master().MTU() != 1400 {
			t.Errorf("%s mtu %d on %s", ep.Name(), ep.Interface().MTU(), out.Master().Name())
		}
		r.says(client, "192.168.1.2:8080", "plain 192.168.1.10")
		_ = s.Delete()
	})
	t.Run("B24 binding address", func(t *testing.T) {
		s := with("bound", "10.2.0.0/24", map[string]string{optHostBinding: "192.168.1.20"})
		r.says(client, "192.168.1.20:8080", "bound 192.168.1.10")
		if _, err := ask(client, "192.168.1.2:8080", soon); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("another address of the host = %v; want connection refused", err)
		}
		if _, err := ask(c.Host(), "127.0.0.1:8080", soon); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("localhost = %v; want connection refused", err)
		}
		_ = s.Delete()
	})
	t.Run("B6 no masquerade", func(t *testing.T) {
		s := with("bare", "10.3.0.0/24", map[string]string{optMasquerade: "false"})
		r.says(s.NS(), "192.168.1.10:80", "client 10.3.0.2") // the client has a route back
		r.says(client, "192.168.1.2:8080", "bare 192.168.1.10")
		_ = s.Delete()
	})
	t.Run("B25 host_ipv4", func(t *testing.T) {
		s := with("from21", "10.4.0.0/24", map[string]string{optHostIPv4: "192.168.1.21"})
		r.says(s.NS(), "192.168.1.10:80", "client 192.168.1.21")
		_ = s.Delete()
	})
	t.Run("B25 routed", func(t *testing.T) {
		s := with("routed", "10.5.0.0/24", map[string]string{optGatewayMode: "routed"})
		r.says(s.NS(), "192.168.1.10:80", "client 10.5.0.2")
		r.says(client, "10.5.0.2:80", "routed 192.168.1.10")
		r.silent(client, "10.5.0.2:81")
		if _, err := ask(client, "192.168.1.2:8080", soon); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a port of the host = %v; want connection refused", err)
		}
		_ = s.Delete()
	})
	t.Run("B25 nat-unprotected", func(t *testing.T) {
		s := with("open", "10.6.0.0/24", map[string]string{optGatewayMode: "nat-unprotected"})
		r.says(client, "10.6.0.2:81", "open 192.168.1.10")
		r.says(client, "192.168.1.2:8080", "open 192.168.1.10")
		_ = s.Delete()
	})
	t.Run("B25 inhibit_ipv4", func(t *testing.T) {
		s := with("inhibited", "10.7.0.0/24", map[string]string{optInhibitIPv4: "true", optBridgeName: "br-none"})
		if i, _ := c.Host().Interface("br-none"); len(i.Addrs()) != 0 {
			t.Errorf("br-none has %v", i.Addrs())
		}
		_ = s.Delete()
	})
}

// TestIsolatedGatewayMode checks an internal network that the host has no address on (B25).
func TestIsolatedGatewayMode(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	r.network(c, NetworkConfig{Name: "cell", Internal: true, Options: map[string]string{optGatewayMode: "isolated", optBridgeName: "br-cell"}})
	a, b := r.container(c, "a", on("cell")), r.container(c, "b", on("cell"))
	r.serve(a.NS(), "a", 80)
	r.says(b.NS(), ipOf(a, 0).String()+":80", "a "+ipOf(b, 0).String())
	if i, _ := c.Host().Interface("br-cell"); len(i.Addrs()) != 0 {
		t.Errorf("br-cell has %v", i.Addrs())
	}
	if n, _ := c.Network("cell"); n.Gateway().IsValid() {
		t.Errorf("the network has the gateway %v; want none", n.Gateway())
	}
	if ip := ipOf(a, 0); ip.String() != "172.18.0.1" {
		t.Errorf("the first container has %s; want 172.18.0.1, for there is no gateway", ip)
	}
	r.lost(c.Host(), ipOf(a, 0).String())
}

// TestForeignBridge checks a network on a bridge that was there before, and stays.
func TestForeignBridge(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	br, err := c.Host().AddBridge(netns.InterfaceConfig{Name: "br0", Addr: netip.MustParsePrefix("10.9.0.254/24")})
	if err != nil {
		t.Fatal(err)
	}
	r.network(c, NetworkConfig{Name: "n", Subnet: netip.MustParsePrefix("10.9.0.0/24"), Options: map[string]string{optBridgeName: "br0", optICC: "false"}})
	s := r.container(c, "c1", on("n"))
	r.pings(s.NS(), "10.9.0.254")
	r.pings(s.NS(), "10.9.0.1")
	_ = s.Delete()
	if err := c.RemoveNetwork("n"); err != nil {
		t.Fatal(err)
	}
	if i, ok := c.Host().Interface("br0"); !ok || !slices.Equal(i.Addrs(), []netip.Prefix{netip.MustParsePrefix("10.9.0.254/24")}) {
		t.Errorf("br0 is there: %t, with %v; want it as it was", ok, br.Addrs())
	}
}

// TestNoUserlandProxy checks published ports with netfilter alone: from outside, from localhost, and hairpin (B9, B21).
func TestNoUserlandProxy(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) { cfg.NoUserlandProxy = true })
	client := r.machine("client", "192.168.1.10/24")
	r.network(c, NetworkConfig{Name: "n2"})
	web := r.container(c, "web", published("bridge", PortBinding{HostPort: 8080, ContainerPort: 80}))
	same, other := r.container(c, "same", on("bridge")), r.container(c, "other", on("n2"))
	r.serve(web.NS(), "web", 80)
	r.says(client, "192.168.1.2:8080", "web 192.168.1.10")
	r.says(c.Host(), "127.0.0.1:8080", "web 172.17.0.1")
	r.says(c.Host(), "192.168.1.2:8080", "web 172.17.0.1")
	r.says(web.NS(), "192.168.1.2:8080", "web 172.17.0.1")  // its own port: masqueraded, or it would answer itself
	r.says(same.NS(), "192.168.1.2:8080", "web 172.17.0.3") // a neighbour: the answer is translated on the bridge
	r.silent(other.NS(), "192.168.1.2:8080")                // another network: isolation comes first
	if _, err := c.Host().Listen("tcp", ":8080"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listen on the published port = %v; want address already in use", err)
	}
	if p := web.Endpoints()[0].HostInterface(); !c.bridges.networks[0].iface.Bridge().Port(p).Config().Hairpin {
		t.Errorf("the port %s has no hairpin mode", p)
	}
	_ = web.Delete()
	if _, err := ask(client, "192.168.1.2:8080", soon); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect after the container is gone = %v; want connection refused", err)
	}
}

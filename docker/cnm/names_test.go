package cnm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/netns"
)

// TestNames checks who finds whom (D1, D2, D5, D7, D8, D14, D15, D18, D19; acceptance 5).
func TestNames(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) {
		cfg.Search = []string{"example.com"}
		cfg.Nameservers = []netip.AddrPort{netip.MustParseAddrPort("192.168.1.10:53")}
	})
	r.nameServer("client", "192.168.1.10/24")
	r.network(c, NetworkConfig{Name: "my_bridge"})
	r.network(c, NetworkConfig{Name: "n2"})
	aliased := on("my_bridge")
	aliased.Aliases = []string{"db"}
	c1 := r.container(c, "c1", on("my_bridge"))
	c2 := r.container(c, "c2", aliased)
	c3 := r.container(c, "c3", on("n2"))
	d1 := r.container(c, "d1", on("bridge"))
	d2 := r.container(c, "d2", on("bridge"))

	ip := ipOf(c2, 0).String()
	for _, name := range []string{"c2", "db", "C2", c2.ContainerID()[:12], "c2.my_bridge", "db.my_bridge"} {
		r.finds(c1, name, ip)
	}
	r.finds(c1, "c1", ipOf(c1, 0).String())
	r.finds(c1, c1.Hostname(), ipOf(c1, 0).String())
	r.finds(c1, "www.dockercon.com", "104.239.220.248")
	r.finds(d1, "www.dockercon.com", "104.239.220.248")
	r.finds(c1, "c3", "")
	r.finds(c3, "c2", "")
	r.finds(d1, "d2", "") // D2
	r.finds(d1, "c2", "")
	_ = d2
	ctx, cancel := context.WithTimeout(r.ctx, soon)
	defer cancel()
	if name, err := c1.Resolver().LookupAddr(ctx, ipOf(c2, 0)); err != nil || name != "c2.my_bridge" {
		t.Errorf("LookupAddr = %q, %v; want c2.my_bridge", name, err)
	}
	reply, err := dns.Query(ctx, c1.NS().Dial, netip.MustParseAddrPort("127.0.0.11:53"), dns.Question{Name: "c2", Type: dns.TypeA, TCP: true})
	if err != nil || len(reply.Addrs()) != 1 {
		t.Errorf("query by TCP = %v, %v", reply, err)
	}
	if err := c2.Delete(); err != nil {
		t.Fatal(err)
	}
	r.finds(c1, "c2", "") // D15
}

// nameServer adds a machine with a name server that knows one name.
func (r *rig) nameServer(name, addr string) *netns.Namespace {
	r.t.Helper()
	ns := r.machine(name, addr)
	pc, err := ns.ListenPacket("udp", ":53")
	if err != nil {
		r.t.Fatal(err)
	}
	server := dns.NewStatic(dns.StaticConfig{Names: map[string][]netip.Addr{"www.dockercon.com": {netip.MustParseAddr("104.239.220.248")}}})
	r.spawn(func(ctx context.Context) error {
		if err := server.Serve(ctx, pc, nil); !errors.Is(err, net.ErrClosed) { // its namespace may be the first to end
			return err
		}
		return nil
	})
	return ns
}

// TestFiles checks the text of the files about names (D2, D3, D4, D5).
func TestFiles(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) {
		cfg.Search = []string{"eu-west-1.compute.internal"}
		cfg.Nameservers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.53:53"), netip.MustParseAddrPort("192.168.1.10:53")}
	})
	r.network(c, NetworkConfig{Name: "n2"})
	ns := netns.New(netns.Config{Name: "host-a/web"})
	r.spawn(ns.Run)
	web, err := c.NewSandbox(SandboxConfig{ID: "0123456789abcdef", Name: "web", NS: ns, DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")},
		ExtraHosts: []dns.HostsLine{{Addr: netip.MustParseAddr("10.9.9.9"), Names: []string{"db"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := web.ResolvConf(), "search eu-west-1.compute.internal\nnameserver 9.9.9.9\n"; got != want {
		t.Errorf("ResolvConf with --dns = %q; want %q", got, want)
	}
	if err := web.Join(r.ctx, []EndpointConfig{on("n2")}); err != nil {
		t.Fatal(err)
	}
	if got, want := web.ResolvConf(), "search eu-west-1.compute.internal\nnameserver 127.0.0.11\noptions ndots:0\n"; got != want {
		t.Errorf("ResolvConf on a user's network = %q; want %q", got, want)
	}
	wantHosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n" +
		"ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n172.18.0.2\t0123456789ab\n10.9.9.9\tdb\n"
	if got := web.Hosts(); got != wantHosts {
		t.Errorf("Hosts = %q; want %q", got, wantHosts)
	}
	plain := r.container(c, "plain", on("bridge"))
	if got, want := plain.ResolvConf(), "search eu-west-1.compute.internal\nnameserver 192.168.1.10\n"; got != want {
		t.Errorf("ResolvConf on docker0 = %q; want %q", got, want)
	}
	r.finds(web, "db", "10.9.9.9")
}

// TestInternalNamesD6 checks that a container without a way out resolves its network's names, and no others.
func TestInternalNamesD6(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) {
		cfg.Nameservers = []netip.AddrPort{netip.MustParseAddrPort("192.168.1.10:53")}
	})
	r.nameServer("client", "192.168.1.10/24")
	r.network(c, NetworkConfig{Name: "inner", Internal: true})
	c1 := r.container(c, "c1", on("inner"))
	c2 := r.container(c, "c2", on("inner"))
	r.finds(c1, "c2", ipOf(c2, 0).String())
	ctx, cancel := context.WithTimeout(r.ctx, soon)
	defer cancel()
	reply, err := dns.Query(ctx, c1.NS().Dial, netip.MustParseAddrPort("127.0.0.11:53"), dns.Question{Name: "www.dockercon.com", Type: dns.TypeA, Timeout: time.Second})
	if err != nil || reply.Status() != "SERVFAIL" {
		t.Errorf("query for an outside name = %v, %v; want SERVFAIL", reply, err)
	}
}

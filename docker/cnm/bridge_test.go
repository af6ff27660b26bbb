package cnm

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/netsim-lab/netsim/netns"
)

// TestFreshHost checks what a host begins with (acceptance 1; I1, I9, I10, I19, I26, I38, B4, B5).
func TestFreshHost(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	var names []string
	for _, n := range c.Networks() {
		names = append(names, n.Name()+"/"+n.Driver()+"/"+n.Scope())
	}
	if got, want := strings.Join(names, " "), "bridge/bridge/local host/host/local none/null/local"; got != want {
		t.Errorf("networks = %s; want %s", got, want)
	}
	web := r.container(c, "web", on("bridge"))
	ep := web.Endpoints()[0]
	if ep.Prefix().String() != "172.17.0.2/16" || ep.MAC().String() != "02:42:ac:11:00:02" || ep.Name() != "eth0" {
		t.Errorf("endpoint %s %s %s; want eth0 172.17.0.2/16 02:42:ac:11:00:02", ep.Name(), ep.Prefix(), ep.MAC())
	}
	var routes []string
	for _, route := range web.NS().Routes() {
		routes = append(routes, route.String())
	}
	if len(routes) != 2 || routes[0] != "default via 172.17.0.1 dev eth0" {
		t.Errorf("routes = %q", routes)
	}
	host, _ := c.Host().Interface(ep.HostInterface())
	if in := ep.Interface(); host.Index() != in.Index()+1 || in.PeerIndex() != host.Index() || host.PeerIndex() != in.Index() {
		t.Errorf("indices: container %d@%d, host %d@%d", in.Index(), in.PeerIndex(), host.Index(), host.PeerIndex())
	}
	if !strings.HasPrefix(host.Name(), "veth") || len(host.Name()) != 11 || host.Master().Name() != "docker0" {
		t.Errorf("host end %s of %s", host.Name(), host.Master().Name())
	}
	r.pings(c.Host(), "172.17.0.2")
	r.pings(web.NS(), "172.17.0.1")
	r.pings(web.NS(), "192.168.1.2")
	r.container(c, "other", on("bridge"))
	if err := web.Delete(); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Host().Interface(host.Name()); ok {
		t.Errorf("%s is still there", host.Name())
	}
	if next := r.container(c, "next", on("bridge")).Endpoints()[0]; next.IP().String() != "172.17.0.2" {
		t.Errorf("next container has %s; want 172.17.0.2", next.IP())
	}
}

// TestPoolsOfHost checks which pools a host's networks get (I4, I5, I25).
func TestPoolsOfHost(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "172.17.9.2/24", nil)
	if n, _ := c.Network("bridge"); n.Subnet().String() != "172.18.0.0/16" {
		t.Errorf("docker0 beside a host in 172.17.9.0/24 = %s; want 172.18.0.0/16", n.Subnet())
	}
	c = r.host("host-b", "192.168.1.3/24", nil)
	if _, err := c.gatewayNetwork(); err != nil {
		t.Fatal(err)
	}
	catnet := r.network(c, NetworkConfig{Name: "catnet"})
	if catnet.Subnet().String() != "172.19.0.0/16" || catnet.Gateway().String() != "172.19.0.1" {
		t.Errorf("catnet = %s, %s; want 172.19.0.0/16", catnet.Subnet(), catnet.Gateway())
	}
	if _, ok := c.Host().Interface("br-" + catnet.ID()[:12]); !ok {
		t.Errorf("no bridge br-%s", catnet.ID()[:12])
	}
	if gw, ok := c.Network(NetworkGateway); !ok || gw.Gateway().String() != "172.18.0.1" {
		t.Errorf("docker_gwbridge is not at 172.18.0.1")
	}
}

// TestReachability checks what containers reach over bridges (B1, B3, B4, B6, B8; acceptance 2; multihost bridge).
func TestReachability(t *testing.T) {
	r := newRig(t)
	a := r.host("host-a", "192.168.1.2/24", nil)
	b := r.host("host-b", "192.168.1.3/24", nil)
	client := r.machine("client", "192.168.1.10/24")
	r.network(a, NetworkConfig{Name: "n2"})
	c1 := r.container(a, "c1", on("bridge"))
	c2 := r.container(a, "c2", on("bridge"))
	c3 := r.container(a, "c3", on("n2"))
	d1 := r.container(b, "d1", published("bridge", PortBinding{HostPort: 8080, ContainerPort: 80}))
	r.serve(c2.NS(), "c2", 80)
	r.serve(c3.NS(), "c3", 80)
	r.serve(d1.NS(), "d1", 80)
	r.serve(client, "client", 80)

	r.says(c1.NS(), "172.17.0.3:80", "c2 172.17.0.2")               // B1
	r.says(a.Host(), "172.17.0.3:80", "c2 172.17.0.1")              // B4
	r.says(c1.NS(), "192.168.1.10:80", "client 192.168.1.2")        // B6
	r.says(c3.NS(), "192.168.1.10:80", "client 192.168.1.2")        // B6
	r.silent(c1.NS(), netip.AddrPortFrom(ipOf(c3, 0), 80).String()) // B3
	r.silent(c3.NS(), "172.17.0.3:80")                              // B3
	r.lost(c1.NS(), ipOf(c3, 0).String())                           // B3
	r.pings(c1.NS(), "172.18.0.1")                                  // B3
	r.pings(c1.NS(), "192.168.1.3")
	r.says(c1.NS(), "192.168.1.3:8080", "d1 192.168.1.2") // from host to host, masqueraded and then translated
	if err := client.AddRoute(netnsRoute(client, "172.17.0.0/16", "192.168.1.2")); err != nil {
		t.Fatal(err)
	}
	r.silent(client, "172.17.0.3:80") // B8: policy DROP
}

// TestNoICC checks a network whose containers must not reach each other (B2; acceptance 15).
func TestNoICC(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	client := r.machine("client", "192.168.1.10/24")
	r.serve(client, "client", 80)
	r.network(c, NetworkConfig{Name: "apart", Options: map[string]string{optICC: "false"}})
	pub := on("apart")
	pub.Ports = []PortBinding{{HostPort: 8080, ContainerPort: 80}}
	c1 := r.container(c, "c1", pub)
	c2 := r.container(c, "c2", on("apart"))
	r.serve(c1.NS(), "c1", 80)
	r.silent(c2.NS(), "172.18.0.2:80")
	r.lost(c2.NS(), "172.18.0.2")
	r.says(c2.NS(), "192.168.1.10:80", "client 192.168.1.2")
	r.says(c.Host(), "172.18.0.2:80", "c1 172.18.0.1")
	r.says(client, "192.168.1.2:8080", "c1 192.168.1.10")
	r.says(c2.NS(), "192.168.1.2:8080", "c1 172.18.0.1")
	if out := rulesOf(t, c, "-v", "-x", "-n", "-L", "FORWARD"); !strings.Contains(out, " DROP ") || counted(out, "DROP") == 0 {
		t.Errorf("the rule that drops counts nothing:\n%s", out)
	}
}

// TestInternal checks a network without a way out (B7; acceptance 6).
func TestInternal(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	client := r.machine("client", "192.168.1.10/24")
	r.serve(client, "client", 80)
	r.network(c, NetworkConfig{Name: "inner", Internal: true})
	pub := on("inner")
	pub.Ports = []PortBinding{{HostPort: 8080, ContainerPort: 80}}
	c1 := r.container(c, "c1", pub)
	c2 := r.container(c, "c2", on("inner"))
	r.serve(c1.NS(), "c1", 80)
	r.says(c2.NS(), "172.18.0.2:80", "c1 172.18.0.3")
	r.says(c.Host(), "172.18.0.2:80", "c1 172.18.0.1")
	if _, err := ask(c2.NS(), "192.168.1.10:80", soon); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("connect outside = %v; want network is unreachable", err)
	}
	if _, err := ask(client, "192.168.1.2:8080", soon); !errors.Is(err, syscall.ECONNREFUSED) || len(c1.Ports()) != 0 {
		t.Errorf("connect to a port that is not mapped = %v; want connection refused", err)
	}
	if nat := rulesOf(t, c, "-t", "nat", "-S"); strings.Contains(nat, "172.18") {
		t.Errorf("nat has rules of an internal network:\n%s", nat)
	}
}

func ipOf(s *Sandbox, i int) netip.Addr { return s.Endpoints()[i].IP() }

func netnsRoute(ns *netns.Namespace, dst, via string) netns.Route {
	dev, _ := ns.Interface("eth0")
	return netns.Route{Dst: netip.MustParsePrefix(dst), Via: netip.MustParseAddr(via), Dev: dev}
}

func rulesOf(t *testing.T, c *Controller, args ...string) string {
	t.Helper()
	out, err := c.Host().Netfilter().Command(args)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// counted returns the packets that the rules of a listing with that target counted.
func counted(listing, target string) int {
	total := 0
	for line := range strings.Lines(listing) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[2] == target && fields[0] != "0" {
			total++
		}
	}
	return total
}

package cnm_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// destinations reads what a sandbox balances to, with the weights.
func destinations(s *cnm.Sandbox) string {
	var out []string
	for _, v := range s.NS().IPVS().Services() {
		for _, d := range v.Destinations {
			out = append(out, fmt.Sprint(d.Addr.Addr(), "/", d.Weight))
		}
	}
	return strings.Join(out, " ")
}

// A task gets the address of one whose node is gone, and only then do the others hear that the old task is: it stays behind its service.
func TestServiceAddressHandedOn(t *testing.T) {
	t.Parallel()
	l := newSwarmLab(t, 1)
	n := l.network("overnet")
	before := l.attach(l.hosts[0], "before", "overnet")
	there := board{&l.records, "host-z"}
	task := func(key string, disabled bool) cnm.Record {
		return cnm.Record{
			Key: key, VTEP: netip.MustParseAddr("192.168.1.99"), IP: netip.MustParsePrefix("10.0.0.77/24"), MAC: wire.MAC{2, 0x42, 10, 0, 0, 77},
			Name: key, Disabled: disabled,
			Service: &cnm.ServiceBinding{ServiceID: "s1", ServiceName: "web", TaskName: key, VIP: netip.MustParseAddr("10.0.0.70")},
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"one", func() { there.Publish(n.ID, task("old", false)) }, "10.0.0.77/1"},
		{"two with one address", func() { there.Publish(n.ID, task("new", false)) }, "10.0.0.77/1"},
		{"the old is to go", func() { there.Publish(n.ID, task("old", true)) }, "10.0.0.77/1"},
		{"the old is gone", func() { there.Withdraw(n.ID, "old") }, "10.0.0.77/1"},
		{"none", func() { there.Withdraw(n.ID, "new") }, ""},
	} {
		step.do()
		if got := destinations(before); got != step.want {
			t.Errorf("%s: a container balances to %q; want %q", step.what, got, step.want)
		}
		after := l.attach(l.hosts[0], "after "+step.what, "overnet")
		if got := destinations(after); got != step.want {
			t.Errorf("%s: a container that comes then balances to %q; want %q", step.what, got, step.want)
		}
	}
}

// A service's new tasks publish another port while the old ones are there: both ports are open, and one that is among both stays so
// until the last has gone.
func TestIngressPortsChange(t *testing.T) {
	t.Parallel()
	l := newSwarmLab(t, 1)
	h := l.hosts[0]
	mesh := h.ctl.Ingress()
	ep, ok := mesh.Endpoint("ingress")
	if !ok {
		t.Fatal("the mesh is not on the network ingress")
	}
	network := ep.Network().ID()
	there := board{&l.records, "host-z"}
	publish := func(key string, last byte, ports ...cnm.PortConfig) {
		there.Publish(network, cnm.Record{
			Key: key, VTEP: netip.MustParseAddr("192.168.1.99"), IP: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 255, 0, last}), 16),
			MAC:     wire.MAC{2, 0x42, 10, 255, 0, last},
			Service: &cnm.ServiceBinding{ServiceID: "s1", ServiceName: "web", VIP: netip.MustParseAddr("10.255.0.70"), IngressPorts: ports},
		})
	}
	web, admin := cnm.PortConfig{Proto: "tcp", Published: 8000, Target: 80}, cnm.PortConfig{Proto: "tcp", Published: 8001, Target: 81}
	for _, step := range []struct {
		what string
		do   func()
		want string // ports that are open
	}{
		{"the old task", func() { publish("old", 71, web) }, "8000"},
		{"the new one comes", func() { publish("new", 72, web, admin) }, "8000 8001"},
		{"the old one goes", func() { there.Withdraw(network, "old") }, "8000 8001"},
		{"an older one comes back", func() { publish("old", 71, web) }, "8000 8001"},
		{"the new one goes", func() { there.Withdraw(network, "new") }, "8000"},
		{"all are gone", func() { there.Withdraw(network, "old") }, ""},
	} {
		step.do()
		rules := h.ns.Netfilter().Save(false)
		var open []string
		for _, port := range []string{"8000", "8001"} {
			switch n := strings.Count(rules, "--dport "+port+" -j DNAT"); {
			case n == 1:
				open = append(open, port)
			case n > 1:
				t.Errorf("%s: %d rules lead port %s in", step.what, n, port)
			}
		}
		if got := strings.Join(open, " "); got != step.want {
			t.Errorf("%s: open are %q; want %q", step.what, got, step.want)
		}
		if ln, err := h.ns.Listen("tcp", ":8000"); err == nil {
			l.must(ln.Close())
			if step.want != "" {
				t.Errorf("%s: R4: the port is not held", step.what)
			}
		} else if step.want == "" {
			t.Errorf("%s: the port is held", step.what)
		}
	}
}

package cnm_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// answers asks n times and returns who answered.
func (l *swarmLab) answers(s *cnm.Sandbox, address string, n int) []string {
	l.t.Helper()
	var out []string
	for range n {
		name, _, _ := strings.Cut(l.ask(s.NS(), address), " ")
		out = append(out, name)
	}
	return out
}

func TestServiceVIP(t *testing.T) {
	l := newSwarmLab(t, 2)
	l.network("overnet")
	l.network("othernet")
	web := l.service(serviceSpec{Name: "web", Networks: []networkTarget{{Network: "overnet", Aliases: []string{"www"}}}, Replicas: new(2)})
	c := l.attach(l.hosts[0], "c", "overnet")
	other := l.attach(l.hosts[0], "other", "othernet")
	t.Run("D9 D10 D11 names", func(t *testing.T) {
		task := l.taskName("web")
		for name, want := range map[string]string{
			"web": "10.0.0.2", "web.overnet": "10.0.0.2", "tasks.web": "10.0.0.3 10.0.0.4", "www": "10.0.0.2", "tasks.www": "10.0.0.3 10.0.0.4",
			task: "10.0.0.3", task + ".overnet": "10.0.0.3",
		} {
			if got := lookup(l.ctx, c, name); got != want {
				t.Errorf("%s is %q; want %q", name, got, want)
			}
		}
		if got := lookup(l.ctx, other, "web"); got != "" {
			t.Errorf("D12: web is %s on another network", got)
		}
		if name, err := c.Resolver().LookupAddr(l.ctx, netip.MustParseAddr("10.0.0.3")); err != nil || name != task+".overnet" {
			t.Errorf("D18: LookupAddr = %q, %v; want %s.overnet", name, err, task)
		}
	})
	t.Run("S3 A B A B", func(t *testing.T) {
		got := l.answers(c, "web:80", 4)
		if got[0] == got[1] || got[0] != got[2] || got[1] != got[3] {
			t.Errorf("answers %v; want both by turns", got)
		}
	})
	t.Run("S11 the source is the client's own address", func(t *testing.T) {
		if got := l.ask(c.NS(), "10.0.0.2:80"); !strings.HasSuffix(got, " 10.0.0.5") {
			t.Errorf("GET = %q; want one from 10.0.0.5", got)
		}
	})
	t.Run("S7 ping of the VIP", func(t *testing.T) {
		for _, s := range []*cnm.Sandbox{c, l.task("web.1")} {
			if _, err := s.NS().Ping(l.ctx, netip.MustParseAddr("10.0.0.2")); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("S8 a task reaches its own service", func(t *testing.T) {
		s := l.task("web.1")
		ep, _ := s.Endpoint("overnet")
		if got := ep.Interface().Addrs(); len(got) != 2 || got[1].String() != "10.0.0.2/32" {
			t.Errorf("addresses %v; want the VIP as an alias", got)
		}
		got := l.answers(s, "web:80", 4)
		slices.Sort(got)
		if want := []string{"web.1", "web.1", "web.2", "web.2"}; !slices.Equal(got, want) {
			t.Errorf("answers %v; want %v in some order", got, want)
		}
	})
	t.Run("S3 UDP sticks per port", func(t *testing.T) {
		a, b := l.askUDP(c.NS(), "web:80"), l.askUDP(c.NS(), "web:80")
		if a == b {
			t.Errorf("two flows went to %s both", a)
		}
	})
	t.Run("S2 S10 what is set up", func(t *testing.T) {
		out, err := c.NS().IPVS().Command([]string{"-ln"})
		if err != nil || !strings.Contains(out, "FWM  256 rr") || strings.Count(out, "Masq    1 ") != 2 {
			t.Errorf("ipvsadm -ln: %v\n%s", err, out)
		}
		rules := c.NS().Netfilter().Save(false)
		for _, want := range []string{
			"-A OUTPUT -d 10.0.0.2/32 -j MARK --set-xmark 0x100/0xffffffff",
			"-A OUTPUT -d 10.0.0.2/32 -p icmp -m icmp --icmp-type 8 -j DNAT --to-destination 127.0.0.1",
			"-A POSTROUTING -d 10.0.0.0/24 -m ipvs --ipvs -j SNAT --to-source 10.0.0.5",
		} {
			if !strings.Contains(rules, want) {
				t.Errorf("no rule %s in\n%s", want, rules)
			}
		}
	})
	t.Run("S14 a task that does not serve", func(t *testing.T) {
		l.task("web.1").SetServing(false)
		if got := lookup(l.ctx, c, "tasks.web"); got != "10.0.0.4" {
			t.Errorf("tasks.web is %s", got)
		}
		if got := l.answers(c, "web:80", 3); !slices.Equal(got, []string{"web.2", "web.2", "web.2"}) {
			t.Errorf("answers %v", got)
		}
		l.task("web.1").SetServing(true)
		if got := l.answers(c, "web:80", 2); got[0] == got[1] {
			t.Errorf("answers %v; want both", got)
		}
	})
	t.Run("S5 the last task takes everything along", func(t *testing.T) {
		l.must(l.scale(l.ctx, web, 0))
		for _, name := range []string{"web", "tasks.web", "www"} {
			if got := lookup(l.ctx, c, name); got != "" {
				t.Errorf("D9: %s is still %s", name, got)
			}
		}
		if n := len(c.NS().IPVS().Services()); n != 0 {
			t.Errorf("%d services are left", n)
		}
		if rules := c.NS().Netfilter().Save(false); strings.Contains(rules, "10.0.0.2/32") {
			t.Errorf("rules are left:\n%s", rules)
		}
		l.must(l.scale(l.ctx, web, 1))
		if got := l.answers(c, "web:80", 1); got[0] != "web.1" {
			t.Errorf("after scaling up %v answers", got)
		}
	})
}

// TestServiceVIPGone: who still holds the VIP of a service without tasks gets no answer (S5).
func TestServiceVIPGone(t *testing.T) {
	t.Parallel()
	l := newSwarmLab(t, 1)
	l.network("overnet")
	l.service(serviceSpec{Name: "web", Networks: overlays("overnet"), Replicas: new(0)})
	c := l.attach(l.hosts[0], "c", "overnet")
	if _, err := c.NS().Dial(l.ctx, "tcp", "10.0.0.2:80"); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("Dial = %v; want no route to host", err)
	}
}

func TestServiceDNSRR(t *testing.T) {
	l := newSwarmLab(t, 2)
	l.network("overnet")
	l.service(serviceSpec{Name: "web", Networks: overlays("overnet"), DNSRR: true, Replicas: new(3)})
	c := l.attach(l.hosts[0], "c", "overnet")
	for _, name := range []string{"web", "tasks.web"} {
		if got := lookup(l.ctx, c, name); got != "10.0.0.2 10.0.0.3 10.0.0.4" {
			t.Errorf("S12: %s is %q; want the addresses of all tasks", name, got)
		}
	}
	if n := len(c.NS().IPVS().Services()); n != 0 {
		t.Errorf("S12: %d virtual services", n)
	}
	if got := l.ask(c.NS(), "web:80"); !strings.HasSuffix(got, " 10.0.0.5") {
		t.Errorf("GET = %q", got)
	}
}

func TestIngress(t *testing.T) {
	l := newSwarmLab(t, 3)
	l.network("overnet")
	s := l.service(serviceSpec{
		Name: "web", Networks: overlays("overnet"), Replicas: new(2), Listen: []string{"5000"},
		Ports: []portSpec{{Published: 8000, Target: 5000}, {Proto: "udp", Published: 8001, Target: 5000}},
	})
	t.Run("I34 interfaces of a published task", func(t *testing.T) {
		if got, want := interfaces(l.task("web.1")), "eth0 ingress 10.255.0.6/16, eth1 docker_gwbridge 172.18.0.3/16, eth2 overnet 10.0.0.3/24"; got != want {
			t.Errorf("interfaces: %s; want %s", got, want)
		}
	})
	t.Run("R1 O12 the sandbox", func(t *testing.T) {
		for i, h := range l.hosts {
			want := "eth0 ingress " + netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 255, 0, byte(2 + i)}), 16).String() + ", eth1 docker_gwbridge 172.18.0.2/16"
			if got := interfaces(h.ctl.Ingress()); got != want {
				t.Errorf("%s: %s; want %s", h.name, got, want)
			}
		}
	})
	for i, entry := range []string{"192.168.1.2", "192.168.1.3", "192.168.1.4"} {
		t.Run("R5 R6 by "+entry, func(t *testing.T) {
			var who []string
			for range 4 {
				got := l.ask(l.client, entry+":8000")
				name, from, _ := strings.Cut(got, " ")
				who = append(who, name)
				if want := netip.AddrFrom4([4]byte{10, 255, 0, byte(2 + i)}).String(); from != want {
					t.Errorf("source %s; want that of the entry, %s", from, want)
				}
			}
			if who[0] == who[1] || who[0] != who[2] || who[1] != who[3] {
				t.Errorf("S3: answers %v; want both by turns", who)
			}
		})
	}
	t.Run("R13 from the host and from a container", func(t *testing.T) {
		for _, address := range []string{"127.0.0.1:8000", "192.168.1.2:8000", "192.168.1.4:8000"} {
			l.ask(l.hosts[0].ns, address)
		}
		for _, address := range []string{"192.168.1.2:8000", "192.168.1.4:8000"} {
			l.ask(l.task("web.1").NS(), address)
		}
	})
	t.Run("R14 UDP", func(t *testing.T) {
		if got := l.askUDP(l.client, "192.168.1.4:8001"); !strings.HasSuffix(got, " 10.255.0.4") {
			t.Errorf("answer %q", got)
		}
	})
	t.Run("R4 the port is taken", func(t *testing.T) {
		if ln, err := l.hosts[2].ns.Listen("tcp", ":8000"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Listen = %v, %v; want address already in use", ln, err)
		}
	})
	t.Run("R8 only target ports on the ingress address", func(t *testing.T) {
		sb := l.hosts[0].ctl.Ingress().NS()
		if got := l.ask(sb, "10.255.0.7:5000"); !strings.HasPrefix(got, "web.2 ") {
			t.Errorf("GET target port = %q", got)
		}
		ctx, cancel := context.WithTimeout(l.ctx, shortWait)
		defer cancel()
		if got, err := get(ctx, sb, "10.255.0.7:80"); err == nil {
			t.Errorf("GET another port = %q", got)
		}
	})
	t.Run("R3 chains", func(t *testing.T) {
		rules := l.hosts[0].ns.Netfilter().Save(false)
		for _, want := range []string{
			"-A DOCKER-INGRESS -p tcp -m tcp --dport 8000 -j DNAT --to-destination 172.18.0.2:8000\n",
			"-A DOCKER-INGRESS -p tcp -m tcp --dport 8000 -j ACCEPT\n",
			"-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS\n",
			"-A POSTROUTING -o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE\n",
		} {
			if !strings.Contains(rules, want) {
				t.Errorf("no rule %s in\n%s", want, rules)
			}
		}
	})
	t.Run("R7 no task, no port", func(t *testing.T) {
		l.must(l.scale(l.ctx, s, 0))
		for _, address := range []string{"192.168.1.2:8000", "192.168.1.4:8000"} {
			if _, err := l.client.Dial(l.ctx, "tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("Dial %s = %v; want connection refused", address, err)
			}
		}
		ln, err := l.hosts[2].ns.Listen("tcp", ":8000")
		l.must(err)
		l.must(ln.Close())
	})
}

// TestHostMode: a port in host mode is on the task's own node, and the client is seen (R9).
func TestHostMode(t *testing.T) {
	l := newSwarmLab(t, 2)
	l.network("overnet")
	l.service(serviceSpec{Name: "web", Host: "host-b", Networks: overlays("overnet"), Ports: []portSpec{{Published: 8080, Target: 80, Host: true}}})
	if got := l.ask(l.client, "192.168.1.3:8080"); got != "web.1 192.168.1.10" {
		t.Errorf("GET = %q; want web.1 to see the client", got)
	}
	if _, err := l.client.Dial(l.ctx, "tcp", "192.168.1.2:8080"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial the other node = %v; want connection refused", err)
	}
}

// TestLeaveIngress: a host that leaves the mesh has nothing left of it.
func TestLeaveIngress(t *testing.T) {
	l := newSwarmLab(t, 1)
	web := l.service(serviceSpec{Name: "web", Ports: []portSpec{{Published: 80, Target: 80}}})
	if got := l.ask(l.client, "192.168.1.2:80"); !strings.HasPrefix(got, "web.1 ") {
		t.Errorf("GET = %q", got)
	}
	l.must(l.scale(l.ctx, web, 0))
	h := l.hosts[0]
	l.must(h.ctl.LeaveIngress())
	if h.ctl.Ingress() != nil || strings.Contains(h.ns.Netfilter().Save(false), "DOCKER-INGRESS") {
		t.Errorf("left over:\n%s", h.ns.Netfilter().Save(false))
	}
	l.must(h.ctl.LeaveCluster())
}

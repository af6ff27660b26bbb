package swarm

import (
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
)

func TestID(t *testing.T) {
	luck := rand.New(rand.NewPCG(1, 2))
	shape := regexp.MustCompile(`^[0-9a-z]{25}$`)
	seen := make(map[string]bool)
	for range 1000 {
		id := newID(luck)
		if !shape.MatchString(id) || seen[id] {
			t.Fatalf("I29: newID = %q", id)
		}
		seen[id] = true
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		name   string
		modern bool
		want   []string
	}{
		{"O1 O2 guide era", false, []string{"ingress 10.255.0.0/16 10.255.0.1 256", "a 10.0.0.0/24 10.0.0.1 257", "b 10.0.1.0/24 10.0.1.1 258", "c 10.0.0.0/24 10.0.0.1 257"}},
		{"O1 E4 today", true, []string{"ingress 10.0.0.0/24 10.0.0.1 4096", "a 10.0.1.0/24 10.0.1.1 4097", "b 10.0.2.0/24 10.0.2.1 4098", "c 10.0.1.0/24 10.0.1.1 4099"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Config{Modern: c.modern}, 1)
			in, _ := b.Network("ingress")
			all := []Network{in, b.network("a"), b.network("b")}
			if err := b.RemoveNetwork("a"); err != nil {
				t.Fatal(err)
			}
			all = append(all, b.network("c"))
			for i, n := range all {
				k := n.Config()
				got := strings.Join([]string{k.Name, k.Subnet.String(), k.Gateway.String(), vni(k.VNI)}, " ")
				if got != c.want[i] {
					t.Errorf("network %d = %s; want %s", i, got, c.want[i])
				}
			}
		})
	}
}

func vni(n uint32) string {
	const digits = "0123456789"
	var out []byte
	for ; n > 0; n /= 10 {
		out = append(out, digits[n%10])
	}
	slices.Reverse(out)
	return string(out)
}

func TestNetworkErrors(t *testing.T) {
	b := newBench(t, Config{}, 1)
	b.network("dognet")
	for name, spec := range map[string]NetworkSpec{
		"network with name dognet already exists":                        {Name: "dognet"},
		"create network x: Pool overlaps with other one on this address": {Name: "x", Subnet: netip.MustParsePrefix("10.0.0.0/16")},
		"create network: it has no name":                                 {},
		"create network y: gateway: Requested address is out of range":   {Name: "y", Subnet: netip.MustParsePrefix("10.9.0.0/24"), Gateway: netip.MustParseAddr("10.8.0.1")},
	} {
		if _, err := b.CreateNetwork(spec); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("CreateNetwork(%+v) = %v; want %s", spec, err, name)
		}
	}
	if err := b.RemoveNetwork("nonet"); err == nil || err.Error() != "network nonet not found" {
		t.Errorf("B36: RemoveNetwork = %v", err)
	}
	if _, err := b.Attach(t.Context(), "node1", "dognet", netip.Addr{}); err == nil || err.Error() != "network dognet not manually attachable" {
		t.Errorf("O13: Attach = %v", err)
	}
}

func TestAttach(t *testing.T) {
	b := newBench(t, Config{}, 1)
	n, err := b.CreateNetwork(NetworkSpec{Name: "ovnet", Attachable: true})
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.Attach(t.Context(), "node1", "ovnet", netip.Addr{})
	if err != nil || a.IP.String() != "10.0.0.2/24" || a.Endpoint().Network != n.ID {
		t.Fatalf("Attach = %+v, %v", a, err)
	}
	if err := b.RemoveNetwork("ovnet"); err == nil {
		t.Error("a network with a container on it was removed")
	}
	if err := b.Detach(t.Context(), "node1", a); err != nil {
		t.Fatal(err)
	}
	if got, want := b.nodes[0].did()[1:], []string{"+ovnet", "-network"}; !slices.Equal(got, want) {
		t.Errorf("node1 did %q; want %q", got, want)
	}
	if err := b.RemoveNetwork("ovnet"); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.network("overnet")
	web := b.service(ServiceSpec{Name: "web", Networks: on("overnet"), Replicas: new(2)})
	db := b.service(ServiceSpec{Name: "db", Networks: []NetworkTarget{{Network: "overnet", Aliases: []string{"redis"}}}, Ports: []PortSpec{{Published: 8000, Target: 5000}}})
	rr := b.service(ServiceSpec{Name: "rr", Networks: on("overnet"), EndpointMode: DNSRR})
	var vips, tasks []string
	for _, s := range []Service{web, db, rr} {
		for _, v := range s.VirtualIPs {
			vips = append(vips, v.Addr.String())
		}
	}
	for _, task := range b.Tasks() {
		for _, a := range task.Attachments {
			tasks = append(tasks, a.IP.String())
		}
	}
	if want := []string{"10.0.0.2/24", "10.255.0.4/16", "10.0.0.5/24"}; !slices.Equal(vips, want) {
		t.Errorf("I17, S1: VIPs = %v; want %v", vips, want)
	}
	if want := []string{"10.0.0.3/24", "10.0.0.4/24", "10.255.0.5/16", "10.0.0.6/24", "10.0.0.7/24"}; !slices.Equal(tasks, want) {
		t.Errorf("I17: tasks = %v; want %v", tasks, want)
	}
	eps := b.Tasks()[2]
	in, user := eps.Attachments[0].Service, eps.Attachments[1].Service
	if want := []cnm.PortConfig{{Proto: "tcp", Published: 8000, Target: 5000}}; !slices.Equal(in.IngressPorts, want) || user.IngressPorts != nil {
		t.Errorf("ingress ports %v, %v; want %v on ingress only", in.IngressPorts, user.IngressPorts, want)
	}
	if !slices.Equal(user.Aliases, []string{"redis"}) || user.ServiceName != "db" || user.TaskName != eps.Name() || !strings.HasPrefix(eps.Name(), "db.1.") {
		t.Errorf("binding = %+v of %s", user, eps.Name())
	}
	if b.Tasks()[3].Attachments[0].Service.VIP.IsValid() {
		t.Error("S12: a dnsrr service has a virtual address")
	}
	if err := b.RemoveService("web"); err != nil {
		t.Fatal(err)
	}
	again := b.service(ServiceSpec{Name: "again", Networks: on("overnet")})
	if got := again.VirtualIPs[0].Addr.String(); got != "10.0.0.2/24" {
		t.Errorf("I18: VIP after a removal = %s; want 10.0.0.2/24", got)
	}
}

func TestServiceErrors(t *testing.T) {
	b := newBench(t, Config{}, 1)
	web := b.service(ServiceSpec{Name: "web", Ports: []PortSpec{{Published: 8000, Target: 80}, {Target: 81}, {Target: 82}}})
	if web.Spec.Ports[1].Published != 30000 || web.Spec.Ports[2].Published != 30001 {
		t.Errorf("R11: ports %+v; want 30000 and 30001", web.Spec.Ports)
	}
	image := ContainerSpec{Image: "nginx"}
	for _, c := range []struct {
		want string
		spec ServiceSpec
	}{
		{"port '8000' is already in use by service 'web' (" + web.ID + ")", ServiceSpec{Name: "x", Container: image, Ports: []PortSpec{{Published: 8000, Target: 1}}}},
		{"EndpointSpec: port published with ingress mode can't be used with dnsrr mode", ServiceSpec{Name: "x", Container: image, EndpointMode: DNSRR, Ports: []PortSpec{{Published: 9, Target: 1}}}},
		{"name conflicts with an existing object: service web already exists", ServiceSpec{Name: "web", Container: image}},
		{"network dognt not found", ServiceSpec{Name: "x", Container: image, Networks: on("dognt")}},
		{`service "x y": name must be valid as a DNS name component`, ServiceSpec{Name: "x y", Container: image}},
		{"service x: ContainerSpec: image reference must be provided", ServiceSpec{Name: "x"}},
		{`service x: constraint "node.rol == worker": unknown key "node.rol"`, ServiceSpec{Name: "x", Container: image, Constraints: []string{"node.rol == worker"}}},
		{"EndpointSpec: duplicate published ports provided", ServiceSpec{Name: "x", Container: image, Ports: []PortSpec{{Published: 9, Target: 1}, {Published: 9, Target: 2}}}},
	} {
		if _, err := b.CreateService(c.spec); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("CreateService = %v; want %s", err, c.want)
		}
	}
	if n := len(b.Services()); n != 1 {
		t.Errorf("%d services; want 1", n)
	}
	if _, err := b.CreateService(ServiceSpec{Name: "x", Container: image, Ports: []PortSpec{{Proto: "udp", Published: 8000, Target: 1}}}); err != nil {
		t.Errorf("a port of another protocol: %v", err)
	}
}

func TestScheduler(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes int
		specs []ServiceSpec
		want  string
	}{
		{"W24 spread", 3, []ServiceSpec{{Name: "web", Replicas: new(5)}}, "node1:web.3 node2:web.1,web.4 node3:web.2,web.5"},
		{"W24 fewest tasks overall", 3, []ServiceSpec{{Name: "a", Replicas: new(1)}, {Name: "b", Replicas: new(2)}}, "node1:b.2 node2:a.1 node3:b.1"},
		{"W37 global", 3, []ServiceSpec{{Name: "agent", Global: true}}, "node1:agent.0 node2:agent.0 node3:agent.0"},
		{"W36 role", 3, []ServiceSpec{{Name: "web", Replicas: new(2), Constraints: []string{"node.role==worker"}}}, "node2:web.1 node3:web.2"},
		{"W36 hostname", 3, []ServiceSpec{{Name: "web", Constraints: []string{"node.hostname == NODE3"}}}, "node3:web.1"},
		{"W36 not", 3, []ServiceSpec{{Name: "web", Global: true, Constraints: []string{"node.hostname != node1"}}}, "node2:web.0 node3:web.0"},
		{"R9 host ports", 2, []ServiceSpec{{Name: "web", Replicas: new(3), Ports: []PortSpec{{Published: 80, Target: 80, Host: true}}}}, "node1:web.2 node2:web.1 :web.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Config{}, c.nodes)
			for _, s := range c.specs {
				b.service(s)
			}
			got, _, _ := strings.Cut(b.placed()+" ", " :")
			want, pending, _ := strings.Cut(c.want, " :")
			if strings.TrimSpace(got) != want {
				t.Errorf("placed %s; want %s", b.placed(), c.want)
			}
			if pending != "" {
				last := b.Tasks()[len(b.Tasks())-1]
				if text := "no suitable node (host-mode port already in use on 2 nodes)"; last.State != Pending || last.Err != text {
					t.Errorf("W26: %s %q; want pending, %q", last.State, last.Err, text)
				}
			}
		})
	}
}

// TestScaleDown is the guide's: 15 to 10 on 5 nodes with 3 each takes exactly one from each (W29).
func TestScaleDown(t *testing.T) {
	b := newBench(t, Config{}, 5)
	b.service(ServiceSpec{Name: "web", Replicas: new(15)})
	if err := b.Scale("web", 10); err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for _, task := range b.Tasks() {
		if task.Desired == Running {
			count[task.NodeName]++
		}
	}
	for node, n := range count {
		if n != 2 {
			t.Errorf("W29: %s has %d tasks; want 2", node, n)
		}
	}
	if _, ok := b.Service("WEB"); !ok {
		t.Error("I32: names are compared without regard to case")
	}
}

func TestTemplates(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.service(ServiceSpec{Name: "web", Replicas: new(2), Container: ContainerSpec{
		Image: "nginx", Hostname: "{{.Node.Hostname}}", Env: []string{"ID={{.Service.Name}}-{{.Task.Slot}}", "X={{.Other}}"},
	}})
	c := b.Tasks()[1].Container
	if want := []string{"ID=web-2", "X={{.Other}}"}; c.Hostname != "node1" || !slices.Equal(c.Env, want) {
		t.Errorf("S17: hostname %q, environment %q; want node1, %q", c.Hostname, c.Env, want)
	}
}

package allocate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/allocator/networkallocator"
)

func made(t *testing.T, modern bool) *Allocator {
	t.Helper()
	a, err := Provider{Modern: modern}.NewAllocator(nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.(*Allocator)
}

func overlay(id string, configs ...*api.IPAMConfig) *api.Network {
	return &api.Network{ID: id, Spec: api.NetworkSpec{
		Annotations: api.Annotations{Name: id}, DriverConfig: &api.Driver{Name: "overlay"}, IPAM: &api.IPAMOptions{Configs: configs},
	}}
}

func ingress(subnet string) *api.Network {
	n := overlay("ingress")
	n.Spec.Ingress = true
	if subnet != "" {
		n.Spec.IPAM.Configs = []*api.IPAMConfig{{Subnet: subnet}}
	}
	return n
}

func (a *Allocator) must(t *testing.T, all ...*api.Network) {
	t.Helper()
	for _, n := range all {
		if err := a.Allocate(n); err != nil {
			t.Fatal(err)
		}
	}
}

// shown is a network as an inspect shows it.
func shown(n *api.Network) string {
	return fmt.Sprintf("%s %s %s %s", n.ID, n.IPAM.Configs[0].Subnet, n.IPAM.Configs[0].Gateway, n.DriverState.Options[VNIOption])
}

func TestNetworks(t *testing.T) {
	for _, row := range []struct {
		name, ingress string
		modern        bool
		want          []string
	}{
		{"O1 O2 guide era", "10.255.0.0/16", false,
			[]string{"ingress 10.255.0.0/16 10.255.0.1 256", "a 10.0.0.0/24 10.0.0.1 257", "b 10.0.1.0/24 10.0.1.1 258", "c 10.0.0.0/24 10.0.0.1 257"}},
		{"O1 today", "", true,
			[]string{"ingress 10.0.0.0/24 10.0.0.1 4096", "a 10.0.1.0/24 10.0.1.1 4097", "b 10.0.2.0/24 10.0.2.1 4098", "c 10.0.1.0/24 10.0.1.1 4099"}},
	} {
		a := made(t, row.modern)
		all := []*api.Network{ingress(row.ingress), overlay("a"), overlay("b")}
		a.must(t, all...)
		if err := a.Deallocate(all[1]); err != nil {
			t.Fatal(err)
		}
		c := overlay("c")
		a.must(t, c)
		var got []string
		for _, n := range append(all, c) {
			got = append(got, shown(n))
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: %q; want %q", row.name, got, row.want)
		}
		// A new leader finds the same in what the objects say.
		again := made(t, row.modern)
		again.must(t, all[0], c, all[2])
		if got := []string{shown(all[0]), shown(c), shown(all[2])}; !slices.Equal(got, []string{row.want[0], row.want[3], row.want[2]}) {
			t.Errorf("%s, by the next leader: %q", row.name, got)
		}
		d := overlay("d")
		again.must(t, d)
		if row.modern && shown(d) != "d 10.0.3.0/24 10.0.3.1 4100" {
			t.Errorf("%s: the next network is %s", row.name, shown(d))
		}
	}
}

func TestNetworkErrors(t *testing.T) {
	a := made(t, false)
	a.must(t, overlay("dognet"))
	taken := overlay("same")
	taken.DriverState = &api.Driver{Options: map[string]string{VNIOption: "256"}}
	strange := overlay("strange")
	strange.Spec.DriverConfig.Name = "weave"
	for want, n := range map[string]*api.Network{
		"already allocated": overlay("dognet"),
		"Pool overlaps with other one on this address space": overlay("x", &api.IPAMConfig{Subnet: "10.0.0.0/16"}),
		"Requested address is out of range":                  overlay("y", &api.IPAMConfig{Subnet: "10.9.0.0/24", Gateway: "10.8.0.1"}),
		"no '/'":                                             overlay("z", &api.IPAMConfig{Subnet: "10.9.0.0"}),
		"overlays have IPv4 subnets":                         overlay("v6", &api.IPAMConfig{Family: api.IPAMConfig_IPV6, Subnet: "fd00::/64"}),
		"used by another network":                            taken,
		"plugin weave not supported":                         strange,
		"Invalid sub-pool":                                   overlay("r", &api.IPAMConfig{Subnet: "10.9.0.0/24", Range: "10.8.0.0/25"}),
	} {
		if err := a.Allocate(n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Allocate(%s) = %v; want %s", n.ID, err, want)
		}
	}
	if err := a.Deallocate(overlay("nonet")); err == nil {
		t.Error("Deallocate of an unknown network = nil")
	}
	a.must(t, overlay("again", &api.IPAMConfig{Subnet: "10.9.0.0/24"})) // what failed has given back what it took
}

func TestPools(t *testing.T) {
	made, err := Provider{}.NewAllocator(&networkallocator.Config{DefaultAddrPool: []string{"172.30.0.0/16"}, SubnetSize: 26})
	if err != nil {
		t.Fatal(err)
	}
	a := made.(*Allocator)
	n, m := overlay("n"), overlay("m", &api.IPAMConfig{Subnet: "10.1.0.0/24"}, &api.IPAMConfig{Subnet: "10.2.0.0/24"})
	a.must(t, n, m)
	if got := shown(n); got != "n 172.30.0.0/26 172.30.0.1 256" {
		t.Errorf("network of the pool: %s", got)
	}
	if got := m.DriverState.Options[VNIOption]; got != "257,258" || m.IPAM.Configs[1].Gateway != "10.2.0.1" {
		t.Errorf("O1: two subnets: %s, %v", got, m.IPAM.Configs)
	}
	if _, err := (Provider{}).NewAllocator(&networkallocator.Config{DefaultAddrPool: []string{"x"}}); err == nil {
		t.Error("a pool that is none was taken")
	}
}

func TestAddresses(t *testing.T) {
	a := made(t, false)
	in, net := ingress("10.255.0.0/16"), overlay("overnet")
	host := &api.Network{ID: "host", Spec: api.NetworkSpec{DriverConfig: &api.Driver{Name: "host"}}}
	a.must(t, in, net, host)
	node := &api.Node{ID: "n1"}
	lb := &api.NetworkAttachment{Network: in}
	other := &api.NetworkAttachment{Network: net}
	for _, at := range []*api.NetworkAttachment{lb, other} {
		if a.IsAttachmentAllocated(node, at) {
			t.Error("a node is attached before")
		}
		if err := a.AllocateAttachment(node, at); err != nil || !a.IsAttachmentAllocated(node, at) {
			t.Errorf("AllocateAttachment = %v", err)
		}
	}
	web := &api.Service{ID: "web", Spec: api.ServiceSpec{
		Endpoint: &api.EndpointSpec{Ports: []*api.PortConfig{{PublishMode: api.PublishModeIngress, TargetPort: 80}}},
		Task:     api.TaskSpec{Networks: []*api.NetworkAttachmentConfig{{Target: net.ID}}},
	}, Endpoint: &api.Endpoint{VirtualIPs: []*api.Endpoint_VirtualIP{{NetworkID: in.ID}}}}
	if err := a.AllocateService(web); err != nil || !a.IsServiceAllocated(web) {
		t.Fatalf("AllocateService = %v", err)
	}
	task := &api.Task{ID: "t1", Networks: []*api.NetworkAttachment{{Network: in}, {Network: net}, {Network: host}}}
	if err := a.AllocateTask(task); err != nil || !a.IsTaskAllocated(task) {
		t.Fatalf("AllocateTask = %v", err)
	}
	got := fmt.Sprintln(lb.Addresses, other.Addresses, web.Endpoint.VirtualIPs[0].Addr, web.Endpoint.VirtualIPs[1].Addr,
		task.Networks[0].Addresses, task.Networks[1].Addresses, task.Networks[2].Addresses)
	if want := "[10.255.0.2/16] [] 10.255.0.3/16 10.0.0.2/24 [10.255.0.4/16] [10.0.0.3/24] []\n"; got != want {
		t.Errorf("I17, S1: %s; want %s", got, want)
	}
	today := made(t, true)
	today.must(t, net)
	if err := today.AllocateAttachment(node, other); err != nil || len(other.Addresses) != 1 || !today.IsAttachmentAllocated(node, other) {
		t.Errorf("S9: today: %v, %v; want an address for the node's balancer", other.Addresses, err)
	}
	next := &api.Task{ID: "t2", Networks: []*api.NetworkAttachment{{Network: net, Addresses: []string{"10.0.0.3"}}}}
	if err := a.AllocateTask(next); err == nil {
		t.Error("an address was given twice")
	}
	web.Spec.Endpoint = &api.EndpointSpec{Mode: api.ResolutionModeDNSRoundRobin}
	if a.IsServiceAllocated(web) {
		t.Error("a service that has changed to dnsrr has its virtual addresses")
	}
	if err := a.AllocateService(web); err != nil || len(web.Endpoint.VirtualIPs) != 0 || !a.IsServiceAllocated(web) {
		t.Errorf("S1: dnsrr: %v, %v", err, web.Endpoint.VirtualIPs)
	}
	if err := a.DeallocateTask(task); err != nil || a.IsTaskAllocated(task) {
		t.Errorf("DeallocateTask = %v", err)
	}
	if err := a.DeallocateAttachment(node, lb); err != nil || a.IsAttachmentAllocated(node, lb) {
		t.Errorf("DeallocateAttachment = %v", err)
	}
	if err := a.AllocateTask(next); err != nil || next.Networks[0].Addresses[0] != "10.0.0.3/24" {
		t.Errorf("an address that was given back: %v, %v", err, next.Networks[0].Addresses)
	}
}

// A task that gets no address on one network keeps none on the others.
func TestTaskGetsAllOrNothing(t *testing.T) {
	a := made(t, false)
	wide, narrow := overlay("wide"), overlay("narrow", &api.IPAMConfig{Subnet: "10.9.0.0/30"})
	a.must(t, wide, narrow)
	for i, want := range []string{"", "could not find an available IP"} {
		task := &api.Task{ID: fmt.Sprint(i), Networks: []*api.NetworkAttachment{{Network: wide}, {Network: narrow}}}
		err := a.AllocateTask(task)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || len(task.Networks[0].Addresses) > 0) {
			t.Errorf("task %d: %v, %v; want %q", i, err, task.Networks, want)
		}
	}
	if got := a.networks["wide"].pools[0].InUse(); got != 2 {
		t.Errorf("%d addresses are in use; want the gateway's and a task's", got)
	}
}

func TestDrivers(t *testing.T) {
	p := Provider{}
	for _, row := range []struct {
		what string
		err  error
		want string
	}{
		{"no driver", p.ValidateNetworkDriver(nil), ""},
		{"overlay", p.ValidateNetworkDriver(&api.Driver{Name: "overlay"}), ""},
		{"macvlan", p.ValidateNetworkDriver(&api.Driver{Name: "macvlan"}), ""},
		{"no name", p.ValidateNetworkDriver(&api.Driver{}), "if driver is specified name is required"},
		{"a plug-in", p.ValidateNetworkDriver(&api.Driver{Name: "weave"}), "plugin weave not supported"},
		{"ingress over bridge", p.ValidateIngressNetworkDriver(&api.Driver{Name: "bridge"}), "only overlay driver"},
		{"ingress", p.ValidateIngressNetworkDriver(&api.Driver{Name: "overlay"}), ""},
		{"default addresses", p.ValidateIPAMDriver(&api.Driver{Name: "default"}), ""},
		{"other addresses", p.ValidateIPAMDriver(&api.Driver{Name: "infoblox"}), "plugin infoblox not supported"},
	} {
		if row.want == "" && row.err != nil || row.want != "" && (row.err == nil || !strings.Contains(row.err.Error(), row.want)) {
			t.Errorf("%s: %v; want %q", row.what, row.err, row.want)
		}
	}
}

package api

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/allocator/networkallocator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fakeNetworks gives networks, services and tasks of a fakeSwarm addresses, in the order of calls.
type fakeNetworks struct {
	mu   sync.Mutex
	nets map[string]*fakePool
}

type fakePool struct {
	subnet netip.Prefix
	last   netip.Addr
}

func (*fakeNetworks) ValidateNetworkDriver(d *swarmapi.Driver) error {
	if d != nil && d.Name != "" && d.Name != "overlay" {
		return status.Errorf(codes.InvalidArgument, "plugin %q not found", d.Name)
	}
	return nil
}
func (*fakeNetworks) ValidateIngressNetworkDriver(*swarmapi.Driver) error { return nil }
func (*fakeNetworks) ValidateIPAMDriver(*swarmapi.Driver) error           { return nil }

func (f *fakeNetworks) pool(id string) *fakePool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nets[id]
}

func (f *fakeNetworks) next(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.nets[id]
	p.last = p.last.Next()
	return netip.PrefixFrom(p.last, p.subnet.Bits()).String()
}

func (f *fakeNetworks) IsAllocated(n *swarmapi.Network) bool { return f.pool(n.ID) != nil }

func (f *fakeNetworks) Allocate(n *swarmapi.Network) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nets == nil {
		f.nets = map[string]*fakePool{}
	}
	i := len(f.nets)
	subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i)}), 24)
	if n.Spec.IPAM != nil && len(n.Spec.IPAM.Configs) > 0 && n.Spec.IPAM.Configs[0].Subnet != "" {
		subnet = netip.MustParsePrefix(n.Spec.IPAM.Configs[0].Subnet)
	}
	f.nets[n.ID] = &fakePool{subnet, subnet.Addr().Next()}
	n.IPAM = &swarmapi.IPAMOptions{
		Driver: &swarmapi.Driver{Name: "default"}, Configs: []*swarmapi.IPAMConfig{{Subnet: subnet.String(), Gateway: subnet.Addr().Next().String()}},
	}
	options := map[string]string{"com.docker.network.driver.overlay.vxlanid_list": fmt.Sprint(4096 + i)}
	if n.Spec.DriverConfig != nil {
		for k, v := range n.Spec.DriverConfig.Options {
			options[k] = v
		}
	}
	n.DriverState = &swarmapi.Driver{Name: "overlay", Options: options}
	return nil
}

func (f *fakeNetworks) Deallocate(*swarmapi.Network) error { return nil }

// vipNetworks are those on which a service has an address of its own.
func (f *fakeNetworks) vipNetworks(s *swarmapi.Service) (ids []string) {
	if s.Spec.Endpoint != nil && s.Spec.Endpoint.Mode == swarmapi.ResolutionModeDNSRoundRobin {
		return nil
	}
	for _, n := range s.Spec.Task.Networks {
		ids = append(ids, n.Target)
	}
	if networkallocator.IsIngressNetworkNeeded(s) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for id, p := range f.nets {
			if p.subnet.Addr() == netip.AddrFrom4([4]byte{10}) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func (f *fakeNetworks) IsServiceAllocated(s *swarmapi.Service, _ ...func(*networkallocator.ServiceAllocationOpts)) bool {
	has := 0
	if s.Endpoint != nil {
		for _, v := range s.Endpoint.VirtualIPs {
			if v.Addr != "" {
				has++
			}
		}
	}
	return has == len(f.vipNetworks(s)) && (s.Spec.Endpoint == nil || s.Endpoint != nil)
}

func (f *fakeNetworks) AllocateService(s *swarmapi.Service) error {
	if s.Endpoint == nil {
		s.Endpoint = &swarmapi.Endpoint{}
	}
	s.Endpoint.Spec = s.Spec.Endpoint.Copy()
	old := s.Endpoint.VirtualIPs
	s.Endpoint.VirtualIPs = nil
	for _, id := range f.vipNetworks(s) {
		i := slices.IndexFunc(old, func(v *swarmapi.Endpoint_VirtualIP) bool { return v.NetworkID == id && v.Addr != "" })
		if i >= 0 {
			s.Endpoint.VirtualIPs = append(s.Endpoint.VirtualIPs, old[i])
			continue
		}
		s.Endpoint.VirtualIPs = append(s.Endpoint.VirtualIPs, &swarmapi.Endpoint_VirtualIP{NetworkID: id, Addr: f.next(id)})
	}
	return nil
}

func (f *fakeNetworks) DeallocateService(*swarmapi.Service) error { return nil }

func (f *fakeNetworks) IsTaskAllocated(t *swarmapi.Task) bool {
	for _, n := range t.Networks {
		if len(n.Addresses) == 0 {
			return false
		}
	}
	return true
}

func (f *fakeNetworks) AllocateTask(t *swarmapi.Task) error {
	for _, n := range t.Networks {
		if len(n.Addresses) == 0 {
			n.Addresses = []string{f.next(n.Network.ID)}
		}
	}
	return nil
}

func (f *fakeNetworks) DeallocateTask(*swarmapi.Task) error { return nil }

func (f *fakeNetworks) AllocateAttachment(_ *swarmapi.Node, a *swarmapi.NetworkAttachment) error {
	a.Addresses = []string{f.next(a.Network.ID)}
	return nil
}

func (f *fakeNetworks) DeallocateAttachment(*swarmapi.Node, *swarmapi.NetworkAttachment) error {
	return nil
}

func (f *fakeNetworks) IsAttachmentAllocated(_ *swarmapi.Node, a *swarmapi.NetworkAttachment) bool {
	return len(a.Addresses) > 0
}

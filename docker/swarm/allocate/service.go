package allocate

import (
	"fmt"
	"slices"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/allocator/networkallocator"
)

// targets returns the networks that a service is on; those of the task's spec come first.
func targets(s *api.Service) []*api.NetworkAttachmentConfig {
	if len(s.Spec.Task.Networks) == 0 {
		return s.Spec.Networks
	}
	return s.Spec.Task.Networks
}

func roundRobin(s *api.Service) bool {
	return s.Spec.Endpoint != nil && s.Spec.Endpoint.Mode == api.ResolutionModeDNSRoundRobin
}

// wanted tells whether a service is to have a virtual address: on the network ingress while it publishes ports there.
func (a *Allocator) wanted(s *api.Service, v *api.Endpoint_VirtualIP) bool {
	if nw := a.networks[v.NetworkID]; nw != nil && networkallocator.IsIngressNetwork(nw.Network) && networkallocator.IsIngressNetworkNeeded(s) {
		return true
	}
	return slices.ContainsFunc(targets(s), func(n *api.NetworkAttachmentConfig) bool { return n.Target == v.NetworkID })
}

// IsServiceAllocated implements networkallocator.NetworkAllocator.
func (a *Allocator) IsServiceAllocated(s *api.Service, _ ...func(*networkallocator.ServiceAllocationOpts)) bool {
	if roundRobin(s) {
		return !a.services[s.ID] && (s.Endpoint == nil || len(s.Endpoint.VirtualIPs) == 0)
	}
	var have []*api.Endpoint_VirtualIP
	if s.Endpoint != nil {
		have = s.Endpoint.VirtualIPs
	}
	for _, v := range have {
		if !a.services[s.ID] || !a.wanted(s, v) {
			return false
		}
	}
	for _, n := range targets(s) {
		if !a.services[s.ID] || !slices.ContainsFunc(have, func(v *api.Endpoint_VirtualIP) bool { return v.NetworkID == n.Target }) {
			return false
		}
	}
	return true
}

// AllocateService implements networkallocator.NetworkAllocator: it gives the service a virtual address on each of its
// networks, and on the network ingress if the caller has named that (S1); none in dnsrr mode.
func (a *Allocator) AllocateService(s *api.Service) (err error) {
	defer func() {
		if err != nil {
			_ = a.DeallocateService(s) // err says more
		}
	}()
	if s.Endpoint == nil {
		s.Endpoint = &api.Endpoint{}
	}
	s.Endpoint.Spec = s.Spec.Endpoint.Copy()
	if roundRobin(s) {
		return a.DeallocateService(s)
	}
	var vips []*api.Endpoint_VirtualIP
	for _, v := range s.Endpoint.VirtualIPs {
		if !a.wanted(s, v) {
			a.releaseVIP(v)
			continue
		}
		vips = append(vips, v)
	}
	for _, n := range targets(s) {
		if !slices.ContainsFunc(vips, func(v *api.Endpoint_VirtualIP) bool { return v.NetworkID == n.Target }) {
			vips = append(vips, &api.Endpoint_VirtualIP{NetworkID: n.Target})
		}
	}
	s.Endpoint.VirtualIPs = vips
	for _, v := range vips {
		if err := a.takeVIP(v); err != nil {
			return err
		}
	}
	if delete(a.services, s.ID); len(vips) > 0 {
		a.services[s.ID] = true
	}
	return nil
}

// takeVIP gives a virtual address its address, unless it has it.
func (a *Allocator) takeVIP(v *api.Endpoint_VirtualIP) error {
	nw := a.networks[v.NetworkID]
	if nw == nil {
		return fmt.Errorf("networkallocator: could not find local network state of network %s", v.NetworkID)
	}
	if nw.local || v.Addr != "" && nw.taken[v.Addr] != nil {
		return nil
	}
	got, err := nw.request(v.Addr)
	if err != nil {
		return fmt.Errorf("could not allocate VIP from IPAM: %w", err)
	}
	v.Addr = got
	return nil
}

func (a *Allocator) releaseVIP(v *api.Endpoint_VirtualIP) {
	if nw := a.networks[v.NetworkID]; nw != nil && !nw.local {
		nw.release(v.Addr)
	}
}

// DeallocateService implements networkallocator.NetworkAllocator.
func (a *Allocator) DeallocateService(s *api.Service) error {
	delete(a.services, s.ID)
	a.unreserve(s.ID)
	if s.Endpoint == nil {
		return nil
	}
	for _, v := range s.Endpoint.VirtualIPs {
		a.releaseVIP(v)
	}
	s.Endpoint.VirtualIPs = nil
	return nil
}

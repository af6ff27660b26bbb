package allocate

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/allocator/networkallocator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/ipam"
)

// The drivers of networks. All but the overlay are of one node: the swarm gives them nothing.
const (
	overlayDriver = "overlay"
	defaultIPAM   = "default"
)

var localDrivers = map[string]bool{"bridge": true, "host": true, "ipvlan": true, "macvlan": true, "null": true}

// Provider makes Allocators, and says which drivers there are.
type Provider struct {
	Modern bool // networks are numbered, and addresses chosen, as by today's Docker, and not as by that of 17.03 (O1, I11)
}

var _ networkallocator.Provider = Provider{}

// NewAllocator implements networkallocator.Provider: the error is about a pool that is no prefix. cfg may be nil.
func (p Provider) NewAllocator(cfg *networkallocator.Config) (networkallocator.NetworkAllocator, error) {
	ranges := ipam.Global()
	if cfg != nil && len(cfg.DefaultAddrPool) > 0 {
		ranges = nil
		for _, text := range cfg.DefaultAddrPool {
			base, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("default address pool: %w", err)
			}
			bits := int(cfg.SubnetSize)
			if bits == 0 {
				bits = defaultSubnetSize
			}
			ranges = append(ranges, ipam.Range{Base: base.Masked(), Bits: bits})
		}
	}
	return New(p.Modern, ranges...), nil
}

// SetDefaultVXLANUDPPort implements networkallocator.Provider. The port is the nodes' affair.
func (Provider) SetDefaultVXLANUDPPort(uint32) error { return nil }

// PredefinedNetworks implements networkallocator.Provider: those of every host, which services may use.
func (Provider) PredefinedNetworks() []networkallocator.PredefinedNetworkData {
	return []networkallocator.PredefinedNetworkData{{Name: "bridge", Driver: "bridge"}, {Name: "host", Driver: "host"}}
}

// ValidateNetworkDriver implements networkallocator.DriverValidator.
func (Provider) ValidateNetworkDriver(d *api.Driver) error {
	if d == nil || localDrivers[strings.ToLower(d.Name)] || strings.EqualFold(d.Name, overlayDriver) {
		return nil
	}
	return noDriver(d)
}

// ValidateIngressNetworkDriver implements networkallocator.DriverValidator.
func (p Provider) ValidateIngressNetworkDriver(d *api.Driver) error {
	if d != nil && d.Name != overlayDriver {
		return status.Errorf(codes.Unimplemented, "only overlay driver is currently supported for ingress network")
	}
	return p.ValidateNetworkDriver(d)
}

// ValidateIPAMDriver implements networkallocator.DriverValidator.
func (Provider) ValidateIPAMDriver(d *api.Driver) error {
	if d == nil || strings.EqualFold(d.Name, defaultIPAM) {
		return nil
	}
	return noDriver(d)
}

func noDriver(d *api.Driver) error {
	if d.Name == "" {
		return status.Errorf(codes.InvalidArgument, "driver name: if driver is specified name is required")
	}
	return status.Errorf(codes.InvalidArgument, "plugin %s not supported", d.Name)
}

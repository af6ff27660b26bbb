package allocate

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/allocator/networkallocator"

	"github.com/netsim-lab/netsim/docker/ipam"
)

// VNIOption is the option of a network's driver state that says its VXLAN ids, one for each subnet (O1).
const VNIOption = "com.docker.network.driver.overlay.vxlanid_list"

// Numbers of networks (O1).
const (
	firstVNI          = 256  // of engines before 17.03
	firstModernVNI    = 4096 // since
	endVNI            = 1 << 24
	defaultSubnetSize = 24
)

// Allocator is swarmkit's NetworkAllocator. It is not safe to call at once from several goroutines.
type Allocator struct {
	modern   bool
	space    *ipam.Allocator
	networks map[string]*network
	vnis     map[uint32]bool // in use
	next     uint32          // where the search for a VNI goes on

	services map[string]bool
	tasks    map[string]bool
	nodes    map[attachment]bool

	slots    map[string]uint64 // the highest of each service that an address was asked for
	reserved map[slot]string   // kept for tasks that have not come yet
}

var _ networkallocator.NetworkAllocator = (*Allocator)(nil)

// attachment is a node's place on a network.
type attachment struct{ node, network string }

// network is what an allocated network has.
type network struct {
	*api.Network
	local bool                  // of one node
	pools []*ipam.Pool          // one for each of its subnets
	taken map[string]*ipam.Pool // addresses of services, tasks and nodes, with the prefix's length
	vnis  []uint32
}

// New returns an allocator that takes subnets from some ranges.
func New(modern bool, ranges ...ipam.Range) *Allocator {
	a := &Allocator{
		modern: modern, space: ipam.New(ranges...), networks: make(map[string]*network), vnis: make(map[uint32]bool), next: firstVNI,
		services: make(map[string]bool), tasks: make(map[string]bool), nodes: make(map[attachment]bool),
		slots: make(map[string]uint64), reserved: make(map[slot]string),
	}
	if modern {
		a.next = firstModernVNI
	}
	return a
}

// IsAllocated implements networkallocator.NetworkAllocator.
func (a *Allocator) IsAllocated(n *api.Network) bool { return a.networks[n.ID] != nil }

// Allocate implements networkallocator.NetworkAllocator: the network gets its subnets, gateways and VXLAN ids, those that
// its state says it has, that its spec asks for, or free ones.
func (a *Allocator) Allocate(n *api.Network) error {
	if a.networks[n.ID] != nil {
		return fmt.Errorf("network %s already allocated", n.ID)
	}
	driver := overlayDriver
	if n.Spec.DriverConfig != nil && n.Spec.DriverConfig.Name != "" {
		driver = strings.ToLower(n.Spec.DriverConfig.Name)
	}
	if err := (Provider{}).ValidateNetworkDriver(&api.Driver{Name: driver}); err != nil {
		return err
	}
	nw := &network{Network: n, taken: make(map[string]*ipam.Pool), local: driver != overlayDriver}
	if nw.local {
		n.DriverState = &api.Driver{Name: driver}
		n.IPAM = &api.IPAMOptions{Driver: &api.Driver{}}
		a.networks[n.ID] = nw
		return nil
	}
	if err := a.takeSubnets(nw); err != nil {
		a.free(nw)
		return fmt.Errorf("failed allocating pools and gateway IP for network %s: %w", n.ID, err)
	}
	if err := a.number(nw, driver); err != nil {
		a.free(nw)
		return fmt.Errorf("failed while allocating driver state for network %s: %w", n.ID, err)
	}
	a.networks[n.ID] = nw
	return nil
}

// subnets returns what is known of a network's subnets before it is allocated.
func subnets(n *api.Network) []*api.IPAMConfig {
	var known []*api.IPAMConfig
	switch {
	case n.IPAM != nil:
		known = n.IPAM.Configs
	case n.Spec.IPAM != nil:
		known = n.Spec.IPAM.Configs
	}
	if len(known) == 0 {
		return []*api.IPAMConfig{{Family: api.IPAMConfig_IPV4}}
	}
	out := make([]*api.IPAMConfig, 0, len(known))
	for _, c := range known {
		out = append(out, c.Copy())
	}
	return out
}

func (a *Allocator) takeSubnets(nw *network) error {
	driver, options := defaultIPAM, map[string]string(nil)
	if nw.Spec.IPAM != nil && nw.Spec.IPAM.Driver != nil {
		if err := (Provider{}).ValidateIPAMDriver(nw.Spec.IPAM.Driver); err != nil && nw.Spec.IPAM.Driver.Name != "" {
			return err
		}
		options = maps.Clone(nw.Spec.IPAM.Driver.Options)
	}
	configs := subnets(nw.Network)
	for _, c := range configs {
		p, err := a.takeSubnet(c)
		if p != nil {
			nw.pools = append(nw.pools, p)
		}
		if err != nil {
			return err
		}
	}
	nw.IPAM = &api.IPAMOptions{Driver: &api.Driver{Name: driver, Options: options}, Configs: configs}
	return nil
}

// takeSubnet takes a pool and its gateway's address, and notes both. The pool is taken even if there is an error about
// what is in it.
func (a *Allocator) takeSubnet(c *api.IPAMConfig) (*ipam.Pool, error) {
	if c.Family == api.IPAMConfig_IPV6 {
		return nil, fmt.Errorf("subnet %s: overlays have IPv4 subnets here, no others", c.Subnet)
	}
	var subnet netip.Prefix
	var gateway netip.Addr
	var err error
	if c.Subnet != "" {
		if subnet, err = netip.ParsePrefix(c.Subnet); err != nil {
			return nil, err
		}
	}
	if c.Gateway != "" {
		if gateway, err = netip.ParseAddr(c.Gateway); err != nil {
			return nil, err
		}
	}
	p, err := a.space.RequestPool(subnet, nil)
	if err != nil {
		return nil, err
	}
	if gateway, err = p.Request(gateway); err != nil {
		return p, err
	}
	if c.Range != "" {
		part, err := netip.ParsePrefix(c.Range)
		if err != nil {
			return p, err
		}
		if err := p.SetRange(part); err != nil {
			return p, err
		}
	}
	p.SetSerial(a.modern) // I11
	c.Subnet, c.Gateway = p.Subnet().String(), gateway.String()
	return p, nil
}

// number gives a network its VXLAN ids.
func (a *Allocator) number(nw *network, driver string) error {
	options := make(map[string]string)
	if nw.Spec.DriverConfig != nil {
		maps.Copy(options, nw.Spec.DriverConfig.Options)
	}
	if nw.DriverState != nil {
		maps.Copy(options, nw.DriverState.Options)
	}
	var wanted []string
	if list := options[VNIOption]; list != "" {
		wanted = strings.Split(list, ",")
	}
	var list []string
	for i := range nw.pools {
		var v uint32
		var err error
		if i < len(wanted) {
			v, err = a.takeVNI(wanted[i])
		} else {
			v, err = a.freeVNI()
		}
		if err != nil {
			return err
		}
		a.vnis[v] = true
		nw.vnis = append(nw.vnis, v)
		list = append(list, strconv.FormatUint(uint64(v), 10))
	}
	options[VNIOption] = strings.Join(list, ",")
	nw.DriverState = &api.Driver{Name: driver, Options: options}
	return nil
}

func (a *Allocator) takeVNI(text string) (uint32, error) {
	v, err := strconv.ParseUint(text, 10, 24)
	switch {
	case err != nil:
		return 0, fmt.Errorf("VXLAN id %q: it must be a number below %d", text, endVNI)
	case a.vnis[uint32(v)]:
		return 0, fmt.Errorf("VXLAN id %d is used by another network", v)
	}
	if a.modern && uint32(v) >= a.next {
		a.next = uint32(v) + 1 // the search goes on behind those that a leader before has given
	}
	return uint32(v), nil
}

// freeVNI returns the lowest VNI that is free, or on a modern swarm the next one (O1).
func (a *Allocator) freeVNI() (uint32, error) {
	first := uint32(firstVNI)
	if a.modern {
		first = firstModernVNI
	}
	for range endVNI - first {
		v := a.next
		if v >= endVNI {
			v = first
		}
		a.next = v + 1
		if !a.vnis[v] {
			if !a.modern {
				a.next = first
			}
			return v, nil
		}
	}
	return 0, errors.New("all VXLAN ids are in use")
}

// Deallocate implements networkallocator.NetworkAllocator.
func (a *Allocator) Deallocate(n *api.Network) error {
	nw := a.networks[n.ID]
	if nw == nil {
		return fmt.Errorf("could not get networker state for network %s", n.ID)
	}
	delete(a.networks, n.ID)
	return a.free(nw)
}

// free gives back what a network has.
func (a *Allocator) free(nw *network) error {
	for _, v := range nw.vnis {
		delete(a.vnis, v)
	}
	var all error
	for _, p := range nw.pools {
		all = errors.Join(all, a.space.ReleasePool(p))
	}
	return all
}

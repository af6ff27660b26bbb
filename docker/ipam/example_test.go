package ipam_test

import (
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/docker/ipam"
)

func Example() {
	local := ipam.New(ipam.Local()...)
	docker0, _ := local.RequestPool(netip.Prefix{}, nil)
	gateway, _ := docker0.Request(netip.Addr{})
	first, _ := docker0.Request(netip.Addr{})
	fmt.Println(docker0.Subnet(), gateway, first)

	_, err := local.RequestPool(netip.MustParsePrefix("172.17.8.0/24"), nil)
	fmt.Println(err)
	// Output:
	// 172.17.0.0/16 172.17.0.1 172.17.0.2
	// Pool overlaps with other one on this address space
}

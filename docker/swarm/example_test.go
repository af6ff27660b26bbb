package swarm_test

import (
	"fmt"

	"github.com/netsim-lab/netsim/docker/swarm"
)

// A cluster numbers networks and addresses services as Docker does.
func Example() {
	c := swarm.New(swarm.Config{})
	dognet, err := c.CreateNetwork(swarm.NetworkSpec{Name: "dognet"})
	if err != nil {
		fmt.Println(err)
		return
	}
	web, err := c.CreateService(swarm.ServiceSpec{
		Name: "dog-web", Container: swarm.ContainerSpec{Image: "chrch/web"},
		Networks: []swarm.NetworkTarget{{Network: "dognet"}},
		Ports:    []swarm.PortSpec{{Published: 8000, Target: 5000}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(dognet.Subnet, dognet.VNI)
	for _, v := range web.VirtualIPs {
		fmt.Println(v.Addr)
	}
	fmt.Println(c.Tasks()[0].Err)
	// Output:
	// 10.0.0.0/24 257
	// 10.255.0.2/16
	// 10.0.0.2/24
	// no suitable node
}

package engine_test

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

// An engine on a host, a container on its default bridge, and a command in it.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	spawn := func(run func(context.Context) error) {
		group.Go(func() {
			if err := run(ctx); err != nil {
				fmt.Println(err)
			}
		})
	}
	host := netns.New(netns.Config{Name: "host-a"})
	spawn(host.Run)
	ctl, err := cnm.New(cnm.Config{Name: "host-a", Host: host, Spawn: spawn})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := engine.New(engine.Config{Name: "host-a", Controller: ctl, Host: host, Spawn: spawn})
	c, err := e.Create(engine.ContainerConfig{Name: "web1", Image: "nginx", Hostname: "web1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	exit, err := c.Run(ctx, "ping -c 1 172.17.0.1 | grep -c ttl=64; hostname", shell.Stdio{Out: os.Stdout})
	fmt.Println(exit, err)
	// Output:
	// 1
	// web1
	// 0 <nil>
}

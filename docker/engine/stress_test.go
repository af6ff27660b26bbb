package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
)

// stressTime is how long TestManyAtOnce goes on; NETSIM_STRESS makes it longer.
func stressTime(t *testing.T) time.Duration {
	if text := os.Getenv("NETSIM_STRESS"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return time.Second
}

// Sixteen users create, connect, rename, inspect, stop and remove at once; after that nothing is left: no container, no
// sandbox, no address, no port.
func TestManyAtOnce(t *testing.T) {
	e, host, _ := newEngine(t, 1)
	network(t, e, "shared", "10.9.0.0/24")
	before := len(host.Interfaces())
	ctx, cancel := context.WithTimeout(context.Background(), stressTime(t))
	defer cancel()
	events := e.Subscribe(engine.EventOptions{})
	defer events.Close()
	var users sync.WaitGroup
	for n := range 16 {
		users.Go(func() {
			u := user{t: t, e: e, luck: rand.New(rand.NewPCG(7, uint64(n))), n: n}
			for round := 0; ctx.Err() == nil; round++ {
				u.round(round)
			}
		})
	}
	users.Wait()
	if all := e.Containers(); len(all) != 0 {
		t.Errorf("%d containers are left; the first, %s, is %s", len(all), all[0].Name(), all[0].State())
	}
	if all := e.Controller().Sandboxes(); len(all) != 0 {
		t.Errorf("%d sandboxes are left", len(all))
	}
	if got := len(host.Interfaces()); got != before {
		t.Errorf("the host has %d interfaces; %d at the start", got, before)
	}
	if gone := e.PruneNetworks(nil); len(gone) != 1 {
		t.Errorf("networks that were left: %q; want shared", gone)
	}
	// Addresses and ports are those of a fresh engine again.
	c := run(t, e, engine.ContainerConfig{Image: "nginx", Ports: []cnm.PortBinding{{HostPort: 8000, HostPortEnd: 8004, ContainerPort: 80}}})
	if got, ok := c.Sandbox().Endpoint("bridge"); !ok || got.IP() != netip.MustParseAddr("172.17.0.2") || c.Sandbox().Ports()[0].HostPort != 8000 {
		t.Errorf("a container after all gets %s, port %d", got.IP(), c.Sandbox().Ports()[0].HostPort)
	}
}

// user is one of those who work at once.
type user struct {
	t    *testing.T
	e    *engine.Engine
	luck *rand.Rand
	n    int
}

// check reports an error that is none of those that others may cause.
func (u *user) check(err error) {
	for _, kind := range []error{nil, engine.ErrConflict, engine.ErrNotFound, engine.ErrForbidden, engine.ErrNotModified, cnm.ErrSystem} {
		if errors.Is(err, kind) {
			return
		}
	}
	u.t.Errorf("user %d: %v", u.n, err)
}

func (u *user) round(round int) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	name := fmt.Sprintf("u%d-%d", u.n, round)
	cfg := sleeper(name)
	cfg.AutoRemove = u.luck.IntN(4) == 0
	cfg.Ports = []cnm.PortBinding{{HostPort: 8000, HostPortEnd: 8004, ContainerPort: 80}} // not enough for all
	if u.luck.IntN(2) == 0 {
		cfg.Networks = []cnm.EndpointConfig{{Network: "shared", Aliases: []string{"one", "of-many"}}}
	}
	c, err := u.e.Create(cfg)
	if err != nil {
		u.t.Errorf("user %d: create: %v", u.n, err)
		return
	}
	defer func() { u.check(c.Remove(ctx, engine.RemoveOptions{Force: true})) }()
	if err := c.Start(ctx); err != nil {
		u.check(err)
		return
	}
	own := fmt.Sprintf("net-%d-%d", u.n, u.luck.IntN(2))
	_, err = u.e.CreateNetwork(cnm.NetworkConfig{Name: own})
	u.check(err)
	u.check(u.e.ConnectNetwork(ctx, own, name, cnm.EndpointConfig{}))
	others := u.e.Containers()
	other := others[u.luck.IntN(len(others))]
	other.Inspect()
	other.Stats()
	switch u.luck.IntN(5) {
	case 0:
		u.check(other.Kill(ctx, ""))
	case 1:
		u.check(other.Restart(ctx, engine.StopOptions{Timeout: immediately}))
	case 2:
		u.check(u.e.ConnectNetwork(ctx, "shared", other.ID(), cnm.EndpointConfig{}))
	case 3:
		u.check(c.Rename(name + "-b"))
	case 4:
		x, err := c.CreateExec(engine.ExecConfig{Args: []string{"hostname"}})
		u.check(err)
		if err == nil {
			u.check(x.Start(ctx, engine.ExecStreams{Stdout: newScreen()}))
		}
	}
	for _, n := range u.e.Networks() {
		n.Endpoints()
	}
	u.check(u.e.DisconnectNetwork(ctx, own, c.ID(), false))
	u.check(c.Stop(ctx, engine.StopOptions{Timeout: immediately}))
	u.check(c.Remove(ctx, engine.RemoveOptions{Force: true}))
	u.check(u.e.RemoveNetwork(own))
}

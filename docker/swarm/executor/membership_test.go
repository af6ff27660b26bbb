package executor

import (
	"context"
	"slices"
	"strings"
	"testing"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/netns"
)

// TestPlaceChanges: the swarm gives a host another place on a network while a task of it is there still. The balancer is at the new one
// from then on, and containers reach the service by it as before (S9).
func TestPlaceChanges(t *testing.T) {
	r := newRig(t, 2, true)
	a, b := r.hosts[0], r.hosts[1]
	spec := swarmapi.ContainerSpec{Image: "nginx"}
	a.mustRun(newTask(1, spec))
	b.mustRun(newTask(2, spec))
	const get = "wget -q -O /dev/null http://web:80/ && echo answered"
	r.eventually("both are in", func() bool { return strings.Contains(a.sh("web.1.task1", "nslookup tasks.web"), "10.0.0.4") })
	if got := a.sh("web.1.task1", get); got != "answered" {
		t.Fatalf("before: %s", got)
	}
	move := func(to string) {
		r.must(a.Configure(r.ctx, &swarmapi.Node{Attachments: []*swarmapi.NetworkAttachment{
			{Network: network("ingress"), Addresses: []string{"10.255.0.2/16"}},
			{Network: network("overnet"), Addresses: []string{to + "/24"}},
		}}))
		n, ok := a.eng.Controller().Network("overnet")
		if !ok {
			t.Fatal("there is no overnet")
		}
		if got := n.Balancer().String(); got != to {
			t.Errorf("the balancer is at %s; want %s", got, to)
		}
		var all []string
		for _, ep := range n.Endpoints() {
			all = append(all, ep.IP().String())
		}
		if len(all) != 2 || !slices.Contains(all, to) || !slices.Contains(all, "10.0.0.3") {
			t.Errorf("endpoints %v; want 10.0.0.3 and %s", all, to)
		}
		for range 2 { // one for each of those behind it
			if got := a.sh("web.1.task1", get); got != "answered" {
				t.Errorf("with the balancer at %s: %s", to, got)
			}
		}
	}
	move("10.0.0.200")
	move("10.0.0.77")
	move("10.0.0.200")
}

// Run that is told to end as it begins has not failed.
func TestRunEndsAtOnce(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	r := newRig(t, 0, false)
	ns := netns.New(netns.Config{Name: "host-a"})
	r.spawn(ns.Run)
	ctl, err := cnm.New(cnm.Config{Name: "host-a", Host: ns, Spawn: r.spawn})
	r.must(err)
	eng := engine.New(engine.Config{Name: "host-a", Controller: ctl, Host: ns, Spawn: r.spawn})
	for range 50 { // it is a matter of luck
		if err := New(Config{Engine: eng, NS: ns, Name: "host-a"}).Run(ended); err != nil {
			t.Fatalf("Run = %v; want nil", err)
		}
	}
}

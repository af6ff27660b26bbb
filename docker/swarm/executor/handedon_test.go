package executor

import (
	"strings"
	"testing"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// TestAddressHandedOn: a service gets the virtual address of one that was removed, whose last task has not ended yet. The host's balancer
// leads to the new one from the time when the old one is gone, and answers for the address all the while (S9).
func TestAddressHandedOn(t *testing.T) {
	r := newRig(t, 1, true)
	h := r.hosts[0]
	spec := swarmapi.ContainerSpec{Image: "nginx"}
	old := h.mustRun(newTask(1, spec))
	next := newTask(2, spec)
	next.ServiceID, next.ServiceAnnotations.Name = "service2", "shop"
	h.mustRun(next)
	r.must(old.Shutdown(r.ctx))
	r.must(old.Remove(r.ctx))
	balancer, ok := h.eng.Controller().Sandbox("lb-overnet")
	if !ok {
		t.Fatal("S9: the host has no balancer for the network")
	}
	if got := virtual(balancer); !strings.Contains(got, "10.0.0.2/32") {
		t.Errorf("the balancer has %s; want 10.0.0.2/32 among them", got)
	}
	if got := h.sh("shop.2.task2", "wget -q -O /dev/null http://shop:80/ && echo answered"); got != "answered" {
		t.Errorf("the service says %q", got)
	}
}

// virtual are the addresses of a balancer.
func virtual(s *cnm.Sandbox) string {
	var all []string
	for _, a := range s.Endpoints()[0].Interface().Addrs() {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

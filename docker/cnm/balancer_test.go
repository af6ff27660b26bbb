package cnm_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// A network that cannot be removed, since a container joins it at that moment, keeps the host's balancer; one that is removed does not (S9).
func TestBalancerStaysWithItsNetwork(t *testing.T) {
	t.Parallel()
	l := newSwarmLab(t, 1)
	h := l.hosts[0]
	for round := range 30 {
		name := fmt.Sprint("net", round)
		n, err := h.ctl.CreateNetwork(cnm.NetworkConfig{
			ID: name, Name: name, Driver: cnm.DriverOverlay, VNI: uint32(5000 + round), Attachable: true,
			Subnet: netip.MustParsePrefix("10.30.0.0/24"), Gateway: netip.MustParseAddr("10.30.0.1"), Balancer: netip.MustParseAddr("10.30.0.2"),
		})
		l.must(err)
		joined := make(chan func() error)
		go func() {
			_, end, _ := h.container(l.ctx, "c-"+name, cnm.EndpointConfig{Network: name, IP: netip.MustParseAddr("10.30.0.3")})
			joined <- end
		}()
		err = h.ctl.RemoveNetwork(name)
		end := <-joined
		if (err == nil) == (end != nil) {
			t.Fatalf("round %d: RemoveNetwork = %v, and a container has joined: %v; want one of both", round, err, end != nil)
		}
		b, balances := h.ctl.Sandbox("lb-" + name)
		if balances != (err != nil) || balances && len(b.Endpoints()) != 1 {
			t.Errorf("round %d: after RemoveNetwork = %v there is a balancer: %v; want %v", round, err, balances, err != nil)
		}
		if end != nil {
			l.must(end())
			l.must(h.ctl.RemoveNetwork(n.ID()))
		}
	}
}

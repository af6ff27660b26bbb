package lab

import (
	"reflect"
	"testing"

	"github.com/netsim-lab/netsim/docker/swarm/manager"
	"github.com/netsim-lab/netsim/docker/swarm/node"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// Whatever a manager has refused is shown, under a name of its own.
func TestSwarmStatusShowsRefusals(t *testing.T) {
	s := &node.Status{Refusals: manager.Refusals{
		Refusals: rpc.Refusals{Handshake: 1, Oversized: 2, Malformed: 3, Denied: 4, Full: 5}, Tokens: 6, Removed: 7,
	}}
	want := map[string]uint64{"handshake": 1, "oversized": 2, "malformed": 3, "denied": 4, "full": 5, "token": 6, "removed node": 7}
	if got := new(Lab).swarmStatus("host-a", s, nil, false).Refused; !reflect.DeepEqual(got, want) {
		t.Errorf("refused %v; want %v", got, want)
	}
	if got := new(Lab).swarmStatus("host-a", &node.Status{}, nil, false).Refused; len(got) != 0 {
		t.Errorf("refused %v; want nothing", got)
	}
}

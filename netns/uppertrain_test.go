package netns

import (
	"testing"

	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

// Trains from router to router, whose interfaces stand on VLAN 10 of two hosts' cards. (Over ipvlan nobody routes: what
// comes in is for an address of the interfaces there, as in Linux.)
func TestTrainsOnParents(t *testing.T) {
	fabrictest.TestTrains(t, 1500, func(t *testing.T, lone bool) fabrictest.Path {
		n := newTrainNet(t, lone)
		var cards, ways [2]*Interface
		cards[0], cards[1] = n.cable(n.namespace("host0"), "eth0", "", n.namespace("host1"), "eth0", "", 1500)
		routers := [2]*Namespace{n.namespace("r0"), n.namespace("r1")}
		for k, card := range cards {
			vlan := must(card.ns.AddVLAN(card, 10, InterfaceConfig{Name: "eth0.10"}))
			ways[k] = must(routers[k].AddMacvlan(vlan, MacvlanBridge, InterfaceConfig{Name: "eth1", Addr: prefix([]string{"10.3.0.1/24", "10.3.0.2/24"}[k])}))
		}
		ways[0].AddNeighbour(addr("10.3.0.2"), ways[1].mac)
		ways[1].AddNeighbour(addr("10.3.0.1"), ways[0].mac)
		in, inPlug := n.plug(routers[0], "eth0", "10.0.0.1/24", 1500)
		out, outPlug := n.plug(routers[1], "eth0", "10.5.0.1/24", 1500)
		in.AddNeighbour(addr("10.0.0.9"), macOf(addr("10.0.0.9")))
		out.AddNeighbour(addr("10.5.0.9"), macOf(addr("10.5.0.9")))
		n.route(routers[0], "10.5.0.0/24", "10.3.0.2", ways[0])
		n.route(routers[1], "10.0.0.0/24", "10.3.0.1", ways[1])
		n.flowsBetween("parents", in, inPlug, "10.0.0.9", "10.5.0.9:80", outPlug)
		for _, i := range []*Interface{in, out, ways[0], ways[1]} {
			n.path.Ends[i.place] = &i.Counters
		}
		return n.path
	})
}

package shell

import "testing"

// A veth pair made by hand joins a bridge with a container's namespace, as those that docker makes do.
func TestVethByHand(t *testing.T) {
	b := newBench(t)
	b.each(b.host, []says{
		{"ip link add v0 type veth peer name v1 netns 1-abc", "", 0},
		{"ip link set v0 master docker0; ip link set v0 up", "", 0},
		{"ip netns exec 1-abc sh -c 'ip addr add 172.17.0.99/16 dev v1; ip link set v1 up; ip -br addr show dev v1'", "v1@if# * UP * 172.17.0.99/16 ***", 0},
		{"ping -c 1 -W 2 172.17.0.99 | grep -o '1 received'", "1 received", 0},
		{"ip link add a0 type veth peer name a1 && ip link show type veth | grep -c a[01]@", "2", 0},
		{"ip link add b0 type veth && ip link show veth0 >/dev/null", "", 0},
		{"ip link add a0 type veth peer name a2", "RTNETLINK answers: File exists", 2},
		{"ip link add a3 type veth peer name a1", "RTNETLINK answers: File exists", 2},
		{"ip link add a3 type veth peer name a3", "RTNETLINK answers: File exists", 2},
		{"ip link add a3 type veth peer name a4 netns nowhere", "Error: argument \"nowhere\" is wrong: Invalid \"netns\" value", 255},
		{"ip link add a3 type dummy peer name a4", "Error: either \"peer\" is duplicate, or \"peer\" is a garbage.", 255},
	})
}

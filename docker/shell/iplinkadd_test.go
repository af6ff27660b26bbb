package shell

import (
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

// TestIPLinkUpper is how ip -d link shows VLAN, macvlan and ipvlan interfaces, made by hand (V5, V6, V15).
func TestIPLinkUpper(t *testing.T) {
	h := netns.New(netns.Config{Name: "host"})
	port, _ := fabric.NewVeth("a", "b")
	eth0, err := h.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: port})
	if err != nil {
		t.Fatal(err)
	}
	c := netns.New(netns.Config{Name: "c"})
	if _, err := c.AddMacvlan(eth0, netns.MacvlanBridge, netns.InterfaceConfig{Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		ns     *netns.Namespace
		line   string
		status int
		want   []string
	}{
		{h, "ip link add link eth0 name eth0.10 type vlan id 10 && ip link set eth0.10 up && ip -d link show eth0.10", 0,
			[]string{": eth0.10@eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500", "    vlan protocol 802.1Q id 10 <REORDER_HDR>"}},
		{h, "ip link add link eth0 name shim type macvlan mode bridge && ip -d link show shim", 0, []string{": shim@eth0: ", "    macvlan mode bridge"}},
		{h, "ip link add dm0 type dummy && ip -d link show dm0", 0, []string{": dm0: ", "    dummy"}},
		{h, "ip link add link dm0 name v type ipvlan mode l3 && ip -d link show v", 0, []string{": v@dm0: ", "NOARP", "    ipvlan mode l3 bridge"}},
		{h, "ip link add link eth0 name v2 type ipvlan mode l2", 2, []string{"RTNETLINK answers: Device or resource busy"}},
		{h, "ip link add link eth7 name v2 type vlan id 10", 1, []string{`Cannot find device "eth7"`}},
		{h, "ip link add link eth0 name v2 type vlan id 70000", 1, []string{"id is invalid"}},
		{h, "ip link add link eth0 name v2 type macvlan mode odd", 1, []string{`argument of "mode" must be`}},
		{c, "ip -d link show eth0", 0, []string{": eth0@if2: ", "link-netnsid 0", "    macvlan mode bridge"}},
	} {
		var out strings.Builder
		status, err := Run(t.Context(), &System{NS: row.ns, Hostname: "h"}, row.line, Stdio{Out: &out, Err: &out})
		if err != nil || status != row.status {
			t.Errorf("%s: status %d, %v; want %d", row.line, status, err, row.status)
		}
		for _, want := range row.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s says\n%s\nwant %q", row.line, out.String(), want)
			}
		}
	}
}

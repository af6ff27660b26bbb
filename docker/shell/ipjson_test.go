package shell

import (
	"encoding/json"
	"slices"
	"testing"
)

// decode runs ip -j and returns what it printed.
func (b *bench) decode(s *System, line string) []map[string]any {
	b.Helper()
	out, errOut, code := b.run(s, line)
	var list []map[string]any
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 {
		b.Fatalf("%s: %v in %s%s (status %d)", line, err, out, errOut, code)
	}
	return list
}

// ip -j has the fields of iproute2, with their types.
func TestIPJSON(t *testing.T) {
	b := newBench(t)
	b.run(b.c1, "ping -c1 172.17.0.1")
	links := b.decode(b.host, "ip -j -d -s link")
	at := slices.IndexFunc(links, func(l map[string]any) bool { return l["ifname"] == "docker0" })
	if at < 0 || links[at]["linkinfo"].(map[string]any)["info_kind"] != "bridge" || links[at]["operstate"] != "UP" || links[at]["mtu"] != 1500.0 {
		t.Errorf("links %v", links)
	}
	eth0 := b.decode(b.c1, "ip -j addr show eth0")[0]
	addr := eth0["addr_info"].([]any)[0].(map[string]any)
	if eth0["link_index"] != 4.0 || eth0["link_netnsid"] != 0.0 || eth0["address"] != "02:42:ac:11:00:02" || addr["local"] != "172.17.0.2" || addr["prefixlen"] != 16.0 ||
		addr["valid_life_time"] != 4294967295.0 {
		t.Errorf("addresses %v", eth0)
	}
	routes := b.decode(b.c1, "ip -j -p route")
	if routes[0]["dst"] != "default" || routes[0]["gateway"] != "172.17.0.1" || routes[1]["protocol"] != "kernel" || routes[1]["scope"] != "link" {
		t.Errorf("routes %v", routes)
	}
	if n := b.decode(b.c1, "ip -j neigh show dev eth0"); len(n) != 1 || n[0]["lladdr"] != "02:42:a4:c1:d2:e3" || n[0]["state"].([]any)[0] == "" {
		t.Errorf("neighbours %v", n)
	}
	if r := b.decode(b.c1, "ip -j route get 192.168.56.1"); r[0]["gateway"] != "172.17.0.1" || r[0]["prefsrc"] != "172.17.0.2" {
		t.Errorf("route %v", r)
	}
	if n := b.decode(b.host, "ip -j netns"); n[0]["name"] != "1-abc" {
		t.Errorf("namespaces %v", n)
	}
	b.expect(b.host, "ip -j link show nope; ip -j addr add 10.9.9.1/24 dev eth0", "Device \"nope\" does not exist.", 0)
	b.expect(b.host, "ip -j route show 9.9.9.9", "[] ", 0)
}

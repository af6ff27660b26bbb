package image

import (
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lb/l7"
)

// G3, G4, G11: a service's labels count on a network that the mesh shares with it, and nowhere else.
func TestRoutesNeedASharedNetwork(t *testing.T) {
	at := func(a string) netip.AddrPort { return netip.MustParseAddrPort(a) }
	vip := netip.MustParseAddr("10.0.9.2")
	running := []ServiceTask{{Name: "t", Healthy: true, Addrs: map[string]netip.Addr{
		"ucp-hrm": netip.MustParseAddr("10.0.0.2"), "shop": netip.MustParseAddr("10.0.9.3"), "ingress": netip.MustParseAddr("10.255.0.2"),
	}}}
	shop := ServiceNetwork{Name: "shop", VIP: vip}
	interlock := func(more ...string) map[string]string {
		all := map[string]string{l7.LabelInterlock + "hosts": "a", l7.LabelInterlock + "port": "80"}
		for i := 0; i < len(more); i += 2 {
			all[l7.LabelInterlock+more[i]] = more[i+1]
		}
		return all
	}
	for _, row := range []struct {
		name     string
		labels   map[string]string
		networks []ServiceNetwork
		want     string // the backend
		err      string
	}{
		{"the mesh's", label("80=http://a"), []ServiceNetwork{shop, {Name: "ucp-hrm"}}, "10.0.0.2:80", ""},
		{"another", label("80=http://a"), []ServiceNetwork{shop}, "", "service web: its labels are of no effect, for it is not on the network ucp-hrm: it is on shop"},
		{"none", label("80=http://a,80=http://b"), nil, "", "it is on no network"},
		{"one that is labelled", label("80=http://a"), []ServiceNetwork{{Name: "shop", Labels: map[string]string{l7.Label: "true"}}}, "10.0.9.3:80", ""},
		{"one that is named", interlock("network", "shop"), []ServiceNetwork{{Name: "ucp-hrm"}, shop}, "10.0.9.3:80", ""},
		{"one that is named, and not its own", interlock("network", "shop"), []ServiceNetwork{{Name: "ucp-hrm"}}, "", "not on the network shop: it is on ucp-hrm"},
		{"by the VIP", interlock("network", "shop", "backend_mode", "vip"), []ServiceNetwork{shop}, "10.0.9.2:80", ""},
		{"no VIP there is", interlock("network", "shop", "backend_mode", "vip"), []ServiceNetwork{{Name: "shop"}}, "10.0.9.3:80", ""},
	} {
		routes, err := routesOf([]Service{{Name: "web", Labels: row.labels, Ports: []uint16{80}, Networks: row.networks, Tasks: running}}, "ucp-hrm")
		var got []netip.AddrPort
		for _, r := range routes {
			for _, b := range r.Backends {
				got = append(got, b.Addr)
			}
		}
		var want []netip.AddrPort
		if row.want != "" {
			want = append(want, at(row.want))
		}
		if !reflect.DeepEqual(got, want) || len(routes) != len(want) {
			t.Errorf("%s: %d routes to %v; want one to %v", row.name, len(routes), got, want)
		}
		if row.err == "" && err != nil || row.err != "" && (err == nil || strings.Count(err.Error(), row.err) != 1) {
			t.Errorf("%s: routesOf fails with %v; want %q, once", row.name, err, row.err)
		}
	}
}

// G3: who is not on the mesh's network takes no host from who is, older or not, and leaves the default service alone.
func TestOutsidersTakeNoHosts(t *testing.T) {
	all := []Service{
		{Name: "outside", Labels: label("80=http://a,80=http://b"), Ports: []uint16{80}, Tasks: tasks(2)},
		{Name: "web", Labels: label("80=http://a"), Ports: []uint16{80}, Networks: onMesh, Tasks: tasks(3)},
		{Name: "default", Labels: label("80=http://"), Ports: []uint16{80}, Networks: onMesh, Tasks: tasks(4)},
	}
	routes, err := routesOf(all, "ucp-hrm")
	table, clash := l7.NewTable(routes)
	if err == nil || clash != nil {
		t.Errorf("routesOf fails with %v, the table with %v; want only the first", err, clash)
	}
	for host, want := range map[string]string{"a": "web", "b": "default"} {
		if r := table.Match(l7.HTTP, host, "/"); r == nil || r.Name != want {
			t.Errorf("%s leads to %+v; want %s", host, r, want)
		}
	}
}

// What the mesh has done is in its log, and at a port of its own.
func TestTheMeshTellsWhatItDid(t *testing.T) {
	c := newCluster(t, 3)
	c.serve(2, ":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	c.dir.set(Service{Name: "web", Labels: label("80=http://a"), Ports: []uint16{80}, Networks: onMesh, Tasks: tasks(2)})
	c.begin("-stats=:8404")
	c.get("a", "/page?x=y")
	c.get("b", "/")
	eventually(t, "the request is in the log", func() bool { return strings.Contains(c.log.String(), "msg=request") })
	for _, want := range []string{"host=a method=GET", `uri="/page?x=y" service=web task=t2 status=200 bytes=5`, "msg=refused reason=no-route", "host=b path=/\n"} {
		wantContains(t, "log", c.log.String(), want)
	}
	if strings.Contains(c.log.String(), "bad-hello") {
		t.Errorf("whoever looked at the port for TLS is in the log: %s", c.log.String())
	}
	conn, err := c.dial("8404")
	if err != nil {
		t.Fatal(err)
	}
	_, page := request(t, conn, "stats", "/")
	for _, want := range []string{"http://a  web      t2    10.0.0.4:80  up     0       1       1    0    0    0    0       -\n", "\nrequests 1\n", "refused no-route 1\n"} {
		wantContains(t, "stats", page, want)
	}
}

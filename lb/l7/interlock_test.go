package l7

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// lbLabels are Interlock's, from KEY=VALUE.
func lbLabels(items ...string) map[string]string {
	all := map[string]string{"com.example": "x"}
	for _, item := range items {
		key, value, _ := strings.Cut(item, "=")
		all[LabelInterlock+key] = value
	}
	return all
}

func TestG11InterlockLabels(t *testing.T) {
	for _, row := range []struct {
		name   string
		labels []string
		ports  []uint16
		want   []Claim
		err    string
	}{
		{"none", nil, nil, nil, ""},
		{"a host and a port that is not published", []string{"hosts=Red.example.com", "port=8080"}, nil, []Claim{{Route: Route{Host: "red.example.com"}, Port: 8080}}, ""},
		{"the one port that is published", []string{"hosts=a"}, []uint16{80}, []Claim{{Route: Route{Host: "a"}, Port: 80}}, ""},
		{"several hosts, a network", []string{"hosts=a, b", "port=80", "network=shop"}, nil,
			[]Claim{{Route: Route{Host: "a"}, Port: 80, Network: "shop"}, {Route: Route{Host: "b"}, Port: 80, Network: "shop"}}, ""},
		{"a context", []string{"hosts=a", "port=80", "context_root=/app/", "context_root_rewrite=true"}, nil,
			[]Claim{{Route: Route{Host: "a", Path: "/app", Strip: true}, Port: 80}}, ""},
		{"nothing to take off", []string{"hosts=a", "port=80", "context_root=/", "context_root_rewrite=true"}, nil, []Claim{{Route: Route{Host: "a"}, Port: 80}}, ""},
		{"a cookie, and what is so anyway", []string{"hosts=a", "port=80", "sticky_session_cookie=SID", "websocket_endpoints=/ws", "service_cluster=east"}, nil,
			[]Claim{{Route: Route{Host: "a", Sticky: "SID"}, Port: 80}}, ""},
		{"TLS", []string{"hosts=a", "port=443", "ssl_passthrough=true"}, nil, []Claim{{Route: Route{Kind: TLS, Host: "a"}, Port: 443}}, ""},
		{"by the VIP", []string{"hosts=a", "port=80", "backend_mode=vip"}, nil, []Claim{{Route: Route{Host: "a"}, Port: 80, VIP: true}}, ""},
		{"by its tasks", []string{"hosts=a", "port=80", "backend_mode=task"}, nil, []Claim{{Route: Route{Host: "a"}, Port: 80}}, ""},
		{"the default", []string{"port=80", "default_backend=true"}, nil, []Claim{{Port: 80}}, ""},
		{"redirects", []string{"hosts=new", "port=80", "redirects=http://old,http://new; http://older,http://new/x"}, nil,
			[]Claim{{Route: Route{Host: "new"}, Port: 80}, {Route: Route{Host: "old", Redirect: "http://new"}, Port: 80}, {Route: Route{Host: "older", Redirect: "http://new/x"}, Port: 80}}, ""},
		{"no host", []string{"port=80"}, nil, nil, "hosts is missing"},
		{"not the default", []string{"port=80", "default_backend=false"}, nil, nil, "hosts is missing"},
		{"no port", []string{"hosts=a"}, []uint16{80, 81}, nil, "port is missing"},
		{"a port that is none", []string{"hosts=a", "port=x"}, nil, nil, "from 1 to 65535"},
		{"a host that is none", []string{"hosts=a b", "port=80"}, nil, nil, "no host name"},
		{"a mode that is none", []string{"hosts=a", "port=80", "backend_mode=dns"}, nil, nil, "task or vip"},
		{"a cookie that is none", []string{"hosts=a", "port=80", "sticky_session_cookie=a b"}, nil, nil, "no cookie"},
		{"neither true nor false", []string{"hosts=a", "port=80", "ssl_passthrough=maybe"}, nil, nil, "true or false"},
		{"a query", []string{"hosts=a", "port=80", "context_root=/a?b"}, nil, nil, "only a path"},
		{"a cookie over TLS", []string{"hosts=a", "port=80", "ssl_passthrough=true", "sticky_session_cookie=a"}, nil, nil, "TLS is not opened"},
		{"a default over TLS", []string{"hosts=a", "port=80", "ssl_passthrough=true", "default_backend=true"}, nil, nil, "http only"},
		{"a certificate", []string{"hosts=a", "port=80", "ssl_cert=cert"}, nil, nil, "ssl_passthrough=true"},
		{"an unknown one", []string{"hosts=a", "port=80", "host=b"}, nil, nil, "no label com.docker.lb.host; there are hosts"},
		{"a redirect to nowhere", []string{"hosts=a", "port=80", "redirects=http://b"}, nil, []Claim{{Route: Route{Host: "a"}, Port: 80}}, "redirect to"},
	} {
		for i := range row.want {
			row.want[i].Route.Name = "web"
		}
		got, err := Claims("web", lbLabels(row.labels...), row.ports)
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: Claims = %+v; want %+v", row.name, got, row.want)
		}
		if row.err == "" && err != nil || row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err) || !strings.HasPrefix(err.Error(), "service web: ")) {
			t.Errorf("%s: Claims fails with %v; want %q", row.name, err, row.err)
		}
	}
}

// Of several labels that are wrong the same one is told each time: a mesh looks every second, and says what is new.
func TestInterlockErrorIsTheSame(t *testing.T) {
	labels := lbLabels("hosts=a", "port=80", "context_root_rewrite=maybe", "ssl_passthrough=maybe")
	_, want := Claims("web", labels, nil)
	for range 100 {
		if _, err := Claims("web", labels, nil); err == nil || err.Error() != want.Error() {
			t.Fatalf("Claims fails with %v, and then with %v", want, err)
		}
	}
}

// FuzzInterlock checks that no label breaks anything, and that every route that one makes is one that a table takes.
func FuzzInterlock(f *testing.F) {
	f.Add("a, *.b.example.com", "80", "/app", "http://old,http://new", "true")
	f.Fuzz(func(t *testing.T, hosts, port, root, redirects, flag string) {
		claims, _ := Claims("web", lbLabels("hosts="+hosts, "port="+port, "context_root="+root, "redirects="+redirects, "context_root_rewrite="+flag), nil)
		for _, c := range claims {
			table, err := NewTable([]Route{c.Route})
			if err != nil {
				t.Fatal(err)
			}
			if table.Match(c.Route.Kind, strings.Replace(c.Route.Host, "*", "x", 1), c.Route.Path) == nil {
				t.Errorf("%s does not fit itself", c.Route.Pattern())
			}
		}
	})
}

// G11: with context_root_rewrite a service sees its own paths.
func TestG11ContextIsTakenOff(t *testing.T) {
	b := backend(t, "b", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.RequestURI()) })
	s := serve(t, Config{}, (*Router).Serve, Route{Host: "a", Path: "/app", Strip: true, Backends: []Backend{b}}, Route{Host: "b", Path: "/app", Backends: []Backend{b}})
	for _, row := range []struct{ host, path, want string }{
		{"a", "/app", "/"}, {"a", "/app/", "/"}, {"a", "/app/x?y=z", "/x?y=z"}, {"a", "/app/a%2Fb", "/a%2Fb"}, {"a", "/%61pp/a", "/a"}, {"b", "/app/x", "/app/x"},
	} {
		if got := s.do("GET", row.host, row.path, nil).body; got != row.want {
			t.Errorf("%s%s is asked for as %s; want %s", row.host, row.path, got, row.want)
		}
	}
}

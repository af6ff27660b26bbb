package l7

import (
	"reflect"
	"strings"
	"testing"
)

func TestLabelsOfBothGrammars(t *testing.T) {
	one, two := []uint16{8080}, []uint16{8080, 9090}
	for _, row := range []struct {
		name  string
		key   string // behind Label
		value string
		ports []uint16
		want  []Claim
		err   string
	}{
		{"G2: the guide's", "", "8080=http://red.example.com", two, []Claim{{Route: Route{Host: "red.example.com"}, Port: 8080}}, ""},
		{"G2: no port where the service publishes one", "", "http://red.example.com", one, []Claim{{Route: Route{Host: "red.example.com"}, Port: 8080}}, ""},
		{"G2: several", "", "8080=http://a.example.com, 9090=http://b.example.com/", two,
			[]Claim{{Route: Route{Host: "a.example.com"}, Port: 8080}, {Route: Route{Host: "b.example.com"}, Port: 9090}}, ""},
		{"G2: no port where it publishes two", "", "http://red.example.com", two, nil, "publishes ports 8080, 9090: say which"},
		{"G3: it publishes none", "", "8080=http://red.example.com", nil, nil, "publishes no port"},
		{"G4: the shortest", ".1", "external_route=http://a.example.com", one, []Claim{{Route: Route{Host: "a.example.com"}, Port: 8080}}, ""},
		{"G4: without a number", "", "external_route=http://a.example.com/,internal_port=9090", two, []Claim{{Route: Route{Host: "a.example.com"}, Port: 9090}}, ""},
		{"G4: TLS", ".2", "external_route=sni://a.example.com,internal_port=9090", two, []Claim{{Route: Route{Kind: TLS, Host: "a.example.com"}, Port: 9090}}, ""},
		{"G4: all of it", ".3", "external_route=http://A.Example.com:80/app/,internal_port=80,sticky_sessions=SID,include_forwarded_for=true", one,
			[]Claim{{Route: Route{Host: "a.example.com", Path: "/app", Sticky: "SID", Forwarded: true}, Port: 80}}, ""},
		{"G4: a redirect of all", ".1", "external_route=http://a.example.com,redirect=https://a.example.com", one,
			[]Claim{{Route: Route{Host: "a.example.com", Redirect: "https://a.example.com"}, Port: 8080}}, ""},
		{"G4: a redirect from one to another", ".1", "external_route=http://new.example.com,redirect=http://old.example.com,http://new.example.com", one,
			[]Claim{{Route: Route{Host: "new.example.com"}, Port: 8080}, {Route: Route{Host: "old.example.com", Redirect: "http://new.example.com"}, Port: 8080}}, ""},
		{"G5: the default", ".1", "external_route=http://", one, []Claim{{Route: Route{}, Port: 8080}}, ""},
		{"a wildcard", "", "8080=http://*.example.com", one, []Claim{{Route: Route{Host: "*.example.com"}, Port: 8080}}, ""},
		{"an address", "", "8080=http://192.168.1.2", one, []Claim{{Route: Route{Host: "192.168.1.2"}, Port: 8080}}, ""},
		{"G7: a cookie over TLS", ".1", "external_route=sni://a.example.com,sticky_sessions=SID", one, nil, "TLS is not opened"},
		{"a number that is none", ".x", "8080=http://a", one, nil, "must be a number"},
		{"https", "", "8080=https://a.example.com", one, nil, "write sni://a.example.com"},
		{"another scheme", "", "8080=ftp://a.example.com", one, nil, "there are http and sni"},
		{"no address", "", "8080=red.example.com", one, nil, "write http://HOST"},
		{"a query", "", "8080=http://red.example.com/?a=b", one, nil, "only a host and a path"},
		{"a port that is none", "", "80800=http://red.example.com", one, nil, "from 1 to 65535"},
		{"a port of zero", "", "0=http://red.example.com", one, nil, "from 1 to 65535"},
		{"a host that is none", "", "8080=http://red_.exa mple.com", one, nil, "no host name"},
		{"a star in the middle", "", "8080=http://red.*.com", one, nil, "first part of a name only"},
		{"SNI without a name", ".1", "external_route=sni://", one, nil, "name the host"},
		{"SNI with a path", ".1", "external_route=sni://a/b", one, nil, "no path that can be seen"},
		{"an unknown key", ".1", "external_rout=http://a", one, nil, `no key "external_rout"; there are external_route`},
		{"no route", ".1", "internal_port=80", one, nil, "external_route is missing"},
		{"a key twice", ".1", "external_route=http://a,external_route=http://b", one, nil, "given twice"},
		{"an empty value", ".1", "external_route=http://a,internal_port=", one, nil, "internal_port has no value"},
		{"neither true nor false", ".1", "external_route=http://a,include_forwarded_for=maybe", one, nil, "true or false"},
		{"a bad cookie", ".1", "external_route=http://a,sticky_sessions=a b", one, nil, "no cookie has such a name"},
		{"a redirect to nowhere", ".1", "external_route=http://a,redirect=b", one, nil, "redirect to"},
		{"three redirects", ".1", "external_route=http://a,redirect=http://a,http://b,http://c", one, nil, "3 addresses"},
		{"that of a network", "", "true", one, nil, "no key"},
		{"nothing", "", "", one, nil, "no key"},
		{"another label", "_2", "x", one, nil, ""},
	} {
		for i := range row.want {
			row.want[i].Route.Name = "web"
		}
		got, err := Claims("web", map[string]string{Label + row.key: row.value, "com.example": "x"}, row.ports)
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: Claims = %+v; want %+v", row.name, got, row.want)
		}
		if row.err == "" && err != nil || row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err) ||
			!strings.HasPrefix(err.Error(), "service web: label "+Label)) {
			t.Errorf("%s: Claims fails with %v; want %q", row.name, err, row.err)
		}
	}
}

func TestAWrongLabelSparesTheOthers(t *testing.T) {
	got, err := Claims("web", map[string]string{
		Label + ".1": "external_route=http://a", Label + ".2": "nonsense", Label + ".3": "external_route=http://c",
	}, []uint16{80})
	if len(got) != 2 || got[0].Route.Host != "a" || got[1].Route.Host != "c" || err == nil {
		t.Errorf("Claims = %+v, %v; want a and c, and an error", got, err)
	}
}

// FuzzClaims checks that no label breaks anything, and that every route that one makes is found again.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{"8080=http://red.example.com", "external_route=http://a/b,internal_port=1,sticky_sessions=X", "external_route=sni://a", "http://[::1]:80/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		claims, _ := Claims("web", map[string]string{Label: value}, []uint16{80})
		for _, c := range claims {
			again, err := parsePattern(c.Route.Pattern())
			if err != nil || again.Host != c.Route.Host || again.Path != c.Route.Path || again.Kind != c.Route.Kind {
				t.Errorf("%q makes %s, which reads as %+v, %v", value, c.Route.Pattern(), again, err)
			}
			table, err := NewTable([]Route{c.Route})
			if err != nil {
				t.Fatal(err)
			}
			if table.Match(c.Route.Kind, strings.Replace(c.Route.Host, "*", "x", 1), c.Route.Path) == nil {
				t.Errorf("%q: %s does not fit itself", value, c.Route.Pattern())
			}
		}
	})
}

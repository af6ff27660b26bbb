package topology_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lab/topology"
)

func TestExposedPortsAreRead(t *testing.T) {
	s := parse(t, fabric+`swarm: {managers: [host-a]}
networks: {over: {driver: overlay}}
services: {web: {image: nginx, networks: [over]}}
expose:
  8080: host-a:8000
  0: web.1:80
  "0.0.0.0:8081": client:80
  "[::1]:8082": client:80
`)
	if err := s.ParseExpose("localhost:0=host-b:81"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range s.Expose {
		got = append(got, e.Listen.String()+" "+e.Target())
	}
	want := "127.0.0.1:8080 host-a:8000, 127.0.0.1:0 web.1:80, 0.0.0.0:8081 client:80, [::1]:8082 client:80, 127.0.0.1:0 host-b:81"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("Expose = %s; want %s", text, want)
	}
	if n := s.Expose[1].Node; n.Service != "web" || n.Slot != 1 {
		t.Errorf("Node = %+v; want task 1 of web", n)
	}
	for text, want := range map[string]string{
		"8080=client:80": "--expose 8080=client:80: 127.0.0.1:8080 is exposed already, to host-a:8000 at lab.yaml:12:3",
		"8090":           "--expose 8090: write PORT=NODE:PORT, like 8080=host-a:8000",
		"8090=web:80":    `--expose 8090=web:80: "web" is a service; name one of its tasks, such as web.1`,
		"8090=tor:80":    `--expose 8090=tor:80: "tor" is a switch, which has no ports for programs; name a host, a router, a container or a task`,
	} {
		if err := s.ParseExpose(text); err == nil || err.Error() != want {
			t.Errorf("ParseExpose(%q) = %v; want %s", text, err, want)
		}
	}
	if len(s.Expose) != 5 {
		t.Errorf("%d exposed ports after mistakes; want 5", len(s.Expose))
	}
}

func TestParseListen(t *testing.T) {
	for text, want := range map[string]string{
		"1080":               "127.0.0.1:1080",
		"0":                  "127.0.0.1:0",
		"localhost:1":        "127.0.0.1:1",
		"0.0.0.0:1080":       "0.0.0.0:1080",
		"[::ffff:1.2.3.4]:1": "1.2.3.4:1",
		":1080":              "",
		"65536":              "",
		"host:1":             "",
		"1.2.3.4":            "",
		"":                   "",
	} {
		got, err := topology.ParseListen(text)
		if (err != nil) != (want == "") || err == nil && got != netip.MustParseAddrPort(want) {
			t.Errorf("ParseListen(%q) = %v, %v; want %s", text, got, err, want)
		}
	}
}

func FuzzParseExpose(f *testing.F) {
	f.Add("8080=host-a:8000")
	f.Add("[::1]:0=host-a/web:80")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := topology.Parse("lab.yaml", []byte(fabric))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ParseExpose(text); err != nil {
			return
		}
		e := s.Expose[0]
		if err := s.ParseExpose("[" + e.Listen.Addr().String() + "]:0=" + e.Target()); err != nil && !e.Listen.Addr().Is4() {
			t.Errorf("%q reads as %v, which does not: %v", text, e, err)
		}
	})
}

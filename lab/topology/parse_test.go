package topology_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/lab/topology"
)

// fabric is a small fabric that the rows of several tests build on.
const fabric = `netsim: 1
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.2/24}, engine: docker}
    host-b: {links: {tor: 192.168.1.3/24}, engine: docker}
    client: {links: {tor: 192.168.1.10/24}}
`

func parse(t *testing.T, src string) *topology.Spec {
	t.Helper()
	s, err := topology.Parse("lab.yaml", []byte(src))
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return s
}

func TestDefaultsAreFilledIn(t *testing.T) {
	s := parse(t, fabric+`swarm: {managers: [host-a]}
networks: {net: {}, over: {driver: overlay}}
services: {web: {image: nginx, networks: [over], ports: ["80"]}}
containers:
  c1: {host: host-b, image: nginx}
  c2: {host: host-b, image: nginx, networks: [net]}
steps:
  - {on: client, run: ls}
  - {on: client, run: ls, within: 1s}
  - {on: client, expect: {reachable: host-a}}
`)
	web, c1 := s.Services[0], s.Containers[0]
	got := []any{
		s.Name, s.Seed, s.Compat, s.Networks[0].Driver, names(s.Networks[0].Hosts), names(s.Networks[1].Hosts),
		web.Replicas, web.Mode, web.EndpointMode, web.Ports[0].Published, web.Ports[0].Protocol, web.Ports[0].Mode,
		c1.Networks[0].Network, s.Steps[0].Name, s.Steps[0].Expect.Status.Codes, s.Steps[0].Retry, s.Steps[1].Retry,
		s.Steps[2].Name, s.Steps[2].Expect.Status == nil,
	}
	want := []any{
		"lab", uint64(1), topology.CompatGuide, topology.DriverBridge, []string{"host-b"}, []string(nil),
		1, "replicated", "vip", uint16(0), "tcp", "ingress",
		"bridge", "ls", []int{0}, time.Duration(0), 250 * time.Millisecond,
		"expect on client", true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults = %v; want %v", got, want)
	}
}

func TestALocalNetworkNobodyUsesIsOnEveryEngine(t *testing.T) {
	s := parse(t, fabric+"networks: {net: {}}\n")
	if got := names(s.Networks[0].Hosts); !reflect.DeepEqual(got, []string{"host-a", "host-b"}) {
		t.Errorf("Hosts = %v; want host-a and host-b", got)
	}
}

func names(refs []topology.Ref) []string {
	var all []string
	for _, r := range refs {
		all = append(all, r.Name)
	}
	return all
}

func TestOrderAndPositionsAreKept(t *testing.T) {
	s := parse(t, fabric+"containers:\n  zeta: {host: host-a, image: nginx}\n  alpha: {host: host-a, image: nginx}\n")
	for i, want := range []string{"zeta lab.yaml:9:3", "alpha lab.yaml:10:3"} {
		c := s.Containers[i]
		if got := fmt.Sprint(c.Name, " ", c.Pos); got != want {
			t.Errorf("Containers[%d] = %s; want %s", i, got, want)
		}
	}
	if got := s.Fabric.Hosts[2].Links[0].Addr; got != netip.MustParsePrefix("192.168.1.10/24") {
		t.Errorf("client has %v", got)
	}
}

func TestPortForms(t *testing.T) {
	for _, row := range []struct{ yaml, want string }{
		{`"5000"`, "[:0->5000/tcp ingress]"},
		{`"8000:5000"`, "[:8000->5000/tcp ingress]"},
		{`8000:50`, "[:8000->50/tcp ingress]"},
		{`"8000:5000/udp"`, "[:8000->5000/udp ingress]"},
		{`"127.0.0.1:8080:80"`, "[127.0.0.1:8080->80/tcp ingress]"},
		{`"127.0.0.1::80"`, "[127.0.0.1:0->80/tcp ingress]"},
		{`"90-91:80-81"`, "[:90->80/tcp ingress :91->81/tcp ingress]"},
		{`{target: 80, published: 8080, protocol: udp, mode: host}`, "[:8080->80/udp host]"},
	} {
		s := parse(t, fabric+"containers: {c: {host: host-a, image: nginx, ports: ["+row.yaml+"]}}\n")
		var all []string
		for _, p := range s.Containers[0].Ports {
			ip := ""
			if p.HostIP.IsValid() {
				ip = p.HostIP.String()
			}
			all = append(all, fmt.Sprintf("%s:%d->%d/%s %s", ip, p.Published, p.Target, p.Protocol, p.Mode))
		}
		if got := fmt.Sprint(all); got != row.want {
			t.Errorf("port %s = %s; want %s", row.yaml, got, row.want)
		}
	}
}

func TestEnvironmentAndCommandForms(t *testing.T) {
	s := parse(t, fabric+`containers:
  c1: {host: host-a, image: nginx, environment: {DB: db, N: 1}, command: [sh, -c, "a b"]}
  c2: {host: host-a, image: "nginx:1.27", environment: ["DB=db", "N=1", "E="], command: 'sh -c "a b" c\ d'''''}
`)
	for i, want := range []string{"DB=db N=1 |sh|-c|a b", "DB=db N=1 E= |sh|-c|a b|c d"} {
		c, got := s.Containers[i], ""
		for _, e := range c.Environment {
			got += e.Name + "=" + e.Value + " "
		}
		if got += "|" + strings.Join(c.Command, "|"); got != want {
			t.Errorf("%s = %q; want %q", c.Name, got, want)
		}
	}
}

func TestOneNameOnTwoHosts(t *testing.T) {
	s := parse(t, fabric+`containers:
  host-a/c1: {image: nginx}
  host-b/c1: {image: nginx, host: host-b}
steps: [{on: host-b/c1, run: ls}]
`)
	if a, b := s.Containers[0], s.Containers[1]; a.Name != "c1" || a.Host.Name != "host-a" || b.Name != "c1" || b.Host.Name != "host-b" {
		t.Errorf("containers = %s on %s, %s on %s", a.Name, a.Host.Name, b.Name, b.Host.Name)
	}
}

func TestNodesOfSteps(t *testing.T) {
	s := parse(t, fabric+`swarm: {managers: [host-a]}
networks: {n: {driver: overlay}}
services: {dog-web: {image: nginx, networks: [n]}}
containers: {c1: {host: host-b, image: nginx}}
steps:
  - {on: client, run: ls}
  - {on: host-b/c1, run: ls}
  - {on: dog-web.2, run: ls}
  - {on: host-a/dog-web.1, run: ls, expect: {source_seen: {at: host-b/c1, addr: 10.0.0.1}}}
`)
	want := []string{"client//.0", "host-b/c1/.0", "//dog-web.2", "host-a//dog-web.1"}
	for i, st := range s.Steps {
		n := st.On
		if got := fmt.Sprintf("%s/%s/%s.%d", n.Host, n.Container, n.Service, n.Slot); got != want[i] {
			t.Errorf("on %s = %s; want %s", n.Text, got, want[i])
		}
	}
	if at := s.Steps[3].Expect.SourceSeen[0].At; at.Container != "c1" {
		t.Errorf("source_seen at %+v; want host-b/c1", at)
	}
}

func TestNetworkVerbs(t *testing.T) {
	s := parse(t, fabric+`steps:
  - on: client
    run: ls
    expect:
      status: [1, 6]
      reachable: [host-a:80, 192.168.1.2]
      refused: host-a:53/udp
      timeout: [host-b:81]
      resolves: [host-a]
      dns: {a: 10.0.0.1, b: [10.0.0.1, 10.0.0.2], c: none, d: any, e: []}
      dropped_because: [no-route, {reason: policy, at: host-a}]
      path_includes: [tor, host-a]
      source_seen: [10.0.0.1, {addr: 10.0.0.0/8}]
      lb_spread: {to: host-a:80, requests: 4, backends: 3}
      converges_within: 20s
`)
	e := s.Steps[0].Expect
	got := []any{
		e.Status.String(), e.Status.Accepts(6), e.Status.Accepts(0),
		probe(e.Reachable[0]), probe(e.Reachable[1]), probe(e.Refused[0]), probe(e.Timeout[0]),
		e.DNS[0].Any, len(e.DNS[1].Want), len(e.DNS[2].Want), e.DNS[3].None, e.DNS[4].Any, e.DNS[5].None,
		e.DroppedBecause[0].Reason, e.DroppedBecause[1].At, names(e.PathIncludes),
		e.SourceSeen[0].Addr.String(), e.SourceSeen[1].Addr.String(),
		probe(e.LBSpread[0].To), e.LBSpread[0].Requests, e.LBSpread[0].Backends, e.ConvergesWithin,
	}
	want := []any{
		"1 or 6", true, false,
		"host-a:80/tcp", "192.168.1.2:0/icmp", "host-a:53/udp", "host-b:81/tcp",
		true, 1, 2, true, true, true,
		"no-route", "host-a", []string{"tor", "host-a"},
		"10.0.0.1/32", "10.0.0.0/8",
		"host-a:80/tcp", 4, 3, 20 * time.Second,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("expect = %v; want %v", got, want)
	}
}

func probe(p topology.Probe) string { return fmt.Sprintf("%s:%d/%s", p.Host, p.Port, p.Proto) }

func TestMatchForms(t *testing.T) {
	for _, row := range []struct {
		yaml, text string
		want       bool
	}{
		{`for Dogs`, "hits for Dogs: 3", true},
		{`for Dogs`, "for cats", false},
		{`"/Dogs: [0-9]+$/"`, "for Dogs: 12\nend", true},
		{`"/^end/"`, "for Dogs: 12\nend", true},
		{`{not: Cats}`, "for Dogs", true},
		{`{not: "/C.ts/"}`, "for Cats", false},
		{`[Dogs, {not: [Cats, Birds]}]`, "Dogs and Birds", false},
		{`[Dogs, {not: [Cats, Birds]}]`, "Dogs", true},
		{`//`, "a // b", true},
	} {
		s := parse(t, fabric+"steps: [{on: client, run: ls, expect: {stdout: "+row.yaml+"}}]\n")
		got := true
		for _, m := range s.Steps[0].Expect.Stdout {
			got = got && m.Matches(row.text)
		}
		if got != row.want {
			t.Errorf("%s on %q = %v; want %v", row.yaml, row.text, got, row.want)
		}
	}
	s := parse(t, fabric+"steps: [{on: client, run: ls, expect: {status: not 0, not: {stderr: /x+/}}}]\n")
	e := s.Steps[0].Expect
	if got := e.Status.String() + ", " + e.Stderr[0].String(); got != "not 0, not: /x+/" || e.Status.Accepts(0) || !e.Status.Accepts(7) {
		t.Errorf("expect = %s", got)
	}
}

func TestMergeKeysAndAliases(t *testing.T) {
	s := parse(t, fabric+`containers:
  c1: &web {host: host-a, image: nginx, environment: &env {A: 1, B: 2}}
  c2:
    <<: *web
    host: host-b
    environment: {<<: [*env], B: 3}
`)
	c := s.Containers[1]
	if c.Image != "nginx" || c.Host.Name != "host-b" || len(c.Environment) != 2 || c.Environment[0].Value != "3" {
		t.Errorf("c2 = %+v", c)
	}
}

func TestLimitsGiveClearErrors(t *testing.T) {
	for _, row := range []struct{ name, src, want string }{
		{"size", strings.Repeat("#", 1<<20) + "\n", "larger than 1048576 bytes"},
		{"entries", "netsim: 1\nfabric: {switches: {" + strings.Repeat("a: ,", 5000) + "}}\n", "more than 4096 entries"},
		{"list", "netsim: 1\nsteps: [" + strings.Repeat("a,", 5000) + "]\n", "more than 4096 entries"},
		{"depth", "netsim: 1\nfabric: " + strings.Repeat("[", 20000) + "\n", "lab.yaml:2:"},
		{"errors", "netsim: 1\nsteps: [" + strings.Repeat("a,", 3000) + "]\n", "too many errors"},
		{"ports", fabric + "containers: {c: {image: nginx, host: host-a, ports: [" + strings.Repeat("1-1024,", 80) + "]}}\n", "more than 65536 ports"},
		{"not text", "\x00\x01\xff", "not valid YAML"},
		{"scalar", "hello", "a topology must be a mapping"},
		{"only comments", "# nothing\n", "the file is empty"},
	} {
		_, err := topology.Parse("lab.yaml", []byte(row.src))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: Parse = %.200v; want %q", row.name, err, row.want)
		}
	}
}

func TestImagesCanBeGiven(t *testing.T) {
	src := []byte(fabric + "containers: {c: {host: host-a, image: registry.example:5000/own/app:2}}\n")
	if _, err := (topology.Options{Images: []string{"registry.example:5000/own/app"}}).Parse("lab.yaml", src); err != nil {
		t.Errorf("Parse = %v; want no error", err)
	}
	if _, err := topology.Parse("lab.yaml", src); err == nil {
		t.Error("Parse with the default images accepts an unknown one")
	}
}

func TestLoadOfAMissingFile(t *testing.T) {
	if _, err := topology.Load(filepath.Join(t.TempDir(), "none.yaml")); !os.IsNotExist(unwrap(err)) {
		t.Errorf("Load = %v; want a not-exist error", err)
	}
}

func unwrap(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}

func TestCablesCarryTheirLinks(t *testing.T) {
	s := parse(t, `netsim: 1
fabric:
  switches: {s1: {stp: true, vlans: {h1: 10, s2: {access: 1, trunk: [10, 20]}}}, s2: }
  routers: {r1: {links: {s2: 10.0.0.1/24, h2: 10.1.0.1/24}, routes: [{to: default, via: 10.0.0.2}]}}
  hosts:
    h1: {links: {s1: 10.0.0.2/24}, gateway: 10.0.0.1, dns: 10.0.0.1, extra_hosts: {x: 10.9.9.9}}
    h2: {links: {r1: 10.1.0.2/24, s1: }}
  links:
    - {between: [s1, h1], delay: 1ms, rate: 1.5gbit, loss: 0.5%, reverse: {delay: 2ms}}
    - {between: [s1, s2], mtu: 9000}
    - {between: [s2, s1], down: true}
  internet: {names: {www.example.com: [1.2.3.4, 1.2.3.5]}}
`)
	var got []string
	for _, c := range s.Fabric.Cables() {
		got = append(got, fmt.Sprintf("%s/%d-%s/%d mtu %d, %v %d %v down=%v, back %v",
			c.A.Node, c.A.Port, c.B.Node, c.B.Port, c.MTU, c.Forward.Delay, c.Forward.Rate, c.Forward.Loss, c.Forward.Down, c.Reverse.Delay))
	}
	want := []string{
		"h1/0-s1/-1 mtu 1500, 2ms 1500000000 0.005 down=false, back 1ms",
		"h2/0-r1/1 mtu 1500, 0s 0 0 down=false, back 0s",
		"h2/1-s1/-1 mtu 1500, 0s 0 0 down=false, back 0s",
		"r1/0-s2/-1 mtu 1500, 0s 0 0 down=false, back 0s",
		"s1/-1-s2/-1 mtu 9000, 0s 0 0 down=false, back 0s",
		"s2/-1-s1/-1 mtu 1500, 0s 0 0 down=true, back 0s",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Cables =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := s.Fabric.Switches[0].VLANs[1].Trunk; !reflect.DeepEqual(got, []uint16{10, 20}) {
		t.Errorf("trunk = %v", got)
	}
	if got := len(s.Fabric.Internet.Names[0].Addrs); got != 2 {
		t.Errorf("internet name has %d addresses; want 2", got)
	}
}

func TestAddressesMayRepeatInDifferentVLANs(t *testing.T) {
	parse(t, `netsim: 1
fabric:
  switches: {s: {vlans: {a: 10, b: 20}}}
  hosts: {a: {links: {s: 10.0.0.1/24}}, b: {links: {s: 10.0.0.1/24}}}
`)
}

func ExampleParse() {
	_, err := topology.Parse("pets.yaml", []byte(`netsim: 1
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.2/24}, engine: docker}
networks:
  dognet: {}
containers:
  dog-db:
    image: redis
    host: host-b
    networks: [dognt]
`))
	fmt.Println(err)
	// Output:
	// pets.yaml:11:11: host "host-b" is not defined; did you mean "host-a"?
	// pets.yaml:12:16: network "dognt" is not defined; did you mean "dognet"?
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"../../testdata/broken", "../../topologies"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		for _, file := range files {
			if src, err := os.ReadFile(file); err == nil {
				f.Add(src)
			}
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := topology.Parse("fuzz.yaml", src)
		if (s == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v; want one of them", s, err)
		}
		if err != nil {
			_ = err.Error()
			return
		}
		s.Fabric.Cables()
	})
}

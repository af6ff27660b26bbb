package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lab/topology"
)

const twoHosts = `
netsim: 1
name: two-hosts
fabric:
  switches: {s1: {}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}}
    b: {links: {s1: 10.0.0.2/24}}
  internet: {names: {www.example.com: 93.184.216.34}}
`

const bridgeLab = `
netsim: 1
name: bridge-lab
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.2/24}, engine: docker}
    client: {links: {tor: 192.168.1.10/24}}
networks:
  catnet: {driver: bridge, subnet: 172.19.0.0/16}
containers:
  cat-db: {host: host-a, image: redis, networks: [catnet]}
  cat-web: {host: host-a, image: chrch/web, networks: [catnet], ports: ["8000:5000"], environment: {DB: cat-db, ROLE: cat}}
`

// parse is the topology of a text.
func parse(t testing.TB, text string) *topology.Spec {
	t.Helper()
	spec, err := topology.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// start runs a lab until the test ends.
func start(t testing.TB, text string, cfg Config) *Lab {
	t.Helper()
	l, err := Start(context.Background(), parse(t, text), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestFabricCarriesPackets(t *testing.T) {
	l := start(t, twoHosts, Config{})
	a, b := l.MustNode("a"), l.MustNode("b")
	c, err := b.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	for _, host := range []string{"10.0.0.2", "b", "www.example.com"} {
		if _, err := a.Ping(soon(t), host); err != nil {
			t.Error(err)
		}
	}
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	conn, err := a.Dial(soon(t), "tcp", "b:80")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("ReadAll = %q, %v; want hello", got, err)
	}
	_ = conn.Close()
	p, err := c.Wait(soon(t), func(p Packet) bool { return p.DstPort == 80 && p.TCPFlags&wire.SYN != 0 })
	if err != nil {
		t.Fatal(err)
	}
	if p.Src != netip.MustParseAddr("10.0.0.1") || p.Dir != fabric.In {
		t.Errorf("SYN is %s; want it from 10.0.0.1, in", p)
	}
}

func TestNameServer(t *testing.T) {
	l := start(t, twoHosts, Config{})
	if got := l.MustNode("dns").NS().Interfaces()[1].Addrs()[0]; got.String() != "10.0.0.254/24" {
		t.Errorf("the name server has %s; want 10.0.0.254/24", got)
	}
	for name, want := range map[string]string{"a": "10.0.0.1", "b": "10.0.0.2", "dns": "10.0.0.254", "www.example.com": "93.184.216.34"} {
		if got := judgeLookup(soon(t), l.MustNode("b"), topology.Lookup{Name: name, Want: []netip.Addr{netip.MustParseAddr(want)}}); got != "" {
			t.Error(got)
		}
	}
	if got := judgeLookup(soon(t), l.MustNode("b"), topology.Lookup{Name: "nobody", None: true}); got != "" {
		t.Error(got)
	}
}

func TestRouters(t *testing.T) {
	l := start(t, `
netsim: 1
fabric:
  switches: {left: {}, right: {}}
  routers:
    r1: {links: {left: 10.1.0.1/24, r2: 10.9.0.1/30}, routes: [{to: 10.2.0.0/24, via: 10.9.0.2}]}
    r2: {links: {right: 10.2.0.1/24, r1: 10.9.0.2/30}, routes: [{to: 10.1.0.0/24, via: 10.9.0.1}]}
  hosts:
    a: {links: {left: 10.1.0.2/24}, gateway: 10.1.0.1}
    b: {links: {right: 10.2.0.2/24}, gateway: 10.2.0.1}
`, Config{})
	if _, err := l.MustNode("a").Ping(soon(t), "b"); err != nil {
		t.Error(err)
	}
	if got := l.MustNode("r1").Kind(); got != KindRouter {
		t.Errorf("Kind = %s; want %s", got, KindRouter)
	}
}

func TestVLANs(t *testing.T) {
	l := start(t, `
netsim: 1
fabric:
  switches:
    s1: {vlans: {a: 10, b: 20, s2: [10, 20]}}
    s2: {vlans: {c: 10, d: 20, s1: [10, 20]}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}}
    b: {links: {s1: 10.0.0.2/24}}
    c: {links: {s2: 10.0.0.3/24}}
    d: {links: {s2: 10.0.0.4/24}}
  links: [{between: [s1, s2]}]
`, Config{})
	for _, row := range []struct {
		from, to string
		want     verdict
	}{{"a", "10.0.0.3", answered}, {"b", "10.0.0.4", answered}} {
		if got := probe(soon(t), l.MustNode(row.from), topology.Probe{Host: row.to, Proto: "icmp"}); got.verdict != row.want {
			t.Errorf("probe %s from %s = %s; want %s", row.to, row.from, got, verdictTexts[row.want])
		}
	}
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if got := probe(short, l.MustNode("a"), topology.Probe{Host: "10.0.0.2", Proto: "icmp"}); got.verdict != silent {
		t.Errorf("probe across VLANs = %s; want no answer", got)
	}
}

func TestCableMTU(t *testing.T) {
	l := start(t, `
netsim: 1
fabric:
  switches: {s1: {}, s2: {}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}}
    b: {links: {s2: 10.0.0.2/24}}
  links: [{between: [s1, s2], mtu: 1000}]
`, Config{})
	p, err := l.MustNode("a").NS().NewPinger()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := l.MustNode("a").Ping(soon(t), "10.0.0.2"); err != nil {
		t.Fatal(err)
	}
	before := l.drops()
	if err := p.Send(netip.MustParseAddr("10.0.0.2"), pingOfSize(1400)); err != nil {
		t.Fatal(err)
	}
	for ctx := soon(t); ; {
		n := l.drops()[[2]string{"s1:s2", "mtu"}] - before[[2]string{"s1:s2", "mtu"}]
		if n == 1 {
			break
		}
		if !pause(ctx, time.Millisecond) {
			t.Fatalf("%d drops because of mtu at s1:s2; want 1, of %v", n, l.Drops())
		}
	}
}

func TestBridgeLab(t *testing.T) {
	l := start(t, bridgeLab, Config{})
	var names []string
	for _, n := range l.Nodes() {
		names = append(names, n.Name())
	}
	if got, want := strings.Join(names, " "), "host-a host-a/cat-db host-a/cat-web client dns"; got != want {
		t.Errorf("Nodes = %s; want %s", got, want)
	}
	web := l.MustNode("cat-web")
	if got := judgeLookup(soon(t), web, topology.Lookup{Name: "cat-db", Want: []netip.Addr{netip.MustParseAddr("172.19.0.2")}}); got != "" {
		t.Error(got)
	}
	eventually(t, "the page on the published port", func() bool {
		return probe(soon(t), l.MustNode("client"), topology.Probe{Host: "host-a", Port: 8000, Proto: "tcp"}).verdict == answered
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for ctx := soon(t); !ok(); {
		if !pause(ctx, 5*time.Millisecond) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func TestLookup(t *testing.T) {
	l := start(t, bridgeLab, Config{})
	id := l.MustNode("cat-web").Container().ID()
	for _, row := range []struct{ name, want, err string }{
		{"host-a", "host-a", ""},
		{"host-a/cat-web", "host-a/cat-web", ""},
		{"cat-web", "host-a/cat-web", ""},
		{"host-a/" + id[:12], "host-a/cat-web", ""},
		{id, "host-a/cat-web", ""},
		{"client", "client", ""},
		{"cat-weg", "", `did you mean "cat-web"?`},
		{"host-b/cat-web", "", `no host "host-b" with an engine; did you mean "host-a"?`},
		{"client/cat-web", "", `no host "client" with an engine`},
		{"zzzzzzzz", "", "there are host-a, host-a/cat-db"},
	} {
		n, err := l.Lookup(row.name)
		switch {
		case row.err == "" && (err != nil || n.Name() != row.want):
			t.Errorf("Lookup(%q) = %v, %v; want %s", row.name, n, err, row.want)
		case row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)):
			t.Errorf("Lookup(%q): error %v; want %q in it", row.name, err, row.err)
		}
	}
	if err := l.MustNode("cat-db").Container().Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cat-db", "host-a/cat-db"} {
		want := "is a container of host-a that has exited with status 137"
		if _, err := l.Lookup(name); !errors.Is(err, ErrNoNode) || !strings.Contains(err.Error(), want) {
			t.Errorf("Lookup(%q) after its end: %v; want %q in it", name, err, want)
		}
	}
}

func TestNewRefusesWhatCannotBeDone(t *testing.T) {
	spec := parse(t, `
netsim: 1
fabric:
  switches: {s1: {}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}}
    b: {links: {s1: 10.0.0.2/24}}
  links: [{between: [a, s1], delay: 2h, loss: 1%}]
steps:
  - {on: a, run: "true", expect: {dropped_because: no-rute}}
  - {on: a, run: "true", expect: {source_seen: 10.0.0.2}}
  - {on: a, expect: {lb_spread: {to: "b:53/udp"}}}
`)
	_, err := New(spec, Config{})
	for _, want := range []string{
		"test.yaml:8:11: delay must be from 0 to 1h0m0s, not 2h0m0s",
		`no drop has the reason "no-rute"; did you mean "no-route"?`,
		"source_seen: name the node that looks",
		"lb_spread counts TCP connections",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: error %v; want %q in it", err, want)
		}
	}
}

func TestRunTwice(t *testing.T) {
	l := start(t, twoHosts, Config{})
	if err := l.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "a lab runs once") {
		t.Errorf("second Run: %v; want that a lab runs once", err)
	}
}

// TestEndAtAnyMoment ends labs at many moments of their lives: each must be gone at once, with all it had.
func TestEndAtAnyMoment(t *testing.T) {
	dir := runtimeDir(t)
	ignore := goleak.IgnoreCurrent()
	luck := rand.New(rand.NewPCG(1, 2))
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for i := range rounds {
		text := swarmLab
		if i%2 == 0 {
			text = bridgeLab + `
steps:
  - {on: client, run: ping -c 1 host-a}
  - {on: host-a/cat-web, run: sleep 60}
`
		}
		spec := parse(t, text)
		spec.Name = fmt.Sprintf("lab-%d", i)
		l, err := New(spec, Config{Control: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		played := make(chan struct{})
		go func() {
			defer close(played)
			select {
			case <-l.Ready():
				_, _ = l.Play(ctx, nil)
			case <-l.Done():
			}
		}()
		var ended time.Time
		timer := time.AfterFunc(time.Duration(luck.Int64N(int64(30*time.Millisecond))), func() { ended = time.Now(); cancel() })
		if err := l.Run(ctx); err != nil {
			t.Errorf("round %d: Run: %v", i, err)
		}
		if d := time.Since(ended); d > time.Minute {
			t.Errorf("round %d: the lab took %s to end", i, d)
		}
		timer.Stop()
		cancel()
		<-played
	}
	if err := goleak.Find(ignore); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func TestStartFails(t *testing.T) {
	spec := parse(t, bridgeLab)
	spec.Containers[1].Image = "no-such-image"
	_, err := Start(context.Background(), spec, Config{})
	if err == nil || !strings.Contains(err.Error(), "test.yaml:13:3") || !strings.Contains(err.Error(), "no-such-image") {
		t.Errorf("Start: %v; want the place and the image", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Start(ctx, parse(t, twoHosts), Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Start with an ended context: %v; want context.Canceled", err)
	}
}

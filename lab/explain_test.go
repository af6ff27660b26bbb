package lab

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/explain"
)

const explained = `
netsim: 1
name: explained
fabric:
  switches: {s1: {}, s2: {}}
  routers:
    r: {links: {s1: 10.0.0.254/24, s2: 10.1.0.254/24}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}, gateway: 10.0.0.254}
    b: {links: {s2: 10.1.0.1/24}, gateway: 10.1.0.254, engine: docker}
networks:
  net: {driver: bridge, subnet: 172.19.0.0/16}
containers:
  db:  {host: b, image: redis, networks: [net]}
  web: {host: b, image: chrch/web, networks: [net], ports: ["8000:5000"], environment: {DB: db, ROLE: cat}}
steps:
  - name: through the router into the container
    on: a
    run: curl -s http://10.1.0.1:8000/
    expect: {stdout: for Cats, path_includes: [a, s1, r/eth0, s2, b, web]}
    within: 10s
  - {name: not this way, on: a, run: "curl -s http://10.1.0.1:8000/", expect: {path_includes: [r, a, s2]}}
  - {name: nothing is sent, on: a, run: "true", expect: {path_includes: [r]}}
`

func TestPathIncludes(t *testing.T) {
	l := start(t, explained, Config{})
	rec := &recorder{}
	if _, err := l.Play(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	results := rec.results
	if r := results[0]; !r.Passed || r.Story == nil || len(r.Story.Flows) == 0 {
		t.Errorf("%s: %s; story %+v", r.Step.Name, r.Reason, r.Story)
	}
	for i, want := range []string{"expected a packet to pass r, a, s2, got a > a/eth0 > s1:a > s1 > s1:r > r/eth0", "got no packet"} {
		if r := results[i+1]; r.Passed || !strings.Contains(r.Reason, want) {
			t.Errorf("%s: passed %v, %q; want %q", r.Step.Name, r.Passed, r.Reason, want)
		}
	}
}

// explainOn explains a line on a node and returns its story and the text of that.
func explainOn(t *testing.T, l *Lab, node, line string) (*explain.Story, string) {
	t.Helper()
	s, _, err := l.Explain(t.Context(), ExecRequest{Node: node, Line: line}, shell.Stdio{})
	if err != nil {
		t.Fatalf("Explain(%s, %s): %v", node, line, err)
	}
	var b bytes.Buffer
	if err := s.Text(&b, explain.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	return s, b.String()
}

func TestExplain(t *testing.T) {
	l := start(t, explained, Config{})
	for _, row := range []struct {
		node, line string
		want       []string
	}{
		{"a", "ping -c 2 -i 0.2 b", []string{
			"a sends echo request 1", "route        10.1.0.1 goes via 10.0.0.254 out eth0", "who has 10.0.0.254? s1 asks", "; r answers: ",
			"b sends echo reply 1", "and 1 more packet the same way: echo reply 2",
		}},
		{"a", "until curl -s http://10.1.0.1:8000/; do sleep 0.01; done", nil}, // the page has found its database
		{"a", "curl -s http://10.1.0.1:8000/", []string{ // a published port, and the database that the page asks
			"dnat         10.1.0.1:8000 becomes 172.19.0.3:5000 (nat DOCKER rule", "arrived for 172.19.0.3:5000", "b/web sends SYN ACK",
			"snat         172.19.0.3:5000 becomes 10.1.0.1:8000 again", `"GET / HTTP/1.1"`, "Because of that, b/web asks 172.19.0.2:6379", `, "LPUSH"`, ": b/web > b/db",
		}},
		{"b", "curl -s http://127.0.0.1:8000/", []string{ // docker-proxy (B9)
			"arrived for 127.0.0.1:8000", "Because of that, b asks 172.19.0.3:5000 (TCP, from 172.19.0.1:", ": b > b/web", "Because of that, b/web asks 172.19.0.2:6379",
		}},
		{"b/web", "getent hosts db", []string{ // the embedded resolver (D1)
			"DNS query, address of db", "127.0.0.11:53 becomes 127.0.0.11:", "(nat DOCKER_OUTPUT rule 1)", "DNS reply, address of db",
		}},
		{"b/web", "nslookup nosuch", []string{ // and the name server that it asks (D4)
			"DNS query, address of nosuch", "Because of that, b/web asks ", "DNS reply, there is no nosuch: dns > ",
		}},
		{"a", "curl -s http://10.1.0.1:81/", []string{"b sends RST ACK: no program listens there"}},
		{"a", "ping -c 1 -W 2 10.7.0.1", []string{"drop         no-route: no route leads there (10.0.0.1 > 10.7.0.1)", "what would help: see ip route", "r sends ICMP error: Destination Net Unreachable"}},
		{"a", "ping -c 1 -t 1 10.1.0.1", []string{"ttl-exceeded", "ICMP error: Time to live exceeded"}},
		{"a", "traceroute -n -m 2 10.1.0.1", []string{"ICMP error: Destination Port Unreachable", "the same way"}},
		{"a", "true", []string{"true on a caused no packet"}},
	} {
		_, got := explainOn(t, l, row.node, row.line)
		for _, want := range row.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s: no %q in\n%s", row.node, row.line, want, got)
			}
		}
	}
}

// What others send at the same time is no part of the story, and when it has been told nothing is marked any more.
func TestExplainTellsOnlyOfItsCommand(t *testing.T) {
	l := start(t, explained, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = l.MustNode("a").Run(ctx, "ping -i 0.01 10.1.0.1", shell.Stdio{})
	}()
	s, text := explainOn(t, l, "a", "curl -s http://10.1.0.1:8000/")
	for _, f := range s.Flows {
		if f.Proto == "icmp" {
			t.Errorf("another's ping is told of:\n%s", text)
		}
	}
	cancel()
	<-done
	marked := make(chan bool, 1)
	i, _ := l.MustNode("b").NS().Interface("eth0")
	remove := i.Taps().Add(fabric.TapFunc(func(_ fabric.Direction, f *fabric.Frame) {
		if f.Trace != nil {
			select {
			case marked <- true:
			default:
			}
		}
	}))
	defer remove()
	if exit, err := l.MustNode("a").Run(soon(t), "until curl -s http://10.1.0.1:8000/; do sleep 0.01; done", shell.Stdio{}); exit != 0 {
		t.Fatal(exit, err)
	}
	select {
	case <-marked:
		t.Error("packets are marked when the story has been told")
	default:
	}
}

func TestExplainEndsWithItsContext(t *testing.T) {
	l := start(t, explained, Config{})
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	lines := 0
	s, _, err := l.Explain(ctx, ExecRequest{Node: "a", Argv: []string{"ping", "-i", "0.02", "10.1.0.1"}}, shell.Stdio{Out: writerFunc(func() {
		if lines++; lines == 4 { // three answers
			cancel()
		}
	})})
	if err == nil || s == nil || len(s.Flows) != 1 || len(s.Flows[0].Packets) < 4 {
		t.Errorf("Explain = %+v, %v; want a story and the end of the context", s, err)
	}
	if _, exit, err := l.Explain(t.Context(), ExecRequest{Node: "nobody"}, shell.Stdio{}); err == nil || exit != 1 {
		t.Errorf("Explain on no node = %d, %v", exit, err)
	}
}

package lab

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lab/topology"
)

// recorder keeps what an Observer hears.
type recorder struct {
	started []string
	output  strings.Builder
	results []StepResult
}

func (r *recorder) StepStarted(_ int, s *topology.Step) { r.started = append(r.started, s.Name) }
func (r *recorder) Output(_, _ int, s Stream, data []byte) {
	r.output.WriteString(string(s) + ":" + string(data))
}
func (r *recorder) StepDone(result StepResult) { r.results = append(r.results, result) }

func TestPlay(t *testing.T) {
	l := start(t, twoHosts+`
steps:
  - {on: a, run: echo hello, expect: {stdout: [hello, /^hel+o$/, not: bye]}}
  - {on: a, run: exit 7, expect: {status: 7}}
  - {on: a, run: echo hello, expect: {stdout: bye}}
  - {on: a, run: "true", expect: {stdout: {not: bye}, status: not 0}}
  - {on: a, run: "false", within: 500ms, retry: 10ms}
  - {on: a, expect: {reachable: [b, www.example.com], refused: "b:81", dns: {b: 10.0.0.2, nobody: none, a: any}}}
  - {on: a, expect: {reachable: ["b:81", nobody], refused: b, dns: {b: 10.0.0.3}}}
  - {on: a, run: ping -c 1 -W 1 b, expect: {source_seen: {addr: 10.0.0.1, at: b}}}
  - {on: a, run: ping -c 1 -W 1 b, expect: {source_seen: {addr: 10.7.0.0/16, at: b}}}
`, Config{})
	rec := &recorder{}
	sum, err := l.Play(context.Background(), rec)
	if err != nil || sum != (Summary{Passed: 4, Failed: 5}) || sum.OK() {
		t.Errorf("Play = %+v, %v; want 4 passed and 5 failed", sum, err)
	}
	if !strings.HasPrefix(rec.output.String(), "stdout:hello") || len(rec.started) != 9 {
		t.Errorf("output %q, %d steps", rec.output.String(), len(rec.started))
	}
	for i, want := range [][]string{
		nil, nil,
		{`expected stdout with "bye", got "hello"`},
		{`expected exit status not 0, got 0`},
		{`expected exit status 0, got 1`, "(500ms, tried "},
		nil,
		{
			"expected b:81 to be reachable from a, got a refusal (connection refused)",
			"expected nobody to be reachable from a, got no way to it",
			"expected b to be refused from a, got an answer (echo reply, ttl 64)",
			`expected "b" to resolve to 10.0.0.3 in a, got 10.0.0.2`,
		},
		nil,
		{"expected b to see packets from 10.7.0.0/16, got 10.0.0.1"},
	} {
		r := rec.results[i]
		if r.Passed != (want == nil) {
			t.Errorf("step %d: passed %v: %s", i+1, r.Passed, r.Reason)
		}
		for _, w := range want {
			if !strings.Contains(r.Reason, w) {
				t.Errorf("step %d: reason %q; want %q in it", i+1, r.Reason, w)
			}
		}
	}
	if r := rec.results[4]; r.Tries < 2 || r.Elapsed < 40*time.Millisecond {
		t.Errorf("the step with within: %d tries in %s", r.Tries, r.Elapsed)
	}
}

func TestPlayDrops(t *testing.T) {
	l := start(t, `
netsim: 1
fabric:
  switches: {s1: {}}
  routers: {r: {links: {s1: 10.0.0.1/24}}}
  hosts: {a: {links: {s1: 10.0.0.2/24}, gateway: 10.0.0.1}}
steps:
  - {on: a, run: ping -c 1 -W 1 10.5.5.5, expect: {status: not 0, dropped_because: [no-route, {reason: no-route, at: r}]}}
  - {on: a, run: ping -c 1 -W 1 10.0.0.1, expect: {dropped_because: {reason: no-route, at: r}}}
  - {on: a, expect: {refused: 10.5.5.5}}
`, Config{})
	rec := &recorder{}
	if _, err := l.Play(context.Background(), rec); err != nil {
		t.Fatal(err)
	}
	if r := rec.results[0]; !r.Passed {
		t.Error(r.Reason)
	}
	if r := rec.results[1]; r.Passed || !strings.Contains(r.Reason, "expected a drop because of no-route at r, got none: nothing was dropped") {
		t.Errorf("passed %v: %s", r.Passed, r.Reason)
	}
	if r := rec.results[2]; !r.Passed {
		t.Error(r.Reason)
	}
}

func TestStepEndsInTime(t *testing.T) {
	l := start(t, twoHosts+`
steps:
  - {on: a, run: sleep 60}
  - {on: a, run: sleep 60, within: 50ms}
`, Config{StepLimit: 30 * time.Millisecond})
	rec := &recorder{}
	if _, err := l.Play(context.Background(), rec); err != nil {
		t.Fatal(err)
	}
	for i, r := range rec.results {
		if r.Passed || !strings.Contains(r.Reason, "the command did not end in time") {
			t.Errorf("step %d: passed %v: %s", i+1, r.Passed, r.Reason)
		}
	}
	l = start(t, twoHosts+"steps: [{on: a, run: sleep 60}]\n", Config{StepLimit: time.Minute})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.Play(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Play of an ended context: %v", err)
	}
}

func TestConverges(t *testing.T) {
	l := start(t, twoHosts+`
steps:
  - {on: a, expect: {reachable: "b:80", converges_within: 30s}}
  - {on: a, expect: {reachable: "b:81", converges_within: 300ms}}
`, Config{})
	var up sync.Once
	var listening sync.WaitGroup
	eth0, _ := l.MustNode("b").NS().Interface("eth0")
	defer eth0.Taps().Add(fabric.TapFunc(func(_ fabric.Direction, f *fabric.Frame) {
		if s := f.TCP(); s != nil && s.Flags()&wire.RST != 0 { // the first try has failed
			up.Do(func() { listening.Go(func() { serve(l.MustNode("b").Listen("tcp", ":80")) }) })
		}
	}))()
	rec := &recorder{}
	if _, err := l.Play(context.Background(), rec); err != nil {
		t.Fatal(err)
	}
	listening.Wait()
	if r := rec.results[0]; !r.Passed || r.Tries < holdTries+1 {
		t.Errorf("passed %v after %d tries: %s", r.Passed, r.Tries, r.Reason)
	}
	if r := rec.results[1]; r.Passed || !strings.Contains(r.Reason, "did not converge within 300ms") {
		t.Errorf("passed %v: %s", r.Passed, r.Reason)
	}
}

// serve accepts connections and closes them, until the listener ends.
func serve(ln net.Listener, err error) {
	if err != nil {
		return
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
}

func TestSpread(t *testing.T) {
	l := start(t, twoHosts, Config{})
	serve(l.MustNode("b").Listen("tcp", ":80"))
	p := &stepPlayer{lab: l}
	for _, row := range []struct {
		q    topology.Spread
		want string
	}{
		{topology.Spread{To: topology.Probe{Host: "b", Port: 80, Proto: "tcp"}, Requests: 3, Backends: 1}, ""},
		{topology.Spread{To: topology.Probe{Host: "b", Port: 80, Proto: "tcp"}, Requests: 3, Backends: 2},
			"expected b:80 to reach 2 backends from a, got 3 of 3 connections reached 1: b"},
		{topology.Spread{To: topology.Probe{Host: "b", Port: 81, Proto: "tcp"}, Requests: 2, Backends: 1},
			"0 of 2 connections reached 0"},
	} {
		got := p.judgeSpread(soon(t), l.MustNode("a"), row.q)
		if row.want == "" && got != "" || !strings.Contains(got, row.want) {
			t.Errorf("judgeSpread(%+v) = %q; want %q", row.q, got, row.want)
		}
	}
}

func TestProbeUDP(t *testing.T) {
	l := start(t, twoHosts, Config{})
	pc, err := l.MustNode("b").ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(b[:n], from)
		}
	}()
	for _, row := range []struct {
		host string
		port uint16
		want verdict
	}{{"b", 7, answered}, {"b", 9, refused}, {"dns", 53, answered}} {
		if got := probe(soon(t), l.MustNode("a"), topology.Probe{Host: row.host, Port: row.port, Proto: "udp"}); got.verdict != row.want {
			t.Errorf("probe %s:%d/udp = %s; want %s", row.host, row.port, got, verdictTexts[row.want])
		}
	}
}

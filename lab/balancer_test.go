package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/shell"
)

const balancerLab = `
netsim: 1
name: balancer-lab
fabric:
  switches: {office: {}, tor: {}}
  hosts:
    web1: {links: {tor: 192.168.1.2/24}}
    web2: {links: {tor: 192.168.1.3/24}}
    client: {links: {office: 10.20.0.10/24}}
  balancers:
    lb:
      links: {office: 10.20.0.1/24, tor: 192.168.1.100/24}
      listen:
        - {port: 80, mode: http, forwarded: true, backends: ["web1:80", "192.168.1.3:80"], check: {path: /health, interval: 20ms, timeout: 2s, fall: 2}}
        - {port: 81, mode: http, sticky: WHO, backends: ["web1:80", "web2:80"]}
        - {port: 82, balance: leastconn, backends: ["web1:80", "web2:80"], check: {interval: 20ms, timeout: 100ms, fall: 2}}
        - {port: 83, backends: ["web1:7"]}
steps:
  - {name: HTTP in turn, on: client, run: "curl -s lb; curl -s lb", expect: {stdout: [web1, web2], path_includes: [client, office, lb, tor]}, within: 10s}
  - {name: the client's address is passed on, on: client, run: "curl -s lb/from", expect: {stdout: "10.20.0.10 of 192.168.1.100"}}
  - {name: TCP in turn, on: client, run: "curl -s lb:82; curl -s lb:82", expect: {stdout: [web1, web2]}, within: 10s}
  - {name: nobody behind, on: client, run: "curl -s lb:83", expect: {status: 52}, within: 10s}
  - {name: the balancer translates nothing and routes nothing, on: client, run: "ping -c 1 -W 1 192.168.1.2", expect: {status: 2}}
`

// site answers with its name; sick makes its health checks fail.
type site struct {
	name string

	mu   sync.Mutex
	sick bool // guarded by mu
}

func (s *site) set(sick bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sick = sick
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.URL.Path == "/health" && s.sick:
		w.WriteHeader(http.StatusInternalServerError)
	case r.URL.Path == "/from":
		_, _ = fmt.Fprintf(w, "%s of %s\n", r.Header.Get("X-Forwarded-For"), strings.Split(r.RemoteAddr, ":")[0])
	default:
		_, _ = fmt.Fprintln(w, s.name)
	}
}

// openSitesOn opens web servers on hosts of a lab.
func openSitesOn(t *testing.T, l *Lab, hosts ...string) map[string]*site {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	all := map[string]*site{}
	for _, host := range hosts {
		s := &site{name: host}
		all[host] = s
		ln, err := l.MustNode(host).Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _ = image.ServeHTTP(ctx, ln, s) }) // the lab may end first
	}
	return all
}

func TestBalancer(t *testing.T) {
	l := start(t, balancerLab, Config{})
	if got := l.MustNode("lb").Kind(); got != KindBalancer {
		t.Errorf("Kind = %s; want %s", got, KindBalancer)
	}
	sites := openSitesOn(t, l, "web1", "web2")
	rec := &recorder{}
	if _, err := l.Play(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	for _, r := range rec.results {
		if !r.Passed {
			t.Errorf("%s: %s", r.Step.Name, r.Reason)
		}
	}
	first := clientSays(t, l, "curl -si lb:81")
	_, cookie, _ := strings.Cut(first, "Set-Cookie: ")
	cookie, _, _ = strings.Cut(cookie, ";")
	for range 3 {
		again := clientSays(t, l, "curl -s -H 'Cookie: "+cookie+"' lb:81")
		if !strings.HasPrefix(cookie, "WHO=") || !strings.HasSuffix(first, again) {
			t.Errorf("with the cookie %q %q answers after %q", cookie, again, first)
		}
	}
	answers := func(port string) string {
		all := ""
		for range 4 {
			all += clientSays(t, l, "curl -s -m 5 lb:"+port)
		}
		return all
	}
	sites["web2"].set(true)
	eventually(t, "a check that fails takes a backend out", func() bool { return !strings.Contains(answers("80"), "web2") })
	sites["web2"].set(false)
	eventually(t, "and one that succeeds takes it in again", func() bool { return strings.Contains(answers("80"), "web2") })
	set := func(down bool) {
		t.Helper()
		if _, err := l.Link(LinkRequest{From: "web1", To: "tor", Both: true, Change: LinkChange{Down: &down}}); err != nil {
			t.Fatal(err)
		}
	}
	set(true)
	eventually(t, "a cable that is cut takes a backend out", func() bool { return answers("82") == "web2\nweb2\nweb2\nweb2\n" })
	set(false)
	eventually(t, "and one that is in again takes it in", func() bool { return strings.Contains(answers("82"), "web1") })
}

// A balancer tells what each backend answered and what went wrong last, and keeps a log.
func TestWhatABalancerDid(t *testing.T) {
	l := start(t, balancerLab, Config{})
	openSitesOn(t, l, "web1", "web2")
	eventually(t, "both are up", func() bool { return clientSays(t, l, "curl -s lb:81 lb:81 -s") == "web1\nweb2\n" })
	clientSays(t, l, "curl -s lb:81/page; curl -s lb:83")
	says := func(line string) string {
		t.Helper()
		var out bytes.Buffer
		if _, err := l.MustNode("lb").Run(soon(t), line, shell.Stdio{Out: &out, Err: &out}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	stats := says("wget -q -O - http://127.0.0.1:8404/")
	for _, want := range []string{
		`(?m)^PORT +MODE +BACKEND +ADDRESS +STATE +ACTIVE +SERVED +2xx +3xx +4xx +5xx +FAILED +LAST ERROR$`,
		`(?m)^81 +http +web1:80 +192\.168\.1\.2:80 +up +0 +([2-9]) +([2-9]) +0 +0 +0 +`,
		`(?m)^83 +tcp +web1:7 +192\.168\.1\.2:7 +(up|down) +0 +0 +0 +0 +0 +0 +[0-9]+ +.*refused`,
		`(?m)^port 83\nrequests 0\nredirects 0\nconnections 0\nrefused (unreachable|no-backend) 1$`,
	} {
		if !regexp.MustCompile(want).MatchString(stats) {
			t.Errorf("no %s in\n%s", want, stats)
		}
	}
	log := says("cat /var/log/balancer.log")
	for _, want := range []string{
		`msg=request port=81 client=10\.20\.0\.10:[0-9]+ host=lb:81 method=GET uri=/page backend=web[12]:80 status=200 bytes=5 `,
		`msg=refused port=83 reason=(unreachable|no-backend) client=10\.20\.0\.10:`,
	} {
		if !regexp.MustCompile(want).MatchString(log) {
			t.Errorf("no %s in\n%s", want, log)
		}
	}
	if got := says("ls /var/log"); got != "balancer.log\n" {
		t.Errorf("ls /var/log = %q", got)
	}
}

// A log keeps its last lines, in their order.
func TestLogLines(t *testing.T) {
	var log logLines
	for i := range balancerLogLines + 2 {
		_, _ = fmt.Fprintf(&log, "%d\n", i)
	}
	if got := strings.Fields(string(log.text())); len(got) != balancerLogLines || got[0] != "2" || got[len(got)-1] != fmt.Sprint(balancerLogLines+1) {
		t.Errorf("%d lines from %s to %s; want %d from 2", len(got), got[0], got[len(got)-1], balancerLogLines)
	}
}

// clientSays runs a line on the client and returns what it prints.
func clientSays(t *testing.T, l *Lab, line string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := l.MustNode("client").Run(soon(t), line, shell.Stdio{Out: &out}); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), "\r", "")
}

func TestGraphOfABalancer(t *testing.T) {
	spec := parse(t, balancerLab)
	for format, want := range map[string][]string{
		GraphMermaid: {`[\"lb<br/>:80 http roundrobin<br/>:81 http roundrobin<br/>:82 tcp leastconn`, `-.-|":80 to :80, :81 to :80, :82 to :80, :83 to :7"| n3`},
		GraphDOT:     {"shape=invtrapezium", "style=dashed"},
	} {
		got, err := Graph(spec, format)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in\n%s", format, w, got)
			}
		}
	}
}

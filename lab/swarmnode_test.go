package lab_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/lab/labtest"
)

const twoEngines = `
netsim: 1
name: two-engines
fabric:
  switches: {tor: {}}
  hosts:
    node1: {links: {tor: 172.31.34.123/20}, engine: docker}
    node2: {links: {tor: 172.31.43.74/20}, engine: docker}
    client: {links: {tor: 172.31.40.1/20}}
`

// dockerAPI asks the engine of a host, and decodes its answer into v unless that is nil.
func dockerAPI(t *testing.T, l *labtest.Lab, host, method, path, body string, v any) int {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Docker(host).Dial(ctx) }}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://docker"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatalf("%s %s on %s: %v", method, path, host, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(resp.Body)
	if err == nil && v != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatalf("%s %s on %s: %v in %s", method, path, host, err, text)
	}
	return resp.StatusCode
}

// Two hosts that no file has put into a swarm become one over their Docker APIs, run a service, and leave it again.
func TestSwarmByHand(t *testing.T) {
	l := labtest.YAML(t, twoEngines)
	ask := func(host, method, path, body string, v any) {
		t.Helper()
		if status := dockerAPI(t, l, host, method, path, body, v); status >= 300 {
			t.Fatalf("%s %s on %s: status %d", method, path, host, status)
		}
	}
	var id string
	ask("node1", http.MethodPost, "/swarm/init", `{"ListenAddr":"0.0.0.0:2377"}`, &id)
	var swarm struct {
		JoinTokens struct{ Worker, Manager string }
	}
	ask("node1", http.MethodGet, "/swarm", "", &swarm)
	ask("node2", http.MethodPost, "/swarm/join", `{"ListenAddr":"0.0.0.0:2377","RemoteAddrs":["172.31.34.123"],"JoinToken":"`+swarm.JoinTokens.Worker+`"}`, nil)
	if status := dockerAPI(t, l, "node2", http.MethodGet, "/nodes", "", nil); status != http.StatusServiceUnavailable {
		t.Errorf("a worker lists nodes: status %d", status)
	}
	ask("node1", http.MethodPost, "/services/create",
		`{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"}},"Mode":{"Global":{}},"EndpointSpec":{"Ports":[{"TargetPort":80,"PublishedPort":8080}]}}`, nil)
	until(t, "every node serves the page", func() bool {
		for _, addr := range []string{"172.31.34.123", "172.31.43.74"} {
			if _, exit := l.Sh("client", "curl -s -m 1 http://"+addr+":8080/"); exit != 0 {
				return false
			}
		}
		return true
	})
	var ingress struct {
		Options map[string]string
		Peers   []struct{ Name, IP string }
	}
	ask("node2", http.MethodGet, "/networks/ingress", "", &ingress)
	if len(ingress.Peers) != 2 || ingress.Peers[0].Name != "node1" || ingress.Peers[0].IP != "172.31.34.123" {
		t.Errorf("the peers of ingress: %+v", ingress.Peers)
	}
	if got := ingress.Options["com.docker.network.driver.overlay.vxlanid_list"]; got != "256" {
		t.Errorf("ingress has the VXLANs %q; want 256", got)
	}
	serviceEvents(t, l, "create web")
	ask("node1", http.MethodDelete, "/services/web", "", nil)
	serviceEvents(t, l, "remove web")
	ask("node2", http.MethodPost, "/swarm/leave", "", nil)
	ask("node2", http.MethodPost, "/swarm/join", `{"ListenAddr":"0.0.0.0:2377","RemoteAddrs":["172.31.34.123:2377"],"JoinToken":"`+swarm.JoinTokens.Worker+`"}`, nil)
	var nodes []struct{ ID string }
	if ask("node1", http.MethodGet, "/nodes", "", &nodes); len(nodes) != 3 {
		t.Errorf("after a second join there are %d nodes; want 3, one of them gone", len(nodes))
	}
	if status := dockerAPI(t, l, "node1", http.MethodPost, "/swarm/leave", "", nil); status != http.StatusServiceUnavailable {
		t.Errorf("the only manager leaves: status %d", status)
	}
}

// serviceEvents waits for an event of a service on the manager.
func serviceEvents(t *testing.T, l *labtest.Lab, want string) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Docker("node1").Dial(ctx) }}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://docker/events?since=1&type=service", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is only read
	for dec := json.NewDecoder(resp.Body); ; {
		var e struct {
			Type, Action string
			Actor        struct{ Attributes map[string]string }
		}
		if err := dec.Decode(&e); err != nil {
			t.Fatalf("waiting for %s: %v", want, err)
		}
		if e.Type == "service" && e.Action+" "+e.Actor.Attributes["name"] == want {
			return
		}
	}
}

// until waits for something to become true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// What the tasks of a service wrote is read from any manager, from whichever node they are on.
func TestServiceLogs(t *testing.T) {
	l := labtest.YAML(t, twoEngines+`
swarm: {managers: [node1], workers: [node2]}
services:
  talk: {image: busybox, command: [sh, -c, "ping -c 1 localhost; sleep infinity"], mode: global}
`)
	until(t, "the lines of both tasks are there", func() bool {
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Docker("node1").Dial(ctx) }}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("http://docker/services/talk/logs?stdout=1&details=1")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // it is only read
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("GET logs = %d %s, %v", resp.StatusCode, text, err)
		}
		nodes := map[string]bool{}
		for line := range strings.Lines(string(text)) {
			if id, ok := strings.CutPrefix(line[min(8, len(line)):], "com.docker.swarm.node.id="); ok && strings.Contains(line, "1 packets received") {
				nodes[id[:25]] = true
			}
		}
		return len(nodes) == 2
	})
}

package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/topologies"
)

// G6, W31: tasks that die take no requests with them but those that they were answering.
func TestTheRoutingMeshOutlivesTasks(t *testing.T) {
	src, err := topologies.Open("http-routing-mesh")
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, string(src), Config{})
	get := func(path string) string {
		var out bytes.Buffer
		if _, err := l.MustNode("laptop").Run(soon(t), "curl -s -w '%{http_code}' http://red.example.com"+path, shell.Stdio{Out: &out}); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out.String())
	}
	eventually(t, "RED answers by every task of the mesh", func() bool { return inARow(10, func() bool { return strings.HasSuffix(get("/ping"), "200") }) })
	for _, task := range []string{"RED.3", "RED.7"} {
		if err := l.MustNode(task).Container().Kill(soon(t), ""); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for range 30 {
		got := get("/ping")
		if !strings.HasSuffix(got, "200") {
			t.Errorf("after two tasks died a request is answered by %q; want 200", got)
			for _, task := range []string{"ucp-hrm.1", "ucp-hrm.2", "ucp-hrm.3"} {
				t.Logf("%s: %s", task, l.MustNode(task).Container().Logs())
			}
		}
		seen[got] = true
	}
	if len(seen) < 8 { // or more, if their successors are there
		t.Errorf("%d containers answer; want the 8 that are left", len(seen))
	}
}

// inARow tells whether something holds n times. The tasks of a mesh look at the services each in its own second.
func inARow(n int, holds func() bool) bool {
	for range n {
		if !holds() {
			return false
		}
	}
	return true
}

const meshFeaturesLab = `
netsim: 1
name: mesh-features
fabric:
  switches: {tor: {}, office: {}}
  hosts:
    node1: {links: {tor: 192.168.1.2/24}, engine: docker}
    node2: {links: {tor: 192.168.1.3/24}, engine: docker}
    laptop: {links: {office: 10.20.0.10/24}}
  balancers:
    lb:
      links: {office: 10.20.0.1/24, tor: 192.168.1.100/24}
      listen:
        - {port: 80, mode: http, forwarded: true, backends: ["node1:80", "node2:80"]}
        - {port: 443, backends: ["node1:8443", "node2:8443"]}
        - {port: 81, mode: http, backends: ["node1:81"]}
swarm: {managers: [node1], workers: [node2]}
networks:
  ucp-hrm: {driver: overlay}
  other: {driver: overlay}
services:
  ucp-hrm: {image: docker/ucp-hrm, mode: global, networks: [ucp-hrm], ports: ["80:8080", "8443:8443"]}
  proxy: {image: docker/ucp-interlock-proxy, networks: [other], ports: ["81:80"]}
  plain: {image: ubuntu, command: [sleep, "100000"], replicas: 2, networks: [ucp-hrm], ports: ["5000:9000"], labels: {com.docker.ucp.mesh.http: "9000=http://plain"}}
  told:
    image: ubuntu
    command: [sleep, "100000"]
    replicas: 2
    networks: [ucp-hrm]
    ports: ["5001:9000"]
    labels:
      com.docker.ucp.mesh.http.1: external_route=http://told,internal_port=9000,sticky_sessions=SID,include_forwarded_for=true
      com.docker.ucp.mesh.http.2: external_route=sni://told,internal_port=9443
  outside: {image: ubuntu, command: [sleep, "100000"], ports: ["5002:9000"], labels: {com.docker.ucp.mesh.http: "9000=http://outside"}}
  three:
    image: ubuntu
    command: [sleep, "100000"]
    networks: [other]
    labels: {com.docker.lb.hosts: three, com.docker.lb.port: "9000", com.docker.lb.network: other, com.docker.lb.context_root: /app, com.docker.lb.context_root_rewrite: "true"}
`

// meshServer says which task it is and what it is asked; it speaks another protocol when asked to.
func meshServer(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = fmt.Fprintf(w, "%s %s %s [%s]", name, r.Host, r.URL.Path, strings.Join(r.Header.Values("X-Forwarded-For"), ", "))
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}
}

// meshFeatures starts the lab with servers in its tasks. It returns a client on the laptop, whose every host is the balancer, and the
// certificate of the tasks that speak TLS.
func meshFeatures(t *testing.T) (l *Lab, client *http.Client, server *httptest.Server) {
	t.Helper()
	l = start(t, meshFeaturesLab, Config{})
	if err := l.WaitConverged(soon(t)); err != nil {
		t.Fatal(err)
	}
	listen := func(task, port string) net.Listener {
		ln, err := l.MustNode(task).Listen("tcp", port)
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	for _, task := range []string{"plain.1", "plain.2", "told.1", "told.2", "outside.1", "three.1"} {
		s := &http.Server{Handler: meshServer(task)}
		ln, done := listen(task, ":9000"), make(chan struct{})
		go func() { defer close(done); _ = s.Serve(ln) }()
		t.Cleanup(func() { _ = s.Close(); <-done })
		if !strings.HasPrefix(task, "told") {
			continue
		}
		server = httptest.NewUnstartedServer(meshServer(task))
		_ = server.Listener.Close()
		server.Listener = listen(task, ":9443")
		server.StartTLS()
		t.Cleanup(server.Close)
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		return l.MustNode("laptop").Dial(ctx, network, "10.20.0.1:"+port)
	}, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	return l, &http.Client{Transport: tr}, server
}

// TestTheRoutingMeshEndToEnd goes the way of a browser: balancer, ingress, mesh, task (G3, G4, G7, G8, G10, G11).
func TestTheRoutingMeshEndToEnd(t *testing.T) {
	l, client, server := meshFeatures(t)
	get := func(url string, cookies ...*http.Cookie) (status int, body string, resp *http.Response) {
		req, err := http.NewRequestWithContext(soon(t), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cookies {
			req.AddCookie(c)
		}
		if resp, err = client.Do(req); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b), resp
	}
	for _, url := range []string{"http://plain/", "http://told/", "http://three:81/app"} {
		led := func() bool { status, _, _ := get(url); return status == http.StatusOK }
		eventually(t, url+" is led by every task of the mesh", func() bool { return inARow(10, led) })
	}
	_, first, resp := get("http://told/")
	t.Run("G8 the balancer is told of by a route that asks for it", func(t *testing.T) {
		if !strings.HasPrefix(first, "told.") || !strings.Contains(first, " told / [10.20.0.10, 10.255.") {
			t.Errorf("the task sees %q; want the laptop, and an address of ingress", first)
		}
		if _, got, _ := get("http://plain/x"); !strings.HasSuffix(got, " plain /x [10.20.0.10]") {
			t.Errorf("the task sees %q; want what the balancer said of the laptop, and no more", got)
		}
	})
	t.Run("G4 G7 a cookie keeps a client with a task", func(t *testing.T) {
		task, _, _ := strings.Cut(first, " ")
		if len(resp.Cookies()) != 1 || resp.Cookies()[0].Name != "SID" {
			t.Fatalf("cookies = %v; want SID", resp.Cookies())
		}
		for range 10 {
			if _, got, _ := get("http://told/", resp.Cookies()...); !strings.HasPrefix(got, task+" ") {
				t.Errorf("with %s's cookie %q answers", task, got)
			}
		}
	})
	t.Run("G7 TLS is passed on unopened, by its server name", func(t *testing.T) {
		status, got, resp := get("https://told/secret")
		if status != http.StatusOK || !strings.Contains(got, "/secret") || !resp.TLS.PeerCertificates[0].Equal(server.Certificate()) {
			t.Errorf("https://told = %d %q; want a task's page by its own certificate", status, got)
		}
		if r, err := client.Get("https://plain/"); err == nil {
			_ = r.Body.Close()
			t.Error("https://plain is led somewhere; it has no route for TLS")
		}
	})
	t.Run("G3 a service that is not on the mesh's network has no route", func(t *testing.T) {
		if status, body, _ := get("http://outside/"); status != http.StatusServiceUnavailable {
			t.Errorf("http://outside = %d %q; want 503", status, body)
		}
	})
	t.Run("G11 labels of Interlock", func(t *testing.T) {
		if _, got, _ := get("http://three:81/app/page"); !strings.HasPrefix(got, "three.1 three:81 /page ") {
			t.Errorf("http://three:81/app/page = %q; want three.1's /page", got)
		}
	})
	t.Run("a WebSocket goes all the way", func(t *testing.T) { meshWebSocket(t, l) })
	t.Run("all of it is in the sums", func(t *testing.T) {
		var out bytes.Buffer
		for _, task := range []string{"ucp-hrm.1", "ucp-hrm.2"} {
			if _, err := l.MustNode(task).Run(soon(t), "wget -q -O - http://127.0.0.1:8404/", shell.Stdio{Out: &out, Err: &out}); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"ROUTE ", "http://plain ", "sni://told ", "\nrequests ", "refused no-route "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the mesh does not tell %q:\n%s", want, out.String())
			}
		}
	})
}

// meshWebSocket changes the protocol of a connection to a task, and talks on it.
func meshWebSocket(t *testing.T, l *Lab) {
	t.Helper()
	conn, err := l.MustNode("laptop").Dial(soon(t), "tcp", "10.20.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: plain\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade is answered by %+v, %v; want 101", resp, err)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if got, err := r.ReadString('\n'); got != "hello\n" {
		t.Errorf("the task answers %q, %v; want hello", got, err)
	}
}

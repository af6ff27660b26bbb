package image

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/lb/l7"
	"github.com/netsim-lab/netsim/netns"
)

// directory is Services that a test changes.
type directory struct {
	mu      sync.Mutex
	all     []Service     // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced at each change
}

func (d *directory) set(all ...Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = all
	if d.changed != nil {
		close(d.changed)
	}
	d.changed = make(chan struct{})
}

func (d *directory) Services() []Service {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Service(nil), d.all...)
}

func (d *directory) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// sockets is the Net of a namespace.
type sockets struct{ ns *netns.Namespace }

func (s sockets) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return s.ns.Dial(ctx, network, address)
}

func (s sockets) Listen(_ context.Context, network, address string) (net.Listener, error) {
	return s.ns.Listen(network, address)
}

// cluster is a host with a bridge, and containers 10.0.0.2 and up on it: the first is the client, the second runs the mesh.
type cluster struct {
	t   testing.TB
	ctx context.Context
	wg  sync.WaitGroup
	cs  []*netns.Namespace
	dir directory
	log fabrictest.Output
}

func newCluster(t testing.TB, containers int) *cluster {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &cluster{t: t, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		c.wg.Wait()
	})
	host := netns.New(netns.Config{Name: "host", Forward: true})
	br, err := host.AddBridge(netns.InterfaceConfig{Name: "br0", Addr: netip.MustParsePrefix("10.0.0.1/24")})
	if err != nil {
		t.Fatal(err)
	}
	c.run(host)
	for i := range containers {
		ns := netns.New(netns.Config{Name: fmt.Sprint("c", i), Seed: uint64(i)})
		end, _, err := netns.NewVethPair(host, netns.InterfaceConfig{Name: fmt.Sprint("veth", i)}, ns,
			netns.InterfaceConfig{Name: "eth0", Addr: netip.PrefixFrom(container10(i), 24)})
		if err != nil {
			t.Fatal(err)
		}
		if err := end.SetMaster(br); err != nil {
			t.Fatal(err)
		}
		c.run(ns)
		c.cs = append(c.cs, ns)
	}
	return c
}

func container10(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 2)}) }

func (c *cluster) run(ns *netns.Namespace) {
	c.wg.Go(func() {
		if err := ns.Run(c.ctx); err != nil {
			c.t.Error(err)
		}
	})
}

// start runs a program in a container.
func (c *cluster) start(i int, prog Program, argv []string, env ...string) {
	c.wg.Go(func() {
		prog(c.ctx, &Process{Args: argv, Env: env, Hostname: fmt.Sprint("c", i), Net: sockets{c.cs[i]}, Services: &c.dir, Stdout: &c.log, Stderr: &c.log})
	})
}

// serve answers HTTP in a container.
func (c *cluster) serve(i int, address string, h http.Handler) {
	c.t.Helper()
	l, err := c.cs[i].Listen("tcp", address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.wg.Go(func() { _ = ServeHTTP(c.ctx, l, h) }) // its namespace may end first
}

// tasks are those of a service in containers.
func tasks(in ...int) []ServiceTask {
	var all []ServiceTask
	for _, i := range in {
		all = append(all, ServiceTask{Name: fmt.Sprint("t", i), Healthy: true, Addrs: map[string]netip.Addr{"ucp-hrm": container10(i)}})
	}
	return all
}

// onMesh is the mesh's network.
var onMesh = []ServiceNetwork{{Name: "ucp-hrm"}}

func label(value string) map[string]string { return map[string]string{l7.Label: value} }

// dial connects the client to a port of the mesh.
func (c *cluster) dial(port string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	return c.cs[0].Dial(ctx, "tcp", "10.0.0.3:"+port)
}

// get asks the mesh for a page of a host.
func (c *cluster) get(host, path string) (int, string) {
	c.t.Helper()
	conn, err := c.dial("8080")
	if err != nil {
		c.t.Fatal(err)
	}
	return request(c.t, conn, host, path)
}

// request sends a request, and closes the connection once it is answered.
func request(t testing.TB, conn net.Conn, host, path string) (int, string) {
	t.Helper()
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// begin runs the mesh and waits until it serves.
func (c *cluster) begin(argv ...string) {
	c.t.Helper()
	c.start(1, hrm, append([]string{"/bin/ucp-hrm"}, argv...))
	eventually(c.t, "the mesh serves", func() bool {
		conn, err := c.dial("8443")
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// G6: requests go to all containers of the service, in turn; the counters of the demo's page reach all of them.
func TestG6TheMeshSpreadsPings(t *testing.T) {
	c := newCluster(t, 7)
	for i := 2; i < 7; i++ {
		title := "RED"
		if i > 4 {
			title = "WHITE"
		}
		c.start(i, dockerDemo, []string{"docker-demo", "-close-conn"}, "TITLE="+title)
	}
	c.dir.set(Service{Name: "RED", Labels: label("8080=http://red.example.com"), Ports: []uint16{8080}, Networks: onMesh, Tasks: tasks(2, 3, 4)},
		Service{Name: "WHITE", Labels: label("8080=http://white.example.com"), Ports: []uint16{8080}, Networks: onMesh, Tasks: tasks(5, 6)})
	c.begin()
	for _, row := range []struct {
		host, title string
		containers  int
	}{{"red.example.com", "RED", 3}, {"White.Example.com:80", "WHITE", 2}} {
		eventually(t, row.title+" answers", func() bool { status, _ := c.get(row.host, "/ping"); return status == http.StatusOK })
		_, page := c.get(row.host, "/")
		wantContains(t, "page", page, "<h1>"+row.title+"</h1>")
		seen := map[string]int{}
		for range 4 * row.containers {
			_, pong := c.get(row.host, "/ping")
			seen[pong]++
		}
		if len(seen) != row.containers {
			t.Errorf("%s is answered by %v; want %d containers", row.host, seen, row.containers)
		}
		for pong, n := range seen {
			if n != 4 {
				t.Errorf("%s: %d of %s; want 4", row.host, n, strings.TrimSpace(pong))
			}
		}
	}
	if status, body := c.get("blue.example.com", "/"); status != http.StatusServiceUnavailable || !strings.Contains(body, "503 Service Unavailable") {
		t.Errorf("G5: an unknown host is answered by %d %q; want 503", status, body)
	}
}

// The mesh follows the services: what comes, what goes, and what cannot be read.
func TestG3RoutesFollowTheLabels(t *testing.T) {
	for _, told := range []bool{true, false} {
		c := newCluster(t, 4)
		for i := 2; i < 4; i++ {
			c.serve(i, ":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, i) }))
		}
		flags := []string{"-poll=5ms"}
		if told {
			c.dir.set()
			flags = []string{"-poll=1h"}
		}
		put := func(all ...Service) {
			if told {
				c.dir.set(all...)
				return
			}
			c.dir.mu.Lock()
			defer c.dir.mu.Unlock()
			c.dir.all = all
		}
		c.begin(flags...)
		web := Service{Name: "web", Labels: label("80=http://a"), Ports: []uint16{80}, Networks: onMesh, Tasks: tasks(2)}
		becomes := func(host, want string) {
			t.Helper()
			eventually(t, host+" is answered by "+want, func() bool { _, body := c.get(host, "/"); return strings.Contains(body, want) })
		}
		becomes("a", "503")
		put(web)
		becomes("a", "2")
		web.Tasks = tasks(3)
		put(web, Service{Name: "wrong", Labels: label("80=ftp://b"), Ports: []uint16{80}, Networks: onMesh})
		becomes("a", "3")
		eventually(t, "the log names the wrong label", func() bool {
			return strings.Contains(c.log.String(), "service wrong: label com.docker.ucp.mesh.http=80=ftp://b")
		})
		wantContains(t, "log", c.log.String(), "service=web")
		web.Labels = map[string]string{l7.Label + ".1": "external_route=http://"}
		put(web)
		becomes("anything", "3")
		web.Tasks = nil
		put(web)
		becomes("a", "503")
	}
}

func TestRoutesOf(t *testing.T) {
	sick := append(tasks(2), ServiceTask{Name: "sick", Addrs: map[string]netip.Addr{"ucp-hrm": container10(3)}},
		ServiceTask{Name: "elsewhere", Healthy: true, Addrs: map[string]netip.Addr{"other": container10(4)}})
	labels := map[string]string{l7.Label + ".1": "external_route=http://a,internal_port=81", l7.Label + ".2": "external_route=sni://a,internal_port=443"}
	got, err := routesOf([]Service{{Name: "web", Labels: labels, Ports: []uint16{80}, Networks: onMesh, Tasks: sick}, {Name: "plain", Tasks: sick}}, "ucp-hrm")
	want := []l7.Route{
		{Name: "web", Host: "a", Backends: []l7.Backend{{Name: "t2", Addr: netip.AddrPortFrom(container10(2), 81)}}},
		{Name: "web", Kind: l7.TLS, Host: "a", Backends: []l7.Backend{ // G9
			{Name: "t2", Addr: netip.AddrPortFrom(container10(2), 443)}, {Name: "sick", Addr: netip.AddrPortFrom(container10(3), 443)},
		}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("routesOf = %+v, %v; want %+v", got, err, want)
	}
}

// G7: TLS is led on by the name of the server, to a service that has its own certificate.
func TestG7TLSThroughTheMesh(t *testing.T) {
	c := newCluster(t, 3)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
	l, err := c.cs[2].Listen("tcp", ":443")
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = l
	server.StartTLS()
	defer server.Close()
	c.dir.set(Service{Name: "web", Labels: label("external_route=sni://web.example.com,internal_port=443"), Ports: []uint16{443}, Networks: onMesh, Tasks: tasks(2)})
	c.begin()
	raw, err := c.dial("8443")
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{ServerName: "web.example.com", InsecureSkipVerify: true})
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: web.example.com\r\nConnection: close\r\n\r\n")
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(got), "secret") || !conn.ConnectionState().PeerCertificates[0].Equal(server.Certificate()) {
		t.Errorf("answer = %q, %v; want secret, with the server's certificate", got, err)
	}
}

func TestWebSocketThroughTheMesh(t *testing.T) {
	c := newCluster(t, 3)
	c.serve(2, ":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}))
	c.dir.set(Service{Name: "web", Labels: label("http://chat"), Ports: []uint16{80}, Networks: onMesh, Tasks: tasks(2)})
	c.begin()
	conn, err := c.dial("8080")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("upgrade = %+v, %v; want 101", resp, err)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if got, err := br.ReadString('\n'); got != "hello\n" {
		t.Errorf("echo = %q, %v; want hello", got, err)
	}
}

func TestHRMArguments(t *testing.T) {
	for _, row := range []struct {
		argv     []string
		services Services
		exit     int
		want     string
	}{
		{[]string{"ucp-hrm"}, nil, 1, "no part of a swarm"},
		{[]string{"ucp-hrm", "-h"}, nil, 0, "-network"},
		{[]string{"ucp-hrm", "-x"}, nil, 2, "-x"},
		{[]string{"ucp-hrm", "-poll=0s"}, &directory{}, 2, "write a time"},
		{[]string{"ucp-hrm", "-http=nowhere"}, &directory{}, 1, "listen on nowhere"},
	} {
		var out fabrictest.Output
		exit := hrm(context.Background(), &Process{Args: row.argv, Net: host{newLab(t), "m"}, Services: row.services, Stderr: &out})
		if exit != row.exit {
			t.Errorf("%v = %d; want %d", row.argv, exit, row.exit)
		}
		wantContains(t, strings.Join(row.argv, " "), out.String(), row.want)
	}
}

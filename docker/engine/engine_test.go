package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newEngine returns the engine of a host that runs until the test ends, or end is called.
func newEngine(t testing.TB, seed uint64) (e *engine.Engine, host *netns.Namespace, end func()) {
	t.Helper()
	return newEngineOf(t, seed, false)
}

// newEngineOf is newEngine for an engine of 2017 or of today.
func newEngineOf(t testing.TB, seed uint64, modern bool) (e *engine.Engine, host *netns.Namespace, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	spawn := func(run func(ctx context.Context) error) {
		group.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	end = func() { cancel(); group.Wait() }
	t.Cleanup(end)
	host = netns.New(netns.Config{Name: "host-a"})
	spawn(host.Run)
	ctl, err := cnm.New(cnm.Config{Name: "host-a", Host: host, Spawn: spawn, Seed: seed, Modern: modern})
	if err != nil {
		t.Fatal(err)
	}
	return engine.New(engine.Config{
		Name: "host-a", Controller: ctl, Host: host, Spawn: spawn, Seed: seed, StopGrace: 50 * time.Millisecond,
	}), host, end
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// run makes and starts a container.
func run(t testing.TB, e *engine.Engine, cfg engine.ContainerConfig) *engine.Container {
	t.Helper()
	c, err := e.Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLifecycle(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c, err := e.Create(engine.ContainerConfig{Name: "web1", Image: "nginx", Ports: []cnm.PortBinding{{HostPort: 8080, ContainerPort: 80}}})
	if err != nil {
		t.Fatal(err)
	}
	if c.State() != engine.Created || c.NS() != nil || c.Hostname() != c.ID()[:12] {
		t.Errorf("a new container: %s, %v, %s", c.State(), c.NS(), c.Hostname())
	}
	if _, err := c.Exec(soon(t), []string{"true"}, shell.Stdio{}); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("Exec before Start: %v; want ErrNotRunning", err)
	}
	if err := c.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if c.State() != engine.Running || c.NS().Name() != "host-a/web1" || c.PID() == 0 {
		t.Errorf("a running container: %s, %s, %d", c.State(), c.NS().Name(), c.PID())
	}
	if got, want := c.Sandbox().Endpoints()[0].IP(), netip.MustParseAddr("172.17.0.2"); got != want {
		t.Errorf("address %s; want %s", got, want)
	}
	if err := c.Remove(soon(t), engine.RemoveOptions{}); err == nil || !strings.Contains(err.Error(), "container is running: stop the container before removing or force remove") {
		t.Errorf("Remove while it runs: %v", err)
	}
	ns := c.NS()
	if err := c.Stop(soon(t), engine.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ns.Done():
	default:
		t.Error("the namespace outlives its container")
	}
	if c.State() != engine.Exited || c.NS() != nil || c.ExitCode() != 0 {
		t.Errorf("a stopped container: %s, %v, %d; want exited, none, 0", c.State(), c.NS(), c.ExitCode())
	}
	if err := c.Start(soon(t)); err != nil {
		t.Fatalf("second Start: %v", err)
	}
	if err := c.Kill(soon(t), ""); err != nil || c.ExitCode() != 137 {
		t.Errorf("Kill: %v, status %d; want 137", err, c.ExitCode())
	}
	if err := c.Remove(soon(t), engine.RemoveOptions{}); err != nil {
		t.Error(err)
	}
	if err := c.Start(soon(t)); err == nil {
		t.Error("Start of a removed container: no error")
	}
	if len(e.Containers()) != 0 {
		t.Error("a removed container is listed")
	}
}

func TestContainersTalk(t *testing.T) {
	e, host, _ := newEngine(t, 1)
	if _, err := e.Controller().CreateNetwork(cnm.NetworkConfig{Name: "catnet", Subnet: netip.MustParsePrefix("172.19.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	net := []cnm.EndpointConfig{{Network: "catnet"}}
	run(t, e, engine.ContainerConfig{Name: "cat-db", Image: "redis", Networks: net})
	web := run(t, e, engine.ContainerConfig{
		Name: "cat-web", Image: "chrch/web", Networks: net, Env: []string{"DB=cat-db", "ROLE=cat"},
		Ports: []cnm.PortBinding{{HostPort: 8000, ContainerPort: 5000}},
	})
	if addrs, err := web.NS().LookupHost(soon(t), "cat-db"); err != nil || len(addrs) == 0 || addrs[0].String() != "172.19.0.2" {
		t.Errorf("LookupHost(cat-db) = %v, %v; want 172.19.0.2", addrs, err)
	}
	ctx := soon(t)
	for {
		page, err := get(ctx, host, "172.19.0.3:5000")
		if err == nil && strings.Contains(page, "for Cats") && strings.Contains(page, web.Hostname()) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("page %q, %v; log %s", page, err, web.Logs())
		}
		time.Sleep(5 * time.Millisecond) // the web server waits for its database
	}
}

func get(ctx context.Context, ns *netns.Namespace, address string) (string, error) {
	conn, err := ns.Dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // all is read
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	page, err := io.ReadAll(conn)
	return string(page), err
}

func TestExitStatusAndLogs(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	exits := make(chan int, 1)
	c := run(t, e, engine.ContainerConfig{Image: "chrch/web", OnExit: func(code int) { exits <- code }})
	code, err := c.Wait(soon(t))
	if code != 1 || err != nil || c.State() != engine.Exited {
		t.Errorf("Wait = %d, %v, %s; want 1, exited", code, err, c.State())
	}
	if got := string(c.Logs()); got != "Error: no valid role\n" {
		t.Errorf("Logs = %q", got)
	}
	if got := <-exits; got != 1 {
		t.Errorf("OnExit(%d); want 1", got)
	}
	if err := c.Stop(soon(t), engine.StopOptions{}); !errors.Is(err, engine.ErrNotModified) {
		t.Errorf("Stop of an exited container: %v; want ErrNotModified", err)
	}
}

func TestExec(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Name: "db", Image: "redis", Hostname: "rover"})
	var out bytes.Buffer
	if code, err := c.Run(soon(t), "hostname", shell.Stdio{Out: &out}); code != 0 || err != nil || out.String() != "rover\n" {
		t.Errorf("hostname = %d, %v, %q", code, err, out.String())
	}
	out.Reset()
	if _, err := c.Exec(soon(t), []string{"cat", "/etc/hosts"}, shell.Stdio{Out: &out}); err != nil || !strings.Contains(out.String(), "172.17.0.2\trover") {
		t.Errorf("/etc/hosts = %q, %v", out.String(), err)
	}
	out.Reset()
	code, err := c.Exec(soon(t), []string{"redis-cli", "ping"}, shell.Stdio{Out: &out, Err: &out})
	for ctx := soon(t); code != 0 && ctx.Err() == nil; {
		out.Reset()
		code, err = c.Exec(ctx, []string{"redis-cli", "ping"}, shell.Stdio{Out: &out, Err: &out})
	}
	if err != nil || !strings.Contains(out.String(), "PONG") {
		t.Errorf("redis-cli ping = %d, %v, %q", code, err, out.String())
	}
	done := make(chan error)
	go func() {
		_, err := c.Exec(context.Background(), []string{"sleep", "60"}, shell.Stdio{})
		done <- err
	}()
	if err := c.Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	<-done // it ended with its container
}

func TestHostAndNoNetwork(t *testing.T) {
	e, host, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Image: "redis", NetworkMode: "host"})
	if c.NS() != host || c.Hostname() != "host-a" {
		t.Errorf("network host: namespace %s, host name %s", c.NS().Name(), c.Hostname())
	}
	if err := c.Stop(soon(t), engine.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-host.Done():
		t.Error("the host ended with the container")
	default:
	}
	c = run(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"sleep", "60"}, NetworkMode: "none"})
	if got := c.NS().Interfaces(); len(got) != 1 || got[0].Name() != "lo" {
		t.Errorf("network none: %d interfaces; want lo", len(got))
	}
}

func TestNamesAndIDs(t *testing.T) {
	e, _, _ := newEngine(t, 7)
	c, err := e.Create(engine.ContainerConfig{Image: "redis"})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[a-z]+_[a-z]+$`).MatchString(c.Name()) || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(c.ID()) {
		t.Errorf("name %q, id %q", c.Name(), c.ID())
	}
	twin, _, _ := newEngine(t, 7)
	if d, err := twin.Create(engine.ContainerConfig{Image: "redis"}); err != nil || d.ID() != c.ID() || d.Name() != c.Name() {
		t.Errorf("the same seed gives %s and %s, %v", d.Name(), c.Name(), err)
	}
	for _, key := range []string{c.Name(), "/" + c.Name(), c.ID(), c.ID()[:4]} {
		if got, err := e.Container(key); got != c || err != nil {
			t.Errorf("Container(%q) = %v, %v", key, got, err)
		}
	}
	if _, err := e.Container("nobody"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("Container(nobody): %v", err)
	}
	for _, row := range []struct {
		show string
		cfg  engine.ContainerConfig
		want string
	}{
		{"I32", engine.ContainerConfig{Name: c.Name(), Image: "redis"}, "Conflict. The container name \"/" + c.Name() + "\" is already in use by container \"" + c.ID()},
		{"bad name", engine.ContainerConfig{Name: "a b", Image: "redis"}, "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
	} {
		if _, err := e.Create(row.cfg); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %q", row.show, err, row.want)
		}
	}
	var notFound *image.NotFoundError
	if _, err := e.Create(engine.ContainerConfig{Image: "reddis"}); !errors.As(err, &notFound) {
		t.Errorf("unknown image: %v", err)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	run(t, e, engine.ContainerConfig{Name: "web1", Image: "nginx", Ports: []cnm.PortBinding{{HostPort: 8080, ContainerPort: 80}}})
	c, err := e.Create(engine.ContainerConfig{Name: "web2", Image: "nginx", Ports: []cnm.PortBinding{{HostPort: 8080, ContainerPort: 80}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(soon(t)); err == nil || !strings.Contains(err.Error(), "port is already allocated") || c.State() != engine.Created {
		t.Errorf("B28: %v, %s", err, c.State())
	}
	if got := len(e.Controller().Sandboxes()); got != 1 {
		t.Errorf("%d sandboxes; want 1", got)
	}
}

func TestEverythingEndsWithTheGroup(t *testing.T) {
	e, _, end := newEngine(t, 1)
	for range 5 {
		run(t, e, engine.ContainerConfig{Image: "nginx"})
	}
	start := time.Now()
	end()
	if d := time.Since(start); d > 8*time.Second {
		t.Errorf("the end took %s", d)
	}
	for _, c := range e.Containers() {
		if c.State() != engine.Exited {
			t.Errorf("%s is %s", c.Name(), c.State())
		}
	}
}

package api

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/swarmkit/v2/log"
	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) {
	log.L.Logger.SetOutput(io.Discard) // swarmkit's parts, which the swarm of these tests is made of, have nobody to read it
	goleak.VerifyTestMain(m)
}

// rig is a server of an engine that run until the test ends.
type rig struct {
	t      testing.TB
	s      *Server
	engine *engine.Engine
	socket string
	client *http.Client
	stop   func() // ends all of it, and waits
}

// newRig serves a new engine, on a socket and in memory.
func newRig(t testing.TB, change ...func(*Config)) *rig {
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
	stop := func() { cancel(); group.Wait() }
	t.Cleanup(stop)
	cfg := Config{Socket: filepath.Join(shortDir(t), "host1.sock")}
	for _, f := range change {
		f(&cfg)
	}
	host := netns.New(netns.Config{Name: "host1"})
	spawn(host.Run)
	ctl, err := cnm.New(cnm.Config{Name: "host1", Host: host, Spawn: spawn, Seed: 1, Modern: cfg.Modern})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Engine = engine.New(engine.Config{
		Name: "host1", Controller: ctl, Host: host, Spawn: spawn, Seed: 1, StopGrace: 50 * time.Millisecond,
	})
	r := &rig{t: t, s: New(cfg), engine: cfg.Engine, socket: cfg.Socket, stop: stop}
	spawn(r.s.Run)
	select {
	case <-r.s.Ready():
	case <-time.After(time.Minute):
		t.Fatal("the server does not serve")
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return r.s.Dial(ctx) }}
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// do sends a request and returns the status and the body of the answer.
func (r *rig) do(method, path, body string) (int, string) {
	r.t.Helper()
	resp := r.open(method, path, body)
	defer resp.Body.Close() //nolint:errcheck // it was read
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, strings.TrimSuffix(string(b), "\n")
}

// open sends a request and returns the answer once its head is there.
func (r *rig) open(method, path, body string) *http.Response {
	r.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(soon(r.t), method, "http://docker"+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// get decodes the answer of a GET, which must have the status 200.
func (r *rig) get(path string, v any) {
	r.t.Helper()
	status, body := r.do(http.MethodGet, path, "")
	if status != http.StatusOK {
		r.t.Fatalf("GET %s = %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		r.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

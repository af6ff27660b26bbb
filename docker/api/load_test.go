package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
)

// TestManyClients has 16 clients make, connect, look at and remove containers on networks of their own and shared ones.
// What is left is consistent, and every address is free again.
func TestManyClients(t *testing.T) {
	r := newRig(t)
	if status, body := r.do("POST", "/networks/create", `{"Name":"shared","IPAM":{"Config":[{"Subnet":"10.9.0.0/24"}]}}`); status != 201 {
		t.Fatalf("create: %d %s", status, body)
	}
	r.do("POST", "/images/create?fromImage=busybox&tag=latest", "")
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	var clients sync.WaitGroup
	for n := range 16 {
		clients.Go(func() {
			for i := range rounds {
				if err := r.round(fmt.Sprintf("c%d-%d", n, i), n%4 == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	var left []json.RawMessage
	if r.get("/containers/json?all=1", &left); len(left) != 0 {
		t.Errorf("%d containers are left", len(left))
	}
	for _, name := range []string{"bridge", "shared"} {
		var n network.Inspect
		if r.get("/networks/"+name, &n); len(n.Containers) != 0 {
			t.Errorf("network %s has %v", name, n.Containers)
		}
	}
	// The lowest address is free again (I10).
	r.run("probe", `{"Image":"busybox","Cmd":["sleep","infinity"],"HostConfig":{"NetworkMode":"shared"}}`)
	var n network.Inspect
	r.get("/networks/shared", &n)
	for _, ep := range n.Containers {
		if ep.IPv4Address != "10.9.0.2/24" {
			t.Errorf("the next container has %s; want 10.9.0.2/24", ep.IPv4Address)
		}
	}
}

// round is what one client does once. Some clients also end the container by force.
func (r *rig) round(name string, force bool) error {
	expect := func(method, path, body string, want int) error {
		req, err := http.NewRequest(method, "http://docker"+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := r.client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // it is read
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != want {
			err = fmt.Errorf("%s %s = %d %s; want %d", method, path, resp.StatusCode, text, want)
		}
		return err
	}
	steps := []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/networks/create", fmt.Sprintf(`{"Name":"net-%s","IPAM":{"Config":[]}}`, name), 201},
		{"POST", "/containers/create?name=" + name, idle, 201},
		{"POST", "/networks/shared/connect", fmt.Sprintf(`{"Container":%q}`, name), 200},
		{"POST", "/containers/" + name + "/start", "", 204},
		{"POST", "/networks/net-" + name + "/connect", fmt.Sprintf(`{"Container":%q}`, name), 200},
		{"GET", "/containers/" + name + "/json", "", 200},
		{"GET", "/containers/json?all=1", "", 200},
		{"GET", "/networks/shared", "", 200},
		{"POST", "/networks/net-" + name + "/disconnect", fmt.Sprintf(`{"Container":%q}`, name), 200},
		{"POST", "/containers/" + name + "/kill", "", 204},
		{"DELETE", "/containers/" + name, "", 204},
		{"DELETE", "/networks/net-" + name, "", 204},
	}
	for i, s := range steps {
		if force && i == 9 {
			s.method, s.path, s.want = "DELETE", "/containers/"+name+"?force=1", 204
		} else if force && i == 10 {
			continue
		}
		if err := expect(s.method, s.path, s.body, s.want); err != nil {
			return err
		}
	}
	return nil
}

// TestContainersAreQuick makes and starts 200 containers: each takes less than 5 ms of a machine that has nothing else to
// do. The quickest tenth counts, for a busy one only adds.
func TestContainersAreQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	r := newRig(t)
	r.do("POST", "/images/create?fromImage=busybox&tag=latest", "")
	var took []time.Duration
	for i := range 200 {
		began := time.Now()
		r.launch(fmt.Sprintf("c%d", i))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("create and start of a container: quickest tenth %s, median %s, worst %s", took[20], took[100], took[199])
	if took[20] > 5*time.Millisecond && !raced {
		t.Errorf("a container takes %s; want less than 5ms", took[20])
	}
	began := time.Now()
	var list []json.RawMessage
	r.get("/containers/json", &list)
	t.Logf("a list of %d containers: %s", len(list), time.Since(began))
}

// launch makes and starts a container whose image is there.
func (r *rig) launch(name string) {
	r.t.Helper()
	if status, body := r.do("POST", "/containers/create?name="+name, idle); status != 201 {
		r.t.Fatalf("create: %d %s", status, body)
	}
	if status, body := r.do("POST", "/containers/"+name+"/start", ""); status != 204 {
		r.t.Fatalf("start: %d %s", status, body)
	}
}

// How often docker ps is measured: until the best runs are near enough to each other, for a busy machine only adds to them.
const (
	roundTripsFew, roundTripsMany = 15, 80
	roundTripRatio                = 1.3
)

// TestRoundTrip compares docker ps with the same against a server that has the answer in its hand. The runs alternate.
func TestRoundTrip(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	r := newRig(t)
	c := newCLI(t, r)
	r.do("POST", "/images/create?fromImage=busybox&tag=latest", "")
	for i := range 10 {
		r.launch(fmt.Sprintf("c%d", i))
	}
	_, answer := r.do("GET", "/containers/json", "")
	trivial := filepath.Join(shortDir(t), "trivial.sock")
	serveTrivial(t, trivial, answer)
	ours, theirs := time.Hour, time.Hour
	ratio := func() float64 { return float64(ours) / float64(theirs) }
	for n := 0; n < roundTripsFew || n < roundTripsMany && ratio() > roundTripRatio && !raced; n++ {
		ours = min(ours, c.ps(r.socket))
		theirs = min(theirs, c.ps(trivial))
	}
	t.Logf("docker ps: %s, of a trivial server %s: ratio %.2f", ours, theirs, ratio())
	if ratio() > roundTripRatio && !raced {
		t.Errorf("ratio %.2f; want %.1f at most", ratio(), roundTripRatio)
	}
}

// ps returns how long docker ps takes that lists ten containers.
func (c *cli) ps(socket string) time.Duration {
	c.t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(soon(c.t), "docker", "-H", "unix://"+socket, "ps")
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != 11 {
		c.t.Fatalf("docker ps: %v\n%s", err, out)
	}
	return time.Since(began)
}

// serveTrivial answers every request for containers with the same bytes.
func serveTrivial(t *testing.T, path, answer string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", Version)
		w.Header().Set("Ostype", "linux")
		if strings.HasSuffix(r.URL.Path, "/json") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Shutdown(context.Background()); <-done })
}

func BenchmarkList(b *testing.B) {
	r := newRig(b)
	r.do("POST", "/images/create?fromImage=busybox&tag=latest", "")
	for i := range 10 {
		r.launch(fmt.Sprintf("c%d", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if status, _ := r.do("GET", "/containers/json", ""); status != 200 {
			b.Fatal(status)
		}
	}
}

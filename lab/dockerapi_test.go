package lab

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/api"
)

const dockerLab = `
netsim: 1
name: docker-lab
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.2/24}, engine: docker}
    control: {links: {tor: 192.168.1.3/24}, engine: docker}
    client: {links: {tor: 192.168.1.4/24}}
swarm: {managers: [host-a], workers: [control]}
containers:
  web1: {host: host-a, image: nginx, ports: ["8080:80"]}
`

// ask gets a path of a host's Docker API and decodes the answer.
func ask(t *testing.T, dial func(ctx context.Context) (net.Conn, error), path string, v any) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(soon(t), http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %d, %v", path, resp.StatusCode, err)
	}
}

func TestDockerAPI(t *testing.T) {
	runtimeDir(t)
	l := start(t, dockerLab, Config{Control: true})
	for host, want := range map[string]string{"host-a": "host-a.sock", "control": "control-docker.sock"} {
		path := filepath.Join(Dir("docker-lab"), want)
		if got := l.Docker(host).Socket(); got != path {
			t.Errorf("socket of %s: %s; want %s", host, got, path)
		}
		fi, err := os.Stat(path)
		if err != nil || fi.Mode().Perm() != 0o600 || fi.Mode()&fs.ModeSocket == 0 {
			t.Errorf("%s: %v, %v", path, fi, err)
		}
	}
	if l.Docker("client") != nil {
		t.Error("a host without an engine has a Docker API")
	}
	onSocket := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.Docker("host-a").Socket())
	}
	for _, dial := range []func(context.Context) (net.Conn, error){l.Docker("host-a").Dial, onSocket} {
		var list []struct {
			Names []string
			Image string
			Ports []struct{ PublicPort uint16 }
		}
		ask(t, dial, "/v1.50/containers/json", &list)
		if len(list) != 1 || list[0].Names[0] != "/web1" || list[0].Image != "nginx" {
			t.Errorf("containers of host-a: %+v", list)
		}
	}
	for host, manager := range map[string]bool{"host-a": true, "control": false} {
		var info struct {
			Name  string
			Swarm struct {
				LocalNodeState, NodeID, NodeAddr string
				ControlAvailable                 bool
				Nodes                            int
			}
		}
		ask(t, l.Docker(host).Dial, "/info", &info)
		if info.Name != host || info.Swarm.LocalNodeState != "active" || info.Swarm.ControlAvailable != manager ||
			len(info.Swarm.NodeID) != 25 || !strings.HasPrefix(info.Swarm.NodeAddr, "192.168.1.") {
			t.Errorf("info of %s: %+v", host, info)
		}
	}
}

// TestDockerSocketTooLong leaves a socket out whose path nobody could open, and keeps the lab.
func TestDockerSocketTooLong(t *testing.T) {
	runtimeDir(t)
	long := strings.Repeat("h", 60)
	l := start(t, strings.ReplaceAll(dockerLab, "host-a", long), Config{Control: true})
	path := filepath.Join(Dir("docker-lab"), long+".sock")
	if err := api.CheckSocket(path); err == nil {
		t.Skipf("%s is short enough here", path)
	}
	if got := l.Docker(long).Socket(); got != "" {
		t.Errorf("socket %s", got)
	}
	var v any
	ask(t, l.Docker(long).Dial, "/version", &v)
}

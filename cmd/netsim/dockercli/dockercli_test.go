package dockercli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/cmd/netsim/dockercli"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newHost returns a host that has docker.
func newHost(e *fakeEngine) *shell.System {
	return &shell.System{NS: netns.New(netns.Config{Name: "host-a"}), Flavour: shell.Host,
		Extra: map[string]shell.Tool{"docker": dockercli.Tool(e.dial)}}
}

// run runs a script on a host and returns what it prints.
func run(t *testing.T, sys *shell.System, script string, in io.Reader) (out, errOut string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var o, e bytes.Buffer
	code, err := shell.Run(ctx, sys, script, shell.Stdio{In: in, Out: &o, Err: &e})
	if err != nil {
		t.Fatalf("%s: %v (stderr %q)", script, err, e.String())
	}
	return o.String(), e.String(), code
}

func TestLines(t *testing.T) {
	const id = "aaaaaaaaaaaa"
	for _, row := range []struct {
		name, script, in string
		out, err         string // what they contain
		code             int
	}{
		{name: "a list", script: "docker network ls", out: "bbbbbbbbbbbb   bridge    bridge    local\n"},
		{name: "in a pipe", script: "docker ps | grep -c web1", out: "1\n"},
		{name: "in a substitution", script: "echo id=$(docker ps -q)", out: "id=" + id + "\n"},
		{name: "a format", script: "docker ps --format '{{.Names}}'", out: "web1\n"},
		{name: "usage goes to standard error (G101)", script: "docker network", err: "Manage networks"},
		{name: "help", script: "docker run --help", out: "Create and run a new container from an image"},
		{name: "help of help", script: "docker help network", out: "Usage:  docker network COMMAND"},
		{name: "no help", script: "docker help nothing", err: "unknown help topic: nothing", code: 1},
		{name: "of the engine's kind", script: "docker swarm --help", out: "Initialize a swarm"},
		{name: "version", script: "docker --version", out: "Docker version 28.5.2, build "},
		{name: "no such command", script: "docker nonsense", code: 1,
			err: "docker: unknown command: docker nonsense\n\nRun 'docker --help' for more information\n"},
		{name: "no plug-in (X150)", script: "docker compose up", code: 1,
			err: "docker: unknown command: docker compose\n\nRun 'docker --help' for more information\n"},
		{name: "bad flag", script: "docker run --nonsense x", code: 125,
			err: "unknown flag: --nonsense\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'docker run --help' for more information\n"},
		{name: "bad flag in front", script: "docker --nonsense ps", code: 125, err: "unknown flag: --nonsense"},
		{name: "too few arguments", script: "docker rm", code: 1, err: "'docker rm' requires at least 1 argument"},
		{name: "the engine's error", script: "docker network rm bridge", code: 1,
			err: "Error response from daemon: bridge is a pre-defined network and cannot be removed\n"},
		{name: "exec", script: "docker exec plain cat", out: "hello\n", err: "oops\n", code: 7},
		{name: "exec of nobody", script: "docker exec nobody cat", err: "No such container: nobody", code: 1},
		{name: "exec with an input", script: "echo words | docker exec -i plain cat", out: "hello\nwords\n", code: 7},
		{name: "an input that another call leaves alone", script: "echo words | docker exec -i plain$(docker ps -q) cat", out: "hello\nwords\n", code: 7},
		{name: "exec on no terminal (X105)", script: "docker exec -it tty sh", in: "x\n", code: 1, err: "the input device is not a TTY\n"},
		{name: "exec -it where nobody types", script: "docker exec -it tty sh", out: "hello\n", code: 7},
		{name: "run -it where nobody types", script: "docker run -it busybox sh", out: "hello\n", code: 7},
		{name: "run with an input", script: "echo words | docker run -i busybox cat", out: "hello\nwords\n", code: 7},
		{name: "the host's variables", script: "export A=1; docker exec -e A -e B=2 -e NOT_THERE plain env", out: "hello", code: 7},
		{name: "another engine", script: "docker -H unix:///nowhere.sock ps", code: 1,
			err: "Cannot connect to the Docker daemon at unix:///nowhere.sock. Is the docker daemon running?\n"},
		{name: "another engine by the environment", script: "DOCKER_HOST=unix:///nowhere.sock docker ps", code: 1,
			err: "Cannot connect to the Docker daemon at unix:///nowhere.sock. Is the docker daemon running?\n"},
		{name: "an engine by ssh", script: "docker -H ssh://x ps", code: 1, err: "unix:// and tcp://"},
		{name: "no login", script: "docker login", code: 1, err: "docker login: inside a lab"},
		{name: "no build", script: "docker image build .", code: 1, err: "docker image build: images cannot be built inside a lab"},
		{name: "no such file", script: "docker run --env-file /no/file busybox", code: 125, err: "open /no/file: no such file or directory"},
		{name: "stats of one time", script: "docker stats --no-stream --format '{{.Name}}'", out: "web1\n"},
		{name: "contexts", script: "docker context ls -q", out: "default\n"},
		{name: "completion", script: "docker __complete network r 2>/dev/null", out: "rm\tRemove one or more networks\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var in io.Reader
			if row.in != "" {
				in = strings.NewReader(row.in)
			}
			out, errOut, code := run(t, newHost(newFakeEngine(t)), row.script, in)
			if code != row.code || !strings.Contains(out, row.out) || !strings.Contains(errOut, row.err) {
				t.Errorf("%s: exit %d, stdout %q, stderr %q; want %d, %q, %q", row.script, code, out, errOut, row.code, row.out, row.err)
			}
		})
	}
}

// Nothing of the real machine is in what docker asks for.
func TestEnvironmentIsTheHosts(t *testing.T) {
	t.Setenv("SECRET", "of the real machine")
	t.Setenv("DOCKER_HOST", "unix:///of/the/real/machine")
	t.Setenv("DOCKER_CONTENT_TRUST", "1")
	e := newFakeEngine(t)
	sys := newHost(e)
	run(t, sys, "export A=1; echo C=3 >/env; docker run -d -e A -e SECRET -e B=2 --env-file /env busybox", nil)
	var body struct{ Env []string }
	if err := json.Unmarshal([]byte(e.body("/containers/create")), &body); err != nil {
		t.Fatal(err)
	}
	slices.Sort(body.Env) // docker's own order is none
	if want := []string{"A=1", "B=2", "C=3"}; !slices.Equal(body.Env, want) {
		t.Errorf("the container's environment = %q, want %q", body.Env, want)
	}
}

// Nor is anything of it in what docker reads of Compose files, lists of variables and the files that they name.
func TestFilesAreTheHosts(t *testing.T) {
	real := filepath.Join(t.TempDir(), "real")
	if err := os.WriteFile(real, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET", "of the real machine")
	for _, row := range []struct {
		name, script string
		want, err    string
	}{
		{"variables in a file", "export A=1; echo A >/e; echo SECRET >>/e; docker create --env-file /e busybox; docker exec plain cat", "hello", ""},
		{"a service's variables", "docker service update --env-add SECRET web", "", ""},
		{"interpolated", `export A=1; printf 'services: {w: {image: "r:${A}${SECRET}", environment: [A, SECRET, "B="]}}' | docker stack config -c -`,
			"image: r:1", ""},
		{"not interpolated", `printf 'services: {w: {image: "r:${SECRET}"}}' >/c; docker stack config --skip-interpolation -c /c`,
			"image: r:${SECRET}", ""},
		{"variables of a service in a file", `echo A=2 >/e; echo SECRET >>/e; printf 'services: {w: {image: r, env_file: e}}' >/c; docker stack config -c /c`,
			`A: "2"`, ""},
		{"a secret of the real machine", "printf 'secrets: {s: {file: " + real + "}}' >/c; docker stack config -c /c", "", "no such file"},
		{"a variable that must be", "printf 'services: {w: {image: \"r:${SECRET:?is missing}\"}}' >/c; docker stack config -c /c", "", "is missing"},
		{"a profile of the real machine", "docker create --security-opt seccomp=" + real + " busybox", "", "no such file"},
		{"an authority of the real machine", "docker swarm init --external-ca protocol=cfssl,url=https://x,cacert=" + real, "", "no such file"},
		{"no Compose file", "docker stack deploy x", "", "Specify a Compose file (with --compose-file)"},
		{"no name", "docker stack deploy -c /c ''", "", "invalid stack name"},
		{"completions", "docker __complete run -e SEC 2>/dev/null", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newFakeEngine(t)
			out, errOut, _ := run(t, newHost(e), row.script, nil)
			if !strings.Contains(out, row.want) || !strings.Contains(errOut, row.err) {
				t.Errorf("%s: stdout %q, stderr %q; want %q, %q", row.script, out, errOut, row.want, row.err)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if all := fmt.Sprint(out, errOut, e.bodies); strings.Contains(all, "of the real machine") || strings.Contains(out, "SECRET\n") {
				t.Errorf("%s shows the real machine: %s", row.script, all)
			}
		})
	}
}

func TestConcurrentCalls(t *testing.T) {
	e := newFakeEngine(t)
	sys := newHost(e)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			script, want := "docker ps -q", "aaaaaaaaaaaa\n"
			switch i % 4 {
			case 1:
				script, want = fmt.Sprintf("docker exec plain%d cat", i), "hello\n"
			case 2:
				script, want = fmt.Sprintf("docker exec -it tty%d cat", i), "hello\n"
			case 3:
				script, want = "docker help network | head -1; docker --help >/dev/null; docker network ls -q", "\nbbbbbbbbbbbb\n"
			}
			if out, errOut, _ := run(t, sys, script, nil); !strings.Contains(out, want) {
				t.Errorf("%s: stdout %q, stderr %q; want %q", script, out, errOut, want)
			}
		})
	}
	group.Wait()
}

// Ctrl-C ends a foreground container as docker does: with SIGINT, and with the status of the program.
func TestInterrupt(t *testing.T) {
	for _, row := range []struct{ script, signal string }{
		{"docker run busybox stays", "SIGINT"},
		{"docker attach stays", "SIGINT"},
		{"docker exec stays cat", ""},
	} {
		t.Run(row.script, func(t *testing.T) {
			e := newFakeEngine(t)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			out := &until{text: "hello", then: cancel}
			code, err := shell.RunArgs(ctx, newHost(e), strings.Fields(row.script), shell.Stdio{Out: out, Err: io.Discard})
			if code != 130 || !errors.Is(err, context.Canceled) {
				t.Errorf("%s = %d, %v; want 130, %v", row.script, code, err, context.Canceled)
			}
			if asked := e.asked(); strings.Contains(asked, "/kill") != (row.signal != "") {
				t.Errorf("the engine was asked for\n%s\nwant a kill: %v", asked, row.signal != "")
			}
			if row.signal == "" {
				e.killed <- "the end of the test"
			}
		})
	}
}

// Ctrl-C ends docker stats, which would go on without its containers.
func TestInterruptStats(t *testing.T) {
	for _, script := range []string{"docker stats", "docker stats web1", "docker container stats --all"} {
		t.Run(script, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			out := &until{text: "\033[Hweb1 aaaaaaaaaaaa \033[K\n\033[J", then: cancel}
			argv := append(strings.Fields(script), "--format", "{{.Name}} {{.ID}}")
			code, err := shell.RunArgs(ctx, newHost(newFakeEngine(t)), argv, shell.Stdio{Out: out, Err: io.Discard})
			if code != 130 || !errors.Is(err, context.Canceled) {
				t.Errorf("%s = %d, %v; want 130, %v", script, code, err, context.Canceled)
			}
		})
	}
}

// until is a writer that does something when a text was written.
type until struct {
	mu   sync.Mutex
	b    []byte
	text string
	then func()
}

func (u *until) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.b = append(u.b, b...); strings.Contains(string(u.b), u.text) {
		u.then()
	}
	return len(b), nil
}

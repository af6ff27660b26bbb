package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/engine"
)

func TestImages(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	if len(e.Images()) != 0 {
		t.Fatal("a new engine has images")
	}
	if _, err := e.Create(engine.ContainerConfig{Image: "nginx", Pull: engine.PullNever}); !errors.Is(err, engine.ErrNotFound) || err.Error() != "No such image: nginx:latest" {
		t.Errorf("create without the image: %v", err)
	}
	var lines []string
	var size int64
	info, err := e.Pull(soon(t), "docker.io/library/nginx:1.25-alpine", func(p engine.PullProgress) {
		if p.Status == "Extracting" {
			size += p.Total
		}
		lines = append(lines, strings.TrimSpace(p.ID+" "+p.Status))
	})
	if err != nil {
		t.Fatal(err)
	}
	if lines[0] != "1.25-alpine Pulling from library/nginx" || lines[len(lines)-2] != "Digest: "+info.Image.Digest ||
		lines[len(lines)-1] != "Status: Downloaded newer image for nginx:1.25-alpine" || size != info.Size {
		t.Errorf("pull says %q, of %d bytes", lines, size)
	}
	lines = nil
	if _, err := e.Pull(soon(t), "nginx:1.25-alpine", func(p engine.PullProgress) { lines = append(lines, p.Status) }); err != nil ||
		lines[len(lines)-1] != "Status: Image is up to date for nginx:1.25-alpine" || len(lines) != 3 {
		t.Errorf("the second pull: %q, %v", lines, err)
	}
	for _, row := range []struct {
		ref  string
		kind error
		want string
	}{
		{"nosuch", engine.ErrNotFound, "pull access denied for nosuch, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"},
		{"nginx:rubbish", engine.ErrNotFound, "manifest for nginx:rubbish not found: manifest unknown: manifest unknown"},
		{"NGINX", engine.ErrInvalid, "invalid reference format: repository name (NGINX) must be lowercase"},
	} {
		if _, err := e.Pull(soon(t), row.ref, nil); !errors.Is(err, row.kind) || err.Error() != row.want {
			t.Errorf("pull %s: %v; want %s", row.ref, err, row.want)
		}
	}
	gone, cancel := context.WithCancel(soon(t))
	cancel()
	if _, err := e.Pull(gone, "redis", nil); !errors.Is(err, context.Canceled) || len(e.Images()) != 1 {
		t.Errorf("a pull that was given up: %v, %d images", err, len(e.Images()))
	}
	if err := e.Tag("nginx:1.25-alpine", "mine/web:v1"); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"mine/web:v1", "nginx:1.25-alpine", info.ID, info.ID[:20], info.ID[7:19], "nginx@" + info.Image.Digest} {
		if got, err := e.Image(ref); err != nil || got.ID != info.ID || !slices.Equal(got.RepoTags, []string{"nginx:1.25-alpine", "mine/web:v1"}) {
			t.Errorf("Image(%s) = %+v, %v", ref, got.RepoTags, err)
		}
	}
	if c := create(t, e, engine.ContainerConfig{Image: "mine/web:v1", Pull: engine.PullNever}); c.Image().ID != info.ID[7:] {
		t.Error("a container of a tag is of another image")
	}
}

func TestRemoveImage(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Name: "c1", Image: "nginx"})
	id := c.Image().ID
	check := func(ref string, force bool, want string) {
		t.Helper()
		changes, err := e.RemoveImage(ref, force)
		if err == nil {
			err = errors.New(fmt.Sprint(len(changes), " ", changes[0]))
		}
		if err.Error() != want {
			t.Errorf("rmi %s, force %v: %v; want %s", ref, force, err, want)
		}
	}
	check("nginx", false, fmt.Sprintf("conflict: unable to remove repository reference \"nginx\" (must force) - container %s is using its referenced image %s", c.ID()[:12], id[:12]))
	check(id[:12], true, fmt.Sprintf("conflict: unable to delete %s (cannot be forced) - image is being used by running container %s", id[:12], c.ID()[:12]))
	if err := e.Tag("nginx", "other"); err != nil {
		t.Fatal(err)
	}
	check(id[:12], false, fmt.Sprintf("conflict: unable to delete %s (must be forced) - image is referenced in multiple repositories", id[:12]))
	check("other", false, "1 {other:latest }")
	check("other", false, "No such image: other:latest")
	if err := c.Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	check(id, false, fmt.Sprintf("conflict: unable to delete %s (must be forced) - image is being used by stopped container %s", id[:12], c.ID()[:12]))
	layers := len(c.Image().Layers())
	check("nginx", true, fmt.Sprint(3+layers, " {nginx:latest }"))
	if err := c.Start(soon(t)); err != nil {
		t.Errorf("a container outlives its image: %v", err)
	}
	if _, err := e.Pull(soon(t), "redis", nil); err != nil {
		t.Fatal(err)
	}
	if changes, freed := e.PruneImages(false); len(changes) != 0 || freed != 0 {
		t.Errorf("prune removed %v", changes)
	}
	if changes, freed := e.PruneImages(true); len(changes) == 0 || freed == 0 || len(e.Images()) != 0 {
		t.Errorf("prune -a removed %v", changes)
	}
}

func TestExecInstances(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Name: "c1", Image: "busybox", Command: []string{"sleep", "600"}, Env: []string{"A=container"}})
	start := func(cfg engine.ExecConfig, in string) (out, errs string, info engine.ExecInfo) {
		t.Helper()
		x, err := c.CreateExec(cfg)
		if err != nil {
			t.Fatal(err)
		}
		stdout, stderr := newScreen(), newScreen()
		streams := engine.ExecStreams{Stdout: stdout, Stderr: stderr}
		if in != "" {
			streams.Stdin = strings.NewReader(in)
		}
		if err := x.Start(soon(t), streams); err != nil {
			t.Fatal(err)
		}
		if err := x.Start(soon(t), streams); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("started twice: %v", err)
		}
		found, err := e.Exec(x.ID())
		if err != nil || found != x {
			t.Errorf("Exec(%s) = %v, %v", x.ID(), found, err)
		}
		return stdout.String(), stderr.String(), x.Inspect()
	}
	for _, row := range []struct {
		show string
		cfg  engine.ExecConfig
		in   string
		out  string
		errs string
		exit int
	}{
		{"streams and status", engine.ExecConfig{Args: []string{"sh", "-c", "echo hi; echo oops >&2; exit 5"}}, "", "hi\n", "oops\n", 5},
		{"environment and directory", engine.ExecConfig{Args: []string{"sh", "-c", "echo $A $B; pwd"}, Env: []string{"B=exec"}, WorkingDir: "/tmp"}, "", "container exec\n/tmp\n", "", 0},
		{"input", engine.ExecConfig{Args: []string{"cat"}, Stdin: true}, "typed", "typed", "", 0},
		{"no such program", engine.ExecConfig{Args: []string{"nosuch"}}, "",
			"OCI runtime exec failed: exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH: unknown\n", "", 127},
		{"a terminal", engine.ExecConfig{Args: []string{"sh", "-c", "echo a; echo b >&2"}, TTY: true}, "", "a\r\nb\r\n", "", 0},
		{"a shell on a terminal", engine.ExecConfig{Args: []string{"sh"}, TTY: true, Stdin: true}, "exit 9\r", "exit 9\r\n/ # ", "", 9},
		{"the end of a shell", engine.ExecConfig{Args: []string{"sh"}, TTY: true, Stdin: true}, "\x04", "/ # \r\n", "", 0},
	} {
		out, errs, info := start(row.cfg, row.in)
		if row.show == "a shell on a terminal" { // the terminal echoes what is typed ahead; the prompt may come at any moment of it
			out = strings.Replace(out, "/ # ", "", 1) + "/ # "
		}
		if out != row.out || errs != row.errs || info.ExitCode == nil || *info.ExitCode != row.exit || info.Running || info.PID == 0 {
			t.Errorf("%s: %q, %q, %+v", row.show, out, errs, info)
		}
	}
	x, err := c.CreateExec(engine.ExecConfig{Args: []string{"sleep", "600"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Start(soon(t), engine.ExecStreams{Detach: true}); err != nil || !x.Inspect().Running {
		t.Errorf("detached: %v, %+v", err, x.Inspect())
	}
	eventually(t, "top shows it", func() bool {
		_, rows, err := c.Top(nil)
		return err == nil && len(rows) == 2 && rows[1][7] == "sleep 600"
	})
	if ids := c.Inspect().ExecIDs; !slices.Equal(ids, []string{x.ID()}) {
		t.Errorf("ExecIDs %q", ids)
	}
	y, err := c.CreateExec(engine.ExecConfig{Args: []string{"sleep", "600"}})
	if err != nil {
		t.Fatal(err)
	}
	left, leave := context.WithCancel(context.Background())
	leave()
	if err := y.Start(left, engine.ExecStreams{Stdout: newScreen()}); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever started it is gone: %v", err)
	}
	eventually(t, "it ends with who started it", func() bool { return !y.Inspect().Running })
	if err := c.Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it ends with its container", func() bool { return !x.Inspect().Running })
	if _, err := c.CreateExec(engine.ExecConfig{Args: []string{"true"}}); !errors.Is(err, engine.ErrConflict) || err.Error() != "container "+c.ID()+" is not running" {
		t.Errorf("exec in what is dead: %v", err)
	}
	if _, err := e.Exec("nosuch"); !errors.Is(err, engine.ErrNotFound) || err.Error() != "No such exec instance: nosuch" {
		t.Errorf("no such exec: %v", err)
	}
}

func TestStatsAndInfo(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := run(t, e, sleeper("c1"))
	shellOut(t, c, "ping -c 1 172.17.0.1")
	s := c.Stats()
	if len(s.Interfaces) != 1 || s.Interfaces[0].Name != "eth0" || s.Interfaces[0].RxPackets < 1 || s.Interfaces[0].TxBytes < 98 || s.PIDs != 1 {
		t.Errorf("Stats = %+v", s)
	}
	create(t, e, engine.ContainerConfig{Image: "nginx"})
	info := e.Info()
	if info.Containers != 2 || info.Running != 1 || info.Stopped != 1 || info.Images != 2 || info.Name != "host-a" || !slices.Contains(info.NetworkDrivers, "overlay") {
		t.Errorf("Info = %+v", info)
	}
	if u := e.DiskUsage(); len(u.Images) != 2 || u.LayersSize != u.Images[0].Size+u.Images[1].Size {
		t.Errorf("DiskUsage = %+v", u)
	}
	if ids := e.PruneContainers(nil); len(ids) != 1 || len(e.Containers()) != 1 {
		t.Errorf("prune removed %q", ids)
	}
}

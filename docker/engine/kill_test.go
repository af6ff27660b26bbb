package engine_test

import (
	"errors"
	"testing"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
)

// Within a container, process 1 gets the signals that it has handlers for and no others, not even SIGKILL; what is below an
// init, or was started by an exec, gets all.
func TestKillWithin(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	for _, row := range []struct {
		show, script string
		cfg          engine.ContainerConfig
		status       int // of the container; -1: it goes on
	}{
		{"sleep ignores SIGTERM", "kill 1", engine.ContainerConfig{Image: "busybox", Command: []string{"sleep", "infinity"}}, -1},
		{"and SIGKILL from within", "kill -9 1", engine.ContainerConfig{Image: "busybox", Command: []string{"sleep", "infinity"}}, -1},
		{"an init hands on SIGTERM", "kill 1", engine.ContainerConfig{Image: "busybox", Command: []string{"sleep", "infinity"}, Init: true}, 143},
		{"below an init SIGKILL kills", "kill -9 6", engine.ContainerConfig{Image: "busybox", Command: []string{"sleep", "infinity"}, Init: true}, 137},
		{"nginx reloads on SIGHUP", "kill -HUP 1", engine.ContainerConfig{Image: "nginx"}, -1},
		{"nginx ends on SIGTERM", "kill 1", engine.ContainerConfig{Image: "nginx"}, 0},
	} {
		c := run(t, e, row.cfg)
		code, err := c.Exec(soon(t), []string{"sh", "-c", row.script}, shell.Stdio{})
		if row.status < 0 {
			if err != nil || code != 0 || c.State() != engine.Running {
				t.Errorf("%s: %v, status %d, %s", row.show, err, code, c.State())
			}
			continue
		}
		if code, err := c.Wait(soon(t)); code != row.status || err != nil {
			t.Errorf("%s: status %d, %v; want %d", row.show, code, err, row.status)
		}
	}
}

// The host's kill reaches a container's program, SIGKILL too, behind Docker's back: the restart policy starts it again.
func TestSignalFromHost(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"sleep", "infinity"}, RestartPolicy: engine.RestartPolicy{Name: "always"}})
	pid := c.PID()
	if err := errors.Join(c.Signal(0), c.Signal(15)); err != nil || c.PID() != pid {
		t.Errorf("SIGTERM: %v; it has process id %d, want %d", err, c.PID(), pid)
	}
	if err := c.Signal(9); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs again", func() bool { return c.PID() != 0 && c.PID() != pid })
	if err := c.Stop(soon(t), engine.StopOptions{Signal: "KILL"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Signal(15); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("to one that does not run: %v", err)
	}
}

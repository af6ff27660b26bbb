package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/engine"
)

// A program that has no handler for a signal does not get it as process 1: it lives until it is killed.
func TestStopSignals(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	short, long := 30*time.Millisecond, time.Minute
	for _, row := range []struct {
		show   string
		cfg    engine.ContainerConfig
		signal string
		status int
	}{
		{"sleep ignores SIGTERM", engine.ContainerConfig{Image: "ubuntu", Command: []string{"sleep", "infinity"}}, "", 137},
		{"and not below an init", engine.ContainerConfig{Image: "ubuntu", Command: []string{"sleep", "infinity"}, Init: true}, "", 143},
		{"a shell ignores it", engine.ContainerConfig{Image: "busybox", TTY: true, OpenStdin: true}, "", 137},
		{"bash heeds SIGHUP", engine.ContainerConfig{Image: "ubuntu", TTY: true, OpenStdin: true}, "SIGHUP", 129},
		{"nginx ends", engine.ContainerConfig{Image: "nginx"}, "", 0},
		{"nginx quits", engine.ContainerConfig{Image: "nginx", StopSignal: "SIGQUIT"}, "", 0},
		{"redis ends", engine.ContainerConfig{Image: "redis"}, "TERM", 0},
		{"python ignores SIGTERM", engine.ContainerConfig{Image: "chrch/web", Env: []string{"ROLE=cat", "DB=127.0.0.1:1"}}, "", 137},
	} {
		if row.cfg.StopTimeout = &long; row.status == 137 {
			row.cfg.StopTimeout = &short
		}
		c := run(t, e, row.cfg)
		eventually(t, row.show+": it serves", func() bool { return len(c.Logs()) > 0 || row.cfg.Image != "redis" && row.cfg.Image != "chrch/web" })
		began := time.Now()
		if err := c.Stop(soon(t), engine.StopOptions{Signal: row.signal}); err != nil || c.ExitCode() != row.status {
			t.Errorf("%s: %v, status %d; want %d", row.show, err, c.ExitCode(), row.status)
		}
		if d := time.Since(began); d > 30*time.Second {
			t.Errorf("%s: it took %s", row.show, d)
		}
	}
}

// docker kill -s INT, and ^C, let ping print its summary.
func TestInterrupt(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	for _, tty := range []bool{false, true} {
		c := create(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"ping", "127.0.0.1"}, TTY: tty, OpenStdin: true})
		out := newScreen()
		keys, end := attach(t, c, out, nil)
		if err := c.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
		out.waitFor(t, "seq=0")
		if tty {
			typed(t, keys, "\x03")
		} else if err := c.Kill(soon(t), "SIGINT"); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		if code, err := c.Wait(soon(t)); code != 0 || err != nil {
			t.Errorf("tty %v: status %d, %v", tty, code, err)
		}
		out.waitFor(t, map[bool]string{true: "^C\r\n--- 127.0.0.1 ping statistics", false: "\n--- 127.0.0.1 ping statistics"}[tty])
	}
}

func TestSignalErrors(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Name: "c1", Image: "busybox", Command: []string{"sleep", "60"}})
	if err := c.Kill(soon(t), "SIGNOPE"); !errors.Is(err, engine.ErrInvalid) || err.Error() != "invalid signal: SIGNOPE" {
		t.Errorf("an unknown signal: %v", err)
	}
	if err := c.Kill(soon(t), "SIGWINCH"); err != nil || c.State() != engine.Running {
		t.Errorf("a signal without effect: %v, %s", err, c.State())
	}
	if err := c.Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	want := "cannot kill container: c1: container " + c.ID() + " is not running"
	if err := c.Kill(soon(t), ""); !errors.Is(err, engine.ErrConflict) || err.Error() != want {
		t.Errorf("kill of what is dead: %v; want %s", err, want)
	}
}

func TestPause(t *testing.T) {
	e, host, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Image: "nginx"})
	eventually(t, "nginx answers", func() bool { _, err := get(soon(t), host, "172.17.0.2:80"); return err == nil })
	if err := c.Pause(); err != nil || c.State() != engine.Paused {
		t.Fatal(err, c.State())
	}
	if err := c.Pause(); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("pause twice: %v", err)
	}
	if _, err := c.CreateExec(engine.ExecConfig{Args: []string{"true"}}); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("exec in a paused container: %v", err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := get(soon(t), host, "172.17.0.2:80")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a paused server answered: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := c.Unpause(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("after unpause: %v", err)
	}
	if err := c.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(soon(t), engine.StopOptions{}); err != nil || c.State() != engine.Exited {
		t.Errorf("stop of a paused container: %v, %s", err, c.State())
	}
}

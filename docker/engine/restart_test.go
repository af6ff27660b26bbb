package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
)

func TestRestartPolicies(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	var exits atomic.Int32
	c := run(t, e, engine.ContainerConfig{
		Image: "busybox", Command: []string{"sh", "-c", "exit 3"}, OnExit: func(int) { exits.Add(1) },
		RestartPolicy: engine.RestartPolicy{Name: "on-failure", MaximumRetryCount: 2},
	})
	eventually(t, "it gives up", func() bool { return c.State() == engine.Exited && exits.Load() >= 3 }) // who is told is told later
	info := c.Inspect()
	if exits.Load() != 3 || info.RestartCount != 2 || info.State.ExitCode != 3 {
		t.Errorf("on-failure:2 ran %d times, restarted %d, status %d; want 3, 2, 3", exits.Load(), info.RestartCount, info.State.ExitCode)
	}
	c = run(t, e, engine.ContainerConfig{
		Image: "busybox", Command: []string{"true"}, RestartPolicy: engine.RestartPolicy{Name: "always"},
	})
	eventually(t, "it restarts", func() bool { return c.Inspect().RestartCount > 1 && c.State() == engine.Restarting })
	if info := c.Inspect(); !info.State.Running || !info.State.Restarting {
		t.Errorf("while it waits: %+v", info.State)
	}
	if err := c.Remove(soon(t), engine.RemoveOptions{}); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("rm of a restarting container: %v", err)
	}
	if err := c.Stop(soon(t), engine.StopOptions{}); err != nil || c.State() != engine.Exited {
		t.Errorf("stop: %v, %s", err, c.State())
	}
	n := c.Inspect().RestartCount
	time.Sleep(10 * time.Millisecond) // nothing may happen
	if c.Inspect().RestartCount != n || c.State() != engine.Exited {
		t.Error("it restarts although it was stopped")
	}
	for _, row := range []struct {
		policy engine.RestartPolicy
		rm     bool
		want   string
	}{
		{engine.RestartPolicy{Name: "always"}, true, "can't create 'AutoRemove' container with restart policy"},
		{engine.RestartPolicy{Name: "always", MaximumRetryCount: 3}, false, "maximum retry count can only be used with 'on-failure'"},
		{engine.RestartPolicy{Name: "sometimes"}, false, "unknown policy 'sometimes'"},
	} {
		_, err := e.Create(engine.ContainerConfig{Image: "busybox", RestartPolicy: row.policy, AutoRemove: row.rm})
		if !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v; want %s", row.policy, err, row.want)
		}
	}
}

func TestAutoRemove(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := create(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"sh", "-c", "exit 7"}, AutoRemove: true})
	gone := c.Await(soon(t), engine.WaitRemoved)
	if err := c.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if got := <-gone; got.Code != 7 || len(e.Containers()) != 0 {
		t.Errorf("status %d, %d containers; want 7, none", got.Code, len(e.Containers()))
	}
	kept := sleeper("kept")
	kept.AutoRemove = true
	c = run(t, e, kept)
	if err := c.Restart(soon(t), engine.StopOptions{Timeout: immediately}); err != nil || c.State() != engine.Running {
		t.Errorf("restart of what is to go with its program: %v, %s", err, c.State())
	}
	if err := c.Remove(soon(t), engine.RemoveOptions{Force: true}); err != nil && !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	c = create(t, e, engine.ContainerConfig{Image: "busybox", NetworkMode: "nonet", AutoRemove: true})
	if err := c.Start(soon(t)); !errors.Is(err, engine.ErrNotFound) || len(e.Containers()) != 0 {
		t.Errorf("a failed start: %v, %d containers", err, len(e.Containers()))
	}
}

func TestStartFailures(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	for _, row := range []struct {
		show string
		cfg  engine.ContainerConfig
		kind error
		want string
		code int
	}{
		{"no such program", engine.ContainerConfig{Image: "nginx", Command: []string{"nosuch"}}, engine.ErrInvalid,
			`exec: "nosuch": executable file not found in $PATH: unknown`, 127},
		{"no such path", engine.ContainerConfig{Image: "nginx", Command: []string{"/bin/nosuch"}}, engine.ErrInvalid,
			`exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory: unknown`, 127},
		{"no such network", engine.ContainerConfig{Image: "nginx", NetworkMode: "nonet"}, engine.ErrNotFound, "network nonet not found", 128},
		{"I14", engine.ContainerConfig{Image: "nginx", Networks: []cnm.EndpointConfig{{Network: "bridge", IP: addr("172.17.0.9")}}}, engine.ErrInvalid,
			"User specified IP address is supported on user defined networks only", 128},
		{"H8 not there", engine.ContainerConfig{Image: "nginx", NetworkMode: "container:nobody"}, engine.ErrNotFound, "No such container: nobody", 128},
	} {
		c, err := e.Create(row.cfg)
		if err == nil {
			err = c.Start(soon(t))
			if c.State() != engine.Created || c.Inspect().State.ExitCode != row.code || c.Inspect().State.Error != err.Error() {
				t.Errorf("%s: %s, %+v", row.show, c.State(), c.Inspect().State)
			}
		}
		if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %s", row.show, err, row.want)
		}
	}
	if n := len(e.Controller().Sandboxes()); n != 0 {
		t.Errorf("%d sandboxes are left", n)
	}
}

func TestHealth(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	events := e.Subscribe(engine.EventOptions{Filter: func(ev engine.Event) bool { return strings.HasPrefix(ev.Action, "health_status") }})
	defer events.Close()
	check := &engine.Healthcheck{Test: []string{"CMD-SHELL", "test -f /ok || { echo broken; exit 1; }"}, Interval: 5 * time.Millisecond, Retries: 2}
	c := run(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"sleep", "60"}, Healthcheck: check})
	if h := c.Health(); h.Status != engine.Starting {
		t.Errorf("at the start it is %s", h.Status)
	}
	next := func(want string) {
		t.Helper()
		if ev, err := events.Next(soon(t)); err != nil || ev.Action != "health_status: "+want || ev.ID != c.ID() {
			t.Fatalf("event %+v, %v; want %s", ev, err, want)
		}
	}
	next("unhealthy")
	h := c.Health()
	if last := h.Log[len(h.Log)-1]; h.FailingStreak < 2 || last.ExitCode != 1 || last.Output != "broken\n" || len(h.Log) > 5 {
		t.Errorf("%+v", h)
	}
	if code, err := c.Run(soon(t), "touch /ok", stdio()); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	next("healthy")
	if c.Health().FailingStreak != 0 {
		t.Errorf("%+v", c.Health())
	}
	none := create(t, e, engine.ContainerConfig{Image: "chrch/web", Healthcheck: &engine.Healthcheck{Test: []string{"NONE"}}})
	if none.Health() != nil {
		t.Error("--no-healthcheck leaves a health check")
	}
	own := create(t, e, engine.ContainerConfig{Image: "chrch/web", Healthcheck: &engine.Healthcheck{Retries: 9}})
	if h := own.Inspect().Healthcheck; h == nil || h.Retries != 9 || len(h.Test) == 0 || h.Interval != time.Minute {
		t.Errorf("what the user leaves open is the image's: %+v", h)
	}
	if _, err := e.Create(engine.ContainerConfig{Image: "busybox", Healthcheck: &engine.Healthcheck{Interval: time.Microsecond}}); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("an interval of 1us: %v", err)
	}
}

// The events of a container's life, in Docker's order.
func TestEvents(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	began := time.Now()
	events := e.Subscribe(engine.EventOptions{})
	short := 10 * time.Millisecond
	c := run(t, e, engine.ContainerConfig{Name: "c1", Image: "busybox", Command: []string{"sleep", "60"}, Labels: map[string]string{"a": "b"}, StopTimeout: &short})
	if err := c.Rename("c2"); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(soon(t), engine.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(soon(t), engine.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	want := []string{"image pull", "container create", "network connect", "container start", "container rename", "container kill 15",
		"container kill 9", "container die 137", "network disconnect", "container stop", "network connect", "container start", "container restart",
		"container kill 9", "container die 137", "network disconnect", "container destroy"}
	text := func(ev engine.Event) string {
		return strings.TrimSpace(fmt.Sprint(ev.Type, " ", ev.Action, " ", ev.Attributes["signal"], ev.Attributes["exitCode"]))
	}
	for i, w := range want {
		ev, err := events.Next(soon(t))
		if err != nil || text(ev) != w {
			t.Fatalf("event %d: %q, %v; want %q", i, text(ev), err, w)
		}
		if ev.Type == "container" && (ev.ID != c.ID() || ev.Attributes["image"] != "busybox" || ev.Attributes["a"] != "b") {
			t.Errorf("%+v", ev)
		}
		if ev.Type == "network" && (ev.Attributes["container"] != c.ID() || ev.Attributes["name"] != "bridge" || ev.Attributes["type"] != "bridge") {
			t.Errorf("%+v", ev)
		}
	}
	events.Close()
	if _, err := events.Next(soon(t)); err == nil {
		t.Error("an event after Close")
	}
	past := e.Subscribe(engine.EventOptions{Since: began, Until: time.Now()})
	defer past.Close()
	n := 0
	for ; ; n++ {
		if _, err := past.Next(soon(t)); err != nil {
			break
		}
	}
	if n != len(want) {
		t.Errorf("%d events of the past; want %d", n, len(want))
	}
}

func TestSlowSubscriberIsCut(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	events := e.Subscribe(engine.EventOptions{})
	defer events.Close()
	for range 600 {
		c := create(t, e, engine.ContainerConfig{Image: "busybox"})
		if err := c.Remove(soon(t), engine.RemoveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for err == nil {
		_, err = events.Next(soon(t))
	}
	if !errors.Is(err, engine.ErrSlow) {
		t.Errorf("Next = %v; want ErrSlow", err)
	}
}

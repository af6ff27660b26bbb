package bench

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// What a child says is JSON, errors too.
func TestRunChild(t *testing.T) {
	for _, c := range []struct {
		name, task, want string
		status           int
	}{
		{"no JSON", "{", `unexpected end`, 1},
		{"no such role", `{"role":"cook"}`, `no role \"cook\"`, 1},
		{"no such interface", `{"role":"no-offload","addr":"nosuch0"}`, `"error"`, 1},
		{"no such namespace", `{"role":"small","namespace":"/nosuch"}`, `nosuch`, 1},
		{"no server", `{"role":"ask","addr":"127.0.0.1"}`, `"error"`, 1},
	} {
		var out strings.Builder
		in, hold := io.Pipe()
		status := runChild(c.task, in, &out)
		hold.Close() //nolint:errcheck // a pipe in memory
		if status != c.status || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: status %d, said %q; want %d, %q", c.name, status, out.String(), c.status, c.want)
		}
	}
}

// A child ends when its parent does.
func TestChildEndsWithItsInput(t *testing.T) {
	p, m, err := serve(t.Context(), "", task{Role: "vxlan-receiver"})
	if err != nil {
		t.Fatal(err)
	}
	if !m.Addr.IsValid() {
		t.Errorf("the child says %+v; want its address", m)
	}
	p.stop()
	if p.cmd.ProcessState == nil || !p.cmd.ProcessState.Exited() {
		t.Errorf("child: %v; want it to exit by itself", p.cmd.ProcessState)
	}
}

// A program that does not call Child is never started again.
func TestProgramWithoutChild(t *testing.T) {
	served.Store(false)
	defer served.Store(true)
	if _, err := startChild(t.Context(), "", task{}); !errors.Is(err, errSkip) {
		t.Errorf("startChild = %v; want a reason to skip", err)
	}
	for _, r := range throughput() {
		if r.name != "tcp-vxlan-udp" {
			continue
		}
		if res, err := r.run(t.Context(), quick()); err != nil || !strings.Contains(res.Skipped, "bench.Child") {
			t.Errorf("%s = %+v, %v; want the reason why it is skipped", r.name, res, err)
		}
	}
}

// A second process must not measure: it would start a third.
func TestChildDoesNotMeasure(t *testing.T) {
	t.Setenv(childEnv, "{}")
	if _, err := Run(t.Context(), Config{Rows: []string{"l2-forward"}}); err == nil || !strings.Contains(err.Error(), "bench.Child") {
		t.Errorf("Run = %v; want an error", err)
	}
}

func TestNeedKernel(t *testing.T) {
	if err := needKernel("a-tool-that-is-not-there"); !errors.Is(err, errSkip) {
		t.Errorf("needKernel = %v; want a reason to skip", err)
	}
	unprivileged(t)
	if err := needKernel(); !errors.Is(err, errSkip) || !strings.Contains(err.Error(), "root") && !strings.Contains(err.Error(), "Linux") {
		t.Errorf("needKernel = %v; want that it needs root", err)
	}
}

// What a killed process left is removed by the next one, what a living one has is not.
func TestRemoveStale(t *testing.T) {
	privileged(t)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Skip(err)
	}
	stale := kernelPrefix + strconv.Itoa(dead.Process.Pid) + "-x"
	k := &kernel{ctx: t.Context()}
	defer k.remove()
	k.add("x")
	k.do("", "ip", "netns", "add", stale)
	if k.err != nil {
		t.Fatal(k.err)
	}
	removeStale()
	if _, err := os.Stat(namespaces + stale); err == nil {
		t.Errorf("%s is still there", stale)
	}
	if len(leftovers(t)) != 1 {
		t.Errorf("namespaces of this process: %v; want one", leftovers(t))
	}
}

// A command that fails stops the building, and is told.
func TestKernelTellsWhatFailed(t *testing.T) {
	privileged(t)
	_, err := withKernel(t.Context(), nil, func(k *kernel) { k.add("x"); k.ip("x", "link add nonsense"); k.add("y") },
		func(*kernel) (float64, error) { return 1, nil })
	if !errors.Is(err, errSkip) || !strings.Contains(err.Error(), "link add nonsense") {
		t.Errorf("withKernel = %v; want the command", err)
	}
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

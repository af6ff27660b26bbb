package virtual_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/lab/virtual"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock builds testdata/clock for virtual time, or, without the tag, for real time.
func clock(t *testing.T, tags string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no virtual time")
	}
	path := filepath.Join(t.TempDir(), "clock")
	build := exec.Command("go", "build", "-tags", tags, "-ldflags", "-checklinkname=0", "-o", path, "./testdata/clock")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

func TestCommand(t *testing.T) {
	program := clock(t, "faketime")
	t.Run("a year passes in a moment", func(t *testing.T) {
		began := time.Now()
		if out, _, status, err := run(t, program, "sleep", ""); out != "2027-01-01 00:00:00\n" || status != 0 || err != nil {
			t.Errorf("sleep = %q, %d, %v; want 2027-01-01", out, status, err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("a year took %v", took)
		}
	})
	t.Run("input comes through", func(t *testing.T) {
		in := strings.Repeat("some input\n", 20_000) + "\x00\x00PB no frame"
		if out, _, status, err := run(t, program, "copy", in); out != in || status != 0 || err != nil {
			t.Errorf("copy of %d bytes = %d bytes, %d, %v", len(in), len(out), status, err)
		}
	})
	t.Run("no byte is lost or doubled", func(t *testing.T) {
		var wantOut, wantErr strings.Builder
		for i := range 1000 {
			fmt.Fprintln(&wantOut, i, strings.Repeat("x", i*i%70_000))
			fmt.Fprintln(&wantErr, i, strings.Repeat("y", i*i%70_000))
		}
		out, errs, status, err := run(t, program, "lines", "")
		if out != wantOut.String() || errs != wantErr.String() || status != 0 || err != nil {
			t.Errorf("lines = %d and %d bytes, %d, %v; want %d and %d", len(out), len(errs), status, err, wantOut.Len(), wantErr.Len())
		}
	})
	t.Run("who asks for signals does not hold the clock", func(t *testing.T) {
		if out, _, status, err := run(t, program, "signals", ""); out != "slept\n" || status != 0 || err != nil {
			t.Errorf("signals = %q, %d, %v; want that it slept", out, status, err)
		}
	})
	t.Run("the exit status is that of the program", func(t *testing.T) {
		if _, _, status, err := run(t, program, "exit", ""); status != 42 || err != nil {
			t.Errorf("exit = %d, %v; want 42", status, err)
		}
	})
	t.Run("a crash is told without headers", func(t *testing.T) {
		out, errs, status, err := run(t, program, "crash", "")
		if out != "last words, no end of line" || !strings.HasPrefix(errs, "panic: on purpose") || strings.Contains(errs, "\x00") {
			t.Errorf("crash says %q and %q", out, errs)
		}
		if status != 1 || err == nil || !strings.Contains(err.Error(), "crashed") {
			t.Errorf("crash = %d, %v; want 1 and that it crashed", status, err)
		}
	})
}

func TestCommandEnds(t *testing.T) {
	program := clock(t, "faketime")
	t.Run("when the context does", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out := &watched{want: "waiting", seen: cancel}
		c := virtual.Command{Program: program, Args: []string{"wait"}, Stdout: out}
		if status, err := c.Run(ctx); status != 7 || err != nil || out.b.String() != "waiting\ntold to end\n" {
			t.Errorf("Run = %d, %v, %q; want 7 after it was told to end", status, err, out.b.String())
		}
	})
	t.Run("when it is killed", func(t *testing.T) {
		kill := make(chan struct{})
		c := virtual.Command{Program: program, Args: []string{"deaf"}, Stdout: &watched{want: "waiting", seen: func() { close(kill) }}, Kill: kill}
		if status, err := c.Run(t.Context()); status != 1 || err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("Run = %d, %v; want 1, killed", status, err)
		}
	})
	for what, why := range map[string]string{"spin": "works and never waits", "block": "outside of the lab"} {
		t.Run("when time stands still: "+what, func(t *testing.T) {
			stall := 300 * time.Millisecond
			if what == "spin" {
				stall = 4 * time.Second // two of them at work tell it from one that waits
			}
			c := virtual.Command{Program: program, Args: []string{what}, Stall: stall}
			status, err := c.Run(t.Context())
			if status != 1 || !errors.Is(err, virtual.ErrStalled) {
				t.Fatalf("Run = %d, %v; want 1, ErrStalled", status, err)
			}
			if !strings.Contains(err.Error(), why) {
				t.Logf("the machine is too busy to tell why: %v", err)
			}
		})
	}
}

func TestCommandCannotRun(t *testing.T) {
	c := virtual.Command{Program: filepath.Join(t.TempDir(), "none")}
	if status, err := c.Run(t.Context()); status != 1 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Run = %d, %v; want 1, ErrNotExist", status, err)
	}
	_, errs, status, err := run(t, clock(t, "none"), "exit", "")
	if status != 2 || err != nil || !strings.Contains(errs, "faketime") {
		t.Errorf("a program for real time = %q, %d, %v; want 2 and how to build it", errs, status, err)
	}
}

func TestFind(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no virtual time")
	}
	t.Setenv(virtual.ProgramEnv, "")
	if _, err := virtual.Find(); !errors.Is(err, virtual.ErrMissing) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("Find = %v; want ErrMissing and how to get it", err)
	}
	t.Setenv(virtual.ProgramEnv, filepath.Join(t.TempDir(), "none"))
	if _, err := virtual.Find(); !errors.Is(err, virtual.ErrMissing) || !strings.Contains(err.Error(), virtual.ProgramEnv) {
		t.Errorf("Find = %v; want ErrMissing and the variable's name", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(virtual.ProgramEnv, self)
	if got, err := virtual.Find(); got != self || err != nil {
		t.Errorf("Find = %q, %v; want %q", got, err, self)
	}
}

func run(t *testing.T, program, what, in string) (stdout, stderr string, status int, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	c := virtual.Command{Program: program, Args: []string{what}, Stdin: strings.NewReader(in), Stdout: &out, Stderr: &errs}
	status, err = c.Run(t.Context())
	return out.String(), errs.String(), status, err
}

// watched calls seen once it has been written what is wanted.
type watched struct {
	b    bytes.Buffer
	want string
	seen func()
}

// Write implements io.Writer.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.b.Write(b)
	if w.seen != nil && strings.Contains(w.b.String(), w.want) {
		w.seen()
		w.seen = nil
	}
	return n, err
}

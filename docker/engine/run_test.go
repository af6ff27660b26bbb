package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
)

// screen is what somebody who is attached sees.
type screen struct {
	mu      sync.Mutex
	buf     bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next Write
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.buf.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// waitFor waits until the screen shows a text.
func (s *screen) waitFor(t testing.TB, text string) {
	t.Helper()
	ctx := soon(t)
	for {
		s.mu.Lock()
		seen, changed := s.buf.String(), s.changed
		s.mu.Unlock()
		if strings.Contains(seen, text) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the screen shows %q; want %q", seen, text)
		}
	}
}

// ends waits until the screen ends with a text.
func (s *screen) ends(t testing.TB, text string) {
	t.Helper()
	eventually(t, "the screen ends with "+text, func() bool { return strings.HasSuffix(s.String(), text) })
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for ctx := soon(t); !holds(); {
		if ctx.Err() != nil {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond) // what is waited for tells nobody
	}
}

// attach attaches to a container and returns what types, and what waits for the end.
func attach(t testing.TB, c *engine.Container, out *screen, wrap func(io.Reader) io.Reader) (keys io.Writer, end func() error) {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	in := io.Reader(r)
	if wrap != nil {
		in = wrap(r)
	}
	a, err := c.Attach(engine.AttachOptions{Stdin: in, Stdout: out, Stderr: out, Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(context.Background()) }()
	return w, func() error {
		select {
		case err := <-ended:
			return err
		case <-soon(t).Done():
			t.Fatalf("still attached; the screen shows %q", out)
			return nil
		}
	}
}

func typed(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, e *engine.Engine, cfg engine.ContainerConfig) *engine.Container {
	t.Helper()
	c, err := e.Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTerminalSession(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := create(t, e, engine.ContainerConfig{Name: "c1", Image: "busybox", Command: []string{"sh"}, TTY: true, OpenStdin: true, StdinOnce: true})
	exits := c.Await(soon(t), engine.WaitNextExit)
	out := newScreen()
	keys, end := attach(t, c, out, nil)
	if err := c.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t, "/ # ")
	typed(t, keys, "echo hellp\x7fo wrold\x1b[D\x1b[D\x7f\x1b[C\x1b[CX\x7f\r")
	out.waitFor(t, "hello")
	out.ends(t, "/ # ")
	typed(t, keys, "\x1b[A\r") // the last line again
	out.ends(t, "hello wrld\r\n/ # ")
	if err := c.Resize(engine.Size{Rows: 30, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	typed(t, keys, "stty size\r")
	out.ends(t, "30 100\r\n/ # ")
	typed(t, keys, "sleep 1000\r")
	out.waitFor(t, "sleep 1000\r\n")
	typed(t, keys, "\x03")
	out.ends(t, "^C\r\n/ # ")
	// Whether the command ran yet or not, it is gone, and what is typed from now on is not.
	typed(t, keys, "echo status=$?\r")
	out.waitFor(t, "status=130\r\n/ # ") // or the prompt would be among what is typed, and what cat shows
	typed(t, keys, "cat\r")
	typed(t, keys, "to cat\r")
	out.waitFor(t, "to cat\r\nto cat\r\n")
	typed(t, keys, "\x04echo back\r")
	out.waitFor(t, "back\r\n")
	typed(t, keys, "exit 3\r")
	if err := end(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if got := <-exits; got.Code != 3 {
		t.Errorf("exit status %d; want 3", got.Code)
	}
	if strings.Contains(strings.ReplaceAll(out.String(), "\r\n", ""), "\n") {
		t.Errorf("a newline without a carriage return in %q", out)
	}
}

// docker run -itd busybox sh stays up, ^D ends it, ctrl-p ctrl-q does not.
func TestDetachAndEnd(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"sh"}, TTY: true, OpenStdin: true})
	detaching := func(r io.Reader) io.Reader {
		keys, err := engine.ParseDetachKeys("")
		if err != nil {
			t.Fatal(err)
		}
		return engine.NewDetachReader(r, keys)
	}
	out := newScreen()
	keys, end := attach(t, c, out, detaching)
	typed(t, keys, "\recho 'o'ne\r") // unlike the echo, what the command prints has no prompt in the middle
	out.waitFor(t, "one\r\n")
	typed(t, keys, "\x10\x11")
	if err := end(); !errors.Is(err, engine.ErrDetach) {
		t.Errorf("Run = %v; want ErrDetach", err)
	}
	if c.State() != engine.Running {
		t.Fatalf("after detaching it is %s", c.State())
	}
	out = newScreen()
	keys, end = attach(t, c, out, nil)
	typed(t, keys, "echo 't'wo\r")
	out.waitFor(t, "two\r\n/ # ")
	typed(t, keys, "\x04")
	if err := end(); err != nil {
		t.Error(err)
	}
	if code, err := c.Wait(soon(t)); err != nil || code != 0 || c.State() != engine.Exited {
		t.Errorf("after ^D: %v, %s, status %d", err, c.State(), code)
	}
	if err := c.Start(soon(t)); err != nil {
		t.Fatalf("start again: %v", err)
	}
	if _, err := c.Attach(engine.AttachOptions{}); err != nil {
		t.Error(err)
	}
}

// echo text | docker run -i busybox sh: the end of the input is the end of the shell; without -i there is none at all.
func TestPipedInput(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := create(t, e, engine.ContainerConfig{Image: "busybox", OpenStdin: true, StdinOnce: true})
	out := newScreen()
	a, err := c.Attach(engine.AttachOptions{Stdin: strings.NewReader("echo from stdin\nexit 4\n"), Stdout: out, Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := a.Run(soon(t)); err != nil || out.String() != "from stdin\n" {
		t.Errorf("Run = %v, %q", err, out)
	}
	if code, err := c.Wait(soon(t)); code != 4 || err != nil {
		t.Errorf("status %d, %v; want 4", code, err)
	}
	// What is typed is run as it comes, and commands read what follows them.
	c = run(t, e, engine.ContainerConfig{Image: "busybox", OpenStdin: true, StdinOnce: true})
	out = newScreen()
	keys, end := attach(t, c, out, nil)
	typed(t, keys, "echo first\n")
	out.waitFor(t, "first\n")
	typed(t, keys, "if true\nthen echo second\nfi\n")
	out.waitFor(t, "second\n")
	typed(t, keys, "cat\nfor cat\n")
	out.waitFor(t, "for cat\n")
	typed(t, keys, "\x03\x04")
	out.waitFor(t, "\x03\x04") // no keys, but bytes
	if err := keys.(io.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	c = run(t, e, engine.ContainerConfig{Image: "busybox"})
	if code, err := c.Wait(soon(t)); code != 0 || err != nil {
		t.Errorf("sh without an input: %d, %v", code, err)
	}
}

func TestOutputOfStreams(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := create(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"sh", "-c", "echo out; echo err >&2; printf end"}})
	var stdout, stderr bytes.Buffer
	a, err := c.Attach(engine.AttachOptions{Stdout: &stdout, Stderr: &stderr, Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := a.Run(soon(t)); err != nil || stdout.String() != "out\nend" || stderr.String() != "err\n" {
		t.Errorf("%v, stdout %q, stderr %q", err, stdout.String(), stderr.String())
	}
	// What was printed is there for those who come later.
	stdout.Reset()
	if a, err = c.Attach(engine.AttachOptions{Stdout: &stdout, Logs: true}); err != nil {
		t.Fatal(err)
	}
	if err := a.Run(soon(t)); err != nil || stdout.String() != "out\nend" {
		t.Errorf("%v, logs %q", err, stdout.String())
	}
	var lines []string
	opts := engine.LogOptions{Stdout: true, Stderr: true, Tail: 2}
	emit := func(e engine.LogEntry) error { lines = append(lines, string(e.Text)); return nil }
	if err := c.ReadLogs(soon(t), opts, emit); err != nil || strings.Join(lines, "|") != "err\n|end" {
		t.Errorf("the last two lines: %q, %v", lines, err)
	}
}

func TestFollowLogs(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	c := run(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"sh", "-c", "echo a; sleep 0.05; echo b; sleep 0.05; echo c"}})
	got := ""
	emit := func(e engine.LogEntry) error { got += string(e.Text); return nil }
	if err := c.ReadLogs(soon(t), engine.LogOptions{Stdout: true, Follow: true, Tail: -1}, emit); err != nil || got != "a\nb\nc\n" {
		t.Errorf("%q, %v", got, err)
	}
	if c.State() != engine.Running && c.State() != engine.Exited {
		t.Error(c.State())
	}
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func stdio() shell.Stdio { return shell.Stdio{} }

func itoa(n uint16) string { return strconv.Itoa(int(n)) }

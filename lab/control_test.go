package lab

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

func pingOfSize(n int) netns.PingOptions { return netns.PingOptions{Seq: 1, Size: n} }

// runtimeDir gives the test a directory of its own for running labs, with a short path.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return dir
}

func TestControlSocket(t *testing.T) {
	dir := runtimeDir(t)
	l := start(t, bridgeLab, Config{Control: true})
	c, err := Dial("")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Info(); got.Name != "bridge-lab" || got.PID != os.Getpid() {
		t.Errorf("Info = %+v", got)
	}
	nodes, err := c.Nodes(soon(t))
	if err != nil || len(nodes) != 5 || nodes[1].Name != "host-a/cat-db" || nodes[1].Image != "redis:latest" {
		t.Errorf("Nodes = %+v, %v", nodes, err)
	}
	var out, errOut bytes.Buffer
	exit, err := c.Exec(soon(t), ExecRequest{Node: "host-a", Argv: []string{"cat"}},
		shell.Stdio{In: strings.NewReader("to and fro\n"), Out: &out, Err: &errOut})
	if exit != 0 || err != nil || out.String() != "to and fro\n" {
		t.Errorf("Exec cat = %d, %v, %q", exit, err, out.String())
	}
	out.Reset()
	exit, err = c.Exec(soon(t), ExecRequest{Node: "cat-web", Line: "hostname; exit 7"}, shell.Stdio{Out: &out})
	if exit != 7 || err != nil || out.String() != l.MustNode("cat-web").Container().ID()[:12]+"\n" {
		t.Errorf("Exec hostname = %d, %v, %q", exit, err, out.String())
	}
	out.Reset()
	exit, err = c.Exec(soon(t), ExecRequest{Node: "client", Shell: true}, shell.Stdio{In: strings.NewReader("x=5\necho x is $x\nexit 3\n"), Out: &out, Err: &errOut})
	if exit != 3 || err != nil || out.String() != "x is 5\n" {
		t.Errorf("Exec of a shell = %d, %v, %q", exit, err, out.String())
	}
	if _, err := c.Exec(soon(t), ExecRequest{Node: "cat-wep", Line: "true"}, shell.Stdio{}); err == nil || !strings.Contains(err.Error(), "did you mean") {
		t.Errorf("Exec in an unknown node: %v", err)
	}
	if _, err := Dial("bridge-leb"); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), `did you mean "bridge-lab"?`) {
		t.Errorf("Dial: %v", err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "netsim", "bridge-lab")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the lab's directory: %v, %v; want mode 0700", fi, err)
	}
	if _, err := Start(context.Background(), parse(t, bridgeLab), Config{Control: true}); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("second lab of the name: %v; want that it runs already", err)
	}
	if err := c.Down(soon(t)); err != nil {
		t.Error(err)
	}
	if err := l.Wait(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := c.Nodes(soon(t)); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Nodes after the end: %v; want ErrNotRunning", err)
	}
}

func TestExecEndsWithItsClientAndItsLab(t *testing.T) {
	runtimeDir(t)
	l := start(t, twoHosts, Config{Control: true})
	c, err := Dial("two-hosts")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := c.Exec(ctx, ExecRequest{Node: "a", Line: "sleep 60"}, shell.Stdio{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Exec of a client that leaves: %v", err)
	}
	ctx, cancel = context.WithCancel(soon(t))
	defer cancel()
	var said bytes.Buffer
	_, err = c.Exec(ctx, ExecRequest{Node: "a", Argv: []string{"ping", "10.0.0.2"}}, shell.Stdio{Out: writers{&said, writerFunc(cancel)}})
	if !errors.Is(err, context.Canceled) || !strings.Contains(said.String(), "ping statistics") {
		t.Errorf("ping that is interrupted: %v, %q; want its statistics", err, said.String())
	}
	done := make(chan error)
	go func() {
		_, err := c.Exec(context.Background(), ExecRequest{Node: "a", Line: "echo up; sleep 60"}, shell.Stdio{Out: writerFunc(func() { l.Down() })})
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("Exec of a lab that ends: no error")
		}
	case <-time.After(time.Minute):
		t.Error("Exec does not end with its lab")
	}
}

// writerFunc calls a function for what is written.
type writerFunc func()

func (f writerFunc) Write(b []byte) (int, error) { f(); return len(b), nil }

func TestControlCapture(t *testing.T) {
	runtimeDir(t)
	l := start(t, twoHosts, Config{Control: true})
	c, err := Dial("two-hosts")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(soon(t))
	var pcap bytes.Buffer
	first := make(chan struct{}, 1)
	type result struct {
		stats CaptureStats
		err   error
	}
	done := make(chan result)
	go func() {
		s, err := c.Capture(ctx, CaptureRequest{Places: []string{"a:eth0", "b"}}, writers{&pcap, writerFunc(func() {
			select {
			case first <- struct{}{}:
			default:
			}
		})})
		done <- result{s, err}
	}()
	<-first // the interfaces are written, so they are looked at
	if _, err := l.MustNode("a").Ping(soon(t), "10.0.0.2"); err != nil {
		t.Error(err)
	}
	cancel()
	r := <-done
	if r.err != nil || r.stats.Written < 8 { // two ARP and two ICMP packets, seen twice
		t.Errorf("Capture = %+v, %v; want 8 packets or more", r.stats, r.err)
	}
	if !bytes.HasPrefix(pcap.Bytes(), []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		t.Errorf("capture begins with % x; want a section header", pcap.Bytes()[:min(8, pcap.Len())])
	}
	if _, err := c.Capture(soon(t), CaptureRequest{Places: []string{"a:eth7"}}, &pcap); err == nil || !strings.Contains(err.Error(), "there are lo, eth0") {
		t.Errorf("Capture of an unknown interface: %v", err)
	}
}

type writers []interface{ Write([]byte) (int, error) }

func (all writers) Write(b []byte) (int, error) {
	for _, w := range all {
		if _, err := w.Write(b); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func TestStaleAndForeignDirectories(t *testing.T) {
	dir := runtimeDir(t)
	base := filepath.Join(dir, "netsim")
	mine := filepath.Join(base, "two-hosts")
	if err := os.MkdirAll(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(mine, socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close() // a dead lab's socket
	l, err := Start(context.Background(), parse(t, twoHosts), Config{Control: true})
	if err != nil {
		t.Fatalf("start over a dead lab's directory: %v", err)
	}
	if all, err := Running(); err != nil || len(all) != 1 || all[0].Name != "two-hosts" {
		t.Errorf("Running = %+v, %v", all, err)
	}
	if err := l.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		make func() error
		want string
	}{
		{"a foreign file", func() error {
			if err := os.MkdirAll(mine, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(mine, "thesis.txt"), nil, 0o600)
		}, "thesis.txt is not of a lab"},
		{"a symbolic link", func() error {
			if err := os.MkdirAll(base, 0o700); err != nil {
				return err
			}
			return os.Symlink(t.TempDir(), mine)
		}, "is a symbolic link"},
		{"a base open to others", func() error {
			return errors.Join(os.MkdirAll(base, 0o700), os.Chmod(base, 0o777))
		}, "is open to others"},
		{"a link in place of the base", func() error { return os.Symlink(t.TempDir(), base) }, "is a symbolic link"},
	} {
		if err := row.make(); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(context.Background(), parse(t, twoHosts), Config{Control: true}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %q", row.name, err, row.want)
		}
		if err := os.RemoveAll(base); err != nil {
			t.Fatal(err)
		}
	}
}

package kernel_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/fabric/kernel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newNamespace(t *testing.T) *kernel.Namespace {
	t.Helper()
	if err := kernel.Check(); err != nil {
		t.Skip(err)
	}
	ns, err := kernel.NewNamespace()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// run runs a line in the namespace.
func run(t *testing.T, ctx context.Context, ns *kernel.Namespace, line string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	exit, err := ns.Run(ctx, kernel.Command{Args: []string{"/bin/sh", "-c", line}, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return out.String(), exit
}

func TestKernelNamespaceHasItsOwnDevices(t *testing.T) {
	ns := newNamespace(t)
	var inside []net.Interface
	if err := ns.Do(func() (err error) { inside, err = net.Interfaces(); return err }); err != nil {
		t.Fatal(err)
	}
	if len(inside) == 0 || inside[0].Name != "lo" || inside[0].Flags&net.FlagUp == 0 {
		t.Errorf("the namespace has %+v; want lo, up", inside)
	}
	again, err := kernel.OpenNamespace(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for range 50 { // on whatever threads: the process stays where it is
		if err := ns.Do(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	own, _ := os.Readlink("/proc/self/ns/net")
	for _, n := range []*kernel.Namespace{ns, again} {
		if out, exit := run(t, t.Context(), n, "readlink /proc/self/ns/net"); exit != 0 || strings.TrimSpace(out) == own {
			t.Errorf("a command runs in %s, the test in %s", out, own)
		}
	}
}

func TestKernelConfigure(t *testing.T) {
	ns := newNamespace(t)
	if out, exit := run(t, t.Context(), ns, "ip link add v0 type veth peer name v1"); exit != 0 {
		t.Skip(out)
	}
	addr := netip.MustParsePrefix
	err := ns.Do(func() error {
		s := kernel.Settings{Up: true, Addr: addr("10.0.0.1/24"), MTU: 1400, TxQueue: 77}
		return errors.Join(kernel.Configure("v0", s), kernel.Configure("v0", s), kernel.Configure("v1", kernel.Settings{Up: true}),
			kernel.AddRoute(kernel.Route{To: addr("10.1.0.0/16"), Via: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, Metric: 7}),
			kernel.AddRoute(kernel.Route{To: addr("0.0.0.0/0"), Via: []netip.Addr{netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("10.0.0.4")}}))
	})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string][]string{
		"ip addr show v0": {"mtu 1400", "qlen 77", "inet 10.0.0.1/24 brd 10.0.0.255", "state UP"},
		"ip route":        {"10.1.0.0/16 via 10.0.0.2 dev v0 metric 7", "nexthop via 10.0.0.3 dev v0", "nexthop via 10.0.0.4 dev v0"},
	} {
		out, _ := run(t, t.Context(), ns, line)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s lacks %q:\n%s", line, w, out)
			}
		}
	}
	err = ns.Do(func() error {
		return kernel.AddRoute(kernel.Route{To: addr("10.9.0.0/16"), Via: []netip.Addr{netip.MustParseAddr("172.16.0.1")}})
	})
	if err == nil || !strings.Contains(err.Error(), "10.9.0.0/16") {
		t.Errorf("a route by a gateway that is not on link: %v", err)
	}
	if err := ns.Do(func() error { return kernel.Configure("v9", kernel.Settings{Up: true}) }); err == nil {
		t.Error("a device that is not there can be configured")
	}
}

func TestKernelRun(t *testing.T) {
	ns := newNamespace(t)
	for line, want := range map[string]int{"exit 3": 3, "kill -TERM $$": 128 + 15, "cat >/dev/null": 0} {
		if _, exit := run(t, t.Context(), ns, line); exit != want {
			t.Errorf("%s: status %d; want %d", line, exit, want)
		}
	}
	if exit, err := ns.Run(t.Context(), kernel.Command{Args: []string{"no-such-command"}}); exit != 127 || err == nil {
		t.Errorf("Run of no such command = %d, %v", exit, err)
	}
	if exit, err := ns.Run(t.Context(), kernel.Command{}); exit != 127 || err == nil {
		t.Errorf("Run of nothing = %d, %v", exit, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start, out := time.Now(), &said{then: cancel}
	exit, err := ns.Run(ctx, kernel.Command{Args: []string{"/bin/sh", "-c", "trap 'echo last words; exit 9' INT; echo on; sleep 60 & wait; sleep 60"}, Stdout: out})
	if err != nil || !strings.HasPrefix(out.String(), "on\n") || exit == 0 || time.Since(start) > 50*time.Second {
		t.Errorf("a command that was ended: status %d, %v after %s\n%s", exit, err, time.Since(start), out)
	}
}

// said keeps what a command says, and does something once it has begun to.
type said struct {
	text bytes.Buffer
	then func()
}

func (s *said) String() string { return s.text.String() }

func (s *said) Write(b []byte) (int, error) {
	defer s.then()
	return s.text.Write(b)
}

// What a command leaves behind ends with the namespace.
func TestKernelCloseEndsWhatIsLeft(t *testing.T) {
	ns := newNamespace(t)
	file := filepath.Join(t.TempDir(), "pid")
	if _, exit := run(t, t.Context(), ns, "setsid sleep 600 >/dev/null 2>&1 & echo $! > "+file); exit != 0 {
		t.Fatal("it cannot be started")
	}
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		status, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(status), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %s is there still", pid)
		}
	}
}

func TestOpenNamespaceThatIsNone(t *testing.T) {
	if _, err := kernel.OpenNamespace("no-such-name"); err == nil || !strings.Contains(err.Error(), "ip netns add no-such-name") {
		t.Errorf("OpenNamespace = %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ns, err := kernel.OpenNamespace(file)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(func() error { return nil }); err == nil {
		t.Error("a file that is no namespace can be entered")
	}
}

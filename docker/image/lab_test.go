package image

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a network of named hosts, on the loopback interface.
type lab struct {
	t     testing.TB
	mu    sync.Mutex
	ports map[string]string // host:port -> the real address
	added chan struct{}     // closed and replaced with every new port
}

func newLab(t testing.TB) *lab {
	return &lab{t: t, ports: map[string]string{}, added: make(chan struct{})}
}

// host is the Net of one host of a lab.
type host struct {
	lab  *lab
	name string
}

func (h host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, network, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	h.lab.ports[net.JoinHostPort(h.name, port)] = l.Addr().String()
	close(h.lab.added)
	h.lab.added = make(chan struct{})
	return l, nil
}

func (h host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	h.lab.mu.Lock()
	actual, ok := h.lab.ports[address]
	h.lab.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("dial %s: no such host", address)
	}
	return new(net.Dialer).DialContext(ctx, network, actual)
}

// address waits until somebody listens on host:port.
func (l *lab) address(hostPort string) string {
	l.t.Helper()
	deadline := time.After(time.Minute)
	for {
		l.mu.Lock()
		actual, ok := l.ports[hostPort]
		added := l.added
		l.mu.Unlock()
		if ok {
			return actual
		}
		select {
		case <-added:
		case <-deadline:
			l.t.Fatalf("nobody listens on %s", hostPort)
		}
	}
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// container is a running program.
type container struct {
	t              testing.TB
	cancel         context.CancelFunc
	exited         chan struct{}
	exit           int
	stdout, stderr fabrictest.Output
}

// run starts an image's command on a host of the lab.
func (l *lab) run(name, ref string, env ...string) *container {
	l.t.Helper()
	im, err := Lookup(ref)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.start(name, im.Run, im.Argv(nil, nil), env...)
}

func (l *lab) start(name string, prog Program, argv []string, env ...string) *container {
	ctx, cancel := context.WithCancel(context.Background())
	c := &container{t: l.t, cancel: cancel, exited: make(chan struct{})}
	p := &Process{
		Args: argv, Env: env, Hostname: name, Net: host{l, name},
		Addr: netip.MustParseAddr("10.0.0.3"), Stdout: &c.stdout, Stderr: &c.stderr,
	}
	go func() {
		defer close(c.exited)
		c.exit = prog(ctx, p)
	}()
	l.t.Cleanup(func() { c.stop() })
	return c
}

// stop ends the program and returns its exit status.
func (c *container) stop() int {
	c.t.Helper()
	c.cancel()
	return c.wait()
}

func (c *container) wait() int {
	c.t.Helper()
	select {
	case <-c.exited:
	case <-time.After(time.Minute):
		c.t.Fatal("the program does not end")
	}
	return c.exit
}

// redisDo runs one command against a Redis of the lab.
func (l *lab) redisDo(hostPort string, args ...string) Reply {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.address(hostPort))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reply, err := RedisCommand(ctx, conn, args...)
	if err != nil {
		l.t.Fatalf("%v: %v", args, err)
	}
	return reply
}

// response is what a test looks at.
type response struct {
	status int
	proto  string
	header http.Header
	body   string
	close  bool
}

func (l *lab) get(hostPort, path string) response {
	l.t.Helper()
	return l.request(http.MethodGet, hostPort, path)
}

func (l *lab) request(method, hostPort, path string) response {
	l.t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://"+l.address(hostPort)+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "curl/7.47.0")
	client := &http.Client{Transport: transport, Timeout: 8 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Proto, resp.Header, string(body), resp.Close}
}

func wantContains(t testing.TB, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s = %q; want %q in it", what, got, w)
		}
	}
}

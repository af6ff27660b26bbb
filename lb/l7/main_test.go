package l7

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// backend starts an HTTP server and returns where it is.
func backend(t testing.TB, name string, h http.HandlerFunc) Backend {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return at(name, s.Listener)
}

func at(name string, l net.Listener) Backend {
	return Backend{Name: name, Addr: netip.MustParseAddrPort(l.Addr().String())}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// deaf returns an address where nobody listens.
func deaf(t testing.TB) Backend {
	t.Helper()
	l := listen(t)
	_ = l.Close()
	return at("deaf", l)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

type serving struct {
	*Router
	t    testing.TB
	addr string
	stop func() error // ends Serve and returns what it did
}

// serve runs a router on the loopback interface.
func serve(t testing.TB, cfg Config, how func(*Router, context.Context, net.Listener) error, routes ...Route) *serving {
	t.Helper()
	cfg.Dial = new(net.Dialer).DialContext
	r := New(cfg)
	if err := r.SetRoutes(routes); err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- how(r, ctx, l) }()
	s := &serving{Router: r, t: t, addr: l.Addr().String()}
	ended := false
	s.stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(time.Minute):
			t.Fatal("Serve does not end")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Serve = %v; want nil", err)
		}
	})
	return s
}

// answer is what a test looks at.
type answer struct {
	status int
	body   string
	header http.Header
}

// do sends a request for a host; headers are keys and values in turn.
func (s *serving) do(method, host, path string, body io.Reader, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(method, host, path, body, headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *serving) try(method, host, path string, body io.Reader, headers ...string) (answer, error) {
	s.t.Helper()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://"+s.addr+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(text), resp.Header}, err
}

func (s *serving) get(host string) answer { return s.do(http.MethodGet, host, "/", nil) }

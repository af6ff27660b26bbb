package dockercli_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/pkg/stdcopy"
)

// fakeEngine answers what the tests ask of an engine, as an engine does on the wire. The program of its containers is a cat
// that begins with a line of its own and ends with its input, or with SIGINT; its exit status is 7.
type fakeEngine struct {
	dial func(ctx context.Context) (net.Conn, error)

	version string // of the API

	mu       sync.Mutex
	requests []string             // guarded by mu
	bodies   map[string]string    // guarded by mu; the last body by path
	killed   chan string          // the signals
	ended    map[string]chan bool // guarded by mu; closed when a container's program has ended
	open     int                  // guarded by mu; connections
}

func newFakeEngine(t *testing.T) *fakeEngine {
	t.Helper()
	e := &fakeEngine{version: "1.50", bodies: map[string]string{}, killed: make(chan string, 16), ended: map[string]chan bool{}}
	dir, err := os.MkdirTemp("", "e")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: e.handler(), ConnState: func(_ net.Conn, s http.ConnState) {
		e.mu.Lock()
		defer e.mu.Unlock()
		switch s {
		case http.StateNew:
			e.open++
		case http.StateClosed, http.StateHijacked:
			e.open--
		}
	}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
		_ = os.RemoveAll(dir)
	})
	e.dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return e
}

// asked returns the requests so far, without those for the version.
func (e *fakeEngine) asked() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, r := range e.requests {
		if !strings.Contains(r, "_ping") {
			all = append(all, r)
		}
	}
	return strings.Join(all, "\n")
}

func (e *fakeEngine) body(path string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bodies[path]
}

func (e *fakeEngine) end(id string) chan bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended[id] == nil {
		e.ended[id] = make(chan bool)
	}
	return e.ended[id]
}

func (e *fakeEngine) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", e.version)
		w.Header().Set("Ostype", "linux")
		w.Header().Set("Swarm", "inactive")
	})
	answer := func(pattern string, status int, v any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	type m = map[string]any
	answer("GET /networks", 200, []m{{"Name": "bridge", "Id": strings.Repeat("b", 64), "Driver": "bridge", "Scope": "local"}})
	answer("GET /containers/json", 200, []m{{"Id": strings.Repeat("a", 64), "Names": []string{"/web1"}, "Image": "nginx",
		"Command": "nginx", "Status": "Up 2 seconds", "State": "running", "Ports": []m{}}})
	answer("POST /containers/create", 201, m{"Id": "new"})
	answer("GET /containers/{id}/stats", 200, m{"name": "/web1", "id": strings.Repeat("a", 64)})
	answer("DELETE /networks/{id}", 403, m{"message": "bridge is a pre-defined network and cannot be removed"})
	mux.HandleFunc("GET /containers/{id}/json", e.inspect)
	answer("POST /containers/{id}/start", 204, nil)
	answer("POST /containers/{id}/resize", 200, nil)
	answer("POST /exec/{id}/resize", 200, nil)
	mux.HandleFunc("POST /containers/{id}/kill", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		e.killed <- r.FormValue("signal")
	})
	mux.HandleFunc("POST /containers/{id}/exec", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(201)
		fmt.Fprintf(w, `{"Id": "exec-%s"}`, r.PathValue("id"))
	})
	answer("GET /exec/{id}/json", 200, m{"ID": "x", "ExitCode": 7})
	mux.HandleFunc("POST /exec/{id}/start", e.attach)
	mux.HandleFunc("POST /containers/{id}/attach", e.attach)
	mux.HandleFunc("POST /containers/{id}/wait", e.wait)
	mux.HandleFunc("GET /events", e.events)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/v"+e.version)
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		e.requests = append(e.requests, r.Method+" "+path)
		e.bodies[path] = string(body)
		e.mu.Unlock()
		r.URL.Path = path
		mux.ServeHTTP(w, r)
	})
}

func (e *fakeEngine) inspect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	id := r.PathValue("id")
	if id == "nobody" {
		w.WriteHeader(404)
		_, _ = io.WriteString(w, `{"message": "No such container: nobody"}`)
		return
	}
	fmt.Fprintf(w, `{"Id": %q, "State": {"Running": true}, "Config": {"Tty": %v, "OpenStdin": true}}`, id, strings.HasPrefix(id, "tty"))
}

func (e *fakeEngine) wait(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-e.end(r.PathValue("id")):
		_, _ = io.WriteString(w, `{"StatusCode": 7}`)
	case <-r.Context().Done():
	}
}

// events tells how the container of docker run ends.
func (e *fakeEngine) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-e.end("new"):
		_, _ = io.WriteString(w, `{"Type": "container", "Action": "start", "Actor": {"ID": "new"}}
{"Type": "container", "Action": "die", "Actor": {"ID": "new", "Attributes": {"exitCode": "9"}}}
{"Type": "container", "Action": "destroy", "Actor": {"ID": "new"}}
`)
	case <-r.Context().Done():
	}
}

// attach is the program: it says what it is, and then what it hears.
func (e *fakeEngine) attach(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	tty := strings.Contains(id, "tty") || strings.Contains(e.body("/containers/create"), `"Tty":true`)
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	done := e.end(id)
	defer close(done)
	if tty {
		e.speak(conn, buf.Reader)
		return
	}
	out := stdcopy.NewStdWriter(conn, stdcopy.Stdout)
	_, _ = io.WriteString(out, "hello\n")
	_, _ = io.WriteString(stdcopy.NewStdWriter(conn, stdcopy.Stderr), "oops\n")
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(out, buf.Reader)
	}()
	if strings.Contains(id, "stays") || strings.Contains(e.body("/containers/create"), "stays") {
		<-e.killed
		_ = conn.Close()
	}
	<-heard
}

// speak is the program on a terminal: it ends with Ctrl-D.
func (e *fakeEngine) speak(conn net.Conn, in *bufio.Reader) {
	_, _ = io.WriteString(conn, "hello\r\n")
	for {
		b, err := in.ReadByte()
		if err != nil || b == 4 {
			return
		}
		_, _ = conn.Write([]byte{b})
	}
}

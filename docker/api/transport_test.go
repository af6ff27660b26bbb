package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPing(t *testing.T) {
	r := newRig(t)
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		resp := r.open(method, "/_ping", "")
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s /_ping = %d, %v", method, resp.StatusCode, err)
		}
		if want := map[string]string{http.MethodHead: "", http.MethodGet: "OK"}[method]; string(body) != want {
			t.Errorf("%s /_ping: %q; want %q", method, body, want)
		}
		for key, want := range map[string]string{
			"Api-Version": "1.50", "Ostype": "linux", "Swarm": "inactive", "Docker-Experimental": "false",
		} {
			if got := resp.Header.Get(key); got != want {
				t.Errorf("%s /_ping: header %s is %q; want %q", method, key, got, want)
			}
		}
	}
}

// TestRelease shows what an engine of 2017 serves, and says of itself.
func TestRelease(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Release = Release1703 })
	h := r.open(http.MethodHead, "/_ping", "").Header
	if api, server := h.Get("Api-Version"), h.Get("Server"); api != "1.26" || server != "Docker/17.03.2-netsim (linux)" {
		t.Errorf("HEAD /_ping: API %q of %q; want 1.26 of 17.03.2", api, server)
	}
	for _, row := range []struct {
		path   string
		status int
		text   string
	}{
		{"/v1.26/networks", 200, ""},
		{"/v1.24/networks", 200, ""},
		{"/networks", 200, ""},
		{"/v1.27/networks", 400, `{"message":"client version 1.27 is too new. Maximum supported API version is 1.26"}`},
		{"/v1.50/networks", 400, `{"message":"client version 1.50 is too new. Maximum supported API version is 1.26"}`},
		{"/v1.23/networks", 400, `{"message":"client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"}`},
	} {
		status, body := r.do(http.MethodGet, row.path, "")
		if status != row.status || row.text != "" && body != row.text {
			t.Errorf("GET %s = %d %s; want %d %s", row.path, status, body, row.status, row.text)
		}
	}
	var v struct {
		Version, MinAPIVersion string
		API                    string `json:"ApiVersion"`
	}
	r.get("/version", &v)
	if v.Version != "17.03.2-netsim" || v.API != "1.26" || v.MinAPIVersion != "1.24" {
		t.Errorf("GET /version = %+v", v)
	}
}

func TestSwarmHeader(t *testing.T) {
	f := newFakeSwarm()
	r := newRig(t, func(c *Config) { c.Swarm = f })
	for _, row := range []struct {
		state           SwarmInfo
		header          string
		status, overlay int
		text            string
	}{
		{SwarmInfo{}, "inactive", 503, 403, textNoSwarm},
		{SwarmInfo{State: SwarmActive}, "active/worker", 503, 403, textWorker},
		{SwarmInfo{State: SwarmActive, Manager: true}, "active/manager", 503, 503, textPreparing},
		{SwarmInfo{State: SwarmActive, Manager: true, Control: true}, "active/manager", 503, 503, textPreparing},
		{SwarmInfo{State: SwarmPending}, "pending", 503, 503, textWorker},
		{SwarmInfo{State: SwarmError, Error: "no"}, "error", 503, 503, textWorker},
		{SwarmInfo{State: SwarmLocked, Manager: true}, "locked", 503, 503, textLocked},
	} {
		f.set(func(i *SwarmInfo) { *i = row.state })
		if status, body := r.do(http.MethodPost, "/networks/create", `{"Name":"o","Driver":"overlay"}`); status != row.overlay {
			t.Errorf("%+v: an overlay: %d %s; want %d", row.state, status, body, row.overlay)
		}
		if got := r.open(http.MethodHead, "/_ping", "").Header.Get("Swarm"); got != row.header {
			t.Errorf("%+v: header %q; want %q", row.state, got, row.header)
		}
		for _, path := range []string{"/v1.50/nodes", "/v1.50/services/web", "/tasks", "/swarm"} {
			if status, body := r.do(http.MethodGet, path, ""); status != row.status || body != errorText(row.text) {
				t.Errorf("%+v: GET %s = %d %s; want %d %s", row.state, path, status, body, row.status, errorText(row.text))
			}
		}
	}
}

// errorText is an error as it is on the wire.
func errorText(text string) string {
	return fmt.Sprintf(`{"message":%q}`, text)
}

func TestRouting(t *testing.T) {
	r := newRig(t)
	for _, row := range []struct {
		name, method, path string
		status             int
		message            string // of the error; empty: none
	}{
		{"a version", "GET", "/v1.24/networks", 200, ""},
		{"no version", "GET", "/networks", 200, ""},
		{"the highest", "GET", "/v1.50/networks", 200, ""},
		{"too new", "GET", "/v1.60/networks", 400, "client version 1.60 is too new. Maximum supported API version is 1.50"},
		{"too old", "GET", "/v1.23/networks", 400, "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"},
		{"another major", "GET", "/v2.0/networks", 400, "client version 2.0 is too new. Maximum supported API version is 1.50"},
		{"no number", "GET", "/v1.2.3/networks", 400, "invalid API version 1.2.3: give it as 1.41"},
		{"unknown", "GET", "/nothing", 404, "page not found"},
		{"a method that is not there", "PUT", "/networks", 404, "page not found"},
		{"no path", "GET", "/", 404, "page not found"},
		{"a version only", "GET", "/v1.50", 404, "page not found"},
		{"two slashes are no redirect", "GET", "//networks", 404, "page not found"},
		{"dots are no redirect", "GET", "/v1.50/x/../networks", 404, "page not found"},
		{"an escaped slash in a name", "GET", "/networks/a%2Fb", 404, "network a/b not found"},
		{"an escaped percent sign", "GET", "/networks/a%2525", 404, "network a%25 not found"},
		{"a bad query", "GET", "/networks?a=%zz", 400, `invalid query: invalid URL escape "%zz"`},
		{"since 1.25 only", "POST", "/v1.24/networks/prune", 404, "page not found"},
		{"build", "POST", "/build", 501, "images are not built in a lab: use one of the built-in images, listed by docker search ''"},
	} {
		status, body := r.do(row.method, row.path, "")
		if status != row.status || row.message != "" && body != errorText(row.message) {
			t.Errorf("%s: %s %s = %d %s; want %d %s", row.name, row.method, row.path, status, body, row.status, row.message)
		}
	}
	if ct := r.open("GET", "/nothing", "").Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type of an error: %q", ct)
	}
}

func TestBodies(t *testing.T) {
	r := newRig(t)
	post := func(contentType string, body io.Reader) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(soon(t), http.MethodPost, "http://docker/networks/create", body)
		if err != nil {
			t.Fatal(err)
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // it is read
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, strings.TrimSpace(string(b))
	}
	const js = "application/json"
	for _, row := range []struct {
		name, contentType, body string
		status                  int
		want                    string
	}{
		{"cut off", js, `{"Name":`, 400, "invalid JSON: unexpected EOF"},
		{"no JSON", js, `hello`, 400, "invalid JSON: invalid character 'h' looking for beginning of value"},
		{"a wrong type", js, `{"Name":[1]}`, 400, "invalid JSON: json: cannot unmarshal array into Go struct field CreateRequest.Name of type string"},
		{"a list", js, `[]`, 400, "invalid JSON: json: cannot unmarshal array into Go value of type network.CreateRequest"},
		{"more behind it", js, `{"Name":"a"} {}`, 400, "unexpected content after JSON"},
		{"blanks only", js, "  \n", 400, "invalid JSON: got EOF while reading request body"},
		{"no content type", "", `{"Name":"a"}`, 400, "malformed Content-Type header (): mime: no media type"},
		{"another content type", "text/plain", `{"Name":"a"}`, 400, "unsupported Content-Type header (text/plain): must be 'application/json'"},
		{"nothing", "", "", 400, "network name cannot be empty"},
		{"deep", js, strings.Repeat("[", 20_000), 400, "invalid JSON: invalid character '[' exceeded max depth"},
	} {
		status, body := post(row.contentType, strings.NewReader(row.body))
		if status != row.status || !strings.HasPrefix(body, strings.TrimSuffix(errorText(row.want), `"}`)) {
			t.Errorf("%s: %d %s; want %d %s", row.name, status, body, row.status, row.want)
		}
	}
	if status, _ := post(js+"; charset=utf-8", strings.NewReader(`{"Name":"utf8"}`)); status != http.StatusCreated {
		t.Errorf("a content type with a character set: %d", status)
	}
}

// TestHugeBody sends 100 MB: the answer comes early, and the memory is not taken.
func TestHugeBody(t *testing.T) {
	r := newRig(t)
	conn, err := r.s.Dial(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it only ends it
	const size = 100 << 20
	go func() {
		_, _ = fmt.Fprintf(conn, "POST /networks/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n\"", size)
		chunk := bytes.Repeat([]byte("a"), 64<<10)
		for range size / len(chunk) {
			if _, err := conn.Write(chunk); err != nil {
				return // the server has heard enough
			}
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body) // the status says what matters
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), "the engine takes 4 MiB") {
		t.Errorf("100 MB: %d %s", resp.StatusCode, body)
	}
}

// TestManyConnections opens 1,000 and leaves them: the next request is answered as before, and the end of the server
// ends them.
func TestManyConnections(t *testing.T) {
	r := newRig(t)
	for i := range 1000 {
		conn, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		switch i % 3 {
		case 1:
			_, err = io.WriteString(conn, "GET /_ping HTT")
		case 2:
			_, err = io.WriteString(conn, "POST /networks/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if status, body := r.do("GET", "/networks", ""); status != http.StatusOK {
		t.Errorf("GET /networks = %d %s", status, body)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("a request beside 1,000 idle connections took %s", took)
	}
}

func TestTooManyConnections(t *testing.T) {
	ln := newMemListener()
	defer ln.Close() //nolint:errcheck // it cannot fail
	b := &boundedListener{Listener: ln, room: make(chan struct{}, 1)}
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		conn, err := ln.dial(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	dial()
	first := <-accepted
	resp, err := http.ReadResponse(bufio.NewReader(dial()), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 503 || string(body) != `{"message":"too many connections are open: close some first"}` {
		t.Errorf("one too many: %d %q, %v", resp.StatusCode, body, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	dial()
	if second := <-accepted; second == nil {
		t.Error("there is no room after one has left")
	}
}

func TestSocket(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "a.sock")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "another server listens on") {
		t.Errorf("a live socket in the way: %v", err)
	}
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := listenSocket(path)
	if err != nil {
		t.Fatalf("a leftover socket in the way: %v", err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", fi.Mode(), err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file: "is in the way, and is no socket: remove it",
		link: "is a symbolic link, which is not followed: remove it",
		filepath.Join(dir, strings.Repeat("long", 30)): "set XDG_RUNTIME_DIR to a shorter directory",
	} {
		if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen on %s: %v; want %q", path, err, want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file in the way: %q, %v", b, err)
	}
}

func TestRunEnds(t *testing.T) {
	r := newRig(t)
	if _, err := os.Stat(r.socket); err != nil {
		t.Fatal(err)
	}
	r.do("GET", "/_ping", "")
	r.stop()
	if _, err := r.s.Dial(context.Background()); err == nil {
		t.Error("Dial works after the end")
	}
	if _, err := os.Stat(r.socket); err == nil {
		t.Error("the socket is there after the end")
	}
}

package l7

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestG6RequestsSpreadEvenly(t *testing.T) {
	var all []Backend
	for i := range 5 {
		all = append(all, backend(t, fmt.Sprint("b", i), says(fmt.Sprint(i))))
	}
	s := serve(t, Config{}, (*Router).Serve, Route{Name: "red", Host: "red.example.com", Backends: all})
	seen := map[string]int{}
	for range 20 {
		seen[s.get("red.example.com").body]++
	}
	for i := range 5 {
		if seen[fmt.Sprint(i)] != 4 {
			t.Errorf("requests per backend = %v; want 4 of each", seen)
		}
	}
	if got := s.Counters(); got.Requests != 20 || len(got.Refused) != 0 {
		t.Errorf("Counters = %+v; want 20 requests", got)
	}
}

// G5: what fits no route, and what has no backend, is answered by 503.
func TestG5Refusals(t *testing.T) {
	hang := backend(t, "hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	dies := backend(t, "dies", func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = c.Close()
		}
	})
	s := serve(t, Config{AnswerTimeout: 50 * time.Millisecond}, (*Router).Serve,
		Route{Host: "none"}, Route{Host: "deaf", Backends: []Backend{deaf(t)}},
		Route{Host: "dies", Backends: []Backend{dies}}, Route{Host: "hang", Backends: []Backend{hang}})
	const none = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
	for _, row := range []struct {
		method, host string
		status       int
		body         string
		why          Reason
	}{
		{"GET", "unknown", 503, none, NoRoute},
		{"GET", "none", 503, none, NoBackend},
		{"GET", "deaf", 503, none, Unreachable},
		{"POST", "dies", 502, "<h1>502 Bad Gateway</h1>", BadAnswer},
		{"GET", "hang", 504, "<h1>504 Gateway Timeout</h1>", NoAnswer},
	} {
		before := s.Counters().Refused[row.why]
		got := s.do(row.method, row.host, "/", nil)
		if got.status != row.status || !strings.Contains(got.body, row.body) || got.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s of %s = %d %q; want %d %q", row.method, row.host, got.status, got.body, row.status, row.body)
		}
		if n := s.Counters().Refused[row.why] - before; n != 1 {
			t.Errorf("%s of %s counts %d times as %s; want once: %v", row.method, row.host, n, row.why, s.Counters().Refused)
		}
	}
}

func TestRefusalsThatAreTheServersOwnAreCounted(t *testing.T) {
	s := serve(t, Config{MaxHeader: 8 << 10, HeaderTimeout: 50 * time.Millisecond}, (*Router).Serve)
	for _, row := range []struct {
		name, send, want string
		why              Reason
	}{
		{"a head too long", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", "HTTP/1.1 431", HeaderTooLarge},
		{"no HTTP", "HELO mail\r\n\r\n", "HTTP/1.1 400", BadRequest},
		{"a head that stops", "GET / HTTP/1.1\r\n", "", SlowClient},
		{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "HTTP/1.1 400", BadRequest},
	} {
		before := s.Counters().Refused[row.why]
		c := dial(t, s.addr)
		_, _ = io.WriteString(c, row.send)
		got, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(got), row.want) {
			t.Errorf("%s: answer %q; want %s", row.name, got, row.want)
		}
		eventually(t, row.name+" is counted", func() bool { return s.Counters().Refused[row.why] == before+1 })
		_ = c.Close()
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	s := serve(t, Config{MaxConns: 2}, (*Router).Serve)
	a, b := dial(t, s.addr), dial(t, s.addr)
	third := dial(t, s.addr)
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is served; want it closed")
	}
	if n := s.Counters().Refused[TooMany]; n != 1 {
		t.Errorf("too many: %d; want 1", n)
	}
	_, _ = a.Close(), b.Close()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSlowClientsAreGivenUp(t *testing.T) {
	b := backend(t, "b", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for range 4096 {
			if _, err := w.Write(make([]byte, 16<<10)); err != nil {
				return
			}
		}
	})
	s := serve(t, Config{StallTimeout: 100 * time.Millisecond}, (*Router).Serve, Route{Backends: []Backend{b}})
	sends := dial(t, s.addr)
	_, _ = io.WriteString(sends, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
	if got, _ := io.ReadAll(sends); !strings.HasPrefix(string(got), "HTTP/1.1 408") {
		t.Errorf("a body that stops is answered by %q; want 408", got)
	}
	takes := dial(t, s.addr)
	_, _ = io.WriteString(takes, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "a client that takes nothing is given up", func() bool { return s.Counters().Refused[SlowClient] == 2 })
}

func TestAnotherBackendIsAskedIfOneTakesNoConnection(t *testing.T) {
	s := serve(t, Config{}, (*Router).Serve, Route{Backends: []Backend{deaf(t), backend(t, "b", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})}})
	for range 3 {
		if got := s.do("POST", "a", "/", strings.NewReader("hello")); got.status != 200 || got.body != "hello" {
			t.Errorf("answer = %d %q; want that of the other backend, with the request's body", got.status, got.body)
		}
	}
	if got := s.Counters(); got.Requests != 3 || len(got.Refused) != 0 {
		t.Errorf("Counters = %+v; want 3 requests", got)
	}
}

func TestABackendThatDiesInItsAnswerBreaksItOff(t *testing.T) {
	s := serve(t, Config{}, (*Router).Serve, Route{Backends: []Backend{backend(t, "b", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})}})
	if a, err := s.try("GET", "a", "/", nil); err == nil {
		t.Errorf("answer = %d %q; want it broken off", a.status, a.body)
	}
	eventually(t, "it is counted", func() bool { return s.Counters().Refused[BrokenOff] == 1 })
}

func TestG4StickySessions(t *testing.T) {
	var all []Backend
	for i := range 3 {
		all = append(all, backend(t, fmt.Sprint("b", i), says(fmt.Sprint(i))))
	}
	route := Route{Sticky: "SID", Backends: all}
	s := serve(t, Config{}, (*Router).Serve, route)
	first := s.get("a")
	cookie, _, _ := strings.Cut(first.header.Get("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "SID=") || strings.Contains(cookie, "127.0.0.1") {
		t.Fatalf("Set-Cookie = %q; want SID, without an address", first.header.Get("Set-Cookie"))
	}
	for range 5 {
		if got := s.do("GET", "a", "/", nil, "Cookie", cookie); got.body != first.body || got.header.Get("Set-Cookie") != "" {
			t.Errorf("answer of %q with %q; want %q again and no cookie", got.body, got.header.Get("Set-Cookie"), first.body)
		}
	}
	var i int
	_, _ = fmt.Sscan(first.body, &i)
	route.Backends = slices.Delete(slices.Clone(all), i, i+1)
	if err := s.SetRoutes([]Route{route}); err != nil {
		t.Fatal(err)
	}
	if got := s.do("GET", "a", "/", nil, "Cookie", cookie); got.body == first.body || got.header.Get("Set-Cookie") == "" {
		t.Errorf("answer of %q with %q; want another backend's, and its cookie", got.body, got.header.Get("Set-Cookie"))
	}
}

func TestG8HeadersOfTheClient(t *testing.T) {
	echo := backend(t, "b", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s|%s|%s|%s|%s|%s", r.Host, r.URL.RequestURI(), r.Header.Get("X-Forwarded-For"),
			r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("User-Agent"))
	})
	s := serve(t, Config{}, (*Router).Serve, Route{Host: "plain", Backends: []Backend{echo}}, Route{Host: "told", Forwarded: true, Backends: []Backend{echo}})
	for _, row := range []struct {
		host    string
		headers []string
		want    string
	}{
		{"plain:81", nil, "plain:81|/a%2Fb?x=1;y|||"},
		{"plain:81", []string{"X-Forwarded-For", "1.2.3.4"}, "plain:81|/a%2Fb?x=1;y|1.2.3.4||"},
		{"told", nil, "told|/a%2Fb?x=1;y|127.0.0.1|http|told"},
		{"told", []string{"X-Forwarded-For", "1.2.3.4"}, "told|/a%2Fb?x=1;y|1.2.3.4, 127.0.0.1|http|told"},
	} {
		if got := s.do("GET", row.host, "/a%2Fb?x=1;y", nil, append(row.headers, "User-Agent", "curl")...); got.body != row.want+"|curl" {
			t.Errorf("%s with %v: %q; want %q", row.host, row.headers, got.body, row.want+"|curl")
		}
	}
}

func TestG4Redirect(t *testing.T) {
	s := serve(t, Config{}, (*Router).Serve, Route{Host: "old", Redirect: "https://new"}, Route{Host: "page", Redirect: "http://new/page"})
	for host, want := range map[string]string{"old": "https://new/a?b=c", "page": "http://new/page"} {
		if got := s.do("GET", host, "/a?b=c", nil); got.status != 301 || got.header.Get("Location") != want {
			t.Errorf("%s = %d %s; want 301 %s", host, got.status, got.header.Get("Location"), want)
		}
	}
	if got := s.Counters().Redirects; got != 2 {
		t.Errorf("redirects = %d; want 2", got)
	}
}

// upgraded speaks a protocol that turns letters into capitals, after HTTP's upgrade.
func upgraded(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, strings.ToUpper(line))
	}
}

func upgrade(t testing.TB, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := dial(t, addr)
	_, _ = io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("upgrade = %+v, %v; want 101", resp, err)
	}
	return c, br
}

func TestWebSocketsPass(t *testing.T) {
	s := serve(t, Config{DrainTimeout: 20 * time.Millisecond}, (*Router).Serve, Route{Backends: []Backend{backend(t, "b", upgraded)}})
	c, br := upgrade(t, s.addr)
	for _, text := range []string{"hello\n", "again\n"} {
		_, _ = io.WriteString(c, text)
		if got, err := br.ReadString('\n'); got != strings.ToUpper(text) {
			t.Errorf("answer = %q, %v; want it in capitals", got, err)
		}
	}
	_ = c.Close()
	left, lbr := upgrade(t, s.addr)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if got, err := lbr.ReadString('\n'); err == nil {
		t.Errorf("after Serve a connection still reads %q", got)
	}
	_ = left.Close()
}

// A request that is under way ends as if nothing were, while its backend leaves the routes and while the router stops.
func TestDraining(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	release := make(chan struct{})
	slow := backend(t, "slow", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		asked++
		mu.Unlock()
		<-release
		_, _ = io.WriteString(w, "done")
	})
	s := serve(t, Config{DrainTimeout: 10 * time.Second}, (*Router).Serve, Route{Backends: []Backend{slow}})
	answers := make(chan answer, 2)
	ask := func(n int) {
		go func() {
			a, _ := s.try("GET", "a", "/", nil)
			answers <- a
		}()
		eventually(t, "the backend is asked", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return asked == n
		})
	}
	ask(1)
	if err := s.SetRoutes([]Route{{Backends: []Backend{backend(t, "new", says("new"))}}}); err != nil {
		t.Fatal(err)
	}
	if got := s.get("a").body; got != "new" {
		t.Errorf("a request after the change is answered by %q; want new", got)
	}
	if err := s.SetRoutes([]Route{{Backends: []Backend{slow}}}); err != nil {
		t.Fatal(err)
	}
	ask(2)
	stopped := make(chan error)
	go func() { stopped <- s.stop() }()
	eventually(t, "no more connections are taken", func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(release)
	for range 2 {
		if got := <-answers; got.status != 200 || got.body != "done" {
			t.Errorf("answer = %d %q; want done", got.status, got.body)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
}

func TestChecksKeepRequestsFromBackendsThatAreDown(t *testing.T) {
	var mu sync.Mutex
	sick := false
	b := backend(t, "b", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if sick && r.URL.Path == "/health" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "b")
	})
	a := backend(t, "a", says("a"))
	s := serve(t, Config{}, (*Router).Serve, Route{Backends: []Backend{a, b}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Watch(ctx, Check{Path: "/health", Interval: time.Millisecond}, []Backend{a, b})
	}()
	defer func() {
		cancel()
		<-done
	}()
	three := func() string { return s.get("x").body + s.get("x").body + s.get("x").body }
	both := func() bool { all := three(); return strings.Contains(all, "a") && strings.Contains(all, "b") }
	set := func(to bool) {
		mu.Lock()
		defer mu.Unlock()
		sick = to
	}
	if !both() {
		t.Error("only one backend is asked; want both")
	}
	set(true)
	eventually(t, "b is left out", func() bool { return three() == "aaa" })
	set(false)
	eventually(t, "b is asked again", both)
}

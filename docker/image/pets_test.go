package image

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// webProgram is chrch/web with a short pause between attempts.
var webProgram = python(webApp{retry: time.Millisecond}.run)

var appPy = []string{"python", "app.py"}

func TestA6WebCountsItsHits(t *testing.T) {
	for _, row := range []struct{ role, title string }{{"cat", "for Cats"}, {"dog", "for Dogs"}} {
		t.Run(row.role, func(t *testing.T) {
			l := newLab(t)
			l.run("db", "redis")
			l.address("db:6379")
			web := l.run("c0ffee", "chrch/web", "DB=db", "ROLE="+row.role)
			for range 3 {
				got := l.get("c0ffee:5000", "/")
				wantContains(t, "page", got.body, row.title, "Delivered to you by container c0ffee", ".svg")
				if got.status != 200 || got.proto != "HTTP/1.0" || !got.close {
					t.Errorf("response = %+v; want 200, HTTP/1.0, closed", got)
				}
			}
			if n := l.redisDo("db:6379", "LLEN", "10.0.0.3:5000"); n.Int != 3 {
				t.Errorf("LLEN 10.0.0.3:5000 = %+v; want 3", n)
			}
			if got := l.get("c0ffee:5000", "/health"); got.status != 200 || got.body != "OK" {
				t.Errorf("/health = %+v; want OK", got)
			}
			wantContains(t, "log", web.stderr.String(), `"GET / HTTP/1.1" 200 -`)
			if exit := web.stop(); exit != exitTerminated {
				t.Errorf("exit = %d; want %d", exit, exitTerminated)
			}
		})
	}
}

func TestWebPictureExists(t *testing.T) {
	l := newLab(t)
	l.run("db", "redis")
	l.address("db:6379")
	l.run("web", "chrch/web", "DB=db", "ROLE=dog")
	page := l.get("web:5000", "/").body
	_, rest, _ := strings.Cut(page, `src="`)
	src, _, _ := strings.Cut(rest, `"`)
	if got := l.get("web:5000", src); got.status != 200 || !strings.HasPrefix(got.body, "<svg") {
		t.Errorf("GET %s = %d %.20q; want a picture", src, got.status, got.body)
	}
	if got := l.get("web:5000", "/static/nothing.svg"); got.status != 404 {
		t.Errorf("an unknown picture = %d; want 404", got.status)
	}
	if got := l.request("POST", "web:5000", "/"); got.status != 405 || got.header.Get("Allow") == "" {
		t.Errorf("POST / = %d; want 405", got.status)
	}
	if got := l.get("web:5000", "/nowhere"); got.status != 404 || !strings.Contains(got.body, "Not Found") {
		t.Errorf("GET /nowhere = %d; want 404", got.status)
	}
}

func TestA5WebRefusesToStart(t *testing.T) {
	for _, row := range []struct {
		name   string
		args   []string
		env    []string
		output string
		exit   int
	}{
		{"no role", appPy, []string{"DB=db"}, "Error: no valid role\n", 1},
		{"another role", appPy, []string{"DB=db", "ROLE=cow"}, "Error: no valid role\n", 1},
		{"no database", appPy, []string{"ROLE=cat"}, "Error: no database, set DB to its host or host:port\n", 1},
		{"another script", []string{"python", "x.py"}, nil, "python: can't open file 'x.py': [Errno 2] No such file or directory\n", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newLab(t).start("web", webProgram, row.args, row.env...)
			exit := c.wait()
			if got := c.stdout.String() + c.stderr.String(); got != row.output || exit != row.exit {
				t.Errorf("output = %q, exit %d; want %q, %d", got, exit, row.output, row.exit)
			}
		})
	}
}

func TestA5WebWaitsForItsDatabase(t *testing.T) {
	l := newLab(t)
	web := l.start("web", webProgram, appPy, "DB=host-b:8001", "ROLE=cat")
	const line = "Attempting to connect to host-b:8001. Trying again in 3 seconds ...\n"
	eventually(t, "two attempts", func() bool { return strings.Contains(web.stdout.String(), line+line) })
	l.start("host-b", redisServer, []string{"redis-server", "--port", "8001"})
	if got := l.get("web:5000", "/"); got.status != 200 {
		t.Errorf("status = %d; want 200", got.status)
	}
}

func TestWebStopsWhileItWaits(t *testing.T) {
	l := newLab(t)
	web := l.run("web", "chrch/web", "DB=nowhere", "ROLE=cat")
	eventually(t, "an attempt", func() bool { return web.stdout.String() != "" })
	if exit := web.stop(); exit != exitTerminated {
		t.Errorf("exit = %d; want %d", exit, exitTerminated)
	}
}

func TestWebFollowsItsDatabase(t *testing.T) {
	l := newLab(t)
	first := l.run("db", "redis")
	l.address("db:6379")
	l.run("web", "chrch/web", "DB=db", "ROLE=cat")
	l.get("web:5000", "/")
	first.stop()
	if got := l.get("web:5000", "/"); got.status != 500 || !strings.Contains(got.body, "connect to redis at db:6379") {
		t.Errorf("without a database = %d %q; want 500 and the reason", got.status, got.body)
	}
	before := l.address("db:6379")
	l.run("db", "redis")
	eventually(t, "the database has moved", func() bool { return l.address("db:6379") != before })
	if got := l.get("web:5000", "/"); got.status != 200 {
		t.Errorf("after the database moved = %d; want 200", got.status)
	}
	if n := l.redisDo("db:6379", "LLEN", "10.0.0.3:5000"); n.Int != 1 {
		t.Errorf("hits in the new database = %d; want 1", n.Int)
	}
}

func TestA7AdminSumsTheHits(t *testing.T) {
	l := newLab(t)
	l.run("dog-db", "redis")
	l.run("cat-db", "redis")
	l.redisDo("cat-db:6379", "LPUSH", "10.0.0.3:5000", "a", "b")
	l.redisDo("cat-db:6379", "LPUSH", "10.0.0.4:5000", "a")
	l.redisDo("cat-db:6379", "SET", "other", "value")
	l.redisDo("dog-db:6379", "LPUSH", "10.0.1.3:5000", "a")
	l.run("admin", "chrch/admin", "DB1=dog-db", "DB2=cat-db")
	wantContains(t, "page", l.get("admin:5000", "/").body, "<th>Pet</th><th>Hits</th>",
		"<td>Cats</td><td>3</td>", "<td>Dogs</td><td>1</td>")
}

func TestAdminWithoutItsDatabases(t *testing.T) {
	l := newLab(t)
	c := l.run("admin", "chrch/admin", "DB1=dog-db")
	if exit := c.wait(); exit != 1 || !strings.Contains(c.stdout.String(), "set DB2") {
		t.Errorf("exit %d, %q; want 1 and what is missing", exit, c.stdout.String())
	}
	l.run("admin", "chrch/admin", "DB1=dog-db", "DB2=cat-db")
	if got := l.get("admin:5000", "/"); got.status != 500 || !strings.Contains(got.body, "hits of the cats") {
		t.Errorf("response = %d %q; want 500 and the reason", got.status, got.body)
	}
}

// silent is a server that takes connections and never answers. It tells of
// each connection.
func silent(t *testing.T, l *lab, name string) (accepted <-chan struct{}) {
	listener, err := host{l, name}.Listen(context.Background(), "tcp", ":6379")
	if err != nil {
		t.Fatal(err)
	}
	done, told := make(chan struct{}), make(chan struct{}, 8)
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			told <- struct{}{}
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return told
}

func TestProgramsEndAtOnce(t *testing.T) {
	l := newLab(t)
	accepted := silent(t, l, "db")
	l.run("cat-db", "redis")
	l.address("cat-db:6379")
	admin := l.run("admin", "chrch/admin", "DB1=db", "DB2=cat-db")
	conn, err := net.Dial("tcp", l.address("admin:5000"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", l.address("admin:5000"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	select {
	case <-accepted: // the request waits for the dogs
	case <-time.After(time.Minute):
		t.Fatal("the request never reached the database")
	}
	start := time.Now()
	admin.stop()
	if took := time.Since(start); took > 30*time.Second { // a moment, but for a machine that is busy
		t.Errorf("the program took %v to end", took)
	}
}

func TestRedisPoolGivesUpOnSilence(t *testing.T) {
	l := newLab(t)
	silent(t, l, "db")
	pool := &redisPool{net: host{l, "web"}, address: "db:6379", timeout: 20 * time.Millisecond}
	defer pool.close()
	if _, err := pool.do(context.Background(), "PING"); err == nil || pool.client != nil {
		t.Errorf("do = %v, client %v; want an error and no client", err, pool.client)
	}
}

package image

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestA10Nginx(t *testing.T) {
	l := newLab(t)
	web := l.run("web1", "nginx")
	got := l.get("web1:80", "/")
	if got.status != 200 || got.header.Get("Server") != "nginx/1.11.5" || got.header.Get("Content-Type") != "text/html" ||
		got.header.Get("Content-Length") != "612" || got.header.Get("Connection") != "keep-alive" || got.close {
		t.Errorf("response = %+v; want nginx's headers", got)
	}
	wantContains(t, "page", got.body, "<title>Welcome to nginx!</title>",
		"<p><em>Thank you for using nginx.</em></p>\n</body>\n</html>\n")
	for _, row := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"GET", "/index.html", 200, "Welcome to nginx!"},
		{"GET", "/50x.html", 200, "An error occurred."},
		{"GET", "/foo", 404, "<center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx/1.11.5</center>"},
		{"GET", "/foo/", 404, "404 Not Found"},
		{"POST", "/", 405, "405 Not Allowed"},
		{"HEAD", "/", 200, ""},
	} {
		if got := l.request(row.method, "web1:80", row.path); got.status != row.status || !strings.Contains(got.body, row.text) {
			t.Errorf("%s %s = %d %q; want %d %q", row.method, row.path, got.status, got.body, row.status, row.text)
		}
	}
	if exit := web.stop(); exit != 0 {
		t.Errorf("exit = %d; want 0", exit)
	}
	wantContains(t, "access log", web.stdout.String(), "127.0.0.1 - - [", `] "GET / HTTP/1.1" 200 612 "-" "curl/7.47.0" "-"`,
		`"GET /foo HTTP/1.1" 404 `, `"HEAD / HTTP/1.1" 200 0 `)
	wantContains(t, "error log", web.stderr.String(), `open() "/usr/share/nginx/html/foo" failed`, "client: 127.0.0.1,")
}

func TestNginxArguments(t *testing.T) {
	for _, row := range []struct {
		args   string
		exit   int
		output string
	}{
		{"nginx -v", 0, "nginx version: nginx/1.11.5\n"},
		{"nginx -t", 0, "test is successful\n"},
		{"nginx -g", 1, `option "-g" requires parameter`},
		{"nginx start", 1, `invalid option: "start"`},
	} {
		c := newLab(t).start("web", nginx, strings.Fields(row.args))
		if exit := c.wait(); exit != row.exit {
			t.Errorf("%s = %d; want %d", row.args, exit, row.exit)
		}
		wantContains(t, row.args, c.stderr.String(), row.output)
	}
}

func TestLogLinesStayWhole(t *testing.T) {
	if got := orDash("a\"b\nc"); got != "a?b?c" {
		t.Errorf("orDash = %q; want a?b?c", got)
	}
}

// A1-A4: the page, the ping, the files and the environment.
func TestA1DockerDemo(t *testing.T) {
	l := newLab(t)
	c := l.run("f00d", "ehazlett/docker-demo:latest", "TITLE=RED", "REFRESH_INTERVAL=250", "EXTRA_INFO=<b>x", "SHOW_VERSION=1")
	page := l.get("f00d:8080", "/")
	wantContains(t, "page", page.body, "<h1>RED</h1>", `data-interval="250"`, "&lt;b&gt;x", "served by f00d, version 0.1",
		"containers</span>", "requests</span>", "errors</span>")
	ping := l.get("f00d:8080", "/ping")
	if ping.body != "{\"instance\":\"f00d\",\"version\":\"0.1\"}\n" || ping.close || !json.Valid([]byte(ping.body)) {
		t.Errorf("/ping = %+v; want instance and version, kept alive", ping)
	}
	for _, part := range []string{"app.js", "style.css", "whale.svg"} {
		wantContains(t, "page", page.body, "/static/"+part)
		if got := l.get("f00d:8080", "/static/"+part); got.status != 200 || got.header.Get("Content-Type") == "" {
			t.Errorf("/static/%s = %d", part, got.status)
		}
	}
	for _, path := range []string{"/static/index.html", "/static/..%2fimage.go", "/nowhere"} {
		if got := l.get("f00d:8080", path); got.status != http.StatusNotFound {
			t.Errorf("GET %s = %d; want 404", path, got.status)
		}
	}
	wantContains(t, "log", c.stderr.String(), `method=GET path="/ping" status=200 client="127.0.0.1:`)
}

func TestA1DockerDemoArguments(t *testing.T) {
	l := newLab(t)
	l.start("a", dockerDemo, []string{"/bin/docker-demo", "-close-conn", "-listen", ":81"}, "VERSION=2", "METADATA=m")
	if got := l.get("a:81", "/ping"); !got.close || got.body != "{\"instance\":\"a\",\"version\":\"2\",\"metadata\":\"m\"}\n" {
		t.Errorf("/ping = %+v; want it closed, version 2", got)
	}
	for _, row := range []struct {
		args []string
		env  string
		exit int
	}{
		{[]string{"docker-demo", "-nonsense"}, "A=b", 2},
		{[]string{"docker-demo", "-h"}, "A=b", 0},
		{[]string{"docker-demo"}, "REFRESH_INTERVAL=fast", 1},
		{[]string{"docker-demo", "-listen", "nowhere"}, "A=b", 1},
	} {
		if exit := l.start("b", dockerDemo, row.args, row.env).wait(); exit != row.exit {
			t.Errorf("%v with %s = %d; want %d", row.args, row.env, exit, row.exit)
		}
	}
}

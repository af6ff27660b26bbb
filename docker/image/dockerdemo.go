package image

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"time"
)

//go:embed demo
var demoFiles embed.FS

var demoPage = template.Must(template.ParseFS(demoFiles, "demo/index.html"))

// dockerDemoImage is the page that counts the containers behind it (A1-A4).
func dockerDemoImage() *Image {
	return &Image{
		Name: "ehazlett/docker-demo", Size: 12_816_384, Created: built(2016, 7, 14),
		Entrypoint:   []string{"/bin/docker-demo"},
		Cmd:          []string{"-listen=:8080"},
		Env:          []string{defaultPath},
		ExposedPorts: []string{"8080/tcp"},
		Programs:     map[string]Program{"docker-demo": dockerDemo},
		Tools:        ToolsBusybox,
	}
}

// dockerDemo serves the page on :8080, or where -listen says.
func dockerDemo(ctx context.Context, p *Process) int {
	flags := flag.NewFlagSet("docker-demo", flag.ContinueOnError)
	flags.SetOutput(p.stderr())
	listen := flags.String("listen", ":8080", "listen `address`")
	closeConn := flags.Bool("close-conn", false, "close the connection after each ping")
	switch err := flags.Parse(p.operands()); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	h, err := newDemo(p, *closeConn)
	if err != nil {
		_, _ = fmt.Fprintf(p.stderr(), "docker-demo: %v\n", err)
		return 1
	}
	out := &logWriter{w: p.stderr()}
	out.printf("time=%q level=info msg=\"listening on %s\"\n", time.Now().UTC().Format(time.RFC3339), *listen)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("/ping", h.ping)
	mux.HandleFunc("GET /static/{name}", demoStatic)
	return listenAndServe(ctx, p, *listen, logged(mux, func(r *http.Request, status int, _ int64) {
		client := r.Header.Get("X-Forwarded-For")
		if client == "" {
			client = r.RemoteAddr
		}
		out.printf("time=%q level=info msg=request method=%s path=%q status=%d client=%q\n",
			time.Now().UTC().Format(time.RFC3339), r.Method, r.URL.Path, status, client)
	}), exitTerminated)
}

// demo is the page's content: the answers never change while it runs.
type demo struct {
	page      []byte
	pong      []byte
	closeConn bool
}

const demoVersion = "0.1"

func newDemo(p *Process, closeConn bool) (*demo, error) {
	interval := 1000
	if v := p.Getenv("REFRESH_INTERVAL"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("REFRESH_INTERVAL %q: want a number of milliseconds", v)
		}
		interval = n
	}
	version := demoVersion
	if v := p.Getenv("VERSION"); v != "" {
		version = v
	}
	var page bytes.Buffer
	err := demoPage.Execute(&page, map[string]any{
		"Title":       p.Getenv("TITLE"),
		"Instance":    p.Hostname,
		"Version":     version,
		"ShowVersion": p.Getenv("SHOW_VERSION") != "",
		"Interval":    interval,
		"SkipErrors":  p.Getenv("SKIP_ERRORS") != "",
		"Extra":       p.Getenv("EXTRA_INFO"),
	})
	if err != nil {
		return nil, fmt.Errorf("build the page: %w", err)
	}
	pong, err := json.Marshal(struct {
		Instance string `json:"instance"`
		Version  string `json:"version"`
		Metadata string `json:"metadata,omitempty"`
	}{p.Hostname, version, p.Getenv("METADATA")})
	if err != nil {
		return nil, fmt.Errorf("build the answer to /ping: %w", err)
	}
	return &demo{page: page.Bytes(), pong: append(pong, '\n'), closeConn: closeConn}, nil
}

func (d *demo) index(w http.ResponseWriter, _ *http.Request) {
	writePage(w, http.StatusOK, "text/html; charset=utf-8", string(d.page))
}

func (d *demo) ping(w http.ResponseWriter, _ *http.Request) {
	if d.closeConn {
		w.Header().Set("Connection", "close")
	}
	writePage(w, http.StatusOK, "application/json", string(d.pong))
}

var demoTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// demoStatic serves the files that the page refers to.
func demoStatic(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	data, err := demoFiles.ReadFile("demo/" + name)
	if err != nil || name == "index.html" {
		http.NotFound(w, r)
		return
	}
	writePage(w, http.StatusOK, demoTypes[path.Ext(name)], string(data))
}

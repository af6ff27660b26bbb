package image

import (
	"context"
	"fmt"
	"html"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const petsPort = "5000"

// webImage is the front end of the pets app (A5, A6).
func webImage() *Image {
	return &Image{
		Name: "chrch/web", Size: 67_411_912, Created: built(2016, 10, 24),
		Cmd:          []string{"python", "app.py"},
		Env:          []string{defaultPath, "PYTHON_VERSION=2.7.12"},
		ExposedPorts: []string{petsPort + "/tcp"},
		Healthcheck: &Healthcheck{
			Test:     []string{"CMD-SHELL", "curl -f http://localhost:" + petsPort + "/health || exit 1"},
			Interval: time.Minute,
			Timeout:  10 * time.Second,
		},
		Programs: map[string]Program{"python": python(webApp{retry: 3 * time.Second}.run)},
		Tools:    ToolsFull,
	}
}

// python runs app as the script app.py.
func python(app Program) Program {
	return func(ctx context.Context, p *Process) int {
		switch args := p.operands(); {
		case len(args) == 0:
			_, _ = fmt.Fprintln(p.stderr(), "python: no interactive interpreter here; run python app.py")
			return 1
		case args[0] != "app.py":
			_, _ = fmt.Fprintf(p.stderr(), "python: can't open file '%s': [Errno 2] No such file or directory\n", args[0])
			return 2
		}
		return app(ctx, p)
	}
}

// pets are the kinds of pet by ROLE, each with its pictures.
var pets = map[string]struct {
	title    string
	pictures []string
}{
	"cat": {"Cats", []string{"calico", "maine-coon", "persian", "siamese", "sphynx", "tabby"}},
	"dog": {"Dogs", []string{"beagle", "corgi", "dachshund", "husky", "labrador", "poodle"}},
}

// webApp is chrch/web: it counts its page's hits in the database.
type webApp struct {
	retry time.Duration // between attempts to reach the database
}

func (a webApp) run(ctx context.Context, p *Process) int {
	pet, ok := pets[p.Getenv("ROLE")]
	if !ok {
		_, _ = fmt.Fprintln(p.stdout(), "Error: no valid role")
		return 1
	}
	server := p.Getenv("DB")
	if server == "" {
		_, _ = fmt.Fprintln(p.stdout(), "Error: no database, set DB to its host or host:port")
		return 1
	}
	db := &redisPool{net: p.Net, address: RedisAddress(server)}
	defer db.close()
	if !a.await(ctx, p, db, server) {
		return exitTerminated
	}
	h := &webHandler{
		title:    pet.title,
		pictures: pet.pictures,
		hostname: p.Hostname,
		list:     net.JoinHostPort(p.Addr.String(), petsPort),
		db:       db,
		rand:     p.random(),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("GET /health", health)
	mux.HandleFunc("GET /static/{name}", h.picture)
	return serveFlask(ctx, p, mux)
}

// await tries the database until it answers, and returns false if ctx ended
// first.
func (a webApp) await(ctx context.Context, p *Process, db *redisPool, server string) bool {
	for {
		_, err := db.do(ctx, "PING")
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		}
		_, _ = fmt.Fprintf(p.stdout(), "Attempting to connect to %s. Trying again in 3 seconds ...\n", server)
		if !wait(ctx, a.retry) {
			return false
		}
	}
}

type webHandler struct {
	title    string
	pictures []string
	hostname string
	list     string // the list of this container's hits
	db       *redisPool

	mu   sync.Mutex
	rand *rand.Rand
}

func (h *webHandler) index(w http.ResponseWriter, r *http.Request) {
	picture := h.pick()
	if _, err := h.db.do(r.Context(), "LPUSH", h.list, picture); err != nil {
		flaskFailure(w, err)
		return
	}
	writePage(w, http.StatusOK, flaskHTML, fmt.Sprintf(`<!DOCTYPE html>
<html>
<head><title>Pets for %[1]s</title></head>
<body>
<h1>for %[1]s</h1>
<p><img src="/static/%[2]s.svg" alt="%[2]s" width="320" height="240"></p>
<p>Delivered to you by container %[3]s</p>
</body>
</html>
`, h.title, picture, html.EscapeString(h.hostname)))
}

func (h *webHandler) pick() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pictures[h.rand.IntN(len(h.pictures))]
}

// picture draws the named pet: a face whose colour and ears tell which it is.
func (h *webHandler) picture(w http.ResponseWriter, r *http.Request) {
	name, _ := strings.CutSuffix(r.PathValue("name"), ".svg")
	for i, known := range h.pictures {
		if name != known {
			continue
		}
		ear := "M80 100 L100 30 L150 80 Z M240 100 L220 30 L170 80 Z" // pointed
		if h.title == "Dogs" {
			ear = "M85 90 Q40 120 70 190 L100 140 Z M235 90 Q280 120 250 190 L220 140 Z" // hanging
		}
		writePage(w, http.StatusOK, "image/svg+xml", fmt.Sprintf(
			`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 240"><title>%s</title>`+
				`<g fill="hsl(%d,45%%,60%%)"><circle cx="160" cy="130" r="80"/><path d="%s"/></g>`+
				`<circle cx="130" cy="115" r="9"/><circle cx="190" cy="115" r="9"/>`+
				`<path d="M148 150 h24 l-12 14 z"/></svg>`, name, 20+i*25, ear))
		return
	}
	flaskNotFound(w)
}

func health(w http.ResponseWriter, _ *http.Request) {
	writePage(w, http.StatusOK, flaskHTML, "OK")
}

package image

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// adminImage is the pets app's statistics page (A7).
func adminImage() *Image {
	return &Image{
		Name: "chrch/admin", Size: 67_409_554, Created: built(2016, 10, 24),
		Cmd:          []string{"python", "app.py"},
		Env:          []string{defaultPath, "PYTHON_VERSION=2.7.12"},
		ExposedPorts: []string{petsPort + "/tcp"},
		Healthcheck: &Healthcheck{
			Test:     []string{"CMD-SHELL", "curl -f http://localhost:" + petsPort + "/health || exit 1"},
			Interval: time.Minute,
			Timeout:  10 * time.Second,
		},
		Programs: map[string]Program{"python": python(adminApp)},
		Tools:    ToolsFull,
	}
}

// adminApp is chrch/admin: DB1 holds the hits of the dogs, DB2 of the cats.
func adminApp(ctx context.Context, p *Process) int {
	for _, key := range []string{"DB1", "DB2"} {
		if p.Getenv(key) == "" {
			_, _ = fmt.Fprintf(p.stdout(), "Error: no database, set %s to its host or host:port\n", key)
			return 1
		}
	}
	h := &adminHandler{
		dogs: &redisPool{net: p.Net, address: RedisAddress(p.Getenv("DB1"))},
		cats: &redisPool{net: p.Net, address: RedisAddress(p.Getenv("DB2"))},
	}
	defer h.dogs.close()
	defer h.cats.close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("GET /health", health)
	return serveFlask(ctx, p, mux)
}

type adminHandler struct {
	dogs, cats *redisPool
}

func (h *adminHandler) index(w http.ResponseWriter, r *http.Request) {
	cats, err := countHits(r.Context(), h.cats)
	if err != nil {
		flaskFailure(w, fmt.Errorf("count the hits of the cats: %w", err))
		return
	}
	dogs, err := countHits(r.Context(), h.dogs)
	if err != nil {
		flaskFailure(w, fmt.Errorf("count the hits of the dogs: %w", err))
		return
	}
	writePage(w, http.StatusOK, flaskHTML, fmt.Sprintf(`<!DOCTYPE html>
<html>
<head><title>Pets Admin</title></head>
<body>
<table border="1">
<tr><th>Pet</th><th>Hits</th></tr>
<tr><td>Cats</td><td>%d</td></tr>
<tr><td>Dogs</td><td>%d</td></tr>
</table>
</body>
</html>
`, cats, dogs))
}

// countHits sums the lengths of all lists in a database: one list for each
// container that served pages.
func countHits(ctx context.Context, db *redisPool) (hits int64, err error) {
	keys, err := db.do(ctx, "KEYS", "*")
	if err != nil {
		return 0, err
	}
	for _, key := range keys.Elems {
		n, err := db.do(ctx, "LLEN", key.Str)
		switch {
		case n.Kind == ReplyError && strings.HasPrefix(n.Str, "WRONGTYPE"):
			continue // somebody else's key
		case err != nil:
			return 0, err
		}
		hits += n.Int
	}
	return hits, nil
}

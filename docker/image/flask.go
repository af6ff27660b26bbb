package image

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"time"
)

const (
	flaskHTML   = "text/html; charset=utf-8"
	flaskServer = "Werkzeug/0.11.11 Python/2.7.12"
)

// serveFlask serves mux on port 5000 as Flask's development server does: as
// HTTP/1.0 with one request per connection, and a log on stderr.
func serveFlask(ctx context.Context, p *Process, mux *http.ServeMux) int {
	out := &logWriter{w: p.stderr()}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version := r.Proto
		// The server answers in the version of the request it is handed.
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
		w.Header().Set("Server", flaskServer)
		w.Header().Set("Connection", "close")
		logged(flaskRoutes(mux), func(r *http.Request, status int, _ int64) {
			out.printf("%s - - [%s] \"%s %s %s\" %d -\n", clientHost(r),
				time.Now().UTC().Format("02/Jan/2006 15:04:05"), r.Method, r.URL.RequestURI(), version, status)
		}).ServeHTTP(w, r)
	})
	out.printf(" * Running on http://0.0.0.0:%s/ (Press CTRL+C to quit)\n", petsPort)
	return listenAndServe(ctx, p, ":"+petsPort, h, exitTerminated)
}

// flaskRoutes answers what mux has no route for in Flask's words.
func flaskRoutes(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		get := r.Clone(r.Context())
		get.Method = http.MethodGet
		if _, pattern := mux.Handler(get); pattern == "" {
			flaskNotFound(w)
			return
		}
		w.Header().Set("Allow", "GET, HEAD")
		writePage(w, http.StatusMethodNotAllowed, flaskHTML, flaskErrorPage(
			"405 Method Not Allowed", "Method Not Allowed", "This page answers GET and HEAD only."))
	})
}

func flaskNotFound(w http.ResponseWriter) {
	writePage(w, http.StatusNotFound, flaskHTML, flaskErrorPage("404 Not Found", "Not Found",
		"There is no such page on this server."))
}

// flaskFailure answers a request whose view raised an error. The reason goes
// into the page, as with Flask's debugger, since it is what a learner needs.
func flaskFailure(w http.ResponseWriter, err error) {
	writePage(w, http.StatusInternalServerError, flaskHTML, flaskErrorPage(
		"500 Internal Server Error", "Internal Server Error", html.EscapeString(err.Error())))
}

func flaskErrorPage(title, heading, text string) string {
	return fmt.Sprintf("<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n"+
		"<title>%s</title>\n<h1>%s</h1>\n<p>%s</p>\n", title, heading, text)
}

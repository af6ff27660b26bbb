package image

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"syscall"
	"time"
)

const nginxVersion = "1.11.5"

//go:embed welcome.html
var nginxWelcome string

const nginxUnavailable = `<!DOCTYPE html>
<html>
<head><title>Error</title></head>
<body>
<h1>An error occurred.</h1>
<p>The page you asked for is not available right now. Please try again later.</p>
</body>
</html>
`

// nginxImage is the web server of the guide, with its welcome page (A10).
func nginxImage() *Image {
	return &Image{
		Name: "nginx", Size: 181_441_722, Created: built(2016, 11, 1),
		Cmd:          []string{"nginx", "-g", "daemon off;"},
		Env:          []string{defaultPath, "NGINX_VERSION=" + nginxVersion + "-1~jessie"},
		ExposedPorts: []string{"443/tcp", "80/tcp"},
		Programs:     map[string]Program{"nginx": nginx},
		Tools:        ToolsFull, // the guide runs ifconfig in it
	}
}

// nginx serves its documents on port 80. It stays in the foreground whatever
// "daemon" says.
func nginx(ctx context.Context, p *Process) int {
	for args := p.operands(); len(args) > 0; {
		switch args[0] {
		case "-v":
			_, _ = fmt.Fprintf(p.stderr(), "nginx version: nginx/%s\n", nginxVersion)
			return 0
		case "-t":
			_, _ = fmt.Fprint(p.stderr(), "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"+
				"nginx: configuration file /etc/nginx/nginx.conf test is successful\n")
			return 0
		case "-g", "-c", "-p":
			if len(args) == 1 {
				_, _ = fmt.Fprintf(p.stderr(), "nginx: option \"%s\" requires parameter\n", args[0])
				return 1
			}
			args = args[2:]
		default:
			_, _ = fmt.Fprintf(p.stderr(), "nginx: invalid option: \"%s\"\n", args[0])
			return 1
		}
	}
	h := &nginxHandler{
		started: time.Now(),
		docs:    map[string]string{"/index.html": nginxWelcome, "/50x.html": nginxUnavailable},
		access:  logWriter{w: p.stdout()},
		errors:  logWriter{w: p.stderr()},
	}
	l, err := p.Net.Listen(ctx, "tcp", ":80")
	if err != nil {
		why := err.Error()
		if errors.Is(err, syscall.EADDRINUSE) {
			why = "98: Address already in use" // errno and strerror of Linux
		}
		_, _ = fmt.Fprintf(p.stderr(), "nginx: [emerg] bind() to 0.0.0.0:80 failed (%s)\n", why)
		return 1
	}
	return serveUntil(ctx, p, l, logged(h, h.log), 0)
}

type nginxHandler struct {
	started        time.Time
	docs           map[string]string // by path
	access, errors logWriter
}

// ServeHTTP implements http.Handler.
func (h *nginxHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Server", "nginx/"+nginxVersion)
	header.Set("Connection", "keep-alive")
	name := path.Clean("/" + r.URL.Path)
	if strings.HasSuffix(r.URL.Path, "/") {
		name = path.Join(name, "index.html")
	}
	doc, ok := h.docs[name]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		nginxError(w, http.StatusMethodNotAllowed, "Not Allowed")
	case !ok:
		h.errors.printf("%s [error] 7#7: *1 open() \"/usr/share/nginx/html%s\" failed (2: No such file or directory), "+
			"client: %s, server: localhost, request: \"%s %s %s\", host: \"%s\"\n",
			time.Now().UTC().Format("2006/01/02 15:04:05"), printable(name), clientHost(r),
			r.Method, r.URL.RequestURI(), r.Proto, printable(r.Host))
		nginxError(w, http.StatusNotFound, "Not Found")
	default:
		header.Set("Content-Type", "text/html")
		header.Set("ETag", fmt.Sprintf(`"%x-%x"`, h.started.Unix(), len(doc)))
		http.ServeContent(w, r, name, h.started, strings.NewReader(doc))
	}
}

// nginxError writes the page nginx makes up for an error status.
func nginxError(w http.ResponseWriter, status int, text string) {
	writePage(w, status, "text/html", fmt.Sprintf("<html>\r\n<head><title>%[1]d %[2]s</title></head>\r\n"+
		"<body bgcolor=\"white\">\r\n<center><h1>%[1]d %[2]s</h1></center>\r\n"+
		"<hr><center>nginx/%[3]s</center>\r\n</body>\r\n</html>\r\n", status, text, nginxVersion))
}

// log writes a line in the format "main" of the image's nginx.conf.
func (h *nginxHandler) log(r *http.Request, status int, bytes int64) {
	h.access.printf("%s - - [%s] \"%s %s %s\" %d %d \"%s\" \"%s\" \"%s\"\n",
		clientHost(r), time.Now().UTC().Format("02/Jan/2006:15:04:05 -0700"),
		r.Method, r.URL.RequestURI(), r.Proto, status, bytes,
		orDash(r.Referer()), orDash(r.UserAgent()), orDash(r.Header.Get("X-Forwarded-For")))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

// printable keeps what a client sent from breaking out of a log line.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == '"' || c == 0x7f {
			return '?'
		}
		return c
	}, s)
}

package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// wget is one run of wget.
type wget struct {
	*Call
	quiet   bool
	spider  bool
	show    bool // -S
	to      string
	timeout time.Duration
	method  string
	body    string
	headers []string
}

// runWget is wget: busybox's in its flavour, GNU's elsewhere.
func runWget(ctx context.Context, c *Call) int {
	opts, urls, err := getopt(c.Args[1:], "q O: T: t: S Y: c U: quiet output-document: timeout: tries: header: post-data: spider server-response user-agent: no-check-certificate")
	if err != nil {
		return c.badOption(err)
	}
	if len(urls) == 0 {
		return c.say1("wget: missing URL", 1)
	}
	w := &wget{Call: c, method: "GET", quiet: opts.has("q", "quiet"), spider: opts.has("spider"), show: opts.has("S", "server-response"), timeout: 900 * time.Second}
	agent := "Wget"
	for _, o := range opts {
		switch o.name {
		case "O", "output-document":
			w.to = o.value
		case "T", "timeout":
			if w.timeout, err = seconds(o.value); err != nil {
				return c.say1("wget: "+err.Error(), 2)
			}
		case "header":
			w.headers = append(w.headers, o.value)
		case "U", "user-agent":
			agent = o.value
		case "post-data":
			w.method, w.body = "POST", o.value
		}
	}
	w.headers = append(w.headers, "User-Agent: "+agent, "Connection: close")
	code := 0
	for _, u := range urls {
		if code = w.fetch(ctx, u); ctx.Err() != nil {
			return statusInterrupted
		}
	}
	return code
}

// statuses of GNU wget; busybox has 1 for all.
const (
	wgetNetwork = 4
	wgetServer  = 8
)

func (w *wget) status(gnu int) int {
	if w.busybox() {
		return 1
	}
	return gnu
}

func (w *wget) fetch(ctx context.Context, text string) int {
	u, err := parseURL(text)
	if err != nil {
		return w.say1("wget: bad address '"+text+"'", 1)
	}
	for range 20 {
		bounded, cancel := context.WithTimeout(ctx, w.timeout)
		next, code := w.once(bounded, u)
		cancel()
		if next == nil {
			return code
		}
		u = next
	}
	return w.say1("wget: too many redirections", 1)
}

func (w *wget) once(ctx context.Context, u *url.URL) (next *url.URL, code int) {
	q := &httpRequest{method: w.method, url: u, body: w.body, headers: headersOf(u, "Wget", w.headers, w.body, w.method == "POST")}
	host, port := httpPeer(u)
	r, err := q.do(ctx, w.Sys, func(a netip.Addr) {
		switch {
		case w.quiet:
		case w.busybox():
			w.say("Connecting to %s (%s:%s)", u.Host, a, port)
		default:
			w.say("Connecting to %s (%s)|%s|:%s...", host, host, a, port)
		}
	})
	if err != nil {
		return nil, w.failed(ctx, host, port, err)
	}
	defer r.close()
	if w.show {
		for _, line := range r.head {
			w.say("  %s", line)
		}
	}
	switch location := r.Header.Get("Location"); {
	case r.StatusCode/100 == 3 && location != "":
		if to, err := u.Parse(location); err == nil {
			return to, 0
		}
	case r.StatusCode >= 400 && w.busybox():
		return nil, w.say1("wget: server returned error: "+r.head[0], 1)
	case r.StatusCode >= 400:
		if w.quiet {
			return nil, wgetServer
		}
		return nil, w.say1(fmt.Sprintf("ERROR %s.", strings.Replace(r.Status, " ", ": ", 1)), wgetServer)
	}
	if w.spider {
		return nil, 0
	}
	return nil, w.save(ctx, u, r.Body)
}

func (w *wget) save(ctx context.Context, u *url.URL, body io.Reader) int {
	name := w.to
	if name == "" {
		if name = u.Path[strings.LastIndexByte(u.Path, '/')+1:]; name == "" {
			name = "index.html"
		}
	}
	out := w.Out
	if name != "-" {
		f, err := w.Sys.open(absolute(w.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			return w.say1("wget: can't open '"+name+"': "+errnoText(err), 1)
		}
		defer f.Close() //nolint:errcheck // what was written is stored
		out = f
	}
	n, err := io.Copy(out, body)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return w.say1("wget: download timed out", w.status(wgetNetwork))
	case err != nil:
		return w.say1("wget: connection closed prematurely", w.status(wgetNetwork))
	case !w.quiet && name != "-":
		w.say("'%s' saved [%d]", name, n)
	}
	return 0
}

func (w *wget) failed(ctx context.Context, host, port string, err error) int {
	var e *httpError
	switch {
	case !errors.As(err, &e), errors.Is(ctx.Err(), context.Canceled):
		return w.status(wgetNetwork)
	case w.quiet && !w.busybox():
		return wgetNetwork
	case e.timedOut():
		return w.say1("wget: download timed out", w.status(wgetNetwork))
	case e.stage == stageResolve && w.busybox():
		return w.say1("wget: bad address '"+host+"'", 1)
	case e.stage == stageResolve:
		return w.say1("wget: unable to resolve host address '"+host+"'", wgetNetwork)
	case e.stage == stageConnect && w.busybox():
		return w.say1(fmt.Sprintf("wget: can't connect to remote host (%s): %s", w.target(ctx, host), connectText(err)), 1)
	case e.stage == stageConnect:
		return w.say1(fmt.Sprintf("failed: %s.", connectText(err)), wgetNetwork)
	case errors.Is(err, syscall.ECONNRESET):
		return w.say1("wget: error getting response: Connection reset by peer", w.status(wgetNetwork))
	}
	return w.say1("wget: error getting response", w.status(wgetNetwork))
}

// target is the address behind a name, for messages.
func (w *wget) target(ctx context.Context, host string) string {
	if a, err := w.Sys.lookup(ctx, host); err == nil {
		return a.String()
	}
	return host
}

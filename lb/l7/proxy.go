package l7

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// exchange is one request and what becomes of it.
type exchange struct {
	route  *Route
	server *server // who answers; nil: nobody yet
	tried  []*server
	began  time.Time
	asked  *http.Request
	body   *clientBody // nil: it has none
	answer *answerWriter
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// ServeHTTP implements http.Handler, for the server of a front.
func (f *front) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	f.running.begin()
	defer f.running.end()
	client := req.Context().Value(clientKey{}).(*clientConn)
	client.begun.Store(false)
	answer := newAnswerWriter(w, f.cfg)
	defer answer.last()
	if req.Method == http.MethodConnect {
		f.deny(answer, req, BadRequest, nil)
		return
	}
	route := f.table.Load().Match(HTTP, CanonicalHost(req.Host), req.URL.Path)
	switch {
	case route == nil:
		f.deny(answer, req, NoRoute, nil)
		return
	case route.Redirect != "":
		f.count.redirects.Add(1)
		answer.Header().Set("Location", redirected(route, req))
		answer.WriteHeader(http.StatusMovedPermanently)
		return
	}
	ex := &exchange{route: route, answer: answer, asked: req, began: f.cfg.Now()}
	if req.Body != nil && req.Body != http.NoBody {
		ex.body = &clientBody{ReadCloser: req.Body, control: http.NewResponseController(w), read: deadline{limit: f.cfg.StallTimeout}}
		req.Body = ex.body
	}
	ctx := req.Context()
	if f.cfg.ConnContext != nil {
		ctx = f.cfg.ConnContext(ctx, client.Conn)
	}
	defer f.end(ex)
	f.proxy.ServeHTTP(answer, req.WithContext(context.WithValue(ctx, exchangeKey{}, ex)))
}

// end gives the server free, and counts an answer that broke off, which ReverseProxy tells by a panic.
func (f *front) end(ex *exchange) {
	if ex.server != nil {
		f.release(ex.server, false)
	}
	f.tellRequest(ex)
	cut := recover()
	switch err, _ := cut.(error); {
	case cut == nil:
		return
	case errors.Is(err, http.ErrAbortHandler) && errors.Is(ex.answer.failed, os.ErrDeadlineExceeded):
		f.refuse(SlowClient)
	case errors.Is(err, http.ErrAbortHandler) && ex.answer.failed != nil:
		f.refuse(ClientGone)
	case errors.Is(err, http.ErrAbortHandler):
		f.refuse(BrokenOff)
	default:
		f.log.Error("a request's handler failed", "error", cut)
	}
	panic(cut)
}

// redirected returns where a request is sent to: the same path elsewhere, unless the route names one.
func redirected(route *Route, req *http.Request) string {
	_, rest, _ := strings.Cut(route.Redirect, "://")
	if strings.Contains(strings.TrimSuffix(rest, "/"), "/") {
		return route.Redirect
	}
	return strings.TrimSuffix(route.Redirect, "/") + req.URL.RequestURI()
}

func (f *front) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      f,
		FlushInterval:  -1, // what a backend says now a client hears now
		ErrorLog:       log.New(io.Discard, "", 0),
		BufferPool:     bufferPool{},
		ModifyResponse: stick,
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			why := failure(req, err)
			if ex := exchangeOf(req); ex.server != nil && (why == NoAnswer || why == BadAnswer || why == Unreachable) {
				f.note(ex.server, 0, err)
			}
			f.deny(w, req, why, err)
		},
	}
}

// rewrite makes the request that a backend gets: the client's, Host included (G8), and who that is if the route says so.
func rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme = "http"
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	if route := exchangeOf(p.In).route; route.Strip {
		p.Out.URL.Path, p.Out.URL.RawPath = stripped(p.In.URL.Path, route.Path), stripped(p.In.URL.RawPath, route.Path)
	}
	for _, key := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := p.In.Header[key]; ok {
			p.Out.Header[key] = v // of a balancer in front of this one
		}
	}
	if exchangeOf(p.In).route.Forwarded {
		p.SetXForwarded()
	}
	if _, ok := p.In.Header["User-Agent"]; !ok {
		p.Out.Header.Set("User-Agent", "") // or the transport would add its own
	}
}

// stripped takes a route's path off that of a request.
func stripped(path, prefix string) string {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return "" // RawPath is empty, or spells the prefix in another way: Path counts
	}
	if rest == "" {
		return "/"
	}
	return rest
}

// stick gives the client the cookie that leads it back.
func stick(resp *http.Response) error {
	ex := exchangeOf(resp.Request)
	if ex.route.Sticky == "" {
		return nil
	}
	if c, err := resp.Request.Cookie(ex.route.Sticky); err != nil || c.Value != ex.server.id {
		resp.Header.Add("Set-Cookie", (&http.Cookie{Name: ex.route.Sticky, Value: ex.server.id, Path: "/"}).String())
	}
	return nil
}

// RoundTrip implements http.RoundTripper: it asks a backend, and another where nothing was asked of the first because
// it took no connection.
func (f *front) RoundTrip(req *http.Request) (*http.Response, error) {
	ex := exchangeOf(req)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if c, ok := i.Conn.(*backendConn); ok && i.Reused {
			c.Follow(req.Context()) // the connection is older than what it is used for
		}
	}}))
	if req.Body != nil {
		req.Body = io.NopCloser(req.Body) // a transport that gives up leaves it to the next; ReverseProxy closes it
	}
	for {
		s := f.pick(ex.route, ex.tried, f.cookie(ex.route, req))
		switch {
		case s == nil && len(ex.tried) == 0:
			return nil, errNoBackend
		case s == nil:
			return nil, errUnreachable
		}
		ex.server = s
		req.URL.Host = s.Addr.String()
		resp, err := f.transport.RoundTrip(req)
		var refused dialError
		if err == nil || !errors.As(err, &refused) || req.Context().Err() != nil || ex.body.used() {
			if err == nil {
				f.count.requests.Add(1)
				f.note(s, resp.StatusCode, nil)
			}
			return resp, err
		}
		f.log.Debug("no connection", "route", ex.route.key, "backend", s.String(), "error", err)
		f.release(s, true)
		f.note(s, 0, err)
		ex.server, ex.tried = nil, append(ex.tried, s)
	}
}

// cookie prefers the server that the client's cookie names.
func (f *front) cookie(route *Route, req *http.Request) func(*pool, time.Time) *server {
	if route.Sticky == "" {
		return nil
	}
	c, err := req.Cookie(route.Sticky)
	if err != nil {
		return nil
	}
	return func(p *pool, at time.Time) *server { return p.sticky(c.Value, at) }
}

// failure tells why a request has no answer.
func failure(req *http.Request, err error) Reason {
	ex := exchangeOf(req)
	var refused dialError
	var slow interface{ Timeout() bool }
	switch {
	case errors.Is(err, errNoBackend):
		return NoBackend
	case errors.Is(ex.body.failure(), os.ErrDeadlineExceeded):
		return SlowClient
	case req.Context().Err() != nil || ex.body.failure() != nil:
		return ClientGone
	case errors.Is(err, errUnreachable), errors.As(err, &refused):
		return Unreachable
	case errors.As(err, &slow) && slow.Timeout():
		return NoAnswer
	}
	return BadAnswer
}

// refusal is what a client is told.
type refusal struct {
	status int
	text   string
}

var refusals = map[Reason]refusal{
	NoRoute:     {http.StatusServiceUnavailable, "No server is available to handle this request."}, // G5
	NoBackend:   {http.StatusServiceUnavailable, "No server is available to handle this request."},
	Unreachable: {http.StatusServiceUnavailable, "No server is available to handle this request."},
	BadAnswer:   {http.StatusBadGateway, "The server returned an invalid or incomplete response."},
	NoAnswer:    {http.StatusGatewayTimeout, "The server didn't respond in time."},
	BadRequest:  {http.StatusBadRequest, "Your browser sent an invalid request."},
	SlowClient:  {http.StatusRequestTimeout, "Your browser didn't send a complete request in time."},
	ClientGone:  {http.StatusBadGateway, "The client is gone."}, // nobody reads it
}

// deny answers in the words of HAProxy, counts and logs.
func (f *front) deny(w http.ResponseWriter, req *http.Request, why Reason, err error) {
	f.refuse(why)
	if a, ok := w.(*answerWriter); ok {
		a.refused = true
	}
	attrs := []any{"reason", why.String(), "client", req.RemoteAddr, "host", req.Host, "path", req.URL.Path}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	f.log.Info("refused", attrs...)
	r := refusals[why]
	body := fmt.Sprintf("<html><body><h1>%d %s</h1>\n%s\n</body></html>\n", r.status, http.StatusText(r.status), r.text)
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Connection", "close")
	h.Set("Content-Type", "text/html")
	h.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(r.status)
	_, _ = io.WriteString(w, body)
}

// clientBody is what a client sends behind the head of its request. The transport reads it on a goroutine of its own.
type clientBody struct {
	io.ReadCloser
	control *http.ResponseController
	read    deadline
	begun   atomic.Bool
	err     atomic.Pointer[error] // nil: none yet
}

// Read implements io.Reader. A client that sends nothing for too long is given up.
func (b *clientBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	b.read.move(b.control.SetReadDeadline)
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		_ = b.control.SetReadDeadline(time.Time{}) // what the server waits for now is not part of it
	case err != nil:
		b.err.Store(&err)
	}
	return n, err
}

func (b *clientBody) used() bool { return b != nil && b.begun.Load() }

func (b *clientBody) failure() error {
	if b == nil {
		return nil
	}
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

// answerWriter is what a client gets. One that takes nothing for too long is given up.
type answerWriter struct {
	http.ResponseWriter
	cfg      Config
	control  *http.ResponseController
	write    deadline
	failed   error
	hijacked bool
	refused  bool // it is no backend's
	status   int  // 0: none yet
	bytes    int64
}

func newAnswerWriter(w http.ResponseWriter, cfg Config) *answerWriter {
	return &answerWriter{ResponseWriter: w, cfg: cfg, control: http.NewResponseController(w), write: deadline{limit: cfg.StallTimeout}}
}

// WriteHeader implements http.ResponseWriter.
func (a *answerWriter) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (a *answerWriter) Write(b []byte) (int, error) {
	a.write.move(a.control.SetWriteDeadline)
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	if err != nil {
		a.failed = err
	}
	return n, err
}

// FlushError implements the interface of http.ResponseController.
func (a *answerWriter) FlushError() error {
	a.write.move(a.control.SetWriteDeadline)
	err := a.control.Flush()
	if err != nil {
		a.failed = err
	}
	return err
}

// last is called as the answer is complete: what is left of it is sent by the server.
func (a *answerWriter) last() {
	if !a.hijacked {
		a.write.last = time.Time{}
		a.write.move(a.control.SetWriteDeadline)
	}
}

// Hijack implements http.Hijacker, for protocols that HTTP changes to.
func (a *answerWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := a.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.hijacked, a.status = true, http.StatusSwitchingProtocols
	_ = c.SetDeadline(time.Time{})
	return &quietConn{Conn: c, limit: a.cfg.TunnelTimeout}, rw, nil
}

// quietConn is a client's connection that is no HTTP any more. It ends after limit without a byte in either direction.
type quietConn struct {
	net.Conn
	limit time.Duration
}

// Read implements net.Conn.
func (c *quietConn) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(c.limit))
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c *quietConn) Write(b []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(c.limit))
	return c.Conn.Write(b)
}

// CloseWrite ends what is sent.
func (c *quietConn) CloseWrite() error { return closeWrite(c.Conn) }

// bufferPool lends ReverseProxy its buffers.
type bufferPool struct{}

// Get implements httputil.BufferPool.
func (bufferPool) Get() []byte { return *copyBuffers.Get().(*[]byte) }

// Put implements httputil.BufferPool.
func (bufferPool) Put(b []byte) { copyBuffers.Put(&b) }

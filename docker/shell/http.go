package shell

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// httpRequest is one request of curl or wget.
type httpRequest struct {
	method  string
	url     *url.URL
	headers []string // "Name: value", as they are sent
	body    string
	connect time.Duration // to resolve and connect; 0: no bound of its own
	limit   time.Duration // for all of it; 0: none
	resolve map[string]netip.Addr
	tls     *tls.Config // certificates to show and to trust; nil: none, and those of the machine
}

// httpReply is what came back. Close it.
type httpReply struct {
	*http.Response
	conn          net.Conn
	head          []string // the lines as they came
	local, remote netip.AddrPort
	release       func()
}

// close ends the connection.
func (r *httpReply) close() {
	r.release()
	r.conn.Close() //nolint:errcheck // all was read
}

// httpStage is how far a request got.
type httpStage int

const (
	stageResolve httpStage = iota
	stageConnect
	stageReceive
)

// httpError is an error with the stage at which it happened.
type httpError struct {
	stage httpStage
	err   error
	took  time.Duration
}

// Error implements error.
func (e *httpError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *httpError) Unwrap() error { return e.err }

// timedOut tells whether a time that the user set was over.
func (e *httpError) timedOut() bool {
	return errors.Is(e.err, context.DeadlineExceeded) || errors.Is(e.err, os.ErrDeadlineExceeded)
}

// httpPeer returns host and port of a request.
func httpPeer(u *url.URL) (host, port string) {
	if port = u.Port(); port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return u.Hostname(), port
}

// do sends the request and reads the head of the reply. trying is told each address before it is tried.
func (q *httpRequest) do(ctx context.Context, sys *System, trying func(netip.Addr)) (*httpReply, error) {
	start := time.Now()
	fail := func(stage httpStage, err error) error { return &httpError{stage, err, time.Since(start)} }
	connect, cancel := ctx, context.CancelFunc(func() {})
	if q.connect > 0 {
		connect, cancel = context.WithTimeout(ctx, q.connect)
	}
	defer cancel()
	host, port := httpPeer(q.url)
	addrs, err := sys.lookupAll(connect, host)
	if a, ok := q.resolve[host+":"+port]; ok {
		addrs, err = []netip.Addr{a}, nil
	}
	if err != nil {
		if connect.Err() != nil {
			err = connect.Err()
		}
		return nil, fail(stageResolve, err)
	}
	conn, err := dialAny(connect, sys, addrs, port, trying)
	if err != nil {
		return nil, fail(stageConnect, err)
	}
	end := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	r := &httpReply{conn: conn, release: func() { end() }, local: addrPort(conn.LocalAddr()), remote: addrPort(conn.RemoteAddr())}
	if err := q.exchange(r); err != nil {
		r.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fail(stageReceive, err)
	}
	return r, nil
}

// dialAny connects to the first of the addresses that answers.
func dialAny(ctx context.Context, sys *System, addrs []netip.Addr, port string, trying func(netip.Addr)) (conn net.Conn, err error) {
	for _, a := range addrs {
		trying(a)
		if conn, err = sys.NS.Dial(ctx, "tcp", net.JoinHostPort(a.String(), port)); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return conn, err
}

func addrPort(a net.Addr) netip.AddrPort {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return p
}

// exchange writes the request and reads the head of the reply.
func (q *httpRequest) exchange(r *httpReply) error {
	if q.url.Scheme == "https" {
		cfg := &tls.Config{}
		if q.tls != nil {
			cfg = q.tls.Clone()
		}
		cfg.ServerName = q.url.Hostname()
		r.conn = tls.Client(r.conn, cfg)
	}
	if _, err := io.WriteString(r.conn, q.text()); err != nil {
		return err
	}
	in := bufio.NewReader(r.conn)
	head, err := readHead(in)
	if err != nil {
		return err
	}
	r.head = strings.Split(strings.TrimRight(head, "\r\n"), "\n")
	for i := range r.head {
		r.head[i] = strings.TrimSuffix(r.head[i], "\r")
	}
	both := bufio.NewReader(io.MultiReader(strings.NewReader(head), in))
	r.Response, err = http.ReadResponse(both, &http.Request{Method: q.method})
	return err
}

// text is the request as it is sent.
func (q *httpRequest) text() string {
	return strings.Join(q.lines(), "\r\n") + "\r\n\r\n" + q.body
}

// lines are the lines of the request's head.
func (q *httpRequest) lines() []string {
	return append([]string{q.method + " " + q.url.RequestURI() + " HTTP/1.1"}, q.headers...)
}

// errNotHTTP is what a reply is that does not begin as one.
var errNotHTTP = errors.New("not an HTTP reply")

// maxHead bounds the head of a reply.
const maxHead = 1 << 18

// readHead reads up to the empty line behind the head.
func readHead(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for b.Len() < maxHead {
		line, err := in.ReadString('\n')
		if b.Len() == 0 && line != "" && !strings.HasPrefix(line, "HTTP/") {
			return "", errNotHTTP
		}
		b.WriteString(line)
		if err != nil {
			return "", err
		}
		if strings.TrimRight(line, "\r\n") == "" {
			return b.String(), nil
		}
	}
	return "", fmt.Errorf("the head of the reply is longer than %d bytes", maxHead)
}

// parseURL reads a URL as curl does: without a scheme it is http.
func parseURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("malformed URL")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.Fragment = ""
	return u, nil
}

// header appends a header unless the user gave one of that name; an empty one of the user's takes it out.
func header(list []string, user []string, line string) []string {
	name, _, _ := strings.Cut(line, ":")
	for _, u := range user {
		n, value, _ := strings.Cut(u, ":")
		if textproto.CanonicalMIMEHeaderKey(n) == textproto.CanonicalMIMEHeaderKey(name) {
			if strings.TrimSpace(value) == "" {
				return list
			}
			return append(list, u)
		}
	}
	return append(list, line)
}

// headersOf makes the headers of a request: the usual ones as far as the user gave no others, and then the user's.
func headersOf(u *url.URL, agent string, user []string, body string, hasBody bool) []string {
	h := header(nil, user, "Host: "+u.Host)
	h = header(h, user, "User-Agent: "+agent)
	h = header(h, user, "Accept: */*")
	if hasBody {
		h = header(h, user, fmt.Sprintf("Content-Length: %d", len(body)))
		h = header(h, user, "Content-Type: application/x-www-form-urlencoded")
	}
	for _, line := range user {
		if _, value, ok := strings.Cut(line, ":"); !ok || strings.TrimSpace(value) == "" {
			continue
		}
		if !containsLine(h, line) {
			h = append(h, line)
		}
	}
	return h
}

func containsLine(list []string, line string) bool {
	for _, l := range list {
		if l == line {
			return true
		}
	}
	return false
}

// connectText is curl's text for a connection that could not be made.
func connectText(err error) string {
	for _, e := range []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ETIMEDOUT, syscall.ECONNRESET, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return errnos[e]
		}
	}
	return errnoText(err)
}

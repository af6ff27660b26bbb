package shell

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// curlAgent is what curl calls itself.
const curlAgent = "curl/7.47.0"

// Exit statuses of curl.
const (
	curlUnsupported = 1
	curlUsage       = 2
	curlMalformed   = 3
	curlResolve     = 6
	curlConnect     = 7
	curlPartial     = 18
	curlHTTP        = 22
	curlWrite       = 23
	curlTimeout     = 28
	curlRedirects   = 47
	curlEmpty       = 52
	curlReceive     = 56
	curlTLS         = 35
	curlCertificate = 60
)

// curl is one run of curl.
type curl struct {
	*Call
	opts    options
	method  string
	headers []string
	body    string
	hasBody bool
	connect time.Duration
	limit   time.Duration
	retries int
	resolve map[string]netip.Addr
	tls     *tls.Config
}

// transfer is one URL's way, for -w.
type transfer struct {
	url           string
	code          int
	size          int64
	start         time.Time
	connected     time.Duration
	local, remote netip.AddrPort
	redirects     int
}

const curlSpec = "s S v m: max-time: connect-timeout: o: w: H: X: d: i I L f k 4 A: u: G O silent show-error verbose output: write-out: header: request: " +
	"data: data-raw: data-binary: include head location fail insecure user-agent: user: retry: retry-delay: retry-connrefused resolve: max-redirs: " +
	"ipv4 url: no-progress-meter progress-bar x: noproxy: http1.1 compressed e: b: json: E: cert: key: cacert:"

// runCurl is curl for http and https.
func runCurl(ctx context.Context, c *Call) int {
	opts, urls, err := getopt(c.Args[1:], curlSpec)
	if err != nil {
		return c.badOption(err)
	}
	t := &curl{Call: c, opts: opts, method: "GET", resolve: map[string]netip.Addr{}}
	if err := t.configure(&urls); err != nil {
		return c.badUsage("%v", err)
	}
	if len(urls) == 0 {
		return c.badUsage("no URL specified!")
	}
	code := t.secure()
	if code != 0 {
		return code
	}
	for _, u := range urls {
		if code = t.fetchRetrying(ctx, u); ctx.Err() != nil {
			return statusInterrupted
		}
	}
	return code
}

// configure reads the options.
func (t *curl) configure(urls *[]string) error {
	var err error
	for _, o := range t.opts {
		switch o.name {
		case "H", "header":
			t.headers = append(t.headers, o.value)
		case "A", "user-agent":
			t.headers = append(t.headers, "User-Agent: "+o.value)
		case "e":
			t.headers = append(t.headers, "Referer: "+o.value)
		case "b":
			t.headers = append(t.headers, "Cookie: "+o.value)
		case "u", "user":
			t.headers = append(t.headers, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(o.value)))
		case "d", "data", "data-raw", "data-binary", "json":
			err = t.addData(o)
		case "m", "max-time":
			t.limit, err = seconds(o.value)
		case "connect-timeout":
			t.connect, err = seconds(o.value)
		case "retry":
			t.retries, err = number(o.value, 0, 1000)
		case "url":
			*urls = append(*urls, o.value)
		case "resolve":
			err = t.addResolve(o.value)
		}
		if err != nil {
			return err
		}
	}
	t.chooseMethod()
	for _, h := range t.headers {
		if strings.ContainsAny(h, "\r\n") {
			return errors.New("a header has more than one line")
		}
	}
	return nil
}

func (t *curl) chooseMethod() {
	if t.hasBody {
		t.method = "POST"
	}
	if t.opts.has("I", "head") {
		t.method = "HEAD"
	}
	if m, ok := t.opts.last("X", "request"); ok && m != "" && !strings.ContainsAny(m, " \r\n") {
		t.method = m
	}
}

// addResolve reads HOST:PORT:ADDRESS.
func (t *curl) addResolve(text string) error {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return fmt.Errorf("--resolve wants host:port:address, not %q", text)
	}
	a, err := netip.ParseAddr(parts[2])
	if err != nil {
		return fmt.Errorf("--resolve: %q is no address", parts[2])
	}
	t.resolve[parts[0]+":"+parts[1]] = a
	return nil
}

func (t *curl) addData(o option) error {
	text := o.value
	if name, ok := strings.CutPrefix(text, "@"); ok && o.name != "data-raw" {
		var b strings.Builder
		if name == "-" {
			if err := copyText(&b, t.In, maxStored); err != nil {
				return err
			}
		} else {
			data, err := t.Sys.read(absolute(t.Dir, name))
			if err != nil {
				return fmt.Errorf("couldn't read data from file \"%s\"", name)
			}
			b.Write(data)
		}
		text = b.String()
		if o.name != "data-binary" {
			text = strings.NewReplacer("\r", "", "\n", "").Replace(text)
		}
	}
	if o.name == "json" {
		t.headers = append(t.headers, "Content-Type: application/json")
	}
	if t.hasBody && o.name != "json" {
		t.body += "&"
	}
	t.body += text
	t.hasBody = true
	return nil
}

// fetchRetrying fetches one URL, again if --retry says so.
func (t *curl) fetchRetrying(ctx context.Context, text string) int {
	delay := time.Second
	for try := 0; ; try++ {
		again := try < t.retries
		code, transient := t.fetch(ctx, text, again)
		if !transient || !again || ctx.Err() != nil {
			return code
		}
		if d, ok := t.opts.last("retry-delay"); ok {
			if n, err := seconds(d); err == nil {
				delay = n
			}
		}
		if !t.opts.has("s", "silent") {
			t.say("Warning: Transient problem: Will retry in %d seconds. %d retries left.", int(delay.Seconds()), t.retries-try)
		}
		if !pause(ctx, delay) {
			return statusInterrupted
		}
		delay = min(2*delay, 10*time.Minute)
	}
}

// fetch fetches one URL, following redirections with -L. transient tells that a retry may help.
func (t *curl) fetch(ctx context.Context, text string, again bool) (code int, transient bool) {
	x := &transfer{url: text, start: time.Now()}
	if t.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.limit)
		defer cancel()
	}
	code, transient = t.follow(ctx, x, again)
	if w, ok := t.opts.last("w", "write-out"); ok && (!again || !transient) {
		t.Printf("%s", x.expand(w))
	}
	return code, transient
}

func (t *curl) follow(ctx context.Context, x *transfer, again bool) (int, bool) {
	u, err := parseURL(x.url)
	if err != nil {
		return t.complain(curlMalformed, "<url> malformed"), false
	}
	maximum := 50
	if m, ok := t.opts.last("max-redirs"); ok {
		maximum, _ = strconv.Atoi(m)
	}
	method := t.method
	for {
		if u.Scheme != "http" && u.Scheme != "https" {
			return t.complain(curlUnsupported, "Protocol \""+u.Scheme+"\" not supported or disabled in libcurl"), false
		}
		next, code, transient := t.once(ctx, x, u, method, again)
		if next == nil {
			return code, transient
		}
		if x.redirects++; x.redirects > maximum {
			return t.complain(curlRedirects, fmt.Sprintf("Maximum (%d) redirects followed", maximum)), false
		}
		if method == "POST" && (x.code == 301 || x.code == 302 || x.code == 303) {
			method = "GET"
		}
		u, x.url = next, next.String()
	}
}

// once makes one request; next is where the reply sends on to.
func (t *curl) once(ctx context.Context, x *transfer, u *url.URL, method string, again bool) (next *url.URL, code int, transient bool) {
	body, hasBody := t.body, t.hasBody && method != "GET" && method != "HEAD"
	if t.hasBody && t.opts.has("G") {
		u, hasBody = addQuery(u, body), false
		method = "GET"
	}
	if !hasBody {
		body = ""
	}
	q := &httpRequest{method: method, url: u, body: body, connect: t.connect, limit: t.limit, resolve: t.resolve, tls: t.tls,
		headers: headersOf(u, curlAgent, t.headers, body, hasBody)}
	if !strings.Contains(x.url, "://") || strings.Count(x.url, "/") == 2 {
		t.verbose("* Rebuilt URL to: " + strings.TrimPrefix(u.String(), "http://"))
	}
	r, err := q.do(ctx, t.Sys, func(a netip.Addr) { t.verbose("*   Trying " + a.String() + "...") })
	if err != nil {
		code, transient = t.failed(x, u, err, again)
		return nil, code, transient
	}
	defer r.close()
	x.code, x.local, x.remote, x.connected = r.StatusCode, r.local, r.remote, time.Since(x.start)
	host, port := httpPeer(u)
	t.verbose(fmt.Sprintf("* Connected to %s (%s) port %s (#0)", host, r.remote.Addr(), port))
	for _, line := range append(q.lines(), "") {
		t.verbose("> " + line)
	}
	for _, line := range append(r.head, "") {
		t.verbose("< " + line)
	}
	if location := r.Header.Get("Location"); location != "" && t.opts.has("L", "location") && r.StatusCode/100 == 3 {
		if to, err := u.Parse(location); err == nil {
			if to.Path == "" {
				to.Path = "/"
			}
			return to, 0, false
		}
	}
	if t.opts.has("f", "fail") && r.StatusCode >= 400 {
		return nil, t.complainUnless(again && r.StatusCode >= 500, curlHTTP, "The requested URL returned error: "+r.Status), r.StatusCode >= 500
	}
	return nil, t.receive(ctx, x, u, r), r.StatusCode >= 500
}

func addQuery(u *url.URL, query string) *url.URL {
	n := *u
	if n.RawQuery != "" {
		n.RawQuery += "&"
	}
	n.RawQuery += query
	return &n
}

// receive writes the reply where it belongs.
func (t *curl) receive(ctx context.Context, x *transfer, u *url.URL, r *httpReply) int {
	out, done, err := t.output(u)
	if err != nil {
		return t.complain(curlWrite, "Failed writing body: "+errnoText(err))
	}
	defer done()
	if t.opts.has("i", "include", "I", "head") {
		if _, err := io.WriteString(out, strings.Join(r.head, "\r\n")+"\r\n\r\n"); err != nil {
			return curlWrite
		}
	}
	n, err := io.Copy(out, r.Body)
	x.size = n
	var tooShort bool
	switch {
	case err == nil:
		host, _ := httpPeer(u)
		t.verbose("* Connection #0 to host " + host + " left intact")
		return 0
	case ctx.Err() != nil && t.limit > 0:
		of := ""
		if r.ContentLength >= 0 {
			of = fmt.Sprintf(" out of %d", r.ContentLength)
		}
		return t.complain(curlTimeout, fmt.Sprintf("Operation timed out after %d milliseconds with %d%s bytes received", time.Since(x.start).Milliseconds(), n, of))
	case ctx.Err() != nil:
		return statusInterrupted
	case errors.Is(err, io.ErrUnexpectedEOF):
		tooShort = true
	}
	if tooShort {
		return t.complain(curlPartial, fmt.Sprintf("transfer closed with %d bytes remaining to read", max(r.ContentLength-n, 0)))
	}
	return t.complain(curlReceive, "Recv failure: "+connectText(err))
}

// output returns where the body goes.
func (t *curl) output(u *url.URL) (io.Writer, func(), error) {
	name, ok := t.opts.last("o", "output")
	if t.opts.has("O") && !ok {
		name, ok = u.Path[strings.LastIndexByte(u.Path, '/')+1:], true
	}
	if !ok || name == "-" {
		return t.Out, func() {}, nil
	}
	f, err := t.Sys.open(absolute(t.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, nil, err
	}
	return f, func() { f.Close() }, nil //nolint:errcheck // what was written is stored
}

// failed reports why there is no reply.
func (t *curl) failed(x *transfer, u *url.URL, err error, again bool) (code int, transient bool) {
	var e *httpError
	if !errors.As(err, &e) {
		return t.complain(curlReceive, err.Error()), false
	}
	host, port := httpPeer(u)
	ms := time.Since(x.start).Milliseconds()
	say := func(code int, text string, transient bool) (int, bool) {
		return t.complainUnless(again && transient, code, text), transient
	}
	switch {
	case errors.Is(err, context.Canceled):
		return statusInterrupted, false
	case e.timedOut() && e.stage == stageResolve:
		return say(curlTimeout, fmt.Sprintf("Resolving timed out after %d milliseconds", ms), true)
	case e.timedOut() && e.stage == stageConnect:
		return say(curlTimeout, fmt.Sprintf("Connection timed out after %d milliseconds", ms), true)
	case e.timedOut():
		return say(curlTimeout, fmt.Sprintf("Operation timed out after %d milliseconds with 0 bytes received", ms), true)
	case e.stage == stageResolve:
		return say(curlResolve, "Could not resolve host: "+host, false)
	case e.stage == stageConnect:
		refused := errors.Is(err, syscall.ECONNREFUSED)
		return say(curlConnect, fmt.Sprintf("Failed to connect to %s port %s: %s", host, port, connectText(err)), refused && t.opts.has("retry-connrefused") || errors.Is(err, syscall.ETIMEDOUT))
	case errors.Is(err, io.EOF):
		return say(curlEmpty, "Empty reply from server", false)
	case errors.Is(err, errNotHTTP):
		return say(curlUnsupported, "Received HTTP/0.9 when not allowed", false)
	case u.Scheme == "https" && errors.As(err, new(*tls.CertificateVerificationError)):
		return say(curlCertificate, "SSL certificate problem: "+err.Error(), false)
	case u.Scheme == "https" && !errors.Is(err, syscall.ECONNRESET):
		return say(curlTLS, "SSL connect error: "+err.Error(), false)
	}
	return say(curlReceive, "Recv failure: "+connectText(err), false)
}

// complain reports an error, unless -s without -S keeps it quiet, and returns its status.
func (t *curl) complain(code int, text string) int { return t.complainUnless(false, code, text) }

func (t *curl) complainUnless(quiet bool, code int, text string) int {
	if !quiet && (!t.opts.has("s", "silent") || t.opts.has("S", "show-error")) {
		t.say("curl: (%d) %s", code, text)
	}
	return code
}

func (t *curl) verbose(line string) {
	if t.opts.has("v", "verbose") {
		t.say("%s", line)
	}
}

// expand fills the variables of -w.
func (x *transfer) expand(format string) string {
	took := time.Since(x.start).Seconds()
	text := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\\`, `\`, "%%", "%",
		"%{http_code}", fmt.Sprintf("%03d", x.code), "%{response_code}", fmt.Sprintf("%03d", x.code),
		"%{time_total}", fmt.Sprintf("%.6f", took), "%{time_connect}", fmt.Sprintf("%.6f", x.connected.Seconds()),
		"%{time_starttransfer}", fmt.Sprintf("%.6f", x.connected.Seconds()), "%{size_download}", strconv.FormatInt(x.size, 10),
		"%{remote_ip}", hostText(x.remote), "%{remote_port}", portText(x.remote.Port()), "%{local_ip}", hostText(x.local),
		"%{local_port}", portText(x.local.Port()), "%{url_effective}", x.url, "%{url}", x.url, "%{num_redirects}", strconv.Itoa(x.redirects),
		"%{num_connects}", strconv.Itoa(x.redirects+1)).Replace(format)
	return text
}

func hostText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr().String()
}

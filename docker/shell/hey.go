package shell

import (
	"context"
	"encoding/base64"
	goflag "flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const heyUsage = `Usage: hey [options...] <url>

Options:
  -n  Number of requests to run. Default is 200.
  -c  Number of workers to run concurrently. Total number of requests cannot
      be smaller than the concurrency level. Default is 50.
  -q  Rate limit, in queries per second (QPS) per worker. Default is no rate limit.
  -z  Duration of application to send requests. When duration is reached,
      application stops and exits. If duration is specified, n is ignored.
      Examples: -z 10s -z 3m.
  -o  Output type. If none provided, a summary is printed.
      "csv" is the only supported alternative. Dumps the response
      metrics in comma-separated values format.

  -m  HTTP method, one of GET, POST, PUT, DELETE, HEAD, OPTIONS.
  -H  Custom HTTP header. You can specify as many as needed by repeating the flag.
      For example, -H "Accept: text/html" -H "Content-Type: application/xml" .
  -t  Timeout for each request in seconds. Default is 20, use 0 for infinite.
  -A  HTTP Accept header.
  -d  HTTP request body.
  -T  Content-type, defaults to "text/html".
  -a  Basic authentication, username:password.

  -host	HTTP Host header.

  -disable-keepalive    Disable keep-alive, prevents re-use of TCP
                        connections between different HTTP requests.
`

// heyHeaders is a flag that may be repeated.
type heyHeaders []string

// String implements flag.Value.
func (h *heyHeaders) String() string { return strings.Join(*h, ", ") }

// Set implements flag.Value.
func (h *heyHeaders) Set(s string) error {
	if name, _, ok := strings.Cut(s, ":"); !ok || name == "" || strings.ContainsAny(s, "\r\n") {
		return fmt.Errorf("could not parse the provided input; input = %v", s)
	}
	*h = append(*h, s)
	return nil
}

// heyFlags are the options of hey.
type heyFlags struct {
	n, c, timeout                               int
	q                                           float64
	z                                           time.Duration
	out, method, accept, body, typ, login, host string
	headers                                     heyHeaders
	single                                      bool // -disable-keepalive
}

func (f *heyFlags) set() *goflag.FlagSet {
	s := goflag.NewFlagSet("hey", goflag.ContinueOnError)
	s.SetOutput(io.Discard)
	s.IntVar(&f.n, "n", 200, "")
	s.IntVar(&f.c, "c", 50, "")
	s.IntVar(&f.timeout, "t", 20, "")
	s.Float64Var(&f.q, "q", 0, "")
	s.DurationVar(&f.z, "z", 0, "")
	for name, to := range map[string]*string{"o": &f.out, "A": &f.accept, "d": &f.body, "a": &f.login, "host": &f.host} {
		s.StringVar(to, name, "", "")
	}
	s.StringVar(&f.method, "m", "GET", "")
	s.StringVar(&f.typ, "T", "text/html", "")
	s.Var(&f.headers, "H", "")
	s.BoolVar(&f.single, "disable-keepalive", false, "")
	for _, name := range []string{"disable-compression", "disable-redirects", "more"} { // what is never done here
		s.Bool(name, false, "")
	}
	s.Int("cpus", 1, "")
	return s
}

// heyUnusable says what is wrong with a command line, and how it should be.
func (c *Call) heyUnusable(text string) int {
	if text != "" {
		c.say("%s\n", text)
	}
	return c.say1(heyUsage, 1)
}

// runHey is hey: load on a web server, and how it took it.
func runHey(ctx context.Context, c *Call) int {
	var f heyFlags
	set := f.set()
	if err := set.Parse(c.Args[1:]); err != nil {
		return c.heyUnusable(strings.TrimPrefix(err.Error(), goflag.ErrHelp.Error()))
	}
	switch {
	case set.NArg() < 1:
		return c.heyUnusable("")
	case f.z <= 0 && (f.n <= 0 || f.c <= 0):
		return c.heyUnusable("-n and -c cannot be smaller than 1.")
	case f.z <= 0 && f.n < f.c:
		return c.heyUnusable("-n cannot be less than -c.")
	case f.c <= 0:
		return c.heyUnusable("-c cannot be smaller than 1.")
	case f.c > maxWorkers:
		return c.heyUnusable(fmt.Sprintf("-c cannot be larger than %d here.", maxWorkers))
	case f.timeout < 0 || f.timeout > maxSeconds || f.q < 0 || f.q != f.q:
		return c.heyUnusable("-t and -q cannot be smaller than 0.")
	case f.out != "" && f.out != "csv":
		return c.heyUnusable("Invalid output type; only csv is supported.")
	}
	l, err := f.load(c.Sys, set.Arg(0))
	if err != nil {
		return c.heyUnusable(err.Error())
	}
	took, err := l.run(ctx)
	if err != nil {
		l.samples = append(l.samples, sample{err: fmt.Errorf("dial tcp: lookup %s: no such host", l.url.Hostname())})
	}
	if f.out == "csv" {
		c.heyCSV(l.samples)
		return 0
	}
	c.heySummary(l, took)
	return 0
}

// maxWorkers bounds what ab and hey do at once.
const maxWorkers = 20000

func (f *heyFlags) load(sys *System, target string) (*load, error) {
	u, err := parseURL(target)
	if err != nil || u.Scheme != "http" {
		return nil, fmt.Errorf("parse %q: an http URL is wanted", target)
	}
	l := &load{sys: sys, url: u, method: strings.ToUpper(f.method), workers: f.c, requests: f.n, timeout: time.Duration(f.timeout) * time.Second,
		rate: f.q, keepAlive: !f.single}
	if f.z > 0 {
		l.requests, l.duration = 0, f.z
	}
	if l.method == "" || strings.ContainsAny(l.method, " \r\n") {
		return nil, fmt.Errorf("net/http: invalid method %q", f.method)
	}
	headers := append([]string{"Content-Type: " + f.typ}, f.headers...)
	if f.accept != "" {
		headers = append(headers, "Accept: "+f.accept)
	}
	if f.login != "" {
		headers = append(headers, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(f.login)))
	}
	if f.host != "" {
		headers = append(headers, "Host: "+f.host)
	}
	if f.single {
		headers = append(headers, "Connection: close")
	}
	if strings.ContainsAny(strings.Join(headers, ""), "\r\n") {
		return nil, fmt.Errorf("net/http: invalid header field value")
	}
	q := &httpRequest{method: l.method, url: u, body: f.body, headers: headersOf(u, "hey/0.0.1", headers, f.body, f.body != "")}
	l.request = q.text()
	return l, nil
}

// heyCSV prints each request.
func (c *Call) heyCSV(all []sample) {
	c.Printf("response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n")
	for _, s := range all {
		if s.err == nil {
			c.Printf("%4.4f,%4.4f,%4.4f,%4.4f,%4.4f,%4.4f,%d,%4.4f\n", s.total.Seconds(), s.connect.Seconds(), 0.0,
				(s.wrote - s.connect).Seconds(), (s.waited - s.wrote).Seconds(), (s.total - s.waited).Seconds(), s.code, 0.0)
		}
	}
}

// heySummary prints what hey prints at the end.
func (c *Call) heySummary(l *load, took time.Duration) {
	var good []sample
	failures, codes := map[string]int{}, map[int]int{}
	var size int64
	for _, s := range l.samples {
		if s.err != nil {
			failures[l.loadText(s.err)]++
			continue
		}
		good = append(good, s)
		codes[s.code]++
		size += s.body
	}
	slices.SortFunc(good, func(a, b sample) int { return int(a.total - b.total) })
	c.Printf("\nSummary:\n  Total:\t%4.4f secs\n", took.Seconds())
	if len(good) > 0 {
		average, fastest, slowest := spread(good, func(s sample) time.Duration { return s.total })
		c.Printf("  Slowest:\t%4.4f secs\n  Fastest:\t%4.4f secs\n  Average:\t%4.4f secs\n  Requests/sec:\t%4.4f\n  \n",
			slowest, fastest, average, float64(len(l.samples))/took.Seconds())
		if size > 0 {
			c.Printf("  Total data:\t%d bytes\n  Size/request:\t%d bytes\n", size, size/int64(len(good)))
		}
		c.heyTimes(good)
	}
	c.Printf("\nStatus code distribution:\n")
	for _, code := range sortedKeys(codes) {
		c.Printf("  [%d]\t%d responses\n", code, codes[code])
	}
	c.Printf("\n")
	if len(failures) > 0 {
		c.Printf("Error distribution:\n")
		for _, text := range sortedKeys(failures) {
			c.Printf("  [%d]\t%s\n", failures[text], text)
		}
	}
}

// heyTimes prints the histogram, the percentiles and where the time went.
func (c *Call) heyTimes(good []sample) {
	c.Printf("\nResponse time histogram:\n%s\n\nLatency distribution:\n", heyHistogram(good))
	for _, p := range []int{10, 25, 50, 75, 90, 95, 99} {
		c.Printf("  %d%% in %4.4f secs\n", p, good[min(len(good)*p/100, len(good)-1)].total.Seconds())
	}
	c.Printf("\nDetails (average, fastest, slowest):\n")
	for _, part := range []struct {
		name string
		of   func(s sample) time.Duration
	}{
		{"DNS+dialup", func(s sample) time.Duration { return s.connect }},
		{"DNS-lookup", func(sample) time.Duration { return 0 }},
		{"req write", func(s sample) time.Duration { return s.wrote - s.connect }},
		{"resp wait", func(s sample) time.Duration { return s.waited - s.wrote }},
		{"resp read", func(s sample) time.Duration { return s.total - s.waited }},
	} {
		average, fastest, slowest := spread(good, part.of)
		c.Printf("  %s:\t%4.4f secs, %4.4f secs, %4.4f secs\n", part.name, average, fastest, slowest)
	}
}

// spread returns mean, least and most of a part of the samples, in seconds.
func spread(all []sample, of func(sample) time.Duration) (mean, low, high float64) {
	for n, s := range all {
		v := of(s).Seconds()
		if n == 0 {
			low, high = v, v
		}
		mean, low, high = mean+v/float64(len(all)), min(low, v), max(high, v)
	}
	return mean, low, high
}

// heyHistogram draws how many answers took how long; the samples are sorted.
func heyHistogram(good []sample) string {
	const bars, width = 10, 40
	low, high := good[0].total.Seconds(), good[len(good)-1].total.Seconds()
	step := (high - low) / bars
	counts := [bars + 1]int{}
	at := 0
	for _, s := range good {
		for at < bars && s.total.Seconds() > low+step*float64(at) {
			at++
		}
		counts[at]++
	}
	most := slices.Max(counts[:])
	lines := make([]string, bars+1)
	for n, count := range counts {
		lines[n] = fmt.Sprintf("  %4.3f [%v]\t|%v", low+step*float64(n), count, strings.Repeat("■", (count*width+most/2)/most))
	}
	return strings.Join(lines, "\n")
}

package shell

import (
	"cmp"
	"context"
	"encoding/base64"
	"math"
	"slices"
	"strings"
	"time"
)

const abBanner = `This is ApacheBench, Version 2.3 <$Revision: 1706008 $>
Copyright 1996 Adam Twiss, Zeus Technology Ltd, http://www.zeustech.net/
Licensed to The Apache Software Foundation, http://www.apache.org/

`

// abStatus is the exit status of a bad command line of ab.
const abStatus = 22

// runAb is ab: load on a web server, and how it took it.
func runAb(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "+n: c: t: s: p: T: i C: H: A: k q V m: h r l d S v:")
	unusable := func(text string) int {
		if text != "" {
			c.say("ab: %s", text)
		}
		return c.usage(abStatus)
	}
	switch {
	case err != nil:
		return c.badOption(err)
	case opts.has("V"):
		c.Printf("%s", abBanner)
		return 0
	case opts.has("h"):
		c.Printf("%s", c.usageOf("ab"))
		return 0
	case len(rest) != 1:
		return unusable("wrong number of arguments")
	}
	l := &load{sys: c.Sys, method: "GET", workers: 1, requests: 1, timeout: 30 * time.Second, keepAlive: opts.has("k")}
	if text := c.abConfigure(l, opts, rest[0]); text != "" {
		return unusable(text)
	}
	c.Printf("%sBenchmarking %s (be patient).....", abBanner, l.url.Hostname())
	took, err := l.run(ctx)
	if err != nil {
		return c.say1("\nab: Could not resolve host "+l.url.Hostname()+" (2): Name or service not known", 1)
	}
	good := slices.DeleteFunc(slices.Clone(l.samples), func(s sample) bool { return s.err != nil })
	if len(good) == 0 {
		text := "Interrupted"
		if len(l.samples) > 0 {
			text = connectText(l.samples[0].err)
		}
		return c.say1("\napr_socket_recv: "+text+" (111)\nTotal of 0 requests completed", 1)
	}
	c.Printf("done\n\n\n")
	c.abReport(l, good, took)
	return 0
}

// abConfigure reads the options; the text says what is wrong.
func (c *Call) abConfigure(l *load, opts options, target string) string {
	var err error
	if l.url, err = parseURL(target); err != nil || l.url.Scheme != "http" || !strings.Contains(strings.TrimPrefix(target, "http://"), "/") {
		return "invalid URL"
	}
	headers, body, typ := []string(nil), "", "text/plain"
	for _, o := range opts {
		switch o.name {
		case "n":
			l.requests, err = number(o.value, 1, math.MaxInt32)
		case "c":
			l.workers, err = number(o.value, 1, maxWorkers)
		case "t":
			l.requests = 50000
			l.duration, err = seconds(o.value)
		case "s":
			l.timeout, err = seconds(o.value)
		case "p":
			var text []byte
			if text, err = c.ReadFile(o.value); err == nil {
				l.method, body = "POST", string(text)
			}
		case "T":
			typ = o.value
		case "i":
			l.method = "HEAD"
		case "m":
			l.method = o.value
		case "C":
			headers = append(headers, "Cookie: "+o.value)
		case "H":
			headers = append(headers, o.value)
		case "A":
			headers = append(headers, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(o.value)))
		}
		if err != nil {
			return "Invalid value for -" + o.name + ": " + err.Error()
		}
	}
	if l.method == "" || strings.ContainsAny(l.method+strings.Join(headers, "")+typ, "\r\n") {
		return "a line of the request has an end in it"
	}
	if l.workers > l.requests && l.duration == 0 {
		return "Cannot use concurrency level greater than total number of requests"
	}
	if body != "" {
		headers = append(headers, "Content-Type: "+typ)
	}
	if connection := "close"; !l.keepAlive {
		headers = append(headers, "Connection: "+connection)
	}
	l.request = (&httpRequest{method: l.method, url: l.url, body: body, headers: headersOf(l.url, "ApacheBench/2.3", headers, body, body != "")}).text()
	return ""
}

// abReport prints the result.
func (c *Call) abReport(l *load, good []sample, took time.Duration) {
	_, port := httpPeer(l.url)
	first := good[0]
	var total, html int64
	var short, bad, kept int
	for _, s := range good {
		total, html = total+s.head+s.body, html+s.body
		if s.body != first.body {
			short++
		}
		if s.code/100 != 2 {
			bad++
		}
		if l.keepAlive && s.connect == 0 {
			kept++
		}
	}
	failed := len(l.samples) - len(good) + short
	secs := took.Seconds()
	each := secs * 1000 / float64(len(good))
	c.Printf("Server Software:        %s\nServer Hostname:        %s\nServer Port:            %s\n\n", first.server, l.url.Hostname(), port)
	c.Printf("Document Path:          %s\nDocument Length:        %d bytes\n\n", l.url.RequestURI(), first.body)
	c.Printf("Concurrency Level:      %d\nTime taken for tests:   %.3f seconds\nComplete requests:      %d\nFailed requests:        %d\n", l.workers, secs, len(good), failed)
	if failed > 0 {
		c.Printf("   (Connect: %d, Receive: 0, Length: %d, Exceptions: 0)\n", failed-short, short)
	}
	if bad > 0 {
		c.Printf("Non-2xx responses:      %d\n", bad)
	}
	if l.keepAlive {
		c.Printf("Keep-Alive requests:    %d\n", kept)
	}
	c.Printf("Total transferred:      %d bytes\nHTML transferred:       %d bytes\nRequests per second:    %.2f [#/sec] (mean)\n", total, html, float64(len(good))/secs)
	c.Printf("Time per request:       %.3f [ms] (mean)\nTime per request:       %.3f [ms] (mean, across all concurrent requests)\n", each*float64(l.workers), each)
	c.Printf("Transfer rate:          %.2f [Kbytes/sec] received\n\n", float64(total)/1024/secs)
	c.abTimes(good)
}

// abTimes prints the tables of times.
func (c *Call) abTimes(good []sample) {
	c.Printf("Connection Times (ms)\n              min  mean[+/-sd] median   max\n")
	for _, row := range []struct {
		name string
		of   func(sample) time.Duration
	}{
		{"Connect:", func(s sample) time.Duration { return s.connect }},
		{"Processing:", func(s sample) time.Duration { return s.total - s.connect }},
		{"Waiting:", func(s sample) time.Duration { return s.waited - s.connect }},
		{"Total:", func(s sample) time.Duration { return s.total }},
	} {
		slices.SortFunc(good, func(a, b sample) int { return cmp.Compare(row.of(a), row.of(b)) })
		mean, low, high := spread(good, row.of)
		square := 0.0
		for _, s := range good {
			square += math.Pow(row.of(s).Seconds()-mean, 2)
		}
		deviation := 0.0
		if len(good) > 1 {
			deviation = math.Sqrt(square / float64(len(good)-1))
		}
		c.Printf("%-12s%5.0f %4.0f %5.1f %6.0f %7.0f\n", row.name, low*1000, mean*1000, deviation*1000, row.of(good[len(good)/2]).Seconds()*1000, high*1000)
	}
	if len(good) < 2 {
		return
	}
	c.Printf("\nPercentage of the requests served within a certain time (ms)\n")
	for _, p := range []int{50, 66, 75, 80, 90, 95, 98, 99} {
		c.Printf("  %d%%  %5.0f\n", p, good[len(good)*p/100].total.Seconds()*1000)
	}
	c.Printf(" 100%%  %5.0f (longest request)\n", good[len(good)-1].total.Seconds()*1000)
}

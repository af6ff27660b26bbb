package l7

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// BenchmarkRequest is a small request through a router, in turn with one through a plain httputil.ReverseProxy, both over
// the loopback interface. plain/op is what the latter takes, ratio the router's time in parts of it.
func BenchmarkRequest(b *testing.B) {
	web := backend(b, "web", says("hello"))
	s := serve(b, Config{}, (*Router).Serve, Route{Host: "red.example.com", Backends: []Backend{web}})
	plain := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: web.Addr.String()}) },
		Transport: &http.Transport{DisableCompression: true},
	})
	b.Cleanup(plain.Close)
	client := &http.Transport{DisableCompression: true}
	b.Cleanup(client.CloseIdleConnections)
	ask := func(url string) time.Duration {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Host = "red.example.com"
		began := time.Now()
		resp, err := client.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return time.Since(began)
	}
	b.ReportAllocs()
	var ours, theirs time.Duration
	for b.Loop() {
		ours += ask("http://" + s.addr)
		theirs += ask(plain.URL)
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "router-ns/op")
	b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N), "plain-ns/op")
	b.ReportMetric(float64(ours)/float64(theirs), "ratio")
}

// BenchmarkMatch is what finding the route of a request costs.
func BenchmarkMatch(b *testing.B) {
	var routes []Route
	for i := range 1000 {
		routes = append(routes, Route{Host: "host-" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example.com"})
	}
	table, err := NewTable(append(routes, Route{Host: "*.example.org"}))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if table.Match(HTTP, CanonicalHost("host-cc.example.com:80"), "/") == nil || table.Match(HTTP, CanonicalHost("a.b.example.org"), "/") == nil {
			b.Fatal("no route")
		}
	}
}

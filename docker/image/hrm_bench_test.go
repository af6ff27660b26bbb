package image

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// BenchmarkMeshRequest is a small request through the mesh, over three namespaces and a bridge, in turn with one through a
// plain httputil.ReverseProxy over the kernel's loopback interface. plain-ns/op is what the latter takes, ratio the mesh's
// time in parts of it.
func BenchmarkMeshRequest(b *testing.B) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	c := newCluster(b, 3)
	c.serve(2, ":80", hello)
	c.dir.set(Service{Name: "web", Labels: label("http://web"), Ports: []uint16{80}, Networks: onMesh, Tasks: tasks(2)})
	c.begin()
	web := httptest.NewServer(hello)
	b.Cleanup(web.Close)
	target, err := url.Parse(web.URL)
	if err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }, Transport: &http.Transport{DisableCompression: true},
	})
	b.Cleanup(plain.Close)
	inside := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return c.cs[0].Dial(ctx, network, address)
	}}
	b.Cleanup(inside.CloseIdleConnections)
	outside := &http.Transport{DisableCompression: true}
	b.Cleanup(outside.CloseIdleConnections)
	ask := func(t *http.Transport, url string) time.Duration {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Host = "web"
		began := time.Now()
		resp, err := t.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status)
		}
		return time.Since(began)
	}
	b.ReportAllocs()
	var ours, theirs time.Duration
	for b.Loop() {
		ours += ask(inside, "http://10.0.0.3:8080/")
		theirs += ask(outside, plain.URL)
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "mesh-ns/op")
	b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N), "plain-ns/op")
	b.ReportMetric(float64(ours)/float64(theirs), "ratio")
}

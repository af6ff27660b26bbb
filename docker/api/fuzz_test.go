package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzRequest sends requests of any method, path, query and body: each is answered, or ends when its client leaves, and
// an error has a text.
func FuzzRequest(f *testing.F) {
	r := newRig(f)
	for _, seed := range [][3]string{
		{"GET", "/v1.50/containers/json?filters=%7B%22publish%22%3A%5B%2280-90%22%5D%7D", ""},
		{"POST", "/v1.24/containers/create?name=a", `{"Image":"busybox","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"1-2"}]}}}`},
		{"POST", "/networks/create", `{"Name":"n","IPAM":{"Config":[{"Subnet":"10.0.0.0/8","AuxiliaryAddresses":{"a":"b"}}]}}`},
		{"GET", "/events?since=1.5&until=2", ""},
		{"GET", "/containers/a/logs?stdout=1&since=x", ""},
		{"POST", "/exec/a/start", `{"Detach":true}`},
		{"POST", "/images/create?fromImage=%00&tag=sha256:", ""},
		{"DELETE", "/images/a//b%2F", ""},
		{"POST", "/containers/a/resize?h=-1&w=9999999999", ""},
		{"GET", "//v1.50//networks/%2e%2e", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, "http://docker/"+strings.TrimPrefix(target, "/"), strings.NewReader(body))
		if err != nil {
			t.Skip("no request")
		}
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		r.s.ServeHTTP(rec, req)
		if end, ok := ctx.Deadline(); ok && time.Since(end) > 10*time.Second {
			t.Errorf("%s %q %q: the handler goes on after its client has left", method, target, body)
		}
		if rec.Code >= 400 && !strings.HasPrefix(rec.Body.String(), `{"message":"`) {
			t.Errorf("%s %q %q = %d %q", method, target, body, rec.Code, rec.Body)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/v1.50/containers/json", "/images/a/b/json", "/v9/x", "//", "/%2f/..", "/v1.2.3/a", "/containers//start"} {
		f.Add(seed)
	}
	s := New(Config{})
	rs := s.routes
	f.Fuzz(func(t *testing.T, path string) {
		segments, ok := splitPath(path)
		if !ok {
			return
		}
		v, given, err := s.parseVersion(segments[0])
		if err != nil {
			return
		}
		if v < versionMin || v > s.max {
			t.Errorf("version %d of %q", v, path)
		}
		if given {
			segments = segments[1:]
		}
		if len(segments) == 0 {
			return
		}
		for method := range rs {
			if _, name, ok := rs.find(method, segments, v); ok && name != "" && !strings.Contains(strings.Join(segments, "/"), name) {
				t.Errorf("%s %q names %q", method, path, name)
			}
		}
	})
}

func FuzzTime(f *testing.F) {
	for _, seed := range []string{"", "0", "1.5", "1795424717.622552396", "2026-11-23T09:05:30Z", "-1", "1.-5", "9223372036854775807.9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseTime(text)
		if err != nil || at.IsZero() {
			return
		}
		if again, err := parseTime(at.Format(time.RFC3339Nano)); err == nil && !again.Equal(at) {
			t.Errorf("%q is %s, and that %s", text, at, again)
		}
	})
}

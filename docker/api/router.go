package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// apiVersion is the minor number of an API version; the major is 1.
type apiVersion int

// Versions that change something here.
const (
	version128 apiVersion = 28
	version130 apiVersion = 30
	version137 apiVersion = 37
	version139 apiVersion = 39
	version140 apiVersion = 40
	version141 apiVersion = 41
	version142 apiVersion = 42
	version144 apiVersion = 44
	version148 apiVersion = 48
	versionMin apiVersion = 24
)

// call is a request under way.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	version apiVersion
	name    string     // what the path names
	query   url.Values // of the path
	started bool       // the head of the answer is out
}

func (c *call) ctx() context.Context { return c.r.Context() }

// handler answers a call. An error becomes the answer unless one was begun.
type handler func(c *call) error

// route is a method and a path that are answered.
type route struct {
	segments []string // {name} stands for one segment, {name...} for one or more
	since    apiVersion
	handle   handler
}

// routes are all of them, by method and first segment.
type routes map[string]map[string][]route

func (rs routes) add(method, pattern string, h handler) { rs.addSince(0, method, pattern, h) }

func (rs routes) addSince(since apiVersion, method, pattern string, h handler) {
	segments := strings.Split(pattern[1:], "/")
	if rs[method] == nil {
		rs[method] = map[string][]route{}
	}
	rs[method][segments[0]] = append(rs[method][segments[0]], route{segments: segments, since: since, handle: h})
}

// find returns what answers a path, already cut at its slashes, and the name in it. The first route that fits counts.
func (rs routes) find(method string, segments []string, v apiVersion) (handler, string, bool) {
	for _, r := range rs[method][segments[0]] {
		if name, ok := r.match(segments); ok && v >= r.since {
			return r.handle, name, true
		}
	}
	return nil, "", false
}

func (r *route) match(segments []string) (name string, ok bool) {
	for i, want := range r.segments {
		if want == "{name...}" {
			end := len(segments) - (len(r.segments) - i - 1)
			if end <= i {
				return "", false
			}
			for j, tail := range r.segments[i+1:] {
				if segments[end+j] != tail {
					return "", false
				}
			}
			return strings.Join(segments[i:end], "/"), true
		}
		if i >= len(segments) || segments[i] == "" {
			return "", false
		}
		if want == "{name}" {
			name = segments[i]
		} else if want != segments[i] {
			return "", false
		}
	}
	return name, len(segments) == len(r.segments)
}

// splitPath cuts an escaped path at its slashes and undoes the escapes of each piece. A name may so hold a slash.
func splitPath(escaped string) ([]string, bool) {
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, false
		}
		segments[i] = plain
	}
	return segments, true
}

// parseVersion reads the first segment of a path, v1.41. A path without one is of the engine's highest version.
func (s *Server) parseVersion(segment string) (v apiVersion, given bool, err error) {
	text, ok := strings.CutPrefix(segment, "v")
	if !ok || text == "" || strings.Trim(text, "0123456789.") != "" {
		return s.max, false, nil
	}
	major, minor, ok := splitVersion(text)
	switch {
	case !ok:
		return 0, true, invalid("invalid API version %s: give it as 1.41", text)
	case major > 1 || major == 1 && minor > int(s.max):
		return 0, true, invalid("client version %s is too new. Maximum supported API version is %s", text, s.cfg.Release.Version)
	case major < 1 || minor < int(versionMin):
		return 0, true, invalid("client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version",
			text, MinVersion)
	}
	return apiVersion(minor), true, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.requests.enter() {
		http.Error(w, "the engine has ended", http.StatusServiceUnavailable)
		return
	}
	defer s.requests.leave()
	h := w.Header()
	h.Set("Api-Version", s.cfg.Release.Version)
	h.Set("Docker-Experimental", "false")
	h.Set("Ostype", "linux")
	h.Set("Server", "Docker/"+s.cfg.Release.Engine+" (linux)")
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	c := &call{s: s, w: w, r: r}
	if err := s.serve(c); err != nil {
		s.log.Debug("request failed", "host", s.engine.Name(), "method", r.Method, "path", r.URL.Path, "error", err)
		c.fail(err)
	}
}

func (s *Server) serve(c *call) error {
	segments, ok := splitPath(c.r.URL.EscapedPath())
	if !ok {
		return errNoPage
	}
	v, given, err := s.parseVersion(segments[0])
	if err != nil {
		return err
	}
	if given {
		segments = segments[1:]
	}
	if len(segments) == 0 {
		return errNoPage
	}
	handle, name, ok := s.routes.find(c.r.Method, segments, v)
	if !ok {
		return errNoPage
	}
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return invalid("invalid query: %v", err)
	}
	c.version, c.name = v, name
	return handle(c)
}

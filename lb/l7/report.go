package l7

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// StatsColumns are the titles of what BackendStats.Row tells, with tabs between them.
const StatsColumns = "ADDRESS\tSTATE\tACTIVE\tSERVED\t2xx\t3xx\t4xx\t5xx\tFAILED\tLAST ERROR"

// Row returns what has become of the backend as columns with tabs between them.
func (b BackendStats) Row() string {
	state, last := "up", "-"
	if !b.Up {
		state = "down"
	}
	if b.LastError != "" {
		last = b.LastError
	}
	return fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s", b.Addr, state, b.Active, b.Served,
		b.Answers[2], b.Answers[3], b.Answers[4], b.Answers[5], b.Failed, last)
}

// WriteTo writes a line for each sum; it implements io.WriterTo.
func (c Counters) WriteTo(w io.Writer) (int64, error) {
	text := fmt.Sprintf("requests %d\nredirects %d\nconnections %d\n", c.Requests, c.Redirects, c.Connections)
	for _, why := range slices.Sorted(maps.Keys(c.Refused)) {
		text += fmt.Sprintf("refused %s %d\n", why, c.Refused[why])
	}
	n, err := io.WriteString(w, text)
	return int64(n), err
}

// note counts the answer of a server, or what went wrong with it.
func (r *Router) note(s *server, status int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		s.failed++
		s.last = err.Error()
		return
	}
	if class := status / 100; class > 0 && class < len(s.answers) {
		s.answers[class]++
	}
}

// noteCheck remembers what a check of a backend says against it.
func (r *Router) noteCheck(b Backend, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pools {
		for _, s := range p.servers {
			if s.Addr == b.Addr {
				s.last = "check: " + err.Error()
			}
		}
	}
}

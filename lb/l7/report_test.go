package l7

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// What servers answered is counted by class, and what went wrong last is kept; a check's word is no failed request.
func TestReport(t *testing.T) {
	r := New(Config{Now: func() time.Time { return time.Unix(1, 0) }})
	a := Backend{Name: "a", Addr: netip.MustParseAddrPort("10.0.0.1:80")}
	if err := r.SetRoutes([]Route{{Name: "web", Backends: []Backend{a}}}); err != nil {
		t.Fatal(err)
	}
	s := r.pools["http://"].servers[0]
	for _, status := range []int{101, 200, 204, 302, 404, 503, 503, 999, -1} {
		r.note(s, status, nil)
	}
	r.note(s, 0, errors.New("connection refused"))
	got := r.Stats()[0].Backends[0]
	want := BackendStats{Backend: a, Up: true, Answers: [6]uint64{0, 1, 2, 1, 1, 2}, Failed: 1, LastError: "connection refused"}
	if got != want {
		t.Errorf("Stats = %+v; want %+v", got, want)
	}
	if row, want := got.Row(), "10.0.0.1:80\tup\t0\t0\t2\t1\t1\t2\t1\tconnection refused"; row != want {
		t.Errorf("Row = %q; want %q", row, want)
	}
	if n := strings.Count(StatsColumns, "\t"); strings.Count(got.Row(), "\t") != n {
		t.Errorf("%d tabs in the titles, others in %q", n, got.Row())
	}
	r.noteCheck(a, errors.New("timeout"))
	if got := r.Stats()[0].Backends[0]; got.Failed != 1 || got.LastError != "check: timeout" {
		t.Errorf("after a check: %+v", got)
	}
	var text strings.Builder
	c := Counters{Requests: 3, Refused: map[Reason]uint64{NoRoute: 2, BadAnswer: 1}}
	if _, err := c.WriteTo(&text); err != nil || text.String() != "requests 3\nredirects 0\nconnections 0\nrefused no-route 2\nrefused bad-answer 1\n" {
		t.Errorf("WriteTo: %v\n%s", err, &text)
	}
}

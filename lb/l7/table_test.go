package l7

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestG5MatchOfHosts(t *testing.T) {
	routes := []Route{
		{Name: "red", Host: "red.example.com"},
		{Name: "app", Host: "red.example.com", Path: "/app"},
		{Name: "deep", Host: "red.example.com", Path: "/app/deep"},
		{Name: "any", Host: "*.example.com"},
		{Name: "below", Host: "*.b.example.com"},
		{Name: "narrow", Host: "narrow.example.com", Path: "/only"},
		{Name: "secure", Kind: TLS, Host: "red.example.com"},
		{Name: "loop", Host: "::1"},
	}
	table, err := NewTable(routes)
	if err != nil || table.Len() != len(routes) {
		t.Fatalf("NewTable = %d routes, %v", table.Len(), err)
	}
	withDefault, err := NewTable(append(routes, Route{Name: "default"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		kind                      Kind
		host, path, want, without string
	}{
		{HTTP, "red.example.com", "/", "red", "red"},
		{HTTP, "RED.Example.COM", "/", "red", "red"},
		{HTTP, "red.example.com:8000", "/", "red", "red"},
		{HTTP, "red.example.com.", "/", "red", "red"},
		{HTTP, "red.example.com", "/app", "app", "app"},
		{HTTP, "red.example.com", "/app/", "app", "app"},
		{HTTP, "red.example.com", "/apple", "red", "red"},
		{HTTP, "red.example.com", "/app/deep/er", "deep", "deep"},
		{HTTP, "white.example.com", "/", "any", "any"},
		{HTTP, "a.b.example.com", "/", "below", "below"},
		{HTTP, "a.c.example.com", "/", "any", "any"},
		{HTTP, "narrow.example.com", "/only", "narrow", "narrow"},
		{HTTP, "narrow.example.com", "/other", "any", "any"},
		{HTTP, "example.com", "/", "default", ""},
		{HTTP, "", "/", "default", ""},
		{HTTP, "[::1]:80", "/", "loop", "loop"},
		{HTTP, "::1", "/", "loop", "loop"},
		{HTTP, "192.168.1.2:80", "/", "default", ""},
		{TLS, "red.example.com", "", "secure", "secure"},
		{TLS, "white.example.com", "", "", ""},
	} {
		for table, want := range map[*Table]string{table: row.without, withDefault: row.want} {
			got := ""
			if r := table.Match(row.kind, CanonicalHost(row.host), row.path); r != nil {
				got = r.Name
			}
			if got != want {
				t.Errorf("Match(%s, %s, %s) = %q; want %q", row.kind, row.host, row.path, got, want)
			}
		}
	}
}

func TestTheFirstOfTwoEqualRoutesCounts(t *testing.T) {
	table, err := NewTable([]Route{{Name: "old", Host: "a"}, {Name: "new", Host: "a"}, {Name: "other", Host: "b"}})
	if err == nil || !strings.Contains(err.Error(), "route http://a of new: old has it already") {
		t.Errorf("NewTable = %v; want an error that names both", err)
	}
	if got := table.Match(HTTP, "a", "/"); got == nil || got.Name != "old" || table.Len() != 2 {
		t.Errorf("Match = %+v of %d; want old of 2", got, table.Len())
	}
}

func TestPick(t *testing.T) {
	a, b, c := Backend{Name: "a", Addr: addr(1)}, Backend{Name: "b", Addr: addr(2)}, Backend{Name: "c", Addr: addr(3)}
	now := time.Unix(1000, 0)
	var p pool
	picks := func(how Balance, n int) (names string) {
		for range n {
			if s := p.pick(how, nil, now); s != nil {
				names += s.Name
			}
		}
		return names
	}
	p.set([]Backend{a, b, c})
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s; want %s", what, got, want)
		}
	}
	check("G6: in turn", picks(RoundRobin, 7), "abcabca")
	p.set([]Backend{a, c, b})
	check("the turn stays with b", picks(RoundRobin, 3), "bac")
	p.set([]Backend{c, b})
	check("a is gone", picks(RoundRobin, 3), "bcb")
	p.servers[0].active = 5
	check("the least busy", picks(LeastConn, 2), "bb")
	p.servers[1].held = now.Add(time.Second)
	check("one that is held comes last", picks(LeastConn, 2)+picks(RoundRobin, 2), "cccc")
	p.servers[0].down = true
	check("but before none", picks(RoundRobin, 2), "bb")
	p.servers[1].down = true
	check("none", picks(RoundRobin, 2), "")
	p.check(addr(2), true)
	check("up again", picks(RoundRobin, 2), "bb")
	if got := p.pick(RoundRobin, []*server{p.servers[1]}, now); got != nil {
		t.Errorf("pick of what was tried = %s", got.Name)
	}
	if p.sticky(p.servers[1].id, now) != p.servers[1] || p.sticky(p.servers[0].id, now) != nil || p.sticky("", now) != nil {
		t.Error("a cookie leads elsewhere than to b, which is up")
	}
	p.set(nil)
	check("no backends", picks(RoundRobin, 1), "")
}

func TestHealthChangesAfterSeveralChecks(t *testing.T) {
	var h health
	var got []bool
	for _, ok := range []bool{false, false, true, false, false, false, false, true, false, true, true, true} {
		h.note(ok, 2, 3)
		got = append(got, h.down)
	}
	want := []bool{false, false, false, false, false, true, true, true, true, true, false, false}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("down = %v; want %v", got, want)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	for i := range maxSessions + 10 {
		s.learn(string(rune(i+1)), addr(1))
	}
	s.learn(string(rune(maxSessions)), addr(2))
	if _, ok := s.backend(string(rune(5))); ok || len(s.at) != maxSessions || len(s.order) != maxSessions {
		t.Errorf("%d sessions are known, the first among them: %v", len(s.at), ok)
	}
	if got, ok := s.backend(string(rune(maxSessions))); !ok || got != addr(2) {
		t.Errorf("backend = %s, %v; want the last that was learnt", got, ok)
	}
	if _, ok := s.backend(""); ok {
		t.Error("no session has a backend")
	}
}

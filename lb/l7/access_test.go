package l7

import (
	"io"
	"net"
	"reflect"
	"sync"
	"testing"
)

// What passed is told, by request and by backend; a client that looks whether the port is open and goes is not worth a word.
func TestAccessAndStats(t *testing.T) {
	var mu sync.Mutex
	var told []Access
	cfg := Config{Access: func(a Access) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, a)
	}}
	b := backend(t, "b", says("hello"))
	s := serve(t, cfg, (*Router).Serve, Route{Name: "web", Host: "a", Backends: []Backend{b}}, Route{Name: "none", Host: "none"})
	for _, host := range []string{"a", "a", "none", "unknown"} {
		s.get(host)
	}
	eventually(t, "both answers are told", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) >= 2 })
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 2 || told[0].Host != "a" || told[0].Status != 200 || told[0].Bytes != 5 || told[0].Backend != b || told[0].Method != "GET" ||
		told[0].URI != "/" || told[0].Route.Name != "web" || told[0].Client == "" {
		t.Errorf("told %+v; want two requests for a, answered by b", told)
	}
	want := []RouteStats{{Pattern: "http://none", Name: "none"}, {Pattern: "http://a", Name: "web", Backends: []BackendStats{{Backend: b, Up: true, Served: 2, Answers: [6]uint64{2: 2}}}}}
	if got := s.Stats(); !reflect.DeepEqual(got, want) {
		t.Errorf("Stats = %+v; want %+v", got, want)
	}
}

func TestAPortThatIsLookedAt(t *testing.T) {
	s := serve(t, Config{}, (*Router).ServeTLS)
	for _, say := range []string{"", "x"} { // the second is worth a word, and comes after the first
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, say)
		_ = c.Close()
	}
	eventually(t, "one is counted", func() bool { return s.Counters().Refused[BadHello] > 0 })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if n := s.Counters().Refused[BadHello]; n != 1 {
		t.Errorf("%d connections count as %s; want only the one that said something", n, BadHello)
	}
}

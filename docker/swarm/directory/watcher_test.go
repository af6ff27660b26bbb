package directory

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// hearer notes what it hears.
type hearer struct {
	mu    sync.Mutex
	heard []string           // guarded by mu
	then  func(r cnm.Record) // called for each record; nil: nothing
	busy  int                // guarded by mu
	t     *testing.T
}

func (h *hearer) hear(what string, r cnm.Record) {
	h.mu.Lock()
	h.busy++
	if h.busy > 1 {
		h.t.Error("a watcher was called twice at once")
	}
	h.heard = append(h.heard, what+r.Key+"@"+r.Node)
	then := h.then
	h.mu.Unlock()
	if then != nil {
		then(r)
	}
	h.mu.Lock()
	h.busy--
	h.mu.Unlock()
}

// Put implements cnm.Watcher.
func (h *hearer) Put(r cnm.Record) { h.hear("+", r) }

// Delete implements cnm.Watcher.
func (h *hearer) Delete(r cnm.Record) { h.hear("-", r) }

func (h *hearer) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.heard
	h.heard = nil
	return out
}

func TestWatchers(t *testing.T) {
	a := New(Config{Node: "a", VTEP: netip.MustParseAddr("192.168.1.2")})
	first, second := &hearer{t: t}, &hearer{t: t}
	leave := a.Join("n", first)
	a.Publish("n", cnm.Record{Key: "1"})
	a.Publish("n", cnm.Record{Key: "2"})
	a.Publish("other", cnm.Record{Key: "3"})
	a.Publish("n", cnm.Record{Key: "1", Disabled: true})
	a.Withdraw("n", "2")
	a.Withdraw("n", "none")
	a.Withdraw("none", "1")
	a.Publish("n", cnm.Record{Key: "4"})
	leaveSecond := a.Join("n", second)
	for _, x := range []struct {
		name string
		h    *hearer
		want []string
	}{
		{"what happens, in order", first, []string{"+1@a", "+2@a", "+1@a", "-2@a", "+4@a"}},
		{"first what is there", second, []string{"+1@a", "+4@a"}},
	} {
		if got := x.h.take(); !slices.Equal(got, x.want) {
			t.Errorf("%s: heard %v; want %v", x.name, got, x.want)
		}
	}
	leave()
	a.Withdraw("n", "4")
	if got := first.take(); got != nil {
		t.Errorf("heard %v after leaving", got)
	}
	leaveSecond()
	a.Withdraw("n", "1")
	a.Withdraw("other", "3")
	if len(a.topics) != 0 {
		t.Errorf("left over: %d networks", len(a.topics))
	}
}

// TestReentrant has a watcher publish and leave from within its calls.
func TestReentrant(t *testing.T) {
	d := New(Config{Node: "a"})
	h := &hearer{t: t}
	var leave func()
	h.then = func(r cnm.Record) {
		switch r.Key {
		case "1":
			d.Publish("n", cnm.Record{Key: "2"})
		case "2":
			leave()
			d.Publish("n", cnm.Record{Key: "3"})
		}
	}
	leave = d.Join("n", h)
	d.Publish("n", cnm.Record{Key: "1"})
	if got, want := h.take(), []string{"+1@a", "+2@a"}; !slices.Equal(got, want) {
		t.Errorf("heard %v; want %v", got, want)
	}
}

// TestConcurrent has many publish at once; all watchers must hear the same in the same order.
func TestConcurrent(t *testing.T) {
	d := New(Config{Node: "a"})
	var hs []*hearer
	for range 4 {
		h := &hearer{t: t}
		hs = append(hs, h)
		defer d.Join("n", h)()
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for k := range 50 {
				d.Publish("n", cnm.Record{Key: fmt.Sprint(k % 7)})
			}
			d.Withdraw("n", "3")
		})
	}
	wg.Wait()
	var last sync.WaitGroup
	for _, h := range hs {
		last.Add(1)
		h.mu.Lock()
		h.then = func(r cnm.Record) {
			if r.Key == "last" {
				last.Done()
			}
		}
		h.mu.Unlock()
	}
	d.Publish("n", cnm.Record{Key: "last"})
	last.Wait()
	want := hs[0].take()
	if len(want) < 400 {
		t.Errorf("heard %d events; want at least 400", len(want))
	}
	for _, h := range hs[1:] {
		if got := h.take(); !slices.Equal(got, want) {
			t.Error("two watchers heard different things")
		}
	}
}

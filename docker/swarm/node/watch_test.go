package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

// Who watches hears of services whenever the node is a manager: also of a swarm that begins later.
func TestWatch(t *testing.T) {
	l := newLab(t, 1)
	h := l.hosts[0]
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string, 64)
	ended := make(chan error, 1)
	go func() {
		r := &swarmapi.WatchRequest{Entries: []*swarmapi.WatchRequest_WatchEntry{{Kind: "service", Action: swarmapi.WatchActionKindCreate}}}
		ended <- h.Watch(ctx, r, func(m *swarmapi.WatchMessage) error {
			heard <- m.Events[0].Object.GetService().Spec.Annotations.Name
			return nil
		})
	}()
	for _, name := range []string{"first", "second"} {
		h.begin(InitOptions{})
		n := 0
		l.eventually("a service is heard of", func() bool {
			h.service(fmt.Sprint(name, n), 0)
			n++
			select {
			case got := <-heard:
				return strings.HasPrefix(got, name)
			case <-time.After(20 * time.Millisecond):
				return false // it was there before somebody watched
			}
		})
		if err := h.Leave(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

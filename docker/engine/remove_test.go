package engine_test

import (
	"errors"
	"io"
	"testing"

	"github.com/netsim-lab/netsim/docker/engine"
)

// TestRemoveOnDie removes a container as soon as its die event comes, as old clients do for docker run --rm.
func TestRemoveOnDie(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	sub := e.Subscribe(engine.EventOptions{Filter: func(ev engine.Event) bool { return ev.Action == "die" }})
	defer sub.Close()
	for range 50 {
		c := run(t, e, engine.ContainerConfig{Image: "busybox", Command: []string{"true"}})
		if _, err := sub.Next(soon(t)); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := c.Remove(soon(t), engine.RemoveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

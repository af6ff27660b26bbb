package engine_test

import (
	"testing"

	"github.com/netsim-lab/netsim/docker/engine"
)

// BenchmarkRun is docker run -d and docker rm -f.
func BenchmarkRun(b *testing.B) {
	e, _, _ := newEngine(b, 1)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		c, err := e.Create(engine.ContainerConfig{Image: "busybox", Command: []string{"sleep", "600"}})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Start(ctx); err != nil {
			b.Fatal(err)
		}
		if err := c.Remove(ctx, engine.RemoveOptions{Force: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInspect is what docker ps and docker inspect cost of a running container.
func BenchmarkInspect(b *testing.B) {
	e, _, _ := newEngine(b, 1)
	c := run(b, e, engine.ContainerConfig{Image: "nginx"})
	b.ReportAllocs()
	for b.Loop() {
		if info := c.Inspect(); !info.State.Running {
			b.Fatal("it does not run")
		}
	}
}

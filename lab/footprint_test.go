package lab

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What a node of a swarm may have at rest: half as much again as it has.
const (
	nodeGoroutines = 100
	nodeMemory     = 2200 << 10 // bytes of live objects and of stacks
)

// A node of a swarm has so many goroutines and so much memory that a hundred of them fit into a process of some hundred MB.
func TestFootprintOfNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("it brings twenty nodes up, and the race detector has memory of its own")
	}
	const nodes, patience, pause = 20, time.Minute, 100 * time.Millisecond
	goroutines, bytes := footprint()
	start(t, swarmOf(nodes), Config{})
	for end := time.Now().Add(patience); ; time.Sleep(pause) { // a condition with a deadline: bringing up leaves work behind
		g, b := footprint()
		g, b = (g-goroutines)/nodes, (b-bytes)/nodes
		if g <= nodeGoroutines && b <= nodeMemory {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a node has %d goroutines and %d KiB; want %d and %d at most", g, b>>10, nodeGoroutines, nodeMemory>>10)
		}
	}
}

// swarmOf is a topology of three managers and some workers.
func swarmOf(nodes int) string {
	var hosts strings.Builder
	names := make([]string, nodes)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i+1)
		fmt.Fprintf(&hosts, "    %s: {links: {tor: 192.168.1.%d/24}, engine: docker}\n", names[i], i+1)
	}
	return fmt.Sprintf("netsim: 1\nname: swarm\nfabric:\n  switches: {tor: {}}\n  hosts:\n%sswarm: {managers: [%s], workers: [%s]}\n",
		hosts.String(), strings.Join(names[:3], ", "), strings.Join(names[3:], ", "))
}

// footprint returns the goroutines of this process, and the bytes of its live objects and of its stacks.
func footprint() (goroutines, bytes int) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), int(m.HeapAlloc + m.StackInuse)
}

package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	largeLab  = 128 << 20 // bytes that a process has of the machine from which on settleMemory acts
	restingGC = 25        // percent of what is in use that may become garbage before it is collected
)

// settleMemory gives back what a large lab took to come up, and from then on lets less garbage gather than Go does by itself,
// unless GOGC says how much that is to be.
func settleMemory() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.Sys-m.HeapReleased < largeLab {
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(restingGC)
	}
	debug.FreeOSMemory()
}

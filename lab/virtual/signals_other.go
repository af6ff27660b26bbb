//go:build faketime && unix && !(linux && (amd64 || arm64))

package virtual

// noSignals would have nobody wait for signals, if this system's runtime were known: here a docker command that watches tasks
// start has the clock stand still.
func noSignals() {}

//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// sizeChanges tells when the size of the terminal may have changed, until stop is called.
func sizeChanges() (changed <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}

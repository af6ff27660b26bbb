//go:build !unix

package main

import "time"

// sizePause is how often docker looks for a new size where no signal tells of it.
const sizePause = 250 * time.Millisecond

// sizeChanges tells when the size of the terminal may have changed, until stop is called.
func sizeChanges() (changed <-chan time.Time, stop func()) {
	t := time.NewTicker(sizePause)
	return t.C, t.Stop
}

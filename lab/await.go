package lab

import (
	"context"
	"errors"
	"time"
)

// awaitEvery is how often Await looks.
const awaitEvery = 10 * time.Millisecond

// Await is Dial that gives a lab which is just coming up time to do so: it looks again until there is one, patience is
// over or ctx ends.
func Await(ctx context.Context, name string, patience time.Duration) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		c, err := Dial(name)
		if !errors.Is(err, ErrNotRunning) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

package fabrictest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/fabric"
)

// Collector is a Receiver that keeps what it gets. Its zero value is ready; it may be used by several goroutines at once.
type Collector struct {
	mu     sync.Mutex
	frames []*fabric.Frame // guarded by mu
	more   chan struct{}   // guarded by mu; closed by the next Receive; nil if nobody waits
}

// Receive implements fabric.Receiver.
func (c *Collector) Receive(batch []*fabric.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, batch...)
	if c.more != nil {
		close(c.more)
		c.more = nil
	}
}

// Len returns how many frames (trains) are there.
func (c *Collector) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.frames)
}

// Take hands over what is there and begins anew. The caller frees the frames.
func (c *Collector) Take() []*fabric.Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLocked()
}

// One hands over the first frame that is there, and keeps room for others; nil if there is none.
func (c *Collector) One() *fabric.Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.frames) == 0 {
		return nil
	}
	f := c.frames[0]
	c.frames = slices.Delete(c.frames, 0, 1)
	return f
}

func (c *Collector) takeLocked() []*fabric.Frame {
	f := c.frames
	c.frames = nil
	return f
}

// Wait waits until n frames (trains) or more are there, and hands them over as Take does. If they do not come within
// that time, it leaves those that did and says how many.
func (c *Collector) Wait(n int, within time.Duration) ([]*fabric.Frame, error) {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		got := len(c.frames)
		if got >= n {
			f := c.takeLocked()
			c.mu.Unlock()
			return f, nil
		}
		if c.more == nil {
			c.more = make(chan struct{})
		}
		more := c.more
		c.mu.Unlock()
		select {
		case <-more:
		case <-deadline.C:
			return nil, fmt.Errorf("%d of %d frames arrived within %v", got, n, within)
		}
	}
}

// Free frees what is there.
func (c *Collector) Free() { fabric.FreeAll(c.Take()) }

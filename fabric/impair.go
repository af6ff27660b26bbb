package fabric

import (
	"fmt"
	"time"
)

// Impairment is what one direction of a Link does to the frames that pass: to each wire frame by itself, so that it
// makes no difference how long the trains are. The zero value is a perfect cable. A frame meets the fields in their
// order: it must fit, waits for its turn, may be lost on the way, and takes its time. Each share is 0 to 1.
type Impairment struct {
	// Down drops everything.
	Down bool
	// MTU is the longest packet, from the network header on, that passes; 0: any. The ends do not know it.
	MTU int
	// Rate is in bits per second of Ethernet frames without preamble and checksum, as Linux counts; 0: no limit.
	Rate uint64
	// QueueFrames and QueueBytes bound what waits for the rate. 0: 1000 frames, as Linux's txqueuelen; any number of bytes.
	QueueFrames, QueueBytes int
	// Loss is the share of the frames that is lost, each independently of the others.
	Loss float64
	// Burst loses frames that follow each other.
	Burst Burst
	// Corrupt is the share of the frames of which one bit is turned.
	Corrupt float64
	// Duplicate is the share of the frames that arrive twice.
	Duplicate float64
	// Delay is how long a frame is under way, and Jitter by how much that may be more or less, evenly distributed.
	Delay, Jitter time.Duration
	// Overtake lets frames overtake each other by jitter. Otherwise one that would be too early waits for those ahead.
	Overtake bool
	// Reorder is the share of the frames that are out of order: they are not delayed and so overtake others. Without
	// Delay they are held back for ReorderHold, and are overtaken.
	Reorder float64
}

// ReorderHold is how long a frame that is to be out of order is held back on a link without delay.
const ReorderHold = time.Millisecond

// defaultQueue is how many frames wait for the rate of a link, unless it is said.
const defaultQueue = 1000

// Burst loses frames in bursts, as Gilbert and Elliott have described it: a link is in a good or a bad state, and each
// frame may change that. The zero value loses nothing.
type Burst struct {
	P float64 // the share of frames at which a good state turns bad; 0: there are no bursts
	R float64 // the share of frames at which a bad state turns good
	// Good and Bad are the shares that are lost in each state. A Bad of 0 is 1: everything is lost.
	Good, Bad float64
}

// The most that an Impairment may ask for.
const (
	MaxDelay       = time.Hour
	MaxRate        = 1e15
	MaxQueueFrames = 1 << 20
)

// Check returns an error that tells what is out of its range.
func (i Impairment) Check() error {
	shares := []struct {
		name  string
		value float64
	}{
		{"loss", i.Loss}, {"corrupt", i.Corrupt}, {"duplicate", i.Duplicate}, {"reorder", i.Reorder},
		{"burst p", i.Burst.P}, {"burst r", i.Burst.R}, {"burst good", i.Burst.Good}, {"burst bad", i.Burst.Bad},
	}
	for _, s := range shares {
		if !(s.value >= 0 && s.value <= 1) {
			return fmt.Errorf("%s must be a share from 0 to 1, not %v", s.name, s.value)
		}
	}
	switch {
	case i.Delay < 0 || i.Delay > MaxDelay:
		return fmt.Errorf("delay must be from 0 to %v, not %v", MaxDelay, i.Delay)
	case i.Jitter < 0 || i.Jitter > MaxDelay:
		return fmt.Errorf("jitter must be from 0 to %v, not %v", MaxDelay, i.Jitter)
	case i.Rate > MaxRate:
		return fmt.Errorf("rate must be at most %.0e bit/s, not %d", float64(MaxRate), i.Rate)
	case i.MTU < 0 || i.MTU > 0 && i.MTU < 68 || i.MTU > 65535:
		return fmt.Errorf("mtu must be 0 or from 68 to 65535, not %d", i.MTU) // RFC 791: 68 is what every link must carry
	case i.QueueFrames < 0 || i.QueueFrames > MaxQueueFrames || i.QueueBytes < 0:
		return fmt.Errorf("the queue must hold 0 to %d frames and 0 or more bytes, not %d and %d", MaxQueueFrames, i.QueueFrames, i.QueueBytes)
	case i.Burst.P > 0 && i.Burst.R == 0:
		return fmt.Errorf("burst r must be above 0, or the link turns bad for ever")
	}
	return nil
}

// fastEnough is the rate from which on a train is a small part of what waits.
const fastEnough = 2_500_000_000

// HurtsTrains tells whether TCP does better with wire frames one by one than with trains: where single frames are lost
// at random, or a train is long compared with what waits.
func (i Impairment) HurtsTrains() bool {
	return i.Loss > 0 || i.Burst.P > 0 || i.Burst.Good > 0 || i.Corrupt > 0 || i.Duplicate > 0 || i.Reorder > 0 ||
		i.Rate > 0 && i.Rate <= fastEnough
}

// random tells whether anything is left to luck.
func (i *Impairment) random() bool {
	return i.Loss > 0 || i.Burst.P > 0 || i.Burst.Good > 0 || i.Corrupt > 0 || i.Duplicate > 0 || i.Reorder > 0 || i.Jitter > 0
}

// Impair changes what the link does to the frames that this end sends: update is given what was set before, and what it
// does not touch stays. Frames that are on their way arrive as they would have. It returns what is set now; if that is
// out of range nothing changes, and there is an error. It may be called at any time; update must not use the link.
func (e *LinkEnd) Impair(update func(*Impairment)) (Impairment, error) {
	carrier := e.Carrier()
	i, err := e.impair(update)
	if e.Carrier() != carrier {
		e.tellCarrier()
	}
	return i, err
}

func (e *LinkEnd) impair(update func(*Impairment)) (Impairment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.Impairment()
	i := before
	update(&i)
	if err := i.Check(); err != nil {
		return before, fmt.Errorf("impair %s: %w", e.name, err)
	}
	passing := i
	passing.Down = false // Send looks at that
	if passing == (Impairment{}) {
		e.impairment.Store(nil)
	} else {
		e.impairment.Store(&passing)
	}
	e.down.Store(i.Down)
	return i, nil
}

// Impairment returns what the link does to the frames that this end sends.
func (e *LinkEnd) Impairment() Impairment {
	var i Impairment
	if p := e.impairment.Load(); p != nil {
		i = *p
	}
	i.Down = e.down.Load()
	return i
}

package fabric

import (
	"sync/atomic"
	"time"
)

// Counters count what passed a port or interface. The zero value is ready; all methods may be called at once from
// several goroutines. Frames and bytes are those on the wire: a train of 40 counts 40.
type Counters struct {
	rxFrames, rxBytes, txFrames, txBytes atomic.Uint64
	drops                                atomic.Pointer[[dropReasons]atomic.Uint64]
	dropTaps                             watchers[DropTap]
}

// Rx counts a batch that came in.
func (c *Counters) Rx(batch []*Frame) { c.rx(measure(batch)) }

func (c *Counters) rx(frames, bytes uint64) {
	c.rxFrames.Add(frames)
	c.rxBytes.Add(bytes)
}

// Tx counts a batch that went out.
func (c *Counters) Tx(batch []*Frame) { c.tx(measure(batch)) }

func (c *Counters) tx(frames, bytes uint64) {
	c.txFrames.Add(frames)
	c.txBytes.Add(bytes)
}

// measure returns how many wire frames and bytes a batch is.
func measure(batch []*Frame) (frames, bytes uint64) {
	for _, f := range batch {
		frames += uint64(f.Segs)
		bytes += uint64(f.WireLen())
	}
	return frames, bytes
}

// Drop counts f as dropped at place for that reason, tells its trace and those who watch, and frees it.
func (c *Counters) Drop(f *Frame, reason DropReason, place string) {
	c.CountDrop(reason, uint64(f.Segs))
	for _, tap := range c.dropTaps.all() {
		(*tap).Dropped(f, reason, place)
	}
	if f.Trace != nil {
		f.Trace.dropped(f, place, reason)
	}
	f.Free()
}

// CountDrop counts n wire frames that were dropped without being at hand.
func (c *Counters) CountDrop(reason DropReason, n uint64) {
	d := c.drops.Load()
	if d == nil {
		d = new([dropReasons]atomic.Uint64)
		if !c.drops.CompareAndSwap(nil, d) {
			d = c.drops.Load()
		}
	}
	d[reason].Add(n)
}

// Stats is a reading of Counters.
type Stats struct {
	RxFrames, RxBytes, TxFrames, TxBytes uint64
	Drops                                map[string]uint64 // by reason; nil if there were none
}

// Dropped returns the sum of all drops.
func (s Stats) Dropped() uint64 {
	var n uint64
	for _, d := range s.Drops {
		n += d
	}
	return n
}

// Read returns what was counted so far.
func (c *Counters) Read() Stats {
	s := Stats{RxFrames: c.rxFrames.Load(), RxBytes: c.rxBytes.Load(), TxFrames: c.txFrames.Load(), TxBytes: c.txBytes.Load()}
	d := c.drops.Load()
	if d == nil {
		return s
	}
	for r := range d {
		if n := d[r].Load(); n > 0 {
			if s.Drops == nil {
				s.Drops = make(map[string]uint64)
			}
			s.Drops[DropReason(r).String()] = n
		}
	}
	return s
}

// Dropped returns how many wire frames were dropped for that reason.
func (c *Counters) Dropped(reason DropReason) uint64 {
	if d := c.drops.Load(); d != nil {
		return d[reason].Load()
	}
	return 0
}

// now is the time that frames are stamped with, in nanoseconds of Unix time.
func now() int64 { return time.Now().UnixNano() }

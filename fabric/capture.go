package fabric

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

const (
	// captureFrames is how many frames (trains) may wait to be written.
	captureFrames = 4096
	// captureBytes is how many bytes may wait to be written, unless CaptureConfig says otherwise.
	captureBytes = 16 << 20
	// captureSnap is the snap length unless CaptureConfig says otherwise, that of tcpdump.
	captureSnap = 262144
	// captureWrite is the size of the writes while there is more to write.
	captureWrite = 64 << 10
)

// CaptureConfig says what a Capture keeps.
type CaptureConfig struct {
	SnapLen int                                // bytes of each wire frame that are written; zero: 262144
	Filter  func(dir Direction, f *Frame) bool // called on the data path, as Tap is; nil: all frames
	Buffer  int                                // bytes that may wait to be written; zero: 16 MiB
	Count   uint64                             // wire frames after which Run ends; zero: none
}

// Capture writes what taps see as pcapng, each wire frame of a train with lengths and checksums of its own, in time
// order and with the direction. Frames that are dropped where it looks are written once more, with the reason as a
// comment; those of a trace have its steps so far as comments. On the data path it only notes a frame and its headers,
// the payload is shared; frames for which there is no room are not captured, and counted.
type Capture struct {
	cfg     CaptureConfig
	w       io.Writer
	began   time.Time // what times count from, so that they never run back
	records chan record
	wake    chan struct{} // something is new besides records
	bytes   atomic.Int64  // that wait
	ended   atomic.Bool

	mu   sync.Mutex
	taps []*CaptureTap // guarded by mu; those whose position is their number in the file
}

// record is a frame that waits to be written.
type record struct {
	f     *Frame
	tap   *CaptureTap
	at    int64
	way   way
	why   DropReason // 0: it was not dropped
	place string     // where it was dropped
}

// CaptureTap is the Tap and the DropTap of one interface of a Capture.
type CaptureTap struct {
	c                *Capture
	name             string
	id               int
	written, dropped atomic.Uint64 // wire frames
}

// NewCapture returns a capture that writes to w once it runs. It starts and writes nothing.
func NewCapture(w io.Writer, cfg CaptureConfig) *Capture {
	if cfg.SnapLen <= 0 {
		cfg.SnapLen = captureSnap
	}
	if cfg.Buffer <= 0 {
		cfg.Buffer = captureBytes
	}
	return &Capture{cfg: cfg, w: w, began: time.Now(), records: make(chan record, captureFrames), wake: make(chan struct{}, 1)}
}

// Interface returns a tap whose frames are written as those of an interface of that name. The frames that it is shown
// as a Tap must begin with an Ethernet header. It may be called at any time; each call makes an interface of its own.
func (c *Capture) Interface(name string) *CaptureTap {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &CaptureTap{c: c, name: name, id: len(c.taps)}
	c.taps = append(c.taps, t)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return t
}

// Tap implements Tap.
func (t *CaptureTap) Tap(dir Direction, f *Frame) {
	if t.c.cfg.Filter == nil || t.c.cfg.Filter(dir, f) {
		t.note(f, record{way: wayOf(dir)})
	}
}

// Dropped implements DropTap. A packet that has no Ethernet header yet, or none any more, is written with an empty one.
func (t *CaptureTap) Dropped(f *Frame, reason DropReason, place string) {
	t.note(f, record{why: reason, place: place})
}

// note keeps a copy of f until it is written, if there is room.
func (t *CaptureTap) note(f *Frame, r record) {
	c := t.c
	if c.ended.Load() {
		return
	}
	n := int64(f.Len())
	if c.bytes.Add(n) > int64(c.cfg.Buffer) {
		c.bytes.Add(-n)
		t.dropped.Add(uint64(f.Segs))
		return
	}
	r.f, r.tap, r.at = f.Clone(), t, c.began.UnixNano()+int64(time.Since(c.began))
	select {
	case c.records <- r:
	default:
		c.done(r)
		t.dropped.Add(uint64(f.Segs))
	}
}

// done gives back what r holds.
func (c *Capture) done(r record) {
	c.bytes.Add(-int64(r.f.Len()))
	r.f.Free()
}

// CaptureStats tells how many wire frames were captured, and how many were not for want of room.
type CaptureStats struct {
	Written, Dropped uint64
}

// Stats returns the counts of all interfaces so far.
func (c *Capture) Stats() CaptureStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s CaptureStats
	for _, t := range c.taps {
		s.Written += t.written.Load()
		s.Dropped += t.dropped.Load()
	}
	return s
}

// errEnough ends a capture that has all that was asked for.
var errEnough = errors.New("enough")

// Run writes until ctx ends, and then what waits and the statistics of each interface; or until it has written as many
// frames as were asked for. Whenever nothing waits it flushes, so that a reader at the other end of a pipe sees packets
// at once. It ends early if w fails. A Write that blocks holds up Run, but never the data path. A capture runs once.
func (c *Capture) Run(ctx context.Context) error {
	defer c.end()
	w := &captureWriter{c: c, out: bufio.NewWriterSize(c.w, captureWrite)} // which pcapgo then writes to without its own
	err := w.follow(ctx)
	if err == nil {
		err = w.rest()
	}
	if err == nil || errors.Is(err, errEnough) {
		err = w.finish()
	}
	if err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}

// end makes the taps see nothing more and frees what waits.
func (c *Capture) end() {
	c.ended.Store(true)
	for {
		select {
		case r := <-c.records:
			if c.cfg.Count == 0 {
				r.tap.dropped.Add(uint64(r.f.Segs))
			}
			c.done(r)
		default:
			return
		}
	}
}

// captureWriter is the side of a Capture that writes; it belongs to Run.
type captureWriter struct {
	c       *Capture
	out     *bufio.Writer
	ng      *pcapgo.NgWriter // nil until there is an interface
	known   []*CaptureTap    // those whose interface blocks are written
	buf     []byte
	last    int64  // the time of the last record
	written uint64 // wire frames
}

// follow writes records as they come until ctx ends.
func (w *captureWriter) follow(ctx context.Context) error {
	for {
		select {
		case r := <-w.c.records:
			if err := w.write(r); err != nil {
				return err
			}
			continue
		default:
		}
		if err := w.flush(); err != nil {
			return err
		}
		select {
		case r := <-w.c.records:
			if err := w.write(r); err != nil {
				return err
			}
		case <-w.c.wake:
			if err := w.interfaces(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *captureWriter) flush() error {
	if w.ng == nil {
		return nil
	}
	return w.ng.Flush()
}

// interfaces writes the blocks of interfaces that are new.
func (w *captureWriter) interfaces() error {
	w.c.mu.Lock()
	added := w.c.taps[len(w.known):]
	w.c.mu.Unlock()
	for _, t := range added {
		intf := pcapgo.NgInterface{Name: t.name, LinkType: layers.LinkTypeEthernet, SnapLength: uint32(w.c.cfg.SnapLen)}
		var err error
		if w.ng == nil {
			options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "netsim"}}
			w.ng, err = pcapgo.NewNgWriterInterface(w.out, intf, options)
		} else {
			_, err = w.ng.AddInterface(intf)
		}
		if err != nil {
			return err
		}
		w.known = append(w.known, t)
	}
	return nil
}

// write writes the wire frames of a record. Records come in the order in which the lab's goroutines noted them: the time
// of one that noted later what it saw earlier becomes that of the one before.
func (w *captureWriter) write(r record) error {
	defer w.c.done(r)
	if r.tap.id >= len(w.known) {
		if err := w.interfaces(); err != nil {
			return err
		}
	}
	if r.why != 0 && !r.f.giveEthernet() {
		return nil // there is no room for a header, and nobody who could read it without
	}
	block := packetBlock{intf: uint32(r.tap.id), at: max(r.at, w.last), way: r.way, comments: r.comments()}
	w.last = block.at
	cut := r.f.Cut()
	for i := range max(1, int(r.f.Segs)) {
		b := cut.Append(block.begin(w.buf[:0]), i)
		w.buf = block.end(b, w.c.cfg.SnapLen)
		if _, err := w.out.Write(w.buf); err != nil {
			return err
		}
		r.tap.written.Add(1)
		if w.written++; w.written == w.c.cfg.Count {
			return errEnough
		}
	}
	return nil
}

// rest writes what waits when the capture ends.
func (w *captureWriter) rest() error {
	w.c.ended.Store(true)
	for len(w.c.records) > 0 {
		if err := w.write(<-w.c.records); err != nil {
			return err
		}
	}
	return nil
}

// finish writes the statistics.
func (w *captureWriter) finish() error {
	w.c.ended.Store(true)
	if err := w.interfaces(); err != nil {
		return err
	}
	at := time.Unix(0, now())
	for id, t := range w.known {
		dropped := t.dropped.Load()
		err := w.ng.WriteInterfaceStats(id, pcapgo.NgInterfaceStatistics{LastUpdate: at, EndTime: at,
			PacketsReceived: t.written.Load() + dropped, PacketsDropped: dropped})
		if err != nil {
			return err
		}
	}
	return w.flush()
}

package fabric

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// tapQueue is how many frames the kernel keeps for a TAP device that this process made and has not read: as many as a
// queue here. Its own default is 500.
const tapQueue = QueueFrames

// ErrTAPGone is what the error of a TAPDevice wraps whose device was removed, as by ip link del.
var ErrTAPGone = errors.New("the device was removed")

// TAPConfig says what a TAPDevice is. The zero value works.
type TAPConfig struct {
	// Name is that of the device, 1 to 15 bytes; empty: the next that is free, tap0 and so on. A device that exists, as made
	// by ip tuntap add, is used and stays when this process leaves it.
	Name  string
	Place string // stands in traces; empty: the name
	Plain bool   // one wire frame at a time, even where the kernel takes trains
}

// TAPDevice is a TAP device of the real kernel as a Port: what the kernel sends out of the device arrives here, and what is
// sent here comes in at the device. (A Tap is something else: it looks at frames.)
//
// Where the kernel knows virtio's header in front of frames, trains pass whole both ways and checksums are left to whoever
// needs them; elsewhere each wire frame is complete and passes alone.
type TAPDevice struct {
	socket
	Counters
	name, place string
	end         tapEnd
	queue       *Queue // what waits to be written
	closed      atomic.Bool
}

// tapEnd is one of the ways to read and write a TAP device. read and write are each for one goroutine.
type tapEnd interface {
	// read waits until there are frames and returns some of them, which are the caller's; the slice is valid until the next
	// call. What is no frame it counts in c.
	read(c *Counters) ([]*Frame, error)
	// write writes a frame, which stays the caller's but may be changed. lost is how many of its wire frames the kernel did
	// not take, and why; an error means that the device is gone.
	write(f *Frame) (lost int, why DropReason, err error)
	// segment says whether the kernel may hand over trains.
	segment(on bool) error
	// whole tells whether trains pass whole.
	whole() bool
	// Close ends read and write.
	Close() error
}

// OpenTAP opens a TAP device, in the network namespace of the calling thread, and makes it if it does not exist. It starts
// nothing: until Run, what is sent waits in a queue, and what arrives in the kernel. The error wraps kernel.ErrUnable if
// this user or machine cannot have one, and tells what would help.
func OpenTAP(c TAPConfig) (*TAPDevice, error) {
	if err := checkDeviceName(c.Name); err != nil {
		return nil, fmt.Errorf("open TAP device %q: %w", c.Name, err)
	}
	end, name, err := openTAP(c.Name, c.Plain)
	if err != nil {
		return nil, fmt.Errorf("open TAP device %s: %w", cmp.Or(c.Name, "of any name"), err)
	}
	return &TAPDevice{name: name, place: cmp.Or(c.Place, name), end: end, queue: NewQueue()}, nil
}

// checkDeviceName tells why the kernel would refuse a name (dev_valid_name).
func checkDeviceName(name string) error {
	switch {
	case name == "":
		return nil
	case len(name) > 15:
		return errors.New("a device's name has 15 characters at most")
	case name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r\x00"):
		return errors.New("a device's name has no space, slash, colon or percent sign")
	}
	return nil
}

// Name returns the device's name.
func (d *TAPDevice) Name() string { return d.name }

// Whole tells whether trains pass whole.
func (d *TAPDevice) Whole() bool { return d.end.whole() }

// Carrier tells whether the device is there.
func (d *TAPDevice) Carrier() bool { return !d.closed.Load() }

// SetSegmentation says whether TCP of the kernel may hand over trains, as ethtool -K DEV tso. It does nothing where they do
// not pass whole anyway.
func (d *TAPDevice) SetSegmentation(on bool) error {
	if d.closed.Load() {
		return nil
	}
	if err := d.end.segment(on); err != nil && !d.closed.Load() {
		return fmt.Errorf("set segmentation offload of TAP device %s: %w", d.name, err)
	}
	return nil
}

// Send implements Port: it queues the frames for the goroutine that writes to the device.
func (d *TAPDevice) Send(batch []*Frame) {
	for _, f := range d.queue.Push(batch) {
		if d.closed.Load() {
			d.Drop(f, DropClosed, d.place)
			continue
		}
		d.Drop(f, DropQueueFull, d.place)
	}
}

// Close closes the device and ends Run if that runs; Run closes it itself when it ends. A device that this process made
// is gone then.
func (d *TAPDevice) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	d.queue.Close()
	return d.end.Close()
}

// Run reads and writes the device until ctx ends, and closes it; it may run once. The error, which is nil if ctx ended or
// the device was closed, wraps ErrTAPGone if somebody removed the device.
func (d *TAPDevice) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(d.read)
	g.Go(func() error { return d.write(ctx) })
	g.Go(func() error { <-ctx.Done(); return d.Close() })
	err := g.Wait()
	d.queue.DrainTo(func(f *Frame) { d.Drop(f, DropClosed, d.place) })
	if err == nil || errors.Is(err, errTAPClosed) {
		return nil
	}
	return fmt.Errorf("TAP device %s: %w", d.name, err)
}

// errTAPClosed ends the goroutines of a device that was closed.
var errTAPClosed = errors.New("closed")

func (d *TAPDevice) read() error {
	for {
		batch, err := d.end.read(&d.Counters)
		if len(batch) > 0 {
			at := now()
			for _, f := range batch {
				f.At = at
			}
			d.Rx(batch)
			d.deliver(batch, &d.Counters, d.place)
		}
		if err != nil {
			return d.ended(err)
		}
	}
}

// ended is why the device can be used no more.
func (d *TAPDevice) ended(err error) error {
	if d.closed.Load() {
		return errTAPClosed
	}
	return err
}

func (d *TAPDevice) write(ctx context.Context) error {
	for {
		b, ok := d.queue.Next(ctx)
		if !ok {
			return errTAPClosed
		}
		err := d.writeBatch(b.Frames())
		d.queue.Done(b)
		if err != nil {
			return d.ended(err)
		}
	}
}

// writeBatch writes the frames and frees them, whatever happens.
func (d *TAPDevice) writeBatch(batch []*Frame) error {
	for i, f := range batch {
		frames, bytes := uint64(f.Segs), uint64(f.WireLen())
		lost, why, err := d.end.write(f)
		if err != nil {
			for _, g := range batch[i:] {
				d.Drop(g, DropClosed, d.place)
			}
			freeLeft(batch[:i])
			return err
		}
		if lost >= int(frames) {
			d.Drop(f, why, d.place)
			batch[i] = nil
			continue
		}
		if lost > 0 {
			d.CountDrop(why, uint64(lost))
			bytes -= bytes / frames * uint64(lost)
		}
		d.tx(frames-uint64(lost), bytes)
	}
	freeLeft(batch)
	return nil
}

// freeLeft frees the frames of a batch that are still there.
func freeLeft(batch []*Frame) {
	left := batch[:0]
	for _, f := range batch {
		if f != nil {
			left = append(left, f)
		}
	}
	FreeAll(left)
}

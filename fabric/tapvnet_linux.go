package fabric

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
)

const (
	tapBatch  = 64      // frames that one wait reads at most
	sparePart = 1 << 16 // what follows the linear part of the longest frame
	keepSpare = 1 << 14 // data from this size on is handed over where it was read, less is copied
	maxParts  = 256     // parts that one write gathers; the kernel takes 1024
)

// vnetEnd reads and writes trains with a vnetHeader in front. One wait reads all that is there, up to tapBatch trains; the
// payload of a long one is read to where it stays, and written from where it lies.
type vnetEnd struct {
	tapFile

	reads      func(fd uintptr) bool
	batch      []*Frame // what was read
	long       []*Frame // the same, where a train had to be cut
	fresh      [tapBatch]*Frame
	next       int // the first of fresh that is unused
	spare      *buffer.View
	readHeader [vnetLen]byte
	readParts  [3]unix.Iovec
	readErr    error
	counters   *Counters

	writes      func(fd uintptr) bool
	writeHeader [vnetLen]byte
	writeParts  []unix.Iovec
	writeErr    error
	addPart     func(v *buffer.View)
	flat        []byte
}

func newVnetEnd(t tapFile) *vnetEnd {
	e := &vnetEnd{tapFile: t, next: tapBatch, spare: buffer.NewViewSize(sparePart)}
	e.reads, e.writes = e.drain, e.push
	e.addPart = func(v *buffer.View) { e.part(v.AsSlice()) }
	return e
}

func (e *vnetEnd) whole() bool { return true }

func (e *vnetEnd) segment(on bool) error {
	if on {
		return e.offload(offloads)
	}
	return e.offload(unix.TUN_F_CSUM)
}

func (e *vnetEnd) read(c *Counters) ([]*Frame, error) {
	e.counters, e.readErr, e.batch = c, nil, e.batch[:0]
	if err := e.raw.Read(e.reads); err != nil {
		return nil, gone(err)
	}
	for _, f := range e.batch {
		if f.Segs > MaxSegs {
			return e.cutBatch(), e.readErr
		}
	}
	return e.batch, e.readErr
}

// cutBatch is the batch with no train longer than MaxSegs wire frames.
func (e *vnetEnd) cutBatch() []*Frame {
	e.long = e.long[:0]
	for _, f := range e.batch {
		e.long = f.cutLong(e.long)
	}
	return e.long
}

// drain reads all that is there; false: there was nothing.
func (e *vnetEnd) drain(fd uintptr) bool {
	for len(e.batch) < tapBatch {
		if e.next == tapBatch {
			NewBatch(e.fresh[:])
			e.next = 0
		}
		f := e.fresh[e.next]
		n, err := e.readInto(fd, f)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return len(e.batch) > 0
		case err != 0:
			e.readErr = gone(err)
			return true
		}
		e.fresh[e.next] = nil
		e.next++
		e.take(f, n)
	}
	return true
}

// readInto reads a frame into the linear part of f, and what has no room there into the spare.
func (e *vnetEnd) readInto(fd uintptr, f *Frame) (int, unix.Errno) {
	lin, rest := f.buf[f.start:f.start+headersMax], e.spare.AsSlice()
	setPart(&e.readParts[0], e.readHeader[:])
	setPart(&e.readParts[1], lin)
	setPart(&e.readParts[2], rest)
	n, _, err := unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&e.readParts[0])), uintptr(len(e.readParts)))
	return int(n), err
}

func setPart(v *unix.Iovec, b []byte) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
}

// take makes a frame of what was read into f.
func (e *vnetEnd) take(f *Frame, n int) {
	h, ok := parseVnet(e.readHeader[:max(0, min(n, vnetLen))])
	n -= vnetLen
	if !ok || n < 0 {
		e.counters.Drop(f, DropTruncated, tunPath)
		return
	}
	f.end = f.start + uint16(min(n, headersMax))
	switch rest := n - headersMax; {
	case rest >= keepSpare:
		e.spare.CapLength(rest)
		f.payload = buffer.MakeWithView(e.spare)
		e.spare = buffer.NewViewSize(sparePart)
	case rest > 0:
		f.payload = buffer.MakeWithData(e.spare.AsSlice()[:rest])
	}
	if r := f.arrive(h); r != 0 {
		e.counters.Drop(f, r, tunPath)
		return
	}
	e.batch = append(e.batch, f)
}

func (e *vnetEnd) write(f *Frame) (lost int, why DropReason, err error) {
	h, ok := f.depart()
	if ok {
		err = e.writeFrame(h, f)
	}
	if err == nil && ok {
		return 0, 0, nil
	}
	if ok {
		why, err = judge(err)
		return int(f.Segs), why, err
	}
	cut := f.Cut()
	for i := range int(f.Segs) {
		e.flat = cut.Append(e.flat[:0], i)
		e.begin(vnetHeader{})
		e.part(e.flat)
		if err := e.flush(); err != nil {
			if why, err = judge(err); err != nil {
				return lost, 0, err
			}
			lost++
		}
	}
	return lost, why, nil
}

// writeFrame writes a frame and its header in one call, from where its parts lie.
func (e *vnetEnd) writeFrame(h vnetHeader, f *Frame) error {
	e.begin(h)
	e.part(f.Linear())
	f.payload.Apply(e.addPart)
	if len(e.writeParts) > maxParts {
		e.flat = f.AppendTo(e.flat[:0])
		e.begin(h)
		e.part(e.flat)
	}
	return e.flush()
}

func (e *vnetEnd) begin(h vnetHeader) {
	h.put(e.writeHeader[:])
	e.writeParts = e.writeParts[:0]
	e.part(e.writeHeader[:])
}

func (e *vnetEnd) part(b []byte) {
	if len(b) > 0 {
		var v unix.Iovec
		setPart(&v, b)
		e.writeParts = append(e.writeParts, v)
	}
}

// flush writes the parts.
func (e *vnetEnd) flush() error {
	e.writeErr = nil
	err := e.raw.Write(e.writes)
	clear(e.writeParts) // they refer to the frame
	return errors.Join(err, e.writeErr)
}

// push writes the parts; false: there was no room.
func (e *vnetEnd) push(fd uintptr) bool {
	for {
		_, _, err := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&e.writeParts[0])), uintptr(len(e.writeParts)))
		switch err {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			e.writeErr = err
		}
		return true
	}
}

package rpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits on what is read.
const (
	DefaultLimit  = 32 << 20 // bytes of a frame
	strangerLimit = 64 << 10 // of one from somebody without a certificate
	methodLimit   = 255      // its length is one byte
)

// What a frame is.
const (
	kindRequest byte = iota + 1
	kindAnswer
	kindFailure // the body is the text of an error
	kindItem    // of a stream
)

// ErrTooLarge says that a frame, or what was to become one, is beyond the limit.
var ErrTooLarge = errors.New("message is too large")

// errFrame says that bytes are no frame.
var errFrame = errors.New("not a frame")

// frame is a message: four bytes of length (big endian, of what follows), a byte of kind, a byte of the method's length,
// the method, and the body.
type frame struct {
	kind   byte
	method string
	body   []byte
}

const (
	lengthSize = 4
	fixedSize  = 2 // kind, and length of the method
)

// encode returns the frame's bytes. The error is ErrTooLarge.
func (f frame) encode(limit int) ([]byte, error) {
	n := fixedSize + len(f.method) + len(f.body)
	if n > limit || len(f.method) > methodLimit {
		return nil, fmt.Errorf("%s: %d bytes: %w", f.method, n, ErrTooLarge)
	}
	b := make([]byte, 0, lengthSize+n)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, f.kind, byte(len(f.method)))
	b = append(b, f.method...)
	return append(b, f.body...), nil
}

// readFrame reads one frame. io.EOF means that there is none any more; ErrTooLarge and errFrame that the other side does
// not speak this protocol.
func readFrame(r io.Reader, limit int) (frame, error) {
	var head [lengthSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if int64(n) > int64(limit) {
		return frame{}, fmt.Errorf("%d bytes: %w", n, ErrTooLarge)
	}
	if n < fixedSize {
		return frame{}, errFrame
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return frame{}, fmt.Errorf("%w: %w", errFrame, io.ErrUnexpectedEOF)
	}
	return decodeFrame(b.Bytes())
}

// decodeFrame reads what follows the length. The frame holds the bytes.
func decodeFrame(b []byte) (frame, error) {
	if len(b) < fixedSize || len(b) < fixedSize+int(b[1]) || b[0] < kindRequest || b[0] > kindItem {
		return frame{}, errFrame
	}
	end := fixedSize + int(b[1])
	return frame{kind: b[0], method: string(b[fixedSize:end]), body: b[end:]}, nil
}

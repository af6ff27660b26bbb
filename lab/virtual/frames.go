package virtual

import (
	"bytes"
	"encoding/binary"
	"io"
)

const (
	// frameMagic begins the header that the runtime puts in front of what is written to the descriptors 1 and 2 (see
	// runtime/time_fake.go); 8 bytes of time and 4 of length follow.
	frameMagic  = "\x00\x00PB"
	frameHeader = 16
)

// unframer takes the headers off. What has none it passes on as it is. Not safe for use by several at once.
type unframer struct {
	to      io.Writer // nil: nobody
	header  []byte    // a header, or what may become one, that is not complete
	left    uint32    // bytes of the frame that are still to come
	last    []byte    // the end of what was passed on
	trouble bool
}

// crashWords is what the runtime says of every goroutine when the program crashes.
var crashWords = []byte("\ngoroutine ")

// crashed tells whether the runtime told of a crash.
func (u *unframer) crashed() bool { return u.trouble }

// Write implements io.Writer.
func (u *unframer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if u.left > 0 {
			k := min(len(b), int(u.left))
			u.left -= uint32(k)
			if err := u.pass(b[:k]); err != nil {
				return 0, err
			}
			b = b[k:]
			continue
		}
		u.header = append(u.header, b[0])
		b = b[1:]
		for !begins(u.header) {
			first := u.header[:1]
			u.header = u.header[1:]
			if err := u.pass(first); err != nil {
				return 0, err
			}
		}
		if len(u.header) == frameHeader {
			u.left = binary.BigEndian.Uint32(u.header[frameHeader-4:])
			u.header = u.header[:0]
		}
	}
	return n, nil
}

// begins tells whether b may be the beginning of a header.
func begins(b []byte) bool {
	known := min(len(b), len(frameMagic))
	return string(b[:known]) == frameMagic[:known]
}

// flush passes on what was held back because it might have been a header.
func (u *unframer) flush() error {
	held := u.header
	u.header = nil
	return u.pass(held)
}

func (u *unframer) pass(b []byte) error {
	u.last = append(u.last, b...)
	u.trouble = u.trouble || bytes.Contains(u.last, crashWords)
	u.last = append(u.last[:0], u.last[max(0, len(u.last)-len(crashWords)):]...)
	if u.to == nil || len(b) == 0 {
		return nil
	}
	_, err := u.to.Write(b)
	return err
}

package engine

import (
	"errors"
	"io"
	"strings"
	"time"
)

// ErrDetach says that somebody typed the keys that detach from a container.
var ErrDetach = errors.New("read escape sequence")

// defaultDetach is ctrl-p, ctrl-q.
var defaultDetach = []byte{0x10, 0x11}

// ParseDetachKeys reads keys as docker run --detach-keys takes them: single characters and ctrl-X, separated by commas.
// Empty text means ctrl-p,ctrl-q. The error wraps ErrInvalid.
func ParseDetachKeys(text string) ([]byte, error) {
	if text == "" {
		return defaultDetach, nil
	}
	var keys []byte
	for key := range strings.SplitSeq(text, ",") {
		ctrl, isCtrl := strings.CutPrefix(strings.ToLower(key), "ctrl-")
		switch {
		case len(key) == 1:
			keys = append(keys, key[0])
		case isCtrl && len(ctrl) == 1 && ctrl[0] >= 'a' && ctrl[0] <= 'z':
			keys = append(keys, ctrl[0]-'a'+1)
		case isCtrl && len(ctrl) == 1 && strings.Contains(`@[\]^_`, ctrl):
			keys = append(keys, ctrl[0]&0x1f)
		default:
			return nil, fail(ErrInvalid, "Invalid detach keys (%s) provided: Unknown character: '%s'", text, key)
		}
	}
	return keys, nil
}

// NewDetachReader returns r whose Read returns ErrDetach once the keys were typed one after the other; what only begins
// like them is handed on. It is for one reader.
func NewDetachReader(r io.Reader, keys []byte) io.Reader {
	if len(keys) == 0 {
		return r
	}
	return &detachReader{r: r, keys: keys}
}

type detachReader struct {
	r       io.Reader
	keys    []byte
	matched int    // how many of the keys were typed last
	pending []byte // read, and not handed on
	err     error
}

// SetReadDeadline is that of the reader below, if it has one.
func (d *detachReader) SetReadDeadline(at time.Time) error {
	if r, ok := d.r.(deadliner); ok {
		return r.SetReadDeadline(at)
	}
	return errors.ErrUnsupported
}

// deadliner is a reader whose Read can be made to end.
type deadliner interface{ SetReadDeadline(at time.Time) error }

// Read implements io.Reader.
func (d *detachReader) Read(b []byte) (int, error) {
	for len(d.pending) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		if len(b) == 0 {
			return 0, nil
		}
		buf := make([]byte, len(b))
		n, err := d.r.Read(buf)
		d.err = err
		d.scan(buf[:n])
		if err != nil && d.err != ErrDetach {
			d.pending, d.matched = append(d.pending, d.keys[:d.matched]...), 0
		}
	}
	n := copy(b, d.pending)
	d.pending = d.pending[n:]
	return n, nil
}

// scan looks for the keys in what was typed.
func (d *detachReader) scan(typed []byte) {
	for _, x := range typed {
		if x != d.keys[d.matched] {
			d.pending = append(d.pending, d.keys[:d.matched]...)
			d.matched = 0
		}
		if x != d.keys[d.matched] {
			d.pending = append(d.pending, x)
			continue
		}
		if d.matched++; d.matched == len(d.keys) {
			d.err = ErrDetach
			return
		}
	}
}

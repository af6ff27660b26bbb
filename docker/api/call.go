package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/filters"
)

// buffers are for answers that are made whole before they are sent.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is how large a buffer may be that is kept.
const maxPooled = 1 << 20

// json answers with a value. The type is exactly application/json: clients compare it as a whole.
func (c *call) json(status int, v any) error {
	b, _ := buffers.Get().(*bytes.Buffer)
	b.Reset()
	defer func() {
		if b.Cap() <= maxPooled {
			buffers.Put(b)
		}
	}()
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	c.w.WriteHeader(status)
	c.started = true
	_, _ = c.w.Write(b.Bytes()) // the client may have left
	return nil
}

// status answers without a body.
func (c *call) status(status int) error {
	c.w.WriteHeader(status)
	c.started = true
	return nil
}

// begin sends the head of an answer whose body follows piece by piece.
func (c *call) begin(contentType string) {
	c.w.Header().Set("Content-Type", contentType)
	c.w.WriteHeader(http.StatusOK)
	c.started = true
	c.flush()
}

func (c *call) flush() {
	_ = http.NewResponseController(c.w).Flush() // a client that left is seen elsewhere
}

// fail answers with an error, unless an answer was begun.
func (c *call) fail(err error) {
	if c.started {
		return
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		err = &apiError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request's body is too long: the engine takes %d MiB", maxBody>>20)}
	}
	if statusOf(err) == http.StatusNotModified {
		_ = c.status(http.StatusNotModified) // it has no body
		return
	}
	_ = c.json(statusOf(err), map[string]string{"message": err.Error()}) // strings can be encoded
}

// decode reads the body of a request as JSON into v. An empty body leaves v as it is.
func (c *call) decode(v any) error {
	ct := c.r.Header.Get("Content-Type")
	if c.r.ContentLength == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(ct)
	if err != nil {
		return invalid("malformed Content-Type header (%s): %v", ct, err)
	}
	if kind != "application/json" {
		return invalid("unsupported Content-Type header (%s): must be 'application/json'", ct)
	}
	dec := json.NewDecoder(c.r.Body)
	if err := dec.Decode(v); err != nil {
		return badJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
			return err
		}
		return invalid("unexpected content after JSON")
	}
	return nil
}

func badJSON(err error) error {
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return err
	}
	if errors.Is(err, io.EOF) {
		return invalid("invalid JSON: got EOF while reading request body")
	}
	return invalid("invalid JSON: %v", err)
}

// bool reads a flag of the query as Docker does: what is not a form of no is yes.
func (c *call) bool(key string) bool {
	switch strings.ToLower(strings.TrimSpace(c.query.Get(key))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}

// boolOr is bool with a default for a key that is not there.
func (c *call) boolOr(key string, or bool) bool {
	if !c.query.Has(key) {
		return or
	}
	return c.bool(key)
}

// filters reads the filters of the query. Keys outside of accepted are an error.
func (c *call) filters(accepted ...string) (filters.Args, error) {
	text := c.query.Get("filters")
	args, err := filters.FromJSON(text)
	if err != nil {
		return args, invalid("invalid filter: %v", err)
	}
	known := make(map[string]bool, len(accepted))
	for _, a := range accepted {
		known[a] = true
	}
	if err := args.Validate(known); err != nil {
		return args, invalid("%v", err)
	}
	return args, nil
}

// parseTime reads a time as the API has it: seconds of the Unix epoch with up to nine decimals, or RFC 3339. Empty is
// the zero time.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	whole, frac, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(frac) > 9 || strings.Trim(frac, "0123456789") != "" {
		return time.Time{}, invalid("invalid time %q: give seconds of the Unix epoch, or a time as 2006-01-02T15:04:05Z", text)
	}
	nano := int64(0)
	if frac != "" {
		nano, _ = strconv.ParseInt((frac + "00000000")[:9], 10, 64) // digits, as checked
	}
	return time.Unix(sec, nano), nil
}

package shell

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// What a terminal sends for Ctrl-C and Ctrl-D.
const (
	interruptByte = 0x03
	endByte       = 0x04
)

// console reads the standard input of a session from its first use on, so that a reader that blocks holds up nobody: a
// Read ends when the console is closed, while the one that is under way below ends when whoever owns it lets it.
type console struct {
	in      io.Reader
	once    sync.Once
	chunks  chan typing
	done    chan struct{}
	closing sync.Once

	mu   sync.Mutex // held while one reads
	rest typing     // guarded by mu

	interrupts atomic.Uint64 // what was typed before the last one is dropped, as a terminal does

	outer func(f func()) (restore func()) // hears of interrupts; nil: they are bytes of the input
	raw   atomic.Int32                    // how many commands read what is typed as it is

	interruptMu sync.Mutex
	interrupt   func() // guarded by interruptMu; nil, or called for each interruptByte, which is not passed on
}

// typing is some of the input, and after how many interrupts it came.
type typing struct {
	text  []byte
	after uint64
}

func newConsole(in io.Reader) *console {
	return &console{in: in, chunks: make(chan typing), done: make(chan struct{})}
}

// close ends every Read.
func (c *console) close() {
	c.closing.Do(func() {
		close(c.done)
		if d, ok := c.in.(interface{ SetReadDeadline(time.Time) error }); ok {
			_ = d.SetReadDeadline(past)
		}
	})
}

// pump reads until the end or close.
func (c *console) pump() {
	defer close(c.chunks)
	for {
		b := make([]byte, 4096)
		n, after, err := c.readIn(b)
		b, typed, interrupted := c.strip(b[:n])
		if interrupted {
			after = c.interrupts.Load()
		}
		for len(b) > 0 {
			chunk := b
			if typed && c.raw.Load() == 0 {
				chunk = upToEnd(b)
			}
			if b = b[max(len(chunk), 1):]; !c.pass(chunk, after) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// typedReader is an input that tells when it has taken what a Read returns: before an interrupt that comes later calls
// anybody, however late the Read returns.
type typedReader interface {
	ReadTyped(b []byte, taken func()) (int, error)
}

// readIn is a Read of the input, with how many interrupts came before what it returns.
func (c *console) readIn(b []byte) (n int, after uint64, err error) {
	if in, ok := c.in.(typedReader); ok {
		n, err = in.ReadTyped(b, func() { after = c.interrupts.Load() })
		return n, after, err
	}
	n, err = c.in.Read(b)
	return n, c.interrupts.Load(), err
}

// pass hands a chunk to whoever reads; false: the console is closed.
func (c *console) pass(chunk []byte, after uint64) bool {
	select {
	case c.chunks <- typing{chunk, after}:
		return true
	case <-c.done:
		return false
	}
}

// upToEnd returns what comes before an endByte; nothing if b begins with it, which ends the input of one reader.
func upToEnd(b []byte) []byte {
	if i := bytes.IndexByte(b, endByte); i >= 0 {
		return b[:i]
	}
	return b
}

// onInterrupt makes f what an interruptByte calls, and restore brings back what it was: of shells in shells it is the
// innermost that hears of it.
func (c *console) onInterrupt(f func()) (restore func()) {
	if c.outer != nil {
		return c.outer(func() {
			c.interrupts.Add(1)
			f()
		})
	}
	c.interruptMu.Lock()
	defer c.interruptMu.Unlock()
	before := c.interrupt
	c.interrupt = f
	return func() {
		c.interruptMu.Lock()
		defer c.interruptMu.Unlock()
		c.interrupt = before
	}
}

// strip acts on the interrupts in b and keeps what follows the last; typed: there is a shell that hears of them.
func (c *console) strip(b []byte) (kept []byte, typed, interrupted bool) {
	c.interruptMu.Lock()
	interrupt := c.interrupt
	c.interruptMu.Unlock()
	if interrupt == nil || c.raw.Load() > 0 {
		return b, c.outer != nil, false
	}
	last := bytes.LastIndexByte(b, interruptByte)
	for range bytes.Count(b, []byte{interruptByte}) {
		c.interrupts.Add(1)
		interrupt()
	}
	return b[last+1:], true, last >= 0
}

// Read implements io.Reader.
func (c *console) Read(b []byte) (int, error) { return c.read(context.Background(), b) }

// read is Read that also ends with ctx.
func (c *console) read(ctx context.Context, b []byte) (int, error) {
	c.once.Do(func() { go c.pump() })
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.rest.text) == 0 || c.rest.after != c.interrupts.Load() || ctx.Err() != nil {
		if ctx.Err() != nil {
			return 0, io.EOF // what is typed by now is for the next reader
		}
		c.rest = typing{}
		select {
		case chunk, ok := <-c.chunks:
			if !ok || len(chunk.text) == 0 { // the end of all input, or what Ctrl-D ends
				return 0, io.EOF
			}
			c.rest = chunk
		case <-c.done:
			return 0, io.EOF
		case <-ctx.Done():
			return 0, io.EOF
		}
	}
	n := copy(b, c.rest.text)
	c.rest.text = c.rest.text[n:]
	return n, nil
}

// consoleReader is a console for a command, whose Reads end with it.
type consoleReader struct {
	*console
	ctx context.Context
}

// Read implements io.Reader.
func (r consoleReader) Read(b []byte) (int, error) { return r.read(r.ctx, b) }

// readerFor returns an input whose Reads end with ctx, as far as it can be; stop ends the watch over ctx.
func readerFor(ctx context.Context, in io.Reader) (r io.Reader, stop func()) {
	switch in := in.(type) {
	case *console:
		return consoleReader{in, ctx}, func() {}
	case consoleReader:
		return consoleReader{in.console, ctx}, func() {}
	case *os.File: // the read end of a pipe
		end := context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(past) })
		return in, func() { end() }
	}
	return in, func() {}
}

// readLine reads up to and with the next newline; the end of the input ends a line, too.
func (c *console) readLine(ctx context.Context) (string, error) {
	var line []byte
	one := make([]byte, 1)
	for len(line) < maxScript {
		if _, err := c.read(ctx, one); err != nil {
			if len(line) > 0 {
				return string(line), nil
			}
			return "", err
		}
		line = append(line, one[0])
		if one[0] == '\n' {
			break
		}
	}
	return string(line), nil
}

// sessionTerminal is a session's terminal, whose input goes through a console.
type sessionTerminal struct {
	Terminal
	in *console
}

// Raw implements Terminal.
func (t sessionTerminal) Raw() (restore func()) {
	t.in.raw.Add(1)
	cooked := t.Terminal.Raw()
	return sync.OnceFunc(func() {
		cooked()
		t.in.raw.Add(-1)
	})
}

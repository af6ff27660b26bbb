package dockercli

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/netsim-lab/netsim/docker/shell"
)

// The size of a terminal that has none of its own, in characters.
const (
	plainRows = 24
	plainCols = 80
)

// endByte is what Ctrl-D sends.
const endByte = 0x04

// console is the terminal of a call. Where there is no standard input at all, as in a step of a lab, it is one at which
// nobody sits: docker run -it runs as it is typed in a guide, and what reads the terminal finds that Ctrl-D was pressed.
type console struct {
	screen        shell.Terminal // nil: there is none
	reads, writes bool           // the standard input, and output, are a terminal
	vacant        bool           // nobody sits there
	isRaw         *atomic.Bool
	restore       func()
}

func newConsole(c *shell.Call) console {
	t := console{screen: c.Terminal, isRaw: new(atomic.Bool), restore: func() {}}
	switch {
	case c.Terminal != nil:
		t.reads, t.writes = c.TTY, c.OutIsTerminal()
	case c.NoInput():
		t.reads, t.vacant = true, true
	}
	return t
}

// size returns the height and the width of the terminal, {0, 0} if there is none.
func (t *console) size() [2]uint {
	switch {
	case t.screen != nil:
		rows, cols := t.screen.Size()
		return [2]uint{uint(rows), uint(cols)}
	case t.vacant:
		return [2]uint{plainRows, plainCols}
	}
	return [2]uint{}
}

// consoleSize is size, nil if there is no terminal.
func (t *console) consoleSize() *[2]uint {
	size := t.size()
	if size == [2]uint{} {
		return nil
	}
	return &size
}

// width returns how wide help is.
func (t *console) width() int {
	if w := t.size()[1]; t.writes && w > 0 {
		return int(w)
	}
	return plainCols
}

// raw hands the keyboard to what is attached, until restore is called.
func (t *console) raw() (restore func()) {
	t.isRaw.Store(true)
	if t.screen == nil || !t.reads {
		return func() {}
	}
	return t.screen.Raw()
}

// Docker tries as often to tell a program that just starts the size of its terminal, with ever longer pauses.
const (
	resizeTries = 10
	resizePause = 10 * time.Millisecond
)

// follow tells a program the size of its terminal, at once and after each change, until ctx ends.
func (t *console) follow(ctx context.Context, resize func(context.Context, container.ResizeOptions) error) {
	changed := make(chan struct{}, 1)
	stop := t.screen.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	for {
		for try := 1; try <= resizeTries; try++ {
			size := t.size()
			if size == [2]uint{} || resize(ctx, container.ResizeOptions{Height: size[0], Width: size[1]}) == nil {
				break
			}
			if !pause(ctx, time.Duration(try)*resizePause) {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// pause waits, and is false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// input returns the standard input.
func (t *console) input(in io.Reader) io.Reader {
	if t.vacant {
		return &vacantInput{raw: t.isRaw}
	}
	return in
}

// vacantInput is a terminal at which nobody sits.
type vacantInput struct {
	raw   *atomic.Bool
	ended bool
}

// Read implements io.Reader: what has the keyboard to itself finds Ctrl-D.
func (v *vacantInput) Read(b []byte) (int, error) {
	if v.ended || !v.raw.Load() || len(b) == 0 {
		return 0, io.EOF
	}
	v.ended = true
	b[0] = endByte
	return 1, nil
}

// output returns the standard output. A terminal at which nobody sits shows lines: the carriage returns that programs send
// to a terminal are not in them.
func (t *console) output(w io.Writer) io.Writer {
	if t.vacant {
		return lineWriter{w}
	}
	return w
}

type lineWriter struct{ w io.Writer }

// Write implements io.Writer.
func (l lineWriter) Write(b []byte) (int, error) {
	if _, err := l.w.Write(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))); err != nil {
		return 0, err
	}
	return len(b), nil
}

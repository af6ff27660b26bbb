package shell

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Terminal is the terminal that a session is on, for commands that want more of it than lines. All methods may be called
// at once from several goroutines.
type Terminal interface {
	// Raw hands the keyboard over: what is typed is read as it is, and what is written is shown as it is, until restore is
	// called.
	Raw() (restore func())
	// Size returns the height and the width in characters; 0 is not known.
	Size() (rows, cols int)
	// Watch has changed called after each change of the size, until stop is called. It must not block.
	Watch(changed func()) (stop func())
}

// Input returns the command's standard input; its Reads end when ctx does. It is for commands that read in a goroutine of
// their own. They call stop when that has ended: what was not read is left to the next command.
func (c *Call) Input(ctx context.Context) (in io.Reader, stop func()) {
	f, ok := c.In.(*os.File)
	if !ok {
		return readerFor(ctx, c.In)
	}
	ended := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		_ = f.SetReadDeadline(past)
		close(ended)
	})
	return f, func() {
		if !end() {
			<-ended
		}
		_ = f.SetReadDeadline(time.Time{})
	}
}

// NoInput tells whether the command has no standard input at all: nobody gave the session one.
func (c *Call) NoInput() bool {
	_, none := c.In.(emptyReader)
	return none
}

// OutIsTerminal tells whether what the command writes to its standard output is shown on the session's terminal.
func (c *Call) OutIsTerminal() bool { return c.outTTY }

// ReadFile returns the text of a file of the system. The error is an *os.PathError, in the words of the real one.
func (c *Call) ReadFile(name string) ([]byte, error) {
	text, err := c.Sys.read(absolute(c.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		err = syscall.ENOENT
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return text, nil
}

package lab

import (
	"encoding/binary"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
)

// input is where a client's input goes: to an inbox, or to a terminal.
type input interface {
	put(b []byte)
	resize(size engine.Size)
	end()   // nothing more comes
	close() // nobody reads any more
}

// stdio returns the standard files of a command that a client asks for, and where the client's input goes.
func (f *frames) stdio(req ExecRequest) (input, shell.Stdio) {
	if req.Terminal != nil {
		t := engine.NewTerminal(f.stream(frameOut), *req.Terminal)
		return terminalInput{t}, t.Stdio()
	}
	in := newInbox()
	if !req.Input {
		in.end()
		return in, shell.Stdio{Out: f.stream(frameOut), Err: f.stream(frameErr)}
	}
	return in, shell.Stdio{In: in, Out: f.stream(frameOut), Err: f.stream(frameErr), TTY: req.TTY}
}

// terminalInput is the input of a terminal.
type terminalInput struct{ t *engine.Terminal }

func (i terminalInput) put(b []byte)            { _, _ = i.t.Write(b) } // it never fails
func (i terminalInput) resize(size engine.Size) { i.t.Resize(size) }
func (i terminalInput) end()                    { i.t.Close() }
func (i terminalInput) close()                  { i.t.Close() }

// resize does nothing: an inbox is no terminal.
func (in *inbox) resize(engine.Size) {}

// sendSizes sends the sizes of the client's terminal until the command is over.
func (f *frames) sendSizes(sizes <-chan engine.Size, over <-chan struct{}) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			body := binary.BigEndian.AppendUint16(nil, size.Rows)
			if f.write(frameSize, binary.BigEndian.AppendUint16(body, size.Cols)) != nil {
				return // the lab has ended, and await knows
			}
		case <-over:
			return
		}
	}
}

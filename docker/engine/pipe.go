package engine

import (
	"io"
	"sync"
)

// pipeLimit is how much of a standard input waits for its reader, as in a pipe of Linux.
const pipeLimit = 64 << 10

// pipe carries the standard input of a process from those who are attached to it. Write waits where it is full.
type pipe struct {
	mu     sync.Mutex
	change *sync.Cond
	buf    []byte // guarded by mu
	end    bool   // guarded by mu; nothing more comes
	closed bool   // guarded by mu; nobody reads any more
}

func newPipe() *pipe {
	p := &pipe{}
	p.change = sync.NewCond(&p.mu)
	return p
}

// Read implements io.Reader; what was written before the end is still read.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && !p.end && !p.closed {
		p.change.Wait()
	}
	if len(p.buf) == 0 || p.closed {
		return 0, io.EOF
	}
	n := copy(b, p.buf)
	p.buf = p.buf[n:]
	p.change.Broadcast()
	return n, nil
}

// Write implements io.Writer.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := 0
	for len(b) > 0 {
		for len(p.buf) >= pipeLimit && !p.end && !p.closed {
			p.change.Wait()
		}
		if p.end || p.closed {
			return done, io.ErrClosedPipe
		}
		n := min(len(b), pipeLimit-len(p.buf))
		p.buf = append(p.buf, b[:n]...)
		b, done = b[n:], done+n
		p.change.Broadcast()
	}
	return done, nil
}

// finish is the end of the input.
func (p *pipe) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = true
	p.change.Broadcast()
}

// close ends all Reads and Writes.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.buf = true, nil
	p.change.Broadcast()
}

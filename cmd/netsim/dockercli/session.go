package dockercli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	cliflags "github.com/docker/cli/cli/flags"
	"github.com/docker/cli/cli/streams"

	"github.com/netsim-lab/netsim/docker/shell"
)

// session is one call of docker.
type session struct {
	call *shell.Call
	dial Dialer
	cli  *dockerCLI
	opts *cliflags.ClientOptions
	term console
	dir  string // where files that docker reads are laid down; empty: there are none

	unwanted <-chan struct{} // closed by Ctrl-C

	input context.CancelFunc // ends Reads of the standard input
	leave func()             // lets go of it
	hush  atomic.Bool        // docker's standard error is not wanted any more
	reads sync.WaitGroup     // Reads of streams that docker may have left behind

	mu       sync.Mutex
	over     bool                  // guarded by mu; docker's main function has returned
	ttys     map[string]bool       // guarded by mu; whether containers have a terminal, by id
	conns    map[net.Conn]struct{} // guarded by mu
	isCut    bool                  // guarded by mu
	attached string                // guarded by mu; the container whose program Ctrl-C interrupts
}

func newSession(ctx context.Context, c *shell.Call, dial Dialer) *session {
	s := &session{call: c, dial: dial, unwanted: ctx.Done(), opts: cliflags.NewClientOptions(), conns: map[net.Conn]struct{}{}, ttys: map[string]bool{}}
	reading, cancel := context.WithCancel(ctx)
	s.input = cancel
	s.term = newConsole(c)
	in, stop := c.Input(reading)
	s.leave = stop
	s.cli = &dockerCLI{session: s, ctx: context.WithoutCancel(ctx), config: emptyConfig()}
	s.cli.in = streams.NewIn(&input{session: s, r: s.term.input(in)})
	s.cli.out, s.cli.err = streams.NewOut(s.term.output(c.Out)), streams.NewOut(errWriter{s})
	s.cli.in.SetIsTerminal(s.term.reads)
	s.cli.out.SetIsTerminal(s.term.writes)
	s.cli.err.SetIsTerminal(s.term.writes)
	return s
}

// errOver is what Reads and Writes of a call that has ended return.
var errOver = errors.New("the command has ended")

// end lets go of all that the call had, and returns once docker has.
func (s *session) end() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.input()
	s.cut()
	s.reads.Wait()
	s.leave()
	s.term.restore()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // below the temporary directory
	}
}

// cut closes all connections.
func (s *session) cut() {
	s.mu.Lock()
	conns := s.conns
	s.conns, s.isCut = nil, true
	s.mu.Unlock()
	for c := range conns {
		_ = c.Close() // all that used it is over
	}
}

// track notes a connection that cut closes; false: it comes too late.
func (s *session) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isCut {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *session) forget(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// connect opens a connection to the engine.
func (s *session) connect(ctx context.Context) (net.Conn, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	t := &conn{Conn: c, session: s}
	if !s.track(t) {
		_ = c.Close() // nobody has used it
		return nil, errOver
	}
	return t, nil
}

// conn is a connection that the session closes.
type conn struct {
	net.Conn
	session *session
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.session.forget(c)
	return c.Conn.Close()
}

// CloseWrite is the end of a standard input.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// setAttached notes the container whose program is in the foreground, without a terminal; "": none.
func (s *session) setAttached(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached = id
}

// interrupt passes Ctrl-C on to the program in the foreground; false: there is none, or it does not hear.
func (s *session) interrupt(ctx context.Context) bool {
	s.mu.Lock()
	id := s.attached
	s.mu.Unlock()
	if id == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruptGrace)
	defer cancel()
	return s.cli.Client().ContainerKill(ctx, id, "SIGINT") == nil
}

// errWriter is the standard error, as long as anybody wants to know.
type errWriter struct{ session *session }

// Write implements io.Writer.
func (w errWriter) Write(b []byte) (int, error) {
	if w.session.hush.Load() {
		return len(b), nil
	}
	return w.session.call.Err.Write(b)
}

// leftover is a Read that docker may have left behind. When the call is over it does not return but ends the goroutine:
// those that docker leaves behind would else wait for ever on channels from which nobody reads any more.
func (s *session) leftover(read func() (int, error)) (int, error) {
	s.mu.Lock()
	over := s.over
	if !over {
		s.reads.Add(1)
	}
	s.mu.Unlock()
	if over {
		runtime.Goexit()
	}
	defer s.reads.Done()
	n, err := read()
	s.mu.Lock()
	over = s.over
	s.mu.Unlock()
	if over {
		runtime.Goexit()
	}
	return n, err
}

// input is the standard input.
type input struct {
	session *session
	r       io.Reader
}

// Read implements io.Reader.
func (i *input) Read(b []byte) (int, error) {
	return i.session.leftover(func() (int, error) { return i.r.Read(b) })
}

// Close implements io.Closer: a Read that is under way ends.
func (i *input) Close() error {
	i.session.input()
	return nil
}

// hijacked is the output of an attached program.
type hijacked struct {
	session *session
	r       *bufio.Reader
}

// Read implements io.Reader.
func (h *hijacked) Read(b []byte) (int, error) {
	return h.session.leftover(func() (int, error) { return h.r.Read(b) })
}

// Package virtual runs netsim in virtual time: in a process of its own, netsim-virtual, which is netsim built with
// CGO_ENABLED=0, -tags faketime and -ldflags=-checklinkname=0. There the clock of the Go runtime stands still while anything
// works, and jumps to the next timer when everything waits, so that hours of timers pass in moments, and everything that
// reads the time package agrees.
//
// The clock jumps only while nothing is inside a system call. So the process listens to no signals, serves no sockets and
// reads no device: a lab in it is all in memory. Its parent, a Command, passes signals on through a pipe, and watches in real
// time that virtual time goes on.
//
// The runtime of such a build puts a header in front of all that is written to the descriptors 1 and 2. Begin has the
// program write to others, so that nothing but the last words of a crash has headers; the parent takes those off.
package virtual

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

const (
	// defaultStall is how long virtual time may stand still, in real time.
	defaultStall = 30 * time.Second
	// defaultGrace is how long the process may take to end once it has been told to.
	defaultGrace = 5 * time.Second
)

// ErrStalled is what the error of Run wraps if virtual time stood still.
var ErrStalled = errors.New("virtual time stands still")

// Command is a run of netsim in virtual time.
type Command struct {
	Program string   // path of the program; see Find
	Args    []string // its arguments, without its name
	Dir     string   // where it runs; empty: here
	Env     []string // further variables, KEY=VALUE, beside those of this process
	// Stdin, Stdout and Stderr are the process's. A *os.File is passed on as it is, so that a terminal stays one, and what else
	// there is through pipes, which Run reads and writes to their end. nil: nothing.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Stall is how long virtual time may stand still, in real time, until the run is given up. 0: 30 s.
	Stall time.Duration
	// Kill ends the process without giving it time. nil: never.
	Kill <-chan struct{}
}

// Run runs the command and returns its exit status. It is told to end when ctx ends, or this process does. The error is not nil
// if it could not be run, crashed, was killed, or was given up because virtual time stood still; the status is then 1.
func (c *Command) Run(ctx context.Context) (status int, err error) {
	p, err := c.start()
	if err != nil {
		return 1, fmt.Errorf("run in virtual time: %w", err)
	}
	w := newWatch(p, c.stall())
	ended := make(chan error, 1)
	go func() { ended <- p.wait() }()
	err = w.until(ctx, c.Kill, ended)
	crashed := p.unframed.crashed()
	switch code := p.cmd.ProcessState.ExitCode(); {
	case w.gaveUp:
		return 1, fmt.Errorf("%w since %s, for %v of real time%s", ErrStalled, w.virtual.UTC().Format(time.DateTime), c.stall(), p.excuse())
	case crashed:
		return 1, fmt.Errorf("netsim-virtual crashed: %w", err)
	case code < 0:
		return 1, fmt.Errorf("netsim-virtual was ended: %w", err)
	default:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return 1, fmt.Errorf("netsim-virtual: %w", err)
		}
		return code, nil
	}
}

func (c *Command) stall() time.Duration {
	if c.Stall <= 0 {
		return defaultStall
	}
	return c.Stall
}

// process is a netsim-virtual that runs.
type process struct {
	cmd      *exec.Cmd
	unframed *unframer
	ask      *os.File // what is written here asks for the time; its end tells the process to end
	times    *os.File // the answers
	copies   sync.WaitGroup
}

// start starts the process. All it opens is closed once wait has returned.
func (c *Command) start() (p *process, err error) {
	p = &process{cmd: exec.Command(c.Program, c.Args...)}
	p.cmd.Dir = c.Dir
	p.cmd.Env = append(append(os.Environ(), c.Env...), childEnv+"="+protocol)
	p.cmd.Stdin = c.Stdin
	var child []*os.File // the child's ends
	defer func() {
		for _, f := range child {
			_ = f.Close() // the process has them
		}
		if err != nil {
			p.end()
			p.copies.Wait()
		}
	}()
	to := alone(c.Stderr)
	stdout, err := p.sink(c.Stdout, &child)
	if err != nil {
		return nil, err
	}
	stderr, err := p.sink(to, &child)
	if err != nil {
		return nil, err
	}
	p.unframed = &unframer{to: to}
	crash, err := p.sink(p.unframed, &child)
	if err != nil {
		return nil, err
	}
	asked, ask, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	child, p.ask = append(child, asked), ask
	times, answer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	child, p.times = append(child, answer), times
	p.cmd.Stdout, p.cmd.Stderr = crash, crash
	p.cmd.ExtraFiles = []*os.File{stdout, stderr, asked, answer} // from 3 on; see Begin
	return p, p.cmd.Start()
}

// alone returns a writer to w that several may use at once.
func alone(w io.Writer) io.Writer {
	if _, ok := w.(*os.File); ok || w == nil {
		return w
	}
	return &single{w: w}
}

// single is a writer that several use, one after the other.
type single struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// Write implements io.Writer.
func (s *single) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// sink returns what the process can write to so that it comes to w.
func (p *process) sink(w io.Writer, child *[]*os.File) (*os.File, error) {
	if w == nil {
		f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err == nil {
			*child = append(*child, f)
		}
		return f, err
	}
	if f, ok := w.(*os.File); ok {
		return f, nil
	}
	r, f, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	*child = append(*child, f)
	p.copies.Go(func() {
		defer func() { _ = r.Close() }()
		if _, err := io.Copy(w, r); err != nil {
			_, _ = io.Copy(io.Discard, r) // who writes must not wait for one who has gone
		}
	})
	return f, nil
}

// wait waits until the process has ended and all it said has been passed on.
func (p *process) wait() error {
	err := p.cmd.Wait()
	p.copies.Wait()
	p.end()
	return errors.Join(err, p.unframed.flush())
}

// end closes this process's ends.
func (p *process) end() {
	for _, f := range []*os.File{p.ask, p.times} {
		if f != nil {
			_ = f.Close() // or it is closed already
		}
	}
}

// excuse tells what a process that was killed was at: whether it worked or waited.
func (p *process) excuse() string {
	used := p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if used < 2*time.Second {
		return ": something waits for what is outside of the lab"
	}
	return fmt.Sprintf(": something works and never waits (%v of processor time), as a stream of data over a cable without a rate does",
		used.Round(100*time.Millisecond))
}

package engine

import (
	"context"
	"errors"
	"io"
	"time"
)

// Bounds of those who are attached.
const (
	feedLimit  = 1 << 20          // bytes that may wait for one
	stallLimit = 10 * time.Second // how long a program waits for one that takes nothing
)

func newStall() *time.Timer { return time.NewTimer(stallLimit) }

var errCut = errors.New("detached: the output was not read for too long")

// AttachOptions says what Attach is to carry.
type AttachOptions struct {
	Stdin          io.Reader // nil, or the container takes no input: none. Its ErrDetach ends Run, its end does not.
	Stdout, Stderr io.Writer // nil: that stream is not wanted. What a terminal shows goes to Stdout.
	Logs           bool      // what was printed before, first
	Stream         bool      // what is printed from now on
	// Size is that of a terminal of the other side; the zero Size leaves it as it is.
	Size Size
}

// Attachment is somebody attached to a container.
type Attachment struct {
	c    *Container
	opts AttachOptions
	feed *feed
	in   *stdio
}

// Attach attaches to a container, running or not: all that it prints from now on is kept for Run, up to a bound. Run
// must follow. The error wraps ErrConflict where the container is paused or about to restart.
func (c *Container) Attach(opts AttachOptions) (*Attachment, error) {
	c.mu.Lock()
	state, in := c.state, c.io
	c.mu.Unlock()
	switch state {
	case Paused:
		return nil, fail(ErrConflict, "container %s is paused, unpause the container before attach", c.id)
	case Restarting:
		return nil, fail(ErrConflict, "container %s is restarting, wait until the container is running", c.id)
	}
	a := &Attachment{c: c, opts: opts, feed: newFeed(), in: in}
	c.out.attach(a.feed, opts.Logs)
	if !opts.Stream {
		a.feed.finish()
	}
	if opts.Size != (Size{}) && in.term != nil {
		in.term.resize(opts.Size)
	}
	c.event("attach", nil)
	return a, nil
}

// Run carries both ways until the container's program has ended and all of its output is written: then it returns nil, a
// moment before Await tells the status. It returns ErrDetach if Stdin did, an error of a Write, or that of ctx. A Read of Stdin that is under way is made to end
// if Stdin has SetReadDeadline; else it ends when its owner ends it.
func (a *Attachment) Run(ctx context.Context) error {
	defer a.c.out.detach(a.feed)
	typing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if a.opts.Stdin != nil && a.opts.Stream && a.c.cfg.OpenStdin {
		typed := make(chan struct{})
		go func() {
			defer close(typed)
			if err := a.in.fill(a.opts.Stdin, a.c.cfg.StdinOnce); errors.Is(err, ErrDetach) {
				stop(ErrDetach)
			}
		}()
		defer func() {
			if d, ok := a.opts.Stdin.(deadliner); ok && d.SetReadDeadline(past) == nil {
				a.in.release(typed)
			}
		}()
	}
	for {
		queue, err := a.feed.take(typing)
		if err != nil {
			return a.result(typing, err)
		}
		for _, p := range queue {
			if err := a.write(p); err != nil {
				return err
			}
		}
	}
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

func (a *Attachment) result(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(context.Cause(ctx), ErrDetach):
		a.c.event("detach", nil)
		return ErrDetach
	}
	return err
}

func (a *Attachment) write(p piece) error {
	w := a.opts.Stdout
	if p.stderr {
		w = a.opts.Stderr
	}
	if w == nil {
		return nil
	}
	_, err := w.Write(p.text)
	return err
}

// stdio is the standard input of one run of a container, or its terminal.
type stdio struct {
	in   *pipe     // nil with a terminal
	term *terminal // nil without
}

// fill carries what is typed to the process until its end. Without a terminal the end of r is that of the input, if
// once is set.
func (s *stdio) fill(r io.Reader, once bool) error {
	if s.term != nil {
		_, err := io.Copy(s.term, r)
		return err
	}
	_, err := io.Copy(s.in, r)
	if once && err == nil {
		s.in.finish()
	}
	return err
}

// release waits for somebody who fills the input and is about to end, or whose process is.
func (s *stdio) release(filled <-chan struct{}) {
	wait := time.NewTimer(releasePatience)
	defer wait.Stop()
	select {
	case <-filled:
	case <-wait.C: // the process takes nothing of what was typed; it lets go of the rest when it ends
	}
}

// releasePatience is how long an end of an attachment waits for its input to end.
const releasePatience = 100 * time.Millisecond

// close ends the input.
func (s *stdio) close() {
	if s.term != nil {
		s.term.close()
	}
	if s.in != nil {
		s.in.close()
	}
}

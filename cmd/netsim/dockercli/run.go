package dockercli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli"

	"github.com/netsim-lab/netsim/docker/shell"
)

// Dialer opens a connection to the API of a host's engine. The connection should have CloseWrite, for the end of a
// standard input.
type Dialer func(ctx context.Context) (net.Conn, error)

// Tool returns the command docker of a host with an engine.
func Tool(dial Dialer) shell.Tool {
	return func(ctx context.Context, c *shell.Call) int { return run(ctx, c, dial) }
}

// Exit statuses of the command beside those of what it runs.
const (
	statusFailed      = 1
	statusDaemon      = 125 // docker itself failed
	statusInterrupted = 130 // 128 + SIGINT
)

// How long a call that is interrupted may take: the program that is attached to end, and docker to return once its
// connections are cut.
const (
	interruptGrace = 2 * time.Second
	cutGrace       = time.Second
	// abandonGrace is for docker to return once its context has ended, too. What does not is left behind: better a goroutine
	// than a shell, and a lab, that never ends.
	abandonGrace = 10 * time.Second
)

// run is one call. It returns when docker has, and what docker leaves behind, or when an interrupted docker does not.
func run(ctx context.Context, c *shell.Call, dial Dialer) int {
	s := newSession(ctx, c, dial)
	// Docker hears of an interrupt by its connections, which are cut. Were its context to end, it would leave behind
	// goroutines that wait for one another.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	status := make(chan int, 1)
	go func() {
		code := statusDaemon
		defer func() {
			if p := recover(); p != nil {
				fmt.Fprintf(c.Err, "docker: internal error: %v\n", p) //nolint:errcheck // nobody listens
				code = statusDaemon
			}
			status <- code
		}()
		code = s.main(life)
	}()
	code := s.await(ctx, status, cancel)
	s.end()
	if ctx.Err() != nil {
		return statusInterrupted
	}
	return code
}

// await waits for the status. Once ctx has ended, what is attached is interrupted and has a moment to end; then the
// connections are cut.
func (s *session) await(ctx context.Context, status <-chan int, cancel func()) int {
	select {
	case code := <-status:
		return code
	case <-ctx.Done():
	}
	if s.interrupt(ctx) {
		if code, ok := within(interruptGrace, status); ok {
			return code
		}
	}
	s.hush.Store(true) // what docker says of its connections is nobody's business
	s.cut()
	if code, ok := within(cutGrace, status); ok {
		return code
	}
	cancel()
	if code, ok := within(abandonGrace, status); ok {
		return code
	}
	return statusFailed
}

// within waits for the status for a while.
func within(d time.Duration, status <-chan int) (code int, ok bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case code := <-status:
		return code, true
	case <-t.C:
		return 0, false
	}
}

// main is docker's own main function, and returns its exit status.
func (s *session) main(ctx context.Context) int {
	root := s.command()
	defer dropCompletions(root)
	err := s.execute(ctx, root)
	var status cli.StatusError
	switch {
	case err == nil, errdefs.IsCanceled(err):
		return 0
	case err.Error() != "":
		fmt.Fprintln(s.cli.err, err) //nolint:errcheck // nobody listens
	}
	if errors.As(err, &status) && status.StatusCode != 0 {
		return status.StatusCode & 0xff // as a process's
	}
	return statusFailed
}

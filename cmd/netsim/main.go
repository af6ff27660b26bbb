// Command netsim runs network labs: switches, routers, hosts and Docker engines in one process, without privileges. What
// it does is in the packages below it; here are the flags, the text and the exit statuses.
//
// It exits with 0 if everything held, with 1 if a step or the lab failed, and with 2 after bad usage or a bad topology.
// The command exec exits with the status of what it ran.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab/bench"
	"github.com/netsim-lab/netsim/lab/topology"
)

func main() {
	if status, child := bench.Child(); child {
		os.Exit(status)
	}
	ctx, stop, err := begin()
	if err != nil {
		fmt.Fprintf(os.Stderr, "netsim: %v\n", err) //nolint:errcheck // there is nobody else to tell
		os.Exit(statusUsage)
	}
	signal.Ignore(syscall.SIGPIPE)
	status := execute(ctx, newRoot(), os.Args[1:])
	stop()
	os.Exit(status)
}

// Exit statuses.
const (
	statusOK     = 0
	statusFailed = 1 // a step or the lab
	statusUsage  = 2 // bad usage or a bad topology
)

// statusError ends the process with a status; what there was to say has been said.
type statusError int

// Error implements error.
func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is a mistake on the command line.
type usageError struct{ err error }

// Error implements error.
func (e usageError) Error() string { return e.err.Error() }

// Unwrap returns what the mistake is.
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// execute runs a command line, tells the error, if any, and returns the exit status.
func execute(ctx context.Context, root *cobra.Command, args []string) int {
	began := false // or the command line is wrong
	root.PersistentPreRun = func(*cobra.Command, []string) { began = true }
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !began {
		err = usageError{err}
	}
	return account(cmd, err)
}

// hasEnough tells whether a command ended because who reads its output has left, as "| head -1" does, and wants to hear no more.
func hasEnough(err error) bool {
	var failed *fs.PathError
	return errors.As(err, &failed) && failed.Path == os.Stdout.Name() && errors.Is(failed, syscall.EPIPE)
}

// account tells why a command failed and returns its exit status.
func account(cmd *cobra.Command, err error) int {
	w := cmd.ErrOrStderr()
	var (
		status   statusError
		usage    usageError
		mistakes topology.Errors
	)
	switch {
	case err == nil:
		return statusOK
	case errors.As(err, &status):
		return int(status)
	case hasEnough(err):
		return statusFailed
	case errors.As(err, &mistakes):
		fmt.Fprintln(w, mistakes) //nolint:errcheck // there is nobody else to tell
		return statusUsage
	case errors.As(err, &usage):
		fmt.Fprintf(w, "netsim: %v\nRun %q for help.\n", err, cmd.CommandPath()+" --help") //nolint:errcheck // likewise
		return statusUsage
	default:
		fmt.Fprintf(w, "netsim: %v\n", err) //nolint:errcheck // likewise
		return statusFailed
	}
}

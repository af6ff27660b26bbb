package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/lab"
)

// startingUp is how long a command waits for a lab that is just coming up, as after "netsim up NAME &".
const startingUp = time.Second

// statusInterrupted is what a command that Ctrl-C ended exits with: 128 + SIGINT.
const statusInterrupted = 130

// What a terminal sends for Ctrl-C and Ctrl-D.
const (
	interruptByte = 0x03
	endByte       = 0x04
)

const nodeHelp = `A NODE is a host or router (host-a), a container (host-a/web1, or web1 where one host has it) or a service's task
(dog-web.1, host-b/dog-web.1); "netsim ps --nodes" lists them. Where several labs run, --lab says which.`

func execCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "exec NODE -- COMMAND...",
		Short: "Run a command in a node of a running lab",
		Long: `Run a command in a host, router, container or task of a running lab. Standard input, output and error are the
command's, and its exit status is netsim's. A single argument that holds blanks or other signs of the shell is a line
of POSIX shell; otherwise the arguments are the command's, unchanged. On a terminal a lone sh or bash is interactive,
as in "netsim shell", and so is any command whose input and output are one: docker run -it works as on a host.

` + nodeHelp,
		Example: `  netsim exec client -- curl -s http://192.168.1.3:8000/
  netsim exec host-a/cat-web -- ping -c 2 cat-db
  netsim exec host-a -- 'ip -br addr | grep eth0'
  netsim exec --lab pets-overlay dog-web.1 -- dig +short dog-db`,
		Args:              execArgs,
		ValidArgsFunction: completeMachine,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := lab.ExecRequest{Node: args[0], Argv: args[1:]}
			if len(req.Argv) == 1 && isLine(req.Argv[0]) {
				req.Line, req.Argv = req.Argv[0], nil
			}
			if std := stdio(cmd); onTerminal(std) {
				return interactIn(cmd.Context(), name, req, std)
			} else if len(req.Argv) == 1 && shells[path.Base(req.Argv[0])] && isTerminal(std.In) {
				req.TTY = true
				return interactIn(cmd.Context(), name, req, std)
			}
			return execIn(cmd.Context(), name, req, stdio(cmd))
		},
	}
	addLabFlag(cmd, &name)
	return cmd
}

func addLabFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "lab", "", "which of the running labs")
	if err := cmd.RegisterFlagCompletionFunc("lab", completeRunning); err != nil {
		panic(err) // the flag is not there: a mistake in this program
	}
}

// execArgs wants a node and a command.
func execArgs(cmd *cobra.Command, args []string) error {
	switch dash := cmd.ArgsLenAtDash(); {
	case len(args) == 0 || dash == 0:
		return errors.New("NODE is missing")
	case dash > 1:
		return fmt.Errorf("%q is too much; one NODE goes in front of --", args[1])
	case len(args) == 1 || args[1] == "":
		return fmt.Errorf("a command is missing: %s NODE -- COMMAND", cmd.CommandPath())
	}
	return nil
}

// shells are the commands that are interactive on a terminal.
var shells = map[string]bool{"sh": true, "bash": true, "ash": true}

// isLine tells whether an argument means something to a shell.
func isLine(arg string) bool { return strings.ContainsAny(arg, " \t\n;&|<>()$`\"'\\*?#~=%") }

func stdio(cmd *cobra.Command) shell.Stdio {
	return shell.Stdio{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr()}
}

// execIn runs a command in a running lab and ends with its status.
func execIn(ctx context.Context, name string, req lab.ExecRequest, std shell.Stdio) error {
	exit, err := exitOf(ctx, name, req, std)
	return report(ctx, exit, err, std)
}

// exitOf runs a command in a running lab.
func exitOf(ctx context.Context, name string, req lab.ExecRequest, std shell.Stdio) (exit int, err error) {
	c, err := lab.Await(ctx, name, startingUp)
	if err != nil {
		return statusFailed, err
	}
	return c.Exec(ctx, req, std)
}

// report tells why a command could not run and returns how it ended.
func report(ctx context.Context, exit int, err error, std shell.Stdio) error {
	switch {
	case ctx.Err() != nil:
		return statusError(statusInterrupted)
	case err != nil && exit > statusFailed:
		fmt.Fprintf(std.Err, "netsim: %v\n", err) //nolint:errcheck // there is nobody else to tell
		return statusError(exit)
	case err != nil:
		return err
	case exit != statusOK:
		return statusError(exit)
	}
	return nil
}

func shellCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "shell NODE",
		Short: "Open a shell in a node of a running lab",
		Long: `Open a shell in a host, router, container or task of a running lab. Lines are edited as in bash, the arrow keys bring
back those that were typed; Ctrl-C ends what runs, Ctrl-D or exit the shell. docker exec -it and the like have the
terminal to themselves until they end, or until ctrl-p ctrl-q. Where standard input is no terminal its lines are run as
a script. The exit status is that of the last command.

` + nodeHelp,
		Example: `  netsim shell host-a
  netsim shell dog-web.1
  echo 'ip route; cat /etc/resolv.conf' | netsim shell host-a/cat-web`,
		Args:              exactly(1, "NODE"),
		ValidArgsFunction: completeMachine,
		RunE: func(cmd *cobra.Command, args []string) error {
			std := stdio(cmd)
			if !isTerminal(std.In) {
				return execIn(cmd.Context(), name, lab.ExecRequest{Node: args[0], Argv: []string{"sh"}}, std)
			}
			return interactIn(cmd.Context(), name, lab.ExecRequest{Node: args[0], Shell: true}, std)
		},
	}
	addLabFlag(cmd, &name)
	return cmd
}

// interactIn is execIn for a shell on a terminal.
func interactIn(ctx context.Context, name string, req lab.ExecRequest, std shell.Stdio) error {
	if onTerminal(std) {
		exit, err := exitOnTerminal(ctx, name, req, std)
		return report(ctx, exit, err, std)
	}
	ctx, in, stop := console(ctx, std.In)
	defer stop()
	std.In = in
	return execIn(ctx, name, req, std)
}

// console makes Ctrl-C and Ctrl-D bytes of the input, where a shell looks for them, and leaves the other signals to end
// the context.
func console(parent context.Context, keyboard io.Reader) (ctx context.Context, in io.Reader, stop func()) {
	ctx, cancel := signal.NotifyContext(context.WithoutCancel(parent), syscall.SIGTERM, syscall.SIGHUP)
	pressed := make(chan os.Signal, 1)
	signal.Notify(pressed, os.Interrupt)
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(typed(w, keyboard)) }()
	go func() {
		for {
			select {
			case <-pressed:
				_, _ = w.Write([]byte{interruptByte}) // or the shell has ended
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, r, func() {
		signal.Stop(pressed)
		cancel()
		_ = r.Close() // both writers end
	}
}

// typed copies from a terminal, whose end of input is not for ever: Ctrl-D ends what one command reads.
func typed(w io.Writer, keyboard io.Reader) error {
	for {
		if _, err := io.Copy(w, keyboard); err != nil {
			return err
		}
		if _, err := w.Write([]byte{endByte}); err != nil {
			return err
		}
	}
}

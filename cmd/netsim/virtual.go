package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/virtual"
)

const virtualHelp = `With --virtual the lab is in virtual time: its clock stands still while anything works, and jumps to the next timer when
everything waits. Hours pass in moments, and no step fails because the machine is slow. The time begins on 2026-01-01 00:00
UTC, and all times that are told are virtual. With the same --seed two runs print nearly always the same; what stays random are
keys and certificates, when a swarm's control plane speaks and who wins its elections, ids of DNS queries, and now and then the
order of things that happen at the same instant. The lab has nothing of the machine then: no TAP devices, hosts of the kernel,
real ports, remote parts or sockets for other commands. A lab that sends without a rate for a time, as iperf3 does, never
waits, so its time stands still; after 30 s that is told. The program netsim-virtual, which "make build" puts beside netsim, or which NETSIM_VIRTUAL names, runs it.`

// signalled are the signals that end a command.
var signalled = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// begin returns the context of the program, which its signals end. The second signal ends the process at once.
func begin() (ctx context.Context, stop func(), err error) {
	ctx, err = virtual.Begin()
	if err != nil || lab.Virtual {
		return ctx, func() {}, err
	}
	ctx, stop = signal.NotifyContext(ctx, signalled...)
	context.AfterFunc(ctx, stop)
	return ctx, stop, nil
}

// virtually are the commands that the program for virtual time knows.
var virtually = []string{"run", "test", "validate", "labs", "version", "help", "completion"}

// onlyVirtual takes the other commands away.
func onlyVirtual(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if !slices.Contains(virtually, cmd.Name()) {
			root.RemoveCommand(cmd)
		}
	}
}

// checkVirtual refuses flags that do not go with virtual time.
func checkVirtual(cmd *cobra.Command) error {
	for _, name := range []string{"keep", "expose", "proxy", "at"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return usagef("--%s and --virtual do not go together: nobody outside can be waited for in virtual time", name)
		}
	}
	return nil
}

// runVirtual has the program for virtual time run a command as this one was told to.
func runVirtual(cmd *cobra.Command, args []string) error {
	program, err := findVirtual()
	if err != nil {
		return err
	}
	killed := make(chan struct{})
	defer onSecondSignal(killed)()
	c := virtual.Command{
		Program: program, Args: commandLine(cmd, args), Kill: killed,
		Stdin: cmd.InOrStdin(), Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
	}
	status, err := c.Run(cmd.Context())
	if err == nil && status != statusOK {
		return statusError(status)
	}
	return err
}

// findVirtual returns the path of the program for virtual time.
func findVirtual() (string, error) {
	program, err := virtual.Find()
	if err != nil {
		return "", usageError{fmt.Errorf("--virtual: %w", err)}
	}
	return program, nil
}

// commandLine writes a command as it was typed, more or less.
func commandLine(cmd *cobra.Command, args []string) []string {
	line := []string{cmd.Name()}
	cmd.Flags().Visit(func(f *pflag.Flag) { line = append(line, "--"+f.Name+"="+f.Value.String()) })
	return append(append(line, "--"), args...)
}

// onSecondSignal closes killed at the second signal, until the function that it returns is called.
func onSecondSignal(killed chan<- struct{}) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, signalled...)
	done := make(chan struct{})
	go func() {
		defer signal.Stop(signals)
		for first := true; ; first = false {
			select {
			case <-signals:
				if !first {
					close(killed)
					return
				}
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

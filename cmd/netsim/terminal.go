package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/lab"
)

// onTerminal tells whether all of a command's standard files are terminals.
func onTerminal(std shell.Stdio) bool {
	return isTerminal(std.In) && isTerminal(std.Out) && isTerminal(std.Err)
}

// exitOnTerminal runs a command of a running lab on the user's terminal. It is raw meanwhile: the lab echoes and edits
// what is typed, and Ctrl-C is a key like any other.
func exitOnTerminal(ctx context.Context, name string, req lab.ExecRequest, std shell.Stdio) (exit int, err error) {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	keyboard, screen := int(std.In.(*os.File).Fd()), int(std.Out.(*os.File).Fd())
	before, err := term.MakeRaw(keyboard)
	if err != nil {
		return statusFailed, fmt.Errorf("prepare the terminal: %w", err)
	}
	defer func() { _ = term.Restore(keyboard, before) }() // it was just set
	size := sizeOf(screen)
	req.Terminal, req.Resized = &size, resizes(ctx, screen)
	return exitOf(ctx, name, req, std)
}

// sizeOf returns the size of a terminal; zero if it does not tell.
func sizeOf(screen int) engine.Size {
	cols, rows, err := term.GetSize(screen)
	if err != nil {
		return engine.Size{}
	}
	return engine.Size{Rows: uint16(rows), Cols: uint16(cols)}
}

// resizes returns the sizes that a terminal changes to until ctx ends.
func resizes(ctx context.Context, screen int) <-chan engine.Size {
	sizes := make(chan engine.Size)
	changed, stop := sizeChanges()
	go func() {
		defer stop()
		last := engine.Size{}
		for {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			size := sizeOf(screen)
			if size == last {
				continue
			}
			last = size
			select {
			case sizes <- size:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}

package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Interact reads commands from io.In and runs each as it is complete, with a prompt on io.Err before it, until exit, the
// end of the input or of ctx; it returns the status of the last. Ctrl-C as the byte 0x03 ends the command that runs, or
// has one that is half typed forgotten; Ctrl-D as the byte 0x04 ends the input of one that reads, or the shell. A Read of io.In that is under way when Interact returns ends when its owner closes it, if
// it has no SetReadDeadline.
func Interact(ctx context.Context, sys *System, std Stdio) (int, error) {
	std.TTY = true
	s, err := newSession(ctx, sys, std)
	if err != nil {
		return 1, err
	}
	defer s.close()
	code := s.call([]string{"sh"}).interact(s.ctx, "")
	return s.result(ctx, code)
}

// interact is the read-eval loop, which prompts on a terminal; flags is what is run first.
func (c *Call) interact(ctx context.Context, flags string, params ...string) int {
	in, own := consoleOf(c.In)
	if own {
		defer in.close()
	}
	r, err := c.runner(params)
	if err != nil {
		return c.fail(2, "%v", err)
	}
	if file, err := parse(flags); err == nil && flags != "" {
		c.run(ctx, r, file)
	}
	var current interrupter
	if c.TTY {
		defer in.onInterrupt(current.interrupt)()
	}
	code := 0
	for ctx.Err() == nil {
		reading, done := current.begin(ctx)
		file, err := c.readCommand(reading, in, r.Dir)
		if done() && ctx.Err() == nil {
			code = c.interrupted(ctx, r) // what was typed of a command is forgotten
			continue
		}
		if err != nil {
			if file == nil && !errors.Is(err, errSyntax) {
				break
			}
			if code = 2; !c.TTY {
				break
			}
			continue
		}
		for _, st := range file.Stmts {
			run, done := current.begin(ctx)
			if leavesRunning(r, st) {
				done = current.leave(run)
			}
			if code = statusInterrupted; run.Err() == nil {
				code = c.run(run, r, st)
			}
			interrupted := done()
			if interrupted && code == statusInterrupted && ctx.Err() == nil {
				code = c.interrupted(ctx, r)
				break // and with it what follows on the line
			}
			if r.Exited() && !interrupted {
				return code
			}
		}
	}
	if ctx.Err() == nil && c.TTY {
		c.say("")
	}
	return code
}

// interrupted makes the shell's last status that of an interrupt. It ends the line, as shells do: a terminal shows ^C, and
// what ends by it without a word, as sleep, leaves the cursor behind that.
func (c *Call) interrupted(ctx context.Context, r *interp.Runner) int {
	if c.TTY {
		c.say("")
	}
	file, err := parse("(exit " + strconv.Itoa(statusInterrupted) + ")")
	if err == nil {
		c.run(ctx, r, file)
	}
	return statusInterrupted
}

// consoleOf returns the console that a reader is of; own: it is a new one.
func consoleOf(in io.Reader) (c *console, own bool) {
	switch in := in.(type) {
	case *console:
		return in, false
	case consoleReader:
		return in.console, false
	}
	return newConsole(in), true
}

// interrupter ends what a shell does: the command that runs, or the reading of one.
type interrupter struct {
	mu     sync.Mutex
	cancel context.CancelFunc // guarded by mu; nil: nothing to end at the moment
	early  bool               // guarded by mu; an interrupt came then, and ends what comes next
}

// begin returns a context that an interrupt ends until done is called, which tells whether one did, or ctx ended.
func (i *interrupter) begin(ctx context.Context) (_ context.Context, done func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.early {
		cancel()
	}
	i.cancel, i.early = cancel, false
	return ctx, func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.cancel = nil
		interrupted := ctx.Err() != nil
		cancel()
		return interrupted
	}
}

// leave is done of the context that was begun last, for a command that leaves others running: only an interrupt ends it, or
// the end of the shell.
func (i *interrupter) leave(ctx context.Context) (done func() bool) {
	return func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.cancel = nil
		return ctx.Err() != nil
	}
}

// leavesRunning tells whether a command may leave others in the background: it has an &, or may call a function that does.
func leavesRunning(r *interp.Runner, st *syntax.Stmt) bool {
	found := len(r.Funcs) > 0
	syntax.Walk(st, func(n syntax.Node) bool {
		if s, ok := n.(*syntax.Stmt); ok && (s.Background || s.Coprocess) {
			found = true
		}
		return !found
	})
	return found
}

func (i *interrupter) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cancel == nil {
		i.early = true
		return
	}
	i.cancel()
}

var errSyntax = errors.New("syntax error")

// readCommand reads lines until they make a complete command; a blank line is one that does nothing.
func (c *Call) readCommand(ctx context.Context, in *console, dir string) (*syntax.File, error) {
	text, prompt := "", c.prompt(dir)
	for {
		if c.TTY {
			fmt.Fprint(c.Err, prompt) //nolint:errcheck // nobody listens
		}
		line, err := in.readLine(ctx)
		if err != nil && text != "" && ctx.Err() == nil { // the end of the input in the middle of a command
			_, err := parse(text)
			c.say("sh: %s", syntaxText(err))
			return nil, errSyntax
		}
		if err != nil {
			return nil, err
		}
		text += line
		file, err := parse(text)
		if err == nil {
			return file, nil
		}
		if !syntax.IsIncomplete(err) || len(text) > maxScript {
			c.say("sh: %s", syntaxText(err))
			return nil, errSyntax
		}
		prompt = "> "
	}
}

// prompt is root@host:/# , and / # in busybox.
func (c *Call) prompt(dir string) string {
	if dir == "/root" {
		dir = "~"
	}
	if c.busybox() {
		return dir + " # "
	}
	return "root@" + c.Sys.hostname() + ":" + dir + "# "
}

// runShell is sh: with -c a script from the arguments, with a name one from a file, else from the standard input.
func runShell(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "+c: e x i l s u login norc")
	if err != nil {
		return c.badOption(err)
	}
	flags := ""
	for _, f := range []string{"e", "u", "x"} {
		if opts.has(f) {
			flags += "set -" + f + "; "
		}
	}
	if text, ok := opts.last("c"); ok {
		if len(rest) > 0 {
			sub := *c
			sub.script0 = rest[0]
			return sub.script(ctx, flags+text, rest[1:])
		}
		return c.script(ctx, flags+text, nil)
	}
	if len(rest) > 0 && !opts.has("s") {
		text, err := c.Sys.read(absolute(c.Dir, rest[0]))
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return c.fail(statusNotFound, "%s: No such file or directory", rest[0])
			}
			return c.fail(126, "%s: %s", rest[0], errnoText(err))
		}
		sub := *c
		sub.script0 = rest[0]
		return sub.script(ctx, flags+string(text), rest[1:])
	}
	if c.TTY || opts.has("i") {
		sub := *c
		sub.TTY = true
		return sub.interact(ctx, flags)
	}
	sub := *c
	sub.commands = true
	return sub.interact(ctx, flags, rest...)
}

package shell

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// handlers stand between the interpreter and the machine it runs on.
type handlers struct{ c *Call }

// exec runs a command of the table.
func (h handlers) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	job := hc.Env.Get(jobVar).String()
	p, ctx, killed := h.c.jobs.enter(ctx, job, args)
	if p == nil {
		return hc.Builtin(ctx, []string{"exit", strconv.Itoa(128 + killed)})
	}
	defer h.c.jobs.leave(p)
	c := &Call{Args: args, Sys: h.c.Sys, Out: hc.Stdout, Err: hc.Stderr, Env: exported(hc.Env), Dir: hc.Dir, TTY: h.c.TTY, jobs: h.c.jobs, job: job, size: h.c.size}
	c.Terminal, c.outTTY = h.c.Terminal, h.c.outTTY && hc.Stdout == h.c.Out
	in := hc.Stdin
	switch {
	case in != nil:
		c.TTY = false
	case h.c.TTY, h.c.commands:
		in = h.c.In
	default:
		in = emptyReader{}
	}
	var stop func()
	c.In, stop = readerFor(ctx, in)
	code := invoke(ctx, c)
	stop()
	if sig := p.signal(); sig != 0 {
		return interp.ExitStatus(uint8(128 + sig))
	}
	if code == 0 {
		return nil
	}
	return interp.ExitStatus(uint8(code))
}

// call sees every simple command, built-in or not, and turns those that would look at the real machine into others.
func (h handlers) call(ctx context.Context, args []string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hc := interp.HandlerCtx(ctx)
	switch args[0] {
	case "command", "builtin":
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			rest, err := h.call(ctx, args[1:])
			return append([]string{args[0]}, rest...), err
		}
		if len(args) > 1 && args[1] == "-v" {
			return h.locate(hc, args[2:], false), nil
		}
	case "type":
		return h.locate(hc, args[1:], true), nil
	case "eval":
		return h.eval(hc, strings.Join(args[1:], " ")), nil
	case ".", "source":
		return h.source(hc, args), nil
	case "trap":
		if len(args) > 2 && args[1] != "-" && args[1] != "" && !strings.HasPrefix(args[1], "-") {
			checked := h.eval(hc, args[1])
			return append([]string{"trap", checked[len(checked)-1]}, args[2:]...), nil
		}
	case "kill", "jobs": // which the interpreter keeps for itself, and does not know
		args[0] = "/bin/" + args[0]
	case "wait":
		for i, a := range args {
			if n, ok := strings.CutPrefix(a, "%"); ok {
				args[i] = "g" + n
			}
		}
	}
	return args, nil
}

// eval returns the command that evaluates text: with its background commands marked, and none of what POSIX does not have.
func (h handlers) eval(hc interp.HandlerContext, text string) []string {
	file, err := parse(text)
	if err != nil {
		return failing(hc, "eval: "+syntaxText(err), "2")
	}
	var b strings.Builder
	if err := syntax.NewPrinter().Print(&b, file); err != nil {
		return failing(hc, "eval: "+err.Error(), "2")
	}
	return []string{"eval", b.String()}
}

// source returns the command that reads a script of the system's files.
func (h handlers) source(hc interp.HandlerContext, args []string) []string {
	if len(args) < 2 {
		return failing(hc, args[0]+": filename argument required", "2")
	}
	text, err := h.c.Sys.read(absolute(hc.Dir, args[1]))
	if err != nil {
		return failing(hc, args[0]+": "+args[1]+": "+errnoText(err), "1")
	}
	return h.eval(hc, string(text))
}

// failing says what is wrong and returns a command that fails with a status.
func failing(hc interp.HandlerContext, text, status string) []string {
	_, _ = io.WriteString(hc.Stderr, "sh: "+text+"\n")
	return []string{"eval", "(exit " + status + ")"}
}

// locate returns a command that tells what others are: type and command -v.
func (h handlers) locate(hc interp.HandlerContext, names []string, long bool) []string {
	var b strings.Builder
	status := "0"
	for _, n := range names {
		what, as := n, " is a shell builtin"
		if _, p, ok := h.c.Sys.tool(n); !ok && !interp.IsBuiltin(n) {
			if status = "127"; long {
				b.WriteString(n + ": not found\n")
			}
			continue
		} else if ok && !interp.IsBuiltin(n) {
			what, as = p, " is "+p
		}
		if long {
			what = n + as
		}
		b.WriteString(what + "\n")
	}
	_, _ = io.WriteString(hc.Stdout, b.String())
	return []string{"eval", "(exit " + status + ")"}
}

// open opens a file for a redirection.
func (h handlers) open(ctx context.Context, name string, flag int, _ os.FileMode) (io.ReadWriteCloser, error) {
	f, err := h.c.Sys.open(absolute(interp.HandlerCtx(ctx).Dir, name), flag)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

// readDir lists a directory for a glob.
func (h handlers) readDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	infos, err := h.c.Sys.list(absolute(interp.HandlerCtx(ctx).Dir, name))
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	entries := make([]fs.DirEntry, len(infos))
	for i, info := range infos {
		entries[i] = fs.FileInfoToDirEntry(info)
	}
	return entries, nil
}

// stat looks a file up for test and cd.
func (h handlers) stat(ctx context.Context, name string, _ bool) (fs.FileInfo, error) {
	info, err := h.c.Sys.stat(absolute(interp.HandlerCtx(ctx).Dir, name))
	if err != nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

// access allows root everything but to run what is no program.
func (h handlers) access(ctx context.Context, name string, mode interp.AccessMode) error {
	info, err := h.stat(ctx, name, true)
	if err == nil && mode&interp.AccessExec != 0 && info.Mode()&0o111 == 0 {
		return &os.PathError{Op: "access", Path: name, Err: os.ErrPermission}
	}
	return err
}

// absolute returns the clean absolute form of a path.
func absolute(dir, name string) string {
	if !path.IsAbs(name) {
		name = path.Join(dir, name)
	}
	return path.Clean("/" + name)
}

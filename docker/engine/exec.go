package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/shell"
)

// ExecConfig says what is to run in a container. Args must be set.
type ExecConfig struct {
	Args                         []string
	Env                          []string // K=V, beside the container's
	TTY, Stdin, Stdout, Stderr   bool     // what is attached
	User, WorkingDir, DetachKeys string
	Privileged                   bool
	ConsoleSize                  Size
}

// ExecStreams are the ends of an exec that is started. A terminal's output goes to Stdout.
type ExecStreams struct {
	Stdin          io.Reader // its ErrDetach ends Start, and not the command
	Stdout, Stderr io.Writer
	Detach         bool // the command runs on its own; there are no streams
	ConsoleSize    Size // the zero Size: that of the config
}

// ExecInfo is what is known of an exec.
type ExecInfo struct {
	ID, ContainerID string
	Config          ExecConfig
	Running         bool
	ExitCode        *int // nil: it has not ended
	PID             int  // on the host; 0: it was not started
}

// Exec is a command that runs, or is to run, in a container beside its program.
type Exec struct {
	c   *Container
	id  string
	cfg ExecConfig

	mu      sync.Mutex
	started bool     // guarded by mu
	p       *process // guarded by mu; nil: it was not started
	exit    *int     // guarded by mu
}

// Bounds of what the engine remembers of execs.
const (
	execsKept    = 256  // that have ended, as somebody may ask for one after its end
	execsWaiting = 4096 // that nobody has started
)

// CreateExec makes an exec of a running container. The error wraps ErrConflict if it does not run, or is paused.
func (c *Container) CreateExec(cfg ExecConfig) (*Exec, error) {
	if len(cfg.Args) == 0 || cfg.Args[0] == "" {
		return nil, fail(ErrInvalid, "No exec command specified")
	}
	if _, err := ParseDetachKeys(cfg.DetachKeys); err != nil {
		return nil, err
	}
	if err := c.checkExec(); err != nil {
		return nil, err
	}
	cfg.Args, cfg.Env = slices.Clone(cfg.Args), slices.Clone(cfg.Env)
	x := &Exec{c: c, cfg: cfg}
	c.engine.addExec(x)
	c.event("exec_create: "+strings.Join(cfg.Args, " "), map[string]string{"execID": x.id})
	return x, nil
}

// checkExec tells whether commands can run in the container.
func (c *Container) checkExec() error {
	c.mu.Lock()
	state, running := c.state, c.run != nil
	c.mu.Unlock()
	switch {
	case state == Paused:
		return fail(ErrConflict, "container %s is paused, unpause the container before exec", c.id)
	case state == Restarting:
		return fail(ErrConflict, "Container %s is restarting, wait until the container is running", c.id)
	case !running:
		return c.errNotRunning()
	}
	return nil
}

// addExec gives an exec its id and notes it.
func (e *Engine) addExec(x *Exec) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x.id = randomID(e.luck)
	e.execs[x.id] = x
	e.execOrder = append(e.execOrder, x)
	if len(e.execOrder) > e.execRoom {
		e.dropExecs()
	}
}

// dropExecs forgets the oldest execs that have ended, or wait for too long; the caller holds mu.
func (e *Engine) dropExecs() {
	var rest []*Exec
	ended, waiting := 0, 0
	for _, x := range slices.Backward(e.execOrder) {
		started, over := x.progress()
		switch {
		case over:
			ended++
		case !started:
			waiting++
		}
		if over && ended > execsKept || !over && !started && waiting > execsWaiting {
			delete(e.execs, x.id)
			continue
		}
		rest = append(rest, x)
	}
	slices.Reverse(rest)
	e.execOrder = rest
	e.execRoom = 2*len(rest) + execsKept // so that the work is little for each
}

// progress tells how far the exec is: over, it has ended or cannot be started any more.
func (x *Exec) progress() (started, over bool) {
	running := x.c.current() != nil
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.started, x.exit != nil || !x.started && !running
}

// Exec returns the exec of an id. The error wraps ErrNotFound.
func (e *Engine) Exec(id string) (*Exec, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x := e.execs[id]; x != nil {
		return x, nil
	}
	return nil, fail(ErrNotFound, "No such exec instance: %s", id)
}

// ID returns the exec's id, 64 hex digits.
func (x *Exec) ID() string { return x.id }

// Container returns the container that the exec is in.
func (x *Exec) Container() *Container { return x.c }

// Config returns what the exec was made from. It must not be changed.
func (x *Exec) Config() ExecConfig { return x.cfg }

// Inspect returns what is known of the exec.
func (x *Exec) Inspect() ExecInfo {
	x.mu.Lock()
	defer x.mu.Unlock()
	info := ExecInfo{ID: x.id, ContainerID: x.c.id, Config: x.cfg, ExitCode: x.exit, Running: x.p != nil && x.exit == nil}
	if x.p != nil {
		info.PID = x.p.pid
	}
	return info
}

// Check tells whether the exec can be started, as Start would.
func (x *Exec) Check() error {
	x.mu.Lock()
	started := x.started
	x.mu.Unlock()
	if started {
		return x.errStarted()
	}
	return x.c.checkExec()
}

func (x *Exec) errStarted() error {
	return fail(ErrConflict, "Error: Exec command %s has already run", x.id)
}

// Resize tells the size of the terminal of whoever looks at the exec's.
func (x *Exec) Resize(size Size) error {
	x.mu.Lock()
	p, exit := x.p, x.exit
	x.mu.Unlock()
	if p == nil || exit != nil {
		return fail(ErrInvalid, "Exec process %s is not running", x.id)
	}
	if p.term != nil {
		p.term.resize(size)
	}
	return nil
}

// Start runs the command. Attached, it returns when the command has ended, which ends with ctx, the container, or a
// Write that fails; its exit status is in Inspect then. A command that is not there is no error: the runtime's words are
// on Stdout, with status 127. Detached it returns at once. The error is that of Check, ErrDetach if Stdin returned it, or
// ctx's.
func (x *Exec) Start(ctx context.Context, streams ExecStreams) error {
	if err := x.c.checkExec(); err != nil {
		return err
	}
	r := x.c.current()
	if r == nil {
		return x.c.errNotRunning() // it ended meanwhile
	}
	x.mu.Lock()
	if x.started {
		x.mu.Unlock()
		return x.errStarted()
	}
	x.started = true
	x.mu.Unlock()
	if streams.Detach {
		streams = ExecStreams{}
	}
	detached := streams.Stdout == nil && streams.Stderr == nil && streams.Stdin == nil
	life, cancel := context.WithCancel(r.life)
	job := x.begin(r, streams, cancel)
	if detached {
		job.feed.close() // nobody takes what it prints
	}
	x.c.engine.cfg.Spawn(func(group context.Context) error {
		defer cancel()
		stop := context.AfterFunc(group, cancel)
		defer stop()
		job.run(life)
		return nil
	})
	if detached {
		return nil
	}
	return job.serve(ctx, cancel, streams)
}

// execJob is an exec that runs.
type execJob struct {
	x    *Exec
	r    *run
	p    *process
	in   *stdio
	feed *feed
	done chan struct{}
}

func (x *Exec) begin(r *run, streams ExecStreams, cancel context.CancelFunc) *execJob {
	j := &execJob{x: x, r: r, in: &stdio{}, feed: newFeed(), done: make(chan struct{})}
	p := &process{
		c: x.c, r: r, pid: x.c.engine.newPID(), argv: x.cfg.Args, env: x.cfg.Env, user: x.cfg.User, started: time.Now(), cancel: cancel,
		dir: x.c.cfg.WorkingDir, exec: x.id,
	}
	if x.cfg.WorkingDir != "" {
		p.dir = x.cfg.WorkingDir
	}
	p.out, p.err = feedWriter{j.feed, false}, feedWriter{j.feed, true}
	switch {
	case x.cfg.TTY:
		size := x.cfg.ConsoleSize
		if streams.ConsoleSize != (Size{}) {
			size = streams.ConsoleSize
		}
		p.term = newTerminal(feedWriter{j.feed, false}, size, p.key)
		j.in.term = p.term
		p.in, p.out = p.term, p.term.output()
		p.err = p.out
	case streams.Stdin != nil && x.cfg.Stdin:
		j.in.in = newPipe()
		p.in = j.in.in
	}
	p.out, p.err = gatedWriter{r.gate, p.out}, gatedWriter{r.gate, p.err}
	j.p = p
	x.mu.Lock()
	x.p = p
	x.mu.Unlock()
	return j
}

type feedWriter struct {
	feed   *feed
	stderr bool
}

// Write implements io.Writer. It never fails.
func (w feedWriter) Write(b []byte) (int, error) {
	w.feed.push(w.stderr, b)
	return len(b), nil
}

// run runs the command to its end.
func (j *execJob) run(ctx context.Context) {
	defer close(j.done)
	x := j.x
	attributes := map[string]string{"execID": x.id}
	j.r.enter(j.p)
	x.c.event("exec_start: "+strings.Join(x.cfg.Args, " "), attributes)
	code := exitPanicked
	defer func() {
		j.r.leave(j.p)
		j.in.close()
		x.mu.Lock()
		x.exit = &code
		x.mu.Unlock()
		j.feed.finish()
		x.c.event("exec_die", map[string]string{"execID": x.id, "exitCode": itoa(code)})
	}()
	if err := x.c.checkProgram(j.r.sys, x.cfg.Args[0]); err != nil {
		code = exitNotFound
		_, _ = fmt.Fprintln(feedWriter{j.feed, false}, notExecutable("OCI runtime exec failed: exec failed: unable to start container process", x.cfg.Args[0]))
		return
	}
	if dir := j.p.dir; dir != "" && !j.r.sys.IsDir(dir) {
		code = exitNoCommand
		_, _ = fmt.Fprintf(feedWriter{j.feed, false}, "OCI runtime exec failed: exec failed: unable to start container process: "+
			"chdir to cwd (%q) set in config.json failed: no such file or directory: unknown\n", dir)
		return
	}
	code = j.p.run(ctx)
	if ctx.Err() != nil && j.r.life.Err() != nil {
		code = exitKilled
	}
}

// serve carries the streams of an exec until it has ended.
func (j *execJob) serve(ctx context.Context, kill context.CancelFunc, streams ExecStreams) error {
	typing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if streams.Stdin != nil && (j.in.in != nil || j.in.term != nil) && j.x.cfg.Stdin {
		typed := make(chan struct{})
		go func() {
			defer close(typed)
			if err := j.in.fill(streams.Stdin, true); errors.Is(err, ErrDetach) {
				stop(ErrDetach)
			}
		}()
		defer func() {
			if d, ok := streams.Stdin.(deadliner); ok && d.SetReadDeadline(past) == nil {
				j.in.release(typed)
			}
		}()
	}
	for {
		queue, err := j.feed.take(typing)
		switch {
		case errors.Is(err, io.EOF):
			<-j.done
			return nil
		case errors.Is(context.Cause(typing), ErrDetach):
			j.feed.close() // nobody reads what the command still prints
			return ErrDetach
		case err != nil:
			return j.abandon(kill, err)
		}
		for _, p := range queue {
			w := streams.Stdout
			if p.stderr {
				w = streams.Stderr
			}
			if w == nil {
				continue
			}
			if _, err := w.Write(p.text); err != nil {
				return j.abandon(kill, err)
			}
		}
	}
}

// abandon ends the command of somebody who is gone.
func (j *execJob) abandon(kill context.CancelFunc, err error) error {
	j.feed.close()
	kill()
	wait := time.NewTimer(killPatience)
	defer wait.Stop()
	select {
	case <-j.done:
	case <-wait.C: // it does not heed its end
	}
	return err
}

// Exec runs a command in the running container and returns its exit status: one of the image's programs or of the
// tools that the image has. It ends when ctx or the container does. The error wraps ErrNotRunning if the container does
// not run; that the command fails is no error. Unlike an Exec of CreateExec it leaves no trace.
func (c *Container) Exec(ctx context.Context, argv []string, stdio shell.Stdio) (exit int, err error) {
	return c.inside(ctx, func(ctx context.Context, sys *shell.System) (int, error) {
		if c.image.Tools == image.ToolsNone && len(argv) > 0 {
			if _, ok := c.image.Program(argv[0]); !ok {
				return exitNoCommand, fmt.Errorf("exec in container %s: %q: executable file not found in $PATH: image %s has no shell",
					c.Name(), argv[0], c.image.Ref())
			}
		}
		return shell.RunArgs(ctx, sys, argv, stdio)
	})
}

// Run is Exec of a line for a POSIX shell.
func (c *Container) Run(ctx context.Context, line string, stdio shell.Stdio) (exit int, err error) {
	return c.inside(ctx, func(ctx context.Context, sys *shell.System) (int, error) {
		if c.image.Tools == image.ToolsNone {
			return exitNoCommand, fmt.Errorf("exec in container %s: image %s has no shell", c.Name(), c.image.Ref())
		}
		return shell.Run(ctx, sys, line, stdio)
	})
}

func (c *Container) inside(ctx context.Context, do func(context.Context, *shell.System) (int, error)) (int, error) {
	r := c.current()
	if r == nil {
		return 1, c.errNotRunning()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(r.life, cancel)
	defer stop()
	return do(ctx, r.sys)
}

// Shell is an interactive shell in the container; see shell.Interact.
func (c *Container) Shell(ctx context.Context, stdio shell.Stdio) (exit int, err error) {
	return c.inside(ctx, func(ctx context.Context, sys *shell.System) (int, error) {
		if c.image.Tools == image.ToolsNone {
			return exitNoCommand, fmt.Errorf("shell in container %s: image %s has no shell", c.Name(), c.image.Ref())
		}
		return shell.Interact(ctx, sys, stdio)
	})
}

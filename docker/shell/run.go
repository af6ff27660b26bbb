package shell

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// NotFoundError says that a system has no command of that name.
type NotFoundError struct{ Name string }

// Error implements error in the words of a container runtime.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("exec: %q: executable file not found in $PATH", e.Name)
}

// Run runs a shell script, a line or many, and returns its exit status. The error is not nil if ctx ended before the
// script did, or if it could not be started at all; a syntax error is reported on io.Err with status 2.
func Run(ctx context.Context, sys *System, script string, io Stdio) (int, error) {
	s, err := newSession(ctx, sys, io)
	if err != nil {
		return 1, err
	}
	defer s.close()
	run, done := s.interruptible()
	defer done()
	return s.result(ctx, s.call(nil).script(run, script, nil))
}

// RunArgs runs one command without a shell, as docker exec does, and returns its exit status. The error is a
// *NotFoundError, with status 127, if the system has no such command.
func RunArgs(ctx context.Context, sys *System, argv []string, io Stdio) (int, error) {
	if len(argv) == 0 || argv[0] == "" {
		return 1, errors.New("run a command: none was given")
	}
	s, err := newSession(ctx, sys, io)
	if err != nil {
		return 1, err
	}
	defer s.close()
	if _, _, ok := sys.tool(argv[0]); !ok && !programs[argv[0]] {
		return statusNotFound, &NotFoundError{argv[0]}
	}
	run, done := s.interruptible()
	defer done()
	return s.result(ctx, invoke(run, s.call(argv)))
}

// LookPath returns where the program of that name, or at that path, lies, if the system has it.
func (s *System) LookPath(name string) (path string, ok bool) {
	if _, path, ok := s.tool(name); ok {
		return path, true
	}
	return "/bin/" + name, programs[name]
}

// interruptible returns a context that an interrupt ends: what runs in it ends gently, with a status of its own.
func (s *session) interruptible() (run context.Context, done func()) {
	run, cancel := context.WithCancel(s.ctx)
	if s.io.OnInterrupt == nil {
		return run, cancel
	}
	restore := s.io.OnInterrupt(cancel)
	return run, func() { restore(); cancel() }
}

// session is one Run: its standard files and what it started.
type session struct {
	sys    *System
	ctx    context.Context
	cancel context.CancelFunc
	io     Stdio
	in     *console // nil: no standard input
	jobs   jobs
}

func newSession(ctx context.Context, sys *System, std Stdio) (*session, error) {
	if sys == nil || sys.NS == nil {
		return nil, errors.New("run a command: the system has no namespace")
	}
	s := &session{sys: sys, io: std}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if std.In != nil {
		s.in = newConsole(std.In)
		if std.TTY {
			s.in.outer = std.OnInterrupt
		}
		if std.Terminal != nil {
			s.io.Terminal = sessionTerminal{std.Terminal, s.in}
		}
	}
	s.io.Out, s.io.Err = serialize(std.Out, std.Err)
	s.jobs.init(sys)
	return s, nil
}

// close ends what the session left running and waits for it.
func (s *session) close() {
	s.cancel()
	s.jobs.wait()
	if s.in != nil {
		s.in.close()
	}
}

func (s *session) result(ctx context.Context, code int) (int, error) {
	if ended(ctx) {
		return statusInterrupted, ctx.Err()
	}
	return code, nil
}

// ended tells whether a context has ended, or is about to: a socket's deadline may be first to see that time is over.
func ended(ctx context.Context) bool {
	if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// call returns a Call with the session's standard files.
func (s *session) call(argv []string) *Call {
	c := &Call{Args: argv, Sys: s.sys, Out: s.io.Out, Err: s.io.Err, Env: append(s.sys.environ(), s.io.Env...), Dir: cmp.Or(s.io.Dir, "/"), TTY: s.io.TTY, jobs: &s.jobs, size: s.io.Size}
	c.Terminal, c.outTTY = s.io.Terminal, s.io.Terminal != nil
	c.In = emptyReader{}
	if s.in != nil {
		c.In = s.in
	}
	return c
}

// environ returns the environment that commands begin with.
func (s *System) environ() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + s.hostname(), "HOME=/root"}
	for _, kv := range s.Env {
		if k, _, ok := strings.Cut(kv, "="); ok && k != "" && !strings.ContainsRune(kv, 0) {
			env = append(env, kv)
		}
	}
	return env
}

// script runs the text of a script with parameters in a shell of its own and returns its exit status.
func (c *Call) script(ctx context.Context, text string, params []string) int {
	file, err := parse(text)
	if err != nil {
		c.say("sh: %s", syntaxText(err))
		return 2
	}
	r, err := c.runner(params)
	if err != nil {
		c.say("sh: %v", err)
		return 2
	}
	return c.run(ctx, r, file)
}

// run interprets a node and returns the status it leaves. What the interpreter cannot cope with ends the script alone.
func (c *Call) run(ctx context.Context, r *interp.Runner, node syntax.Node) (code int) {
	defer func() {
		if p := recover(); p != nil {
			code = c.say1(fmt.Sprintf("sh: internal error: %v", p), 2)
		}
	}()
	err := r.Run(ctx, node)
	var status interp.ExitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case ctx.Err() != nil:
		return statusInterrupted
	}
	c.say("sh: %v", err)
	return 2
}

// runner returns an interpreter of which nothing reaches the real machine.
func (c *Call) runner(params []string) (*interp.Runner, error) {
	h := handlers{c}
	var in io.Reader
	if _, none := c.In.(emptyReader); !none && !c.TTY && !c.commands {
		in = c.In
	}
	r, err := interp.New(
		interp.Env(expand.ListEnviron(append(hiddenEnv(c.jobs.shell(), cmp.Or(c.script0, "sh")), c.Env...)...)),
		interp.Dir("/"), // the one directory that is anywhere; cd asks the handlers
		interp.StdIO(in, c.Out, c.Err),
		interp.CallHandler(h.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return h.exec }),
		interp.OpenHandler(h.open), interp.ReadDirHandler2(h.readDir), interp.StatHandler(h.stat), interp.AccessHandler(h.access),
	)
	if err != nil {
		return nil, err
	}
	if len(params) > 0 {
		if err := interp.Params(append([]string{"--"}, params...)...)(r); err != nil {
			return nil, err
		}
	}
	return r, c.changeDir(r)
}

// changeDir makes the working directory of the command that of a new shell.
func (c *Call) changeDir(r *interp.Runner) error {
	if c.Dir == "/" {
		return nil
	}
	file, err := parse(quoted([]string{"cd", c.Dir}))
	if err != nil {
		return err
	}
	return r.Run(context.Background(), file) // it asks for a file, and waits for nothing
}

// IsDir tells whether there is a directory.
func (s *System) IsDir(dir string) bool {
	info, err := s.stat(absolute("/", dir))
	return err == nil && info.IsDir()
}

// MakeDir makes a directory, with those above it. One that is there is no error.
func (s *System) MakeDir(dir string) error {
	dir = absolute("/", dir)
	for i := 1; i <= len(dir); i++ {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		if err := s.mkdir(dir[:i]); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// hidden begins the names of variables that are the shell's own business.
const hidden = "__netsim_"

// hiddenEnv presets what the interpreter would else read from the real machine.
func hiddenEnv(job, name string) []string {
	return []string{"UID=0", "EUID=0", "GID=0", "TMPDIR=/tmp", jobVar + "=" + job, countVar + "=0", nameVar + "=" + name}
}

// exported lists the variables of an environment that commands see.
func exported(env expand.Environ) []string {
	var list []string
	env.Each(func(name string, v expand.Variable) bool {
		preset := name == "UID" || name == "EUID" || name == "GID" || name == "TMPDIR" && v.String() == "/tmp"
		if v.Exported && v.Kind == expand.String && !preset && !strings.HasPrefix(name, hidden) {
			list = append(list, name+"="+v.String())
		}
		return true
	})
	return list
}

// serialize makes two writers, which may be one, safe for commands that run at the same time.
func serialize(out, err io.Writer) (io.Writer, io.Writer) {
	mu := new(sync.Mutex)
	wrap := func(w io.Writer) io.Writer {
		if w == nil {
			w = io.Discard
		}
		return &serialWriter{mu: mu, w: w}
	}
	return wrap(out), wrap(err)
}

type serialWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (s *serialWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

type emptyReader struct{}

// Read implements io.Reader.
func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }

// MakeFile makes a file with the directories above it, or gives one that is there another text. data is kept.
func (s *System) MakeFile(name string, data []byte) error {
	name = absolute("/", name)
	if err := s.MakeDir(path.Dir(name)); err != nil {
		return err
	}
	return s.st().files.put(name, data)
}

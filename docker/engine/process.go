package engine

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/shell"
)

// process is a program that the engine started in a container: the container's own, or that of an exec.
type process struct {
	c       *Container
	r       *run
	pid     int // on the host
	argv    []string
	env     []string // beside the container's
	dir     string
	user    string
	exec    string // the id of the exec that it is; empty: the container's program
	first   bool   // it is process 1, which the kernel's default actions for signals spare
	started time.Time

	in       io.Reader // nil: at its end
	out, err io.Writer
	term     *terminal // nil: none

	interrupts interrupts
	cancel     context.CancelFunc // ends the program

	mu    sync.Mutex
	fatal int // guarded by mu; the signal that killed it, 0: none
}

// die ends the process by a signal.
func (p *process) die(sig int) {
	p.mu.Lock()
	p.fatal = sig
	p.mu.Unlock()
	p.cancel()
}

// status returns the exit status for the one that its program gave.
func (p *process) status(code int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fatal != 0 {
		return 128 + p.fatal
	}
	return code
}

// interrupts are those who want to hear of an interrupt; the innermost does.
type interrupts struct {
	mu    sync.Mutex
	stack []*func() // guarded by mu
}

// push makes f what hears of it until restore is called.
func (i *interrupts) push(f func()) (restore func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stack = append(i.stack, &f)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.stack = slices.DeleteFunc(i.stack, func(other *func()) bool { return other == &f })
	}
}

// fire calls the innermost; false: there is none.
func (i *interrupts) fire() bool {
	i.mu.Lock()
	n := len(i.stack)
	if n == 0 {
		i.mu.Unlock()
		return false
	}
	f := *i.stack[n-1]
	i.mu.Unlock()
	f()
	return true
}

// run runs the program to its end and returns its exit status.
func (p *process) run(ctx context.Context) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, p.closeInput)
	defer stop()
	if prog, ok := p.c.image.Program(p.argv[0]); ok {
		return p.status(prog(ctx, p.image()))
	}
	return p.status(p.shell(ctx, p.argv))
}

// closeInput ends a Read of the input that is under way.
func (p *process) closeInput() {
	if d, ok := p.in.(interface{ close() }); ok {
		d.close()
	}
}

// shell runs a command of the container's tools.
func (p *process) shell(ctx context.Context, argv []string) int {
	std := shell.Stdio{In: p.in, Out: p.out, Err: p.err, OnInterrupt: p.interrupts.push, Env: p.env, Dir: p.dir}
	if p.term != nil {
		std.TTY, std.Size = true, p.term.dimensions
	}
	code, err := shell.RunArgs(ctx, p.r.sys, argv, std)
	if err != nil && ctx.Err() == nil {
		_, _ = fmt.Fprintln(p.err, err) // the output takes everything
	}
	return code
}

// image returns the process as a program of the image takes it.
func (p *process) image() *image.Process {
	ip := p.r.process(p.c)
	ip.Args, ip.Env = p.argv, append(slices.Clone(p.r.sys.Env), p.env...)
	ip.Stdin, ip.Stdout, ip.Stderr = p.in, p.out, p.err
	if p.term != nil && p.in != nil {
		ip.Stdin = p.term.cooked()
	}
	if p.c.image.Tools != image.ToolsNone {
		ip.Shell = p.shell
	}
	return ip
}

// process returns what all processes of a run have in common.
func (r *run) process(c *Container) *image.Process {
	var addr netip.Addr
	for _, ep := range r.sandbox.Endpoints() {
		if ep.IP().IsValid() {
			addr = ep.IP()
			break
		}
	}
	return &image.Process{
		Hostname: r.sys.Hostname, Net: sockets{r.ns, r.gate}, Addr: addr,
		Rand: rand.New(rand.NewPCG(c.seed, uint64(r.number))), Services: c.engine.cfg.Services,
	}
}

// flavours are the shell's names for the images' tool sets.
var flavours = map[image.Tools]shell.Flavour{
	image.ToolsBusybox: shell.Busybox,
	image.ToolsAlpine:  shell.Alpine,
	image.ToolsUbuntu:  shell.Ubuntu,
	image.ToolsFull:    shell.Full,
}

// system returns the container as its command line sees it.
func (c *Container) system(r *run) *shell.System {
	extra := map[string]shell.Tool{}
	for name, program := range c.image.Programs {
		extra[name] = c.tool(r, program)
	}
	host := c.Hostname()
	if r.shared != nil {
		host = r.shared.Hostname()
	}
	return &shell.System{
		NS: r.ns, Hostname: host, Flavour: flavours[c.image.Tools], Extra: extra, Env: c.environment(r, host),
		Files:     func(path string) ([]byte, bool) { return c.file(r, path) },
		Processes: func() []shell.Process { return r.processes() }, Signal: r.signal,
	}
}

// environment returns what programs find in their environment, in the order in which Docker has it: PATH, HOSTNAME, the
// terminal's, links, then the image's with the user's in their places, and the user's new ones.
func (c *Container) environment(r *run, host string) []string {
	base := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + host}
	if c.cfg.TTY {
		base = append(base, "TERM=xterm")
	}
	base = append(base, r.linkEnv...)
	base = override(base, c.image.Env)
	return append(override(base, c.cfg.Env), "HOME=/root")
}

// override puts values into an environment, each in the place of one that is there; K alone takes K out.
func override(env, with []string) []string {
	for _, kv := range with {
		key, _, set := strings.Cut(kv, "=")
		at := slices.IndexFunc(env, func(have string) bool { return strings.HasPrefix(have, key+"=") })
		switch {
		case at >= 0 && set:
			env[at] = kv
		case at >= 0:
			env = slices.Delete(env, at, at+1)
		case set:
			env = append(env, kv)
		}
	}
	return env
}

// tool makes a program of the image a command.
func (c *Container) tool(r *run, program image.Program) shell.Tool {
	return func(ctx context.Context, call *shell.Call) int {
		p := r.process(c)
		p.Args, p.Env = call.Args, call.Env
		p.Stdin, p.Stdout, p.Stderr = call.In, call.Out, call.Err
		if c.image.Tools != image.ToolsNone {
			p.Shell = call.Exec
		}
		code := program(ctx, p)
		if code == exitTerminated && ctx.Err() != nil {
			return exitInterrupted // of a command, the end of its context is an interrupt
		}
		return code
	}
}

// file returns a file that the engine makes for the container.
func (c *Container) file(r *run, name string) ([]byte, bool) {
	switch name = path.Clean(name); {
	case name == "/etc/hostname":
		return []byte(r.sys.Hostname + "\n"), true
	case r.sandbox.UsesHost():
		if c.engine.cfg.HostFiles == nil {
			return nil, false
		}
		return c.engine.cfg.HostFiles(name)
	case name == "/etc/hosts":
		return []byte(r.sandbox.Hosts()), true
	case name == "/etc/resolv.conf":
		return []byte(r.sandbox.ResolvConf()), true
	}
	return nil, false
}

// enter notes a process that starts.
func (r *run) enter(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.procs = append(r.procs, p)
}

func (r *run) leave(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.procs = slices.DeleteFunc(r.procs, func(other *process) bool { return other == p })
}

func (r *run) all() []*process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.procs)
}

// processes lists what runs with its numbers inside the container: the program is 1, or below the engine's own.
func (r *run) processes() []shell.Process {
	var all []shell.Process
	for i, p := range r.all() {
		if !p.first && i == 0 {
			all = append(all, shell.Process{PID: 1, Command: "/sbin/docker-init -- " + strings.Join(p.argv, " ")})
		}
		all = append(all, shell.Process{PID: p.inside(i), User: p.user, Command: strings.Join(p.argv, " ")})
	}
	return all
}

// inside returns the process's number in the container, where it is the i-th that the engine started.
func (p *process) inside(i int) int {
	if i > 0 || !p.first {
		return i + 6
	}
	return 1
}

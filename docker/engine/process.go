package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

// sockets are a namespace's, as programs of images take them.
type sockets struct{ ns *netns.Namespace }

// Dial implements image.Net.
func (s sockets) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return s.ns.Dial(ctx, network, address)
}

// Listen implements image.Net.
func (s sockets) Listen(_ context.Context, network, address string) (net.Listener, error) {
	return s.ns.Listen(network, address)
}

// runProgram runs the container's program to its end.
func (c *Container) runProgram(ctx context.Context, r *run) int {
	p := c.process(r)
	p.Args, p.Env = c.argv, r.sys.Env
	p.Stdout, p.Stderr = c.log.writer(false), c.log.writer(true)
	if c.image.Tools != image.ToolsNone {
		p.Shell = func(ctx context.Context, argv []string) int {
			code, err := shell.RunArgs(ctx, r.sys, argv, shell.Stdio{Out: p.Stdout, Err: p.Stderr})
			if err != nil && ctx.Err() == nil {
				_, _ = fmt.Fprintln(p.Stderr, err) // the log takes everything
			}
			return code
		}
	}
	return c.image.Run(ctx, p)
}

// process returns what all processes of a run have in common.
func (c *Container) process(r *run) *image.Process {
	var addr netip.Addr
	for _, ep := range r.sandbox.Endpoints() {
		if ep.IP().IsValid() {
			addr = ep.IP()
			break
		}
	}
	return &image.Process{
		Hostname: c.Hostname(), Net: sockets{r.ns}, Addr: addr,
		Rand: rand.New(rand.NewPCG(c.seed, uint64(r.number))),
	}
}

// flavours are the shell's names for the images' tool sets.
var flavours = map[image.Tools]shell.Flavour{
	image.ToolsBusybox: shell.Busybox,
	image.ToolsUbuntu:  shell.Ubuntu,
	image.ToolsFull:    shell.Full,
}

// system returns the container as its command line sees it.
func (c *Container) system(r *run) *shell.System {
	env := append(append([]string(nil), c.image.Env...), "HOSTNAME="+c.Hostname())
	extra := map[string]shell.Tool{}
	for name, program := range c.image.Programs {
		extra[name] = c.tool(r, program)
	}
	return &shell.System{
		NS: r.ns, Hostname: c.Hostname(), Flavour: flavours[c.image.Tools], Extra: extra,
		Env:   append(env, c.cfg.Env...),
		Files: func(path string) ([]byte, bool) { return c.file(r, path) },
		Processes: func() []shell.Process {
			return []shell.Process{{PID: 1, Command: strings.Join(c.argv, " ")}}
		},
	}
}

// tool makes a program of the image a command.
func (c *Container) tool(r *run, program image.Program) shell.Tool {
	return func(ctx context.Context, call *shell.Call) int {
		p := c.process(r)
		p.Args, p.Env = call.Args, call.Env
		p.Stdin, p.Stdout, p.Stderr = call.In, call.Out, call.Err
		if c.image.Tools != image.ToolsNone {
			p.Shell = call.Exec
		}
		return program(ctx, p)
	}
}

// file returns a file that the engine makes for the container.
func (c *Container) file(r *run, path string) ([]byte, bool) {
	switch {
	case path == "/etc/hostname":
		return []byte(c.Hostname() + "\n"), true
	case c.hostMode():
		if c.engine.cfg.HostFiles == nil {
			return nil, false
		}
		return c.engine.cfg.HostFiles(path)
	case path == "/etc/hosts":
		return []byte(r.sandbox.Hosts()), true
	case path == "/etc/resolv.conf":
		return []byte(r.sandbox.ResolvConf()), true
	}
	return nil, false
}

// ErrNotRunning is what errors about a container that must run, and does not, wrap.
var ErrNotRunning = errors.New("is not running")

// Exec runs a command in the running container and returns its exit status: one of the image's programs or of the
// tools that the image has. It ends when ctx or the container does. The error wraps ErrNotRunning if the container does
// not run; that the command fails is no error.
func (c *Container) Exec(ctx context.Context, argv []string, stdio shell.Stdio) (exit int, err error) {
	return c.inside(ctx, func(ctx context.Context, sys *shell.System) (int, error) {
		if c.image.Tools == image.ToolsNone && len(argv) > 0 {
			if _, ok := c.image.Program(argv[0]); !ok {
				return exitNoCommand, fmt.Errorf("exec in container %s: %q: executable file not found in $PATH: image %s has no shell",
					c.name, argv[0], c.image.Ref())
			}
		}
		return shell.RunArgs(ctx, sys, argv, stdio)
	})
}

// Run is Exec of a line for a POSIX shell.
func (c *Container) Run(ctx context.Context, line string, stdio shell.Stdio) (exit int, err error) {
	return c.inside(ctx, func(ctx context.Context, sys *shell.System) (int, error) {
		if c.image.Tools == image.ToolsNone {
			return exitNoCommand, fmt.Errorf("exec in container %s: image %s has no shell", c.name, c.image.Ref())
		}
		return shell.Run(ctx, sys, line, stdio)
	})
}

// exitNoCommand is the status of docker exec for a command that is not there.
const exitNoCommand = 126

func (c *Container) inside(ctx context.Context, do func(context.Context, *shell.System) (int, error)) (int, error) {
	r := c.current()
	if r == nil {
		return 1, fmt.Errorf("container %s %w", c.id, ErrNotRunning)
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
			return exitNoCommand, fmt.Errorf("shell in container %s: image %s has no shell", c.name, c.image.Ref())
		}
		return shell.Interact(ctx, sys, stdio)
	})
}

// Package image holds the built-in container images: what each is called, how
// it is configured, and the programs in it. A program is a Go function that
// talks to the world through the sockets of its container's namespace, handed
// to it as a Net, so the same code runs in a simulated container and in a test
// over the loopback interface.
package image

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"
)

// Net is the socket interface of a container's namespace. The address of Dial
// may hold a host name; the implementation resolves it, with the container's
// own resolver, on every call.
type Net interface {
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Listen(ctx context.Context, network, address string) (net.Listener, error)
}

// Process is what a program is started with. Only Args and, for programs that
// use the network, Net must be set. The end of the program's context is its
// SIGTERM.
type Process struct {
	Args     []string   // argv, the program's name first
	Env      []string   // K=V; of two equal keys the last one counts
	Hostname string     // the container's host name
	Stdin    io.Reader  // nil: at its end
	Stdout   io.Writer  // nil: discarded
	Stderr   io.Writer  // nil: discarded
	Net      Net        // the namespace's sockets
	Addr     netip.Addr // the container's first address; zero if it has none
	Rand     *rand.Rand // owned by the process; nil: seeded from Hostname
	Services Services   // those of the swarm; nil: the node is in none

	// Shell runs a command of the container's tool set and returns its exit
	// status. The engine supplies it; nil means the container has none.
	Shell func(ctx context.Context, argv []string) int
}

// Program is an executable of an image. It runs until it is done or ctx ends,
// returns its exit status, and leaves no goroutine behind.
type Program func(ctx context.Context, p *Process) (exit int)

// Exit statuses that do not come from a program's own rules.
const (
	exitNotFound   = 127 // the command does not exist
	exitTerminated = 143 // ended by SIGTERM: 128 + 15
)

// Tools says which tool set the shell of an image has.
type Tools int

// The tool sets.
const (
	ToolsNone    Tools = iota // no shell at all
	ToolsBusybox              // busybox applets: ping, ifconfig, nslookup, wget
	ToolsUbuntu               // no ping, ip or curl until apt-get install
	ToolsFull                 // every tool there is
	ToolsAlpine               // busybox's applets, and apk to bring other tools
)

// String returns the tool set's name.
func (t Tools) String() string {
	switch t {
	case ToolsNone:
		return "none"
	case ToolsBusybox:
		return "busybox"
	case ToolsUbuntu:
		return "ubuntu"
	case ToolsFull:
		return "full"
	case ToolsAlpine:
		return "alpine"
	}
	return fmt.Sprintf("tools(%d)", int(t))
}

// Healthcheck is an image's HEALTHCHECK. Test starts with CMD or CMD-SHELL, as
// in the Engine API; zero durations and retries mean the engine's defaults.
type Healthcheck struct {
	Test        []string
	Interval    time.Duration
	Timeout     time.Duration
	StartPeriod time.Duration
	// StartInterval is the interval while the start period lasts.
	StartInterval time.Duration
	Retries       int
}

// Image is one built-in image. Each Lookup or All returns fresh values that
// the caller owns.
type Image struct {
	Name         string // repository, in the familiar form: redis, chrch/web
	Tag          string
	ID           string // 64 hex digits, the same in every run
	Digest       string // sha256:<64 hex digits>, what a registry would say
	Size         int64
	Created      time.Time
	Entrypoint   []string
	Cmd          []string
	Env          []string
	ExposedPorts []string // 5000/tcp
	Healthcheck  *Healthcheck
	Programs     map[string]Program // by argv[0], without its directory
	Tools        Tools
}

// Ref returns the image's reference, redis:latest.
func (im *Image) Ref() string { return im.Name + ":" + im.Tag }

// Argv returns the command line of a container: entrypoint and args replace
// the image's own where they are not nil, and a replaced entrypoint drops the
// image's Cmd, as docker run does it.
func (im *Image) Argv(entrypoint, args []string) []string {
	if entrypoint == nil {
		entrypoint = im.Entrypoint
		if len(args) == 0 {
			args = im.Cmd
		}
	}
	argv := make([]string, 0, len(entrypoint)+len(args))
	return append(append(argv, entrypoint...), args...)
}

// Program returns the program that argv0 names, with or without a directory.
func (im *Image) Program(argv0 string) (Program, bool) {
	prog, ok := im.Programs[path.Base(argv0)]
	return prog, ok
}

// Run runs p.Args to its end: one of the image's programs, else a command of
// its tool set through p.Shell. It returns 127 where neither is there.
func (im *Image) Run(ctx context.Context, p *Process) int {
	return runProgram(ctx, im.Programs, p)
}

func runProgram(ctx context.Context, programs map[string]Program, p *Process) int {
	if len(p.Args) == 0 {
		_, _ = fmt.Fprintln(p.stderr(), "no command specified")
		return exitNotFound
	}
	if prog, ok := programs[path.Base(p.Args[0])]; ok {
		return prog(ctx, p)
	}
	if p.Shell != nil {
		return p.Shell(ctx, p.Args)
	}
	_, _ = fmt.Fprintf(p.stderr(), "exec: %q: executable file not found in $PATH\n", p.Args[0])
	return exitNotFound
}

// Getenv returns the value of an environment variable, "" if it is not set.
func (p *Process) Getenv(key string) string {
	v, _ := p.lookupEnv(key)
	return v
}

func (p *Process) lookupEnv(key string) (string, bool) {
	for i := len(p.Env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(p.Env[i], "="); ok && k == key {
			return v, true
		}
	}
	return "", false
}

// operands returns the arguments behind the program's name.
func (p *Process) operands() []string {
	if len(p.Args) == 0 {
		return nil
	}
	return p.Args[1:]
}

func (p *Process) stdout() io.Writer { return writerOrDiscard(p.Stdout) }
func (p *Process) stderr() io.Writer { return writerOrDiscard(p.Stderr) }

func writerOrDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

func (p *Process) random() *rand.Rand {
	if p.Rand != nil {
		return p.Rand
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, p.Hostname)
	return rand.New(rand.NewPCG(h.Sum64(), 0))
}

// logWriter makes one writer safe for several goroutines, a line at a time.
type logWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *logWriter) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.w, format, args...)
}

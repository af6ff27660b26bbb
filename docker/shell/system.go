package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

// Flavour says which tools a System has and whose they look like.
type Flavour uint8

// The flavours.
const (
	Full    Flavour = iota // every tool there is: a container made for looking around
	Host                   // a machine: every tool, and the namespaces of its containers
	Busybox                // busybox's applets, in busybox's looks
	Ubuntu                 // a bare ubuntu: no network tools until apt-get install (A11)
	Alpine                 // busybox's applets, and apk to bring other tools
)

// String returns the flavour's name.
func (f Flavour) String() string {
	if int(f) >= len(flavourNames) {
		return fmt.Sprintf("flavour(%d)", uint8(f))
	}
	return flavourNames[f]
}

var flavourNames = [...]string{"full", "host", "busybox", "ubuntu", "alpine"}

// Process is a line of ps.
type Process struct {
	PID     int
	User    string // empty: root
	Command string
}

// System is a host or container as its command line sees it. Its fields must not change while commands run; it is used
// by pointer, for it keeps the files that commands write. NS is the only field that must be set.
type System struct {
	NS       *netns.Namespace
	Hostname string // empty: the namespace's name
	// Files returns the text of a file that is made elsewhere, as /etc/hosts and /etc/resolv.conf; it is asked each time.
	// What a command writes hides it. nil: there are none.
	Files func(path string) ([]byte, bool)
	// Paths returns the paths of Files that directories show, beside those in /etc; nil: there are none.
	Paths   func() []string
	Env     []string // K=V; HOME, PATH and HOSTNAME have values of their own if not among them
	Flavour Flavour
	// Extra are the commands of a floor above, as docker or an image's programs, by name. They come before the tools.
	Extra map[string]Tool
	// Sandboxes returns the namespaces that `ip netns` and `nsenter --net` know by name, as those below
	// /var/run/docker/netns; nil: there are none.
	Sandboxes func() map[string]*netns.Namespace
	// Namespaces are those that `ip netns` makes and deletes, below /var/run/netns; nil: the system may make none.
	Namespaces Namespaces
	// ProcessNS returns the namespace that a process of Processes runs in; nil: they are all in NS.
	ProcessNS func(pid int) (*netns.Namespace, bool)
	// Switch is what brctl and bridge show on a physical switch; nil: the bridges of the namespace.
	Switch *l2switch.Switch
	// Processes lists what runs, for ps and the owners of sockets; nil: ps shows the shell alone.
	Processes func() []Process
	// Signal sends one of Processes a signal, by its numbers; 0 only asks. It wraps ErrNoProcess if there is none of that
	// number. nil: there are none but the commands of the session.
	Signal func(pid, sig int) error

	etc   string           // the directory whose files stand in for those of /etc; "": none
	home  *netns.Namespace // that of the machine, where NS is another of its namespaces; nil: NS
	once  sync.Once
	state *state
}

// state is what a System remembers between commands.
type state struct {
	files tree

	mu        sync.Mutex
	installed map[string]bool // guarded by mu: packages of apt-get
	updated   bool            // guarded by mu: apt-get update was run
	nextPID   int             // guarded by mu
}

func (s *System) st() *state {
	s.once.Do(func() {
		s.state = &state{installed: map[string]bool{}, nextPID: 7}
		s.state.files.init()
	})
	return s.state
}

// hostname returns the name that the system gives itself.
func (s *System) hostname() string {
	if s.Hostname != "" {
		return s.Hostname
	}
	if s.NS == nil {
		return "localhost"
	}
	name := s.NS.Name()
	return name[strings.LastIndexByte(name, '/')+1:]
}

// lookup turns a name or address into one IPv4 address.
func (s *System) lookup(ctx context.Context, name string) (netip.Addr, error) {
	all, err := s.lookupAll(ctx, name)
	if err != nil {
		return netip.Addr{}, err
	}
	return all[0], nil
}

// LookupHost turns a name into addresses as the system's C library does: by /etc/hosts, and by the servers of
// /etc/resolv.conf, as they are at the moment. A system that has no files made elsewhere, and in which nobody wrote these,
// asks its namespace.
func (s *System) LookupHost(ctx context.Context, name string) ([]netip.Addr, error) {
	if s.Files == nil {
		_, hosts := s.readFile("/etc/hosts")
		if _, resolv := s.readFile("/etc/resolv.conf"); !hosts && !resolv {
			return s.NS.LookupHost(ctx, name)
		}
	}
	return s.resolver().LookupHost(ctx, name)
}

// lookupAll turns a name into its IPv4 addresses, at least one.
func (s *System) lookupAll(ctx context.Context, name string) ([]netip.Addr, error) {
	addrs, err := s.LookupHost(ctx, name)
	if err != nil {
		return nil, err
	}
	var v4 []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		}
	}
	if len(v4) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return v4, nil
}

// reverseTimeout bounds the wait for a name that only decorates a line.
const reverseTimeout = 2 * time.Second

// reverse returns the name of an address, from /etc/hosts or the name server; "" if there is none.
func (s *System) reverse(ctx context.Context, a netip.Addr) string {
	ctx, cancel := context.WithTimeout(ctx, reverseTimeout)
	defer cancel()
	name, err := s.resolver().LookupAddr(ctx, a)
	if err != nil {
		return ""
	}
	return name
}

// resolver returns the stub resolver that the system's files describe.
func (s *System) resolver() *dns.Client {
	return dns.NewClient(dns.ClientConfig{Dial: s.NS.Dial, Resolv: s.resolvConf, Hosts: func() *dns.Hosts {
		text, _ := s.readFile("/etc/hosts")
		return dns.ParseHosts(string(text))
	}})
}

func (s *System) resolvConf() dns.ResolvConf {
	text, _ := s.readFile("/etc/resolv.conf")
	return dns.ParseResolvConf(string(text))
}

// temporary tells whether a lookup failed because no server answered.
func temporary(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && !d.IsNotFound
}

// Stdio is where a command line reads and writes. nil: at its end, or discarded. Out and Err may be the same writer.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
	TTY      bool // In is a terminal: sh without arguments prompts, 0x03 interrupts, 0x04 is an end of the input
	// OnInterrupt makes f what an interrupt from elsewhere calls, as of a terminal's driver, until restore is called:
	// then it is what it was before. nil: interrupts come as 0x03 from In, if at all.
	OnInterrupt func(f func()) (restore func())
	Size        func() (rows, cols uint16) // of the terminal; nil: not known
	Terminal    Terminal                   // what more the terminal can do; nil: there is none, or it is out of reach
	Env         []string                   // further environment, K=V
	Dir         string                     // the working directory; empty: /
}

// Tool is a command: it runs until it is done or ctx ends, returns its exit status, and leaves nothing running.
type Tool func(ctx context.Context, c *Call) int

// Call is one run of a Tool.
type Call struct {
	Args []string // the command's name first
	Sys  *System
	In   io.Reader // ends when the tool's context does
	Out  io.Writer
	Err  io.Writer
	Env  []string // exported variables, K=V
	Dir  string   // the working directory
	TTY  bool
	// Terminal is the session's; nil: there is none. The standard files need not be it: see TTY and OutIsTerminal.
	Terminal Terminal

	outTTY   bool // Out is Terminal
	jobs     *jobs
	job      string                     // of the shell that runs the command
	commands bool                       // In is where a shell reads its commands, and those theirs
	script0  string                     // what $0 is; "": sh
	size     func() (rows, cols uint16) // of the terminal; nil: not known
}

// Printf writes to the standard output.
func (c *Call) Printf(format string, args ...any) {
	fmt.Fprintf(c.Out, format, args...) //nolint:errcheck // a closed pipe ends the tool by its context
}

// Errorf writes a line to the standard error, after the command's name, and returns exit status 1.
func (c *Call) Errorf(format string, args ...any) int {
	return c.fail(1, format, args...)
}

// fail is Errorf with another status.
func (c *Call) fail(status int, format string, args ...any) int {
	fmt.Fprintf(c.Err, c.name()+": "+format+"\n", args...) //nolint:errcheck // nobody listens
	return status
}

// say writes a line to the standard error as it is.
func (c *Call) say(format string, args ...any) {
	fmt.Fprintf(c.Err, format+"\n", args...) //nolint:errcheck // nobody listens
}

// name returns the command's name without a directory.
func (c *Call) name() string {
	return c.Args[0][strings.LastIndexByte(c.Args[0], '/')+1:]
}

// Getenv returns an exported variable, "" if it is not set.
func (c *Call) Getenv(key string) string {
	for i := len(c.Env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(c.Env[i], "="); ok && k == key {
			return v
		}
	}
	return ""
}

// busybox tells whether tools look like busybox's: not those that came with a package.
func (c *Call) busybox() bool {
	if c.Sys.Flavour != Busybox && c.Sys.Flavour != Alpine {
		return false
	}
	e, ok := table[c.name()]
	return !ok || e.on&(1<<c.Sys.Flavour) != 0
}

// Exec runs another command with the same standard files, as exec does.
func (c *Call) Exec(ctx context.Context, argv []string) int {
	sub := *c
	sub.Args = argv
	return invoke(ctx, &sub)
}

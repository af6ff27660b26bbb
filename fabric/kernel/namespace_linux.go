package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Check tells why this process cannot make network namespaces and TAP devices; nil if it most likely can.
func Check() error {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("%w: /dev/net/tun is not there; \"sudo modprobe tun\" makes it, or --device /dev/net/tun for a container", ErrUnable)
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&hdr, &caps[0]); err != nil {
		return fmt.Errorf("read the rights of this process: %w", err)
	}
	if need := uint32(1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_ADMIN); caps[0].Effective&need != need {
		return errRights
	}
	return nil
}

var errRights = fmt.Errorf("%w: network namespaces of the kernel need root; run netsim with sudo", ErrUnable)

// Namespace is a network namespace of the kernel. All methods may be called at once. A nil Namespace is the one that this
// process runs in.
type Namespace struct {
	f   *os.File
	own bool // made by NewNamespace
}

// NewNamespace makes a network namespace with nothing in it but lo, which is up. It has no name and goes with Close, or with
// this process.
func NewNamespace() (*Namespace, error) {
	var n *Namespace
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			if errors.Is(err, unix.EPERM) {
				return errRights
			}
			return fmt.Errorf("make a network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if err := Configure("lo", Settings{Up: true}); err != nil {
			return errors.Join(err, f.Close())
		}
		n = &Namespace{f: f, own: true}
		return nil
	})
	return n, err
}

// OpenNamespace opens a namespace that exists: NAME as ip netns has it, or the path of its file.
func OpenNamespace(name string) (*Namespace, error) {
	path := name
	if !strings.Contains(name, "/") {
		path = filepath.Join("/var/run/netns", name)
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("network namespace %q is not there; \"sudo ip netns add %s\" makes one, and \"ip netns\" lists them", name, filepath.Base(name))
	case err != nil:
		return nil, fmt.Errorf("open network namespace %q: %w", name, err)
	}
	return &Namespace{f: f}, nil
}

// Path returns the path of a file that is the namespace, for nsenter --net=PATH, as long as this process has it open.
func (n *Namespace) Path() (path string) {
	if n == nil {
		return "/proc/self/ns/net"
	}
	_ = n.control(func(fd int) error { // it fails once the namespace is closed
		path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
		return nil
	})
	return path
}

// onThread calls f on a thread of its own, which ends with it: whatever f does to the thread stays its own.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocks it
		if unix.Gettid() == os.Getpid() {
			// The main thread does not end, and would keep the process in the namespace. While this holds it, f is on another.
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

// Do calls f on a thread in the namespace. What f opens there (sockets, TAP devices) belongs to the namespace for good.
func (n *Namespace) Do(f func() error) error {
	if n == nil {
		return f()
	}
	return onThread(func() error {
		err := n.control(func(fd int) error { return unix.Setns(fd, unix.CLONE_NEWNET) })
		switch {
		case err == nil:
		case errors.Is(err, unix.EPERM):
			return errRights
		case errors.Is(err, unix.EINVAL):
			return fmt.Errorf("enter %s: it is no network namespace", n.f.Name())
		default:
			return fmt.Errorf("enter network namespace %s: %w", n.f.Name(), err)
		}
		return f()
	})
}

// control calls f with the namespace's file, which stays open meanwhile.
func (n *Namespace) control(f func(fd int) error) error {
	raw, err := n.f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// lastWords is how long a command has from the end of its context to its own, and its output from its end.
const lastWords = 150 * time.Millisecond

// Run runs a command in the namespace and returns its exit status: 127 and an error if there is no such program, 128 and
// the signal if one ended it. When ctx ends the command is told to end as by Ctrl-C, and ended soon after. What it left in
// the background goes on until the namespace is closed.
func (n *Namespace) Run(ctx context.Context, c Command) (exit int, err error) {
	if len(c.Args) == 0 {
		return 127, errors.New("there is no command to run")
	}
	err = n.Do(func() error { // the thread lives as long as the command, whose end is tied to it
		exit, err = run(ctx, c)
		return err
	})
	return exit, err
}

func run(ctx context.Context, c Command) (int, error) {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = lastWords
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return 127, fmt.Errorf("%s: this machine has no such command", c.Args[0])
		}
		return 126, err
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever is left of its group
	}
	if cmd.ProcessState == nil {
		return 1, err
	}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// Close lets go of the namespace. Of one that NewNamespace made it ends every process that is still there, so that it goes.
func (n *Namespace) Close() error {
	if n == nil {
		return nil
	}
	if n.own {
		for range 20 { // a process may be about to make another
			if n.kill() == 0 {
				break
			}
		}
	}
	return n.f.Close()
}

// kill ends the processes in the namespace and returns how many there were.
func (n *Namespace) kill() int {
	var own, is unix.Stat_t
	if n.control(func(fd int) error { return unix.Fstat(fd, &own) }) != nil {
		return 0
	}
	all, _ := filepath.Glob("/proc/[0-9]*/ns/net") // the pattern is right
	count := 0
	for _, path := range all {
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil || pid == os.Getpid() || unix.Stat(path, &is) != nil || is.Ino != own.Ino || is.Dev != own.Dev {
			continue
		}
		if unix.Kill(pid, unix.SIGKILL) == nil {
			count++
		}
	}
	return count
}

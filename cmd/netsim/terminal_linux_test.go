package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

const terminalLab = `
netsim: 1
name: terminal
fabric:
  switches: {s: {}}
  hosts:
    a: {links: {s: 192.168.1.2/24}, engine: docker}
containers:
  web1: {host: a, image: nginx}
`

// typist sits at a terminal of the real machine on which netsim runs.
type typist struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd

	mu     sync.Mutex
	change *sync.Cond
	shown  []byte // guarded by mu; what was not expected yet
	ended  bool   // guarded by mu
	said   string // guarded by mu; what was shown before the text that was expected last
}

// openPTY returns the two sides of a terminal of the machine.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no terminals can be made here: %v", err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals can be opened here: %v", err)
	}
	return master, slave
}

// sit runs netsim on a terminal.
func sit(t *testing.T, args ...string) *typist {
	t.Helper()
	master, slave := openPTY(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ty := &typist{t: t, master: master, cmd: &exec.Cmd{Path: exe, Args: append([]string{"netsim"}, args...), Stdin: slave, Stdout: slave, Stderr: slave,
		Env: append(os.Environ(), "GORACE=atexit_sleep_ms=0"), SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true}}}
	ty.change = sync.NewCond(&ty.mu)
	ty.resize(24, 80)
	if err := ty.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close() // the process has it
	read := make(chan struct{})
	go func() {
		defer close(read)
		ty.watch()
	}()
	t.Cleanup(func() {
		_ = ty.cmd.Process.Kill() // or it has ended
		_ = master.Close()
		<-read
	})
	return ty
}

// watch reads the screen until the terminal is closed.
func (ty *typist) watch() {
	b := make([]byte, 4096)
	for {
		n, err := ty.master.Read(b)
		ty.mu.Lock()
		ty.shown = append(ty.shown, b[:n]...)
		ty.ended = err != nil
		ty.change.Broadcast()
		ty.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (ty *typist) resize(rows, cols uint16) {
	ty.t.Helper()
	if err := unix.IoctlSetWinsize(int(ty.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		ty.t.Fatal(err)
	}
	if err := unix.SetNonblock(int(ty.master.Fd()), true); err != nil { // Fd makes it block
		ty.t.Fatal(err)
	}
}

// types types keys and waits until the screen shows texts, one after the other.
func (ty *typist) types(keys string, texts ...string) {
	ty.t.Helper()
	if _, err := ty.master.WriteString(keys); err != nil {
		ty.t.Fatalf("type %q: %v", keys, err)
	}
	timeout := time.AfterFunc(time.Minute, func() {
		ty.mu.Lock()
		defer ty.mu.Unlock()
		ty.ended = true
		ty.change.Broadcast()
	})
	defer timeout.Stop()
	ty.mu.Lock()
	defer ty.mu.Unlock()
	for _, text := range texts {
		for !bytes.Contains(ty.shown, []byte(text)) {
			if ty.ended {
				ty.t.Fatalf("after %q the screen shows %q, want %q", keys, ty.shown, text)
			}
			ty.change.Wait()
		}
		said, rest, _ := bytes.Cut(ty.shown, []byte(text))
		ty.said, ty.shown = string(said), rest
	}
}

// asks types a command and returns what it prints before the next prompt.
func (ty *typist) asks(command string) string {
	ty.t.Helper()
	ty.types(command+"\r", command+"\r\n")
	ty.types("", "\r\n") // which types leaves in said
	said := ty.said
	ty.types("", "# ")
	return said
}

// leaves waits until netsim has ended and returns its exit status.
func (ty *typist) leaves() int {
	ty.t.Helper()
	var exit *exec.ExitError
	if err := ty.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		ty.t.Fatal(err)
	}
	return ty.cmd.ProcessState.ExitCode()
}

// startTerminalLab runs a lab that netsim's commands reach.
func startTerminalLab(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // a short name, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", dir)
	file := filepath.Join(dir, "lab.yaml")
	if err := os.WriteFile(file, []byte(terminalLab), 0o600); err != nil {
		t.Fatal(err)
	}
	spec, err := topology.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Start(context.Background(), spec, lab.Config{Control: true, HostTools: hostTools})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
}

// A shell on a real terminal: echo, line editing, history, Ctrl-C, Ctrl-D and the exit status.
func TestShellOnTerminal(t *testing.T) {
	startTerminalLab(t)
	ty := sit(t, "shell", "a")
	ty.types("", "root@a:/# ")
	ty.types("echo ons\x7fe\r", "echo ons\b \be\r\none\r\n", "root@a:/# ")
	ty.types("\x1b[A\x1b[D\x1b[D\x1b[Dtwo-\r", "\r\ntwo-one\r\n", "root@a:/# ")
	ty.types("forgotten\x03", "forgotten^C\r\nroot@a:/# ")
	ty.types("\x03", "^C\r\nroot@a:/# ")
	ty.types("sleep 100\r", "sleep 100\r\n")
	ty.types("\x03", "^C\r\nroot@a:/# ")
	ty.types("ping 127.0.0.1\r", "icmp_seq=1")
	ty.types("\x03", "^C\r\n--- 127.0.0.1 ping statistics", "root@a:/# ")
	ty.types("cat | cat -n\r", "\r\n")
	ty.types("shout\r", "shout\r\n", "1\tshout\r\n")
	ty.types("\x04", "root@a:/# ")
	ty.types("sh -c 'exit 7'\r", "root@a:/# ")
	ty.types("\x04", "\r\n")
	if code := ty.leaves(); code != 7 {
		t.Errorf("exit status %d, want that of the last command, 7", code)
	}
}

// What docker attaches has the terminal to itself, and gives it back.
func TestDockerOnTerminal(t *testing.T) {
	startTerminalLab(t)
	ty := sit(t, "shell", "a")
	ty.types("", "root@a:/# ")
	ty.types("docker exec -it web1 sh\r", "# ")
	ty.types("echo $((6*7))\r", "echo $((6*7))\r\n42\r\n", "# ")
	ty.types("sleep 100\r", "sleep 100\r\n")
	ty.types("\x03", "^C\r\nroot@", ":/# ")
	ty.types("\x03", "^C\r\nroot@", ":/# ")
	ty.types("exit 3\r", "root@a:/# ")
	ty.types("echo $?\r", "\r\n3\r\n", "root@a:/# ")
	ty.types("docker run -it --name c1 busybox sh\r", "/ # ")
	ty.types("\x10\x11", "root@a:/# ")
	ty.types("docker ps --filter name=c1 --format '{{.Names}} {{.Status}}'\r", "\r\nc1 Up ", "root@a:/# ")
	ty.types("docker attach c1\r", "\r\n")
	ty.types("\r", "/ # ")
	ty.types("exit 4\r", "root@a:/# ")
	ty.types("docker inspect -f '{{.State.ExitCode}}' c1\r", "\r\n4\r\n", "root@a:/# ")
	ty.types("exit\r", "exit\r\n")
	if code := ty.leaves(); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}

// The program hears of the size of the terminal, and of a new one.
func TestSizeOfTerminal(t *testing.T) {
	startTerminalLab(t)
	ty := sit(t, "exec", "a", "--", "docker", "exec", "-it", "web1", "sh")
	ty.types("", "# ")
	if size := ty.asks("stty size"); size != "24 80" {
		t.Errorf("stty size = %q, want 24 80", size)
	}
	ty.resize(30, 100)
	size := ""
	for deadline := time.Now().Add(time.Minute); size != "30 100" && time.Now().Before(deadline); { // it is on its way
		size = ty.asks("stty size")
	}
	if size != "30 100" {
		t.Errorf("stty size = %q after the terminal was made 30 100", size)
	}
	ty.types("exit 5\r", "\r\n")
	if code := ty.leaves(); code != 5 {
		t.Errorf("exit status %d, want that of the program, 5", code)
	}
}

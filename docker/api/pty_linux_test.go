package api

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY returns both sides of a new terminal of 24 by 80.
func openPTY() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(n)), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		_ = master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// screen is all that a terminal has shown.
type screen struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
	more chan struct{}   // has one when there is more
}

func (s *screen) read(r io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		s.mu.Lock()
		s.text.Write(buf[:n])
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
		if err != nil {
			return // EIO: the other side is closed
		}
	}
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the screen shows text behind at, and returns where it ends; -1: it does not. It calls nudge at times.
func (s *screen) await(text string, at int, nudge func()) int {
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		shown := s.String()
		if i := strings.Index(shown[min(at, len(shown)):], text); i >= 0 {
			return at + i + len(text)
		}
		select {
		case <-s.more:
		case <-tick.C:
			nudge()
		case <-late.C:
			return -1
		}
	}
}

// awaitRaw waits until the command has taken the terminal over: what is typed before would be shown twice.
func (c *cli) awaitRaw(master *os.File) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		tio, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
		if err != nil || time.Now().After(deadline) {
			c.t.Fatalf("the terminal is not raw: %v", err)
		}
		if tio.Lflag&unix.ICANON == 0 {
			return
		}
	}
}

// resize gives a terminal another size, "30 100".
func (c *cli) resize(master *os.File, size string) {
	c.t.Helper()
	var w unix.Winsize
	if _, err := fmt.Sscan(size, &w.Row, &w.Col); err != nil {
		c.t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &w); err != nil {
		c.t.Fatal(err)
	}
}

// dialog runs a line on a terminal: it waits for what is to be shown, types, and returns what the terminal has shown.
func (c *cli) dialog(line string, steps []string) string {
	c.t.Helper()
	master, slave, err := openPTY()
	if err != nil {
		c.t.Skipf("there is no terminal here: %v", err)
	}
	defer master.Close() //nolint:errcheck // it only ends it
	cmd := c.command(soon(c.t), line)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	_ = slave.Close() // the command has it
	s := &screen{more: make(chan struct{}, 1)}
	read := make(chan struct{})
	go func() { defer close(read); s.read(master) }()
	at, nudge := 0, func() {}
	for _, step := range steps {
		if step == "< (raw)" {
			c.awaitRaw(master)
			continue
		}
		if size, ok := strings.CutPrefix(step, "! "); ok {
			c.resize(master, size)
			nudge = func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGWINCH) } // docker may not have listened yet
			continue
		}
		text, err := strconv.Unquote(`"` + step[2:] + `"`)
		if err != nil {
			c.t.Fatalf("%s: %v", step, err)
		}
		if step[0] == '<' {
			if at = s.await(text, at, nudge); at < 0 {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				return fmt.Sprintf("%s\n[%q was not shown]", s, text)
			}
			continue
		}
		if _, err := io.WriteString(master, text); err != nil {
			c.t.Fatal(err)
		}
	}
	err = cmd.Wait()
	<-read
	return strings.TrimRight(s.String(), "\r\n") + exitText(err)
}

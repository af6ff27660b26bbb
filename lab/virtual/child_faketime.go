//go:build faketime && unix

package virtual

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// The descriptors that a Command gives its process.
const (
	fdStdout = 3
	fdStderr = 4
	fdAsk    = 5
	fdTimes  = 6
)

// Begin prepares a program that is built for virtual time, first of all: os.Stdout and os.Stderr become descriptors that the
// runtime puts no headers into, one processor is used, so that goroutines take their turns in the same order each time, and the
// clock is set to Start. The context ends when the Command that runs the program says so, or has gone. A program that nobody
// runs so serves alone, and its signals end it.
func Begin() (context.Context, error) {
	runtime.GOMAXPROCS(1)
	noSignals()
	ctx := context.Background()
	child, err := checkChild()
	if err != nil {
		return ctx, err
	}
	stdout, stderr := fdStdout, fdStderr
	if child {
		ctx = obey()
	} else if stdout, stderr, err = doubles(); err != nil {
		return ctx, err
	}
	os.Stdout, os.Stderr = file(stdout, "/dev/stdout"), file(stderr, "/dev/stderr")
	time.Sleep(time.Until(Start))
	return ctx, nil
}

// doubles returns two more descriptors for what 1 and 2 are.
func doubles() (stdout, stderr int, err error) {
	if stdout, err = syscall.Dup(1); err == nil {
		stderr, err = syscall.Dup(2)
	}
	if err != nil {
		err = fmt.Errorf("write past the runtime's headers: %w", err)
	}
	return stdout, stderr, err
}

// obey answers the Command that runs the program, and returns a context that it ends.
func obey() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // a terminal sends them to all; the parent passes them on
	_ = syscall.SetNonblock(fdAsk, true)                         // a read there is no system call that holds the clock
	go answer(os.NewFile(fdAsk, "ask"), file(fdTimes, "times"), cancel)
	return ctx
}

// file returns the file of a descriptor whose writes are system calls, and so hold the clock.
func file(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	_ = syscall.SetNonblock(fd, false) // or it is none, which its first use tells
	return os.NewFile(uintptr(fd), name)
}

// answer tells the time whenever it is asked, until nobody asks any more.
func answer(ask, times *os.File, ended func()) {
	defer ended()
	b := make([]byte, 64)
	for {
		if _, err := ask.Read(b); err != nil {
			return
		}
		if _, err := times.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))); err != nil {
			return
		}
	}
}

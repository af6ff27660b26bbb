package api

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketGone tells whether the other side of a socket has closed it both ways: POLLHUP (poll(2)).
func socketGone(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0) // it does not wait
		gone = err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone // an error: the connection is closed on this side
}

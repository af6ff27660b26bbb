package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"
)

// maxSocketPath is how long the path of a Unix socket may be on the system that allows least (sun_path).
const maxSocketPath = 103

// CheckSocket tells whether path can be that of a Unix socket: an error says what would help.
func CheckSocket(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("path %s has %d bytes, and that of a socket may have %d: set XDG_RUNTIME_DIR to a shorter directory, "+
			"or give the lab or the host a shorter name", path, len(path), maxSocketPath)
	}
	return nil
}

// listenSocket listens on a Unix socket that only its user may open. A socket that nobody listens on any more is removed;
// whatever else is in the way stays, and is an error.
func listenSocket(path string) (net.Listener, error) {
	if err := CheckSocket(path); err != nil {
		return nil, err
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// clearSocket removes the socket that a dead server left at path.
func clearSocket(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which is not followed: remove it", path)
	case fi.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s is in the way, and is no socket: remove it", path)
	}
	if conn, err := net.DialTimeout("unix", path, 2*time.Second); err == nil {
		_ = conn.Close() // it was only to see
		return fmt.Errorf("another server listens on %s", path)
	}
	return os.Remove(path)
}

// boundedListener refuses connections that there is no room for, rather than letting them wait.
type boundedListener struct {
	net.Listener
	room chan struct{}
}

// refusal is what a client is told that there is no room for.
const refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 61\r\n\r\n" +
	`{"message":"too many connections are open: close some first"}`

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.room <- struct{}{}:
			return wrapConn(conn, func() { <-l.room }), nil
		default:
		}
		_ = conn.SetWriteDeadline(time.Now().Add(farewell)) // the kernel takes so little at once
		_, _ = conn.Write([]byte(refusal))                  // the client may have left
		_ = conn.Close()
	}
}

// duplex is a connection of which either direction can end alone.
type duplex interface {
	net.Conn
	CloseWrite() error
}

// countedConn gives its room back when it is closed.
type countedConn struct {
	duplex
	once    sync.Once
	release func()
}

func wrapConn(conn net.Conn, release func()) net.Conn {
	d, ok := conn.(duplex)
	if !ok {
		d = wholeConn{conn}
	}
	return &countedConn{duplex: d, release: release}
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(c.release)
	return c.duplex.Close()
}

// wholeConn is a connection whose directions end together.
type wholeConn struct{ net.Conn }

// CloseWrite ends the whole connection.
func (c wholeConn) CloseWrite() error { return c.Close() }

// memListener hands over connections that are made in memory.
type memListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return "docker" }

// Addr implements net.Listener.
func (l *memListener) Addr() net.Addr { return memAddr{} }

// Accept implements net.Listener.
func (l *memListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *memListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memListener) dial(ctx context.Context) (net.Conn, error) {
	near, far := newPipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, fmt.Errorf("connect to the Docker engine: it is not running")
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to the Docker engine: %w", ctx.Err())
	}
}

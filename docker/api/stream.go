package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/netsim-lab/netsim/docker/engine"
)

const (
	// writePatience is how long a client may take nothing of a stream before it counts as gone.
	writePatience = 30 * time.Second
	// closePatience is how long a client has to close its side once the engine has closed its own: what it still sends is
	// taken meanwhile, for a socket that is closed with bytes in it takes the last output away from the client.
	closePatience = 500 * time.Millisecond
	// gonePoll is how often a client that sends no more is looked at, whether it still reads.
	gonePoll = 500 * time.Millisecond
)

// aLongTimeAgo is a deadline that is over.
var aLongTimeAgo = time.Unix(1, 0)

// stream is a connection that has become one of raw bytes: hijacked. Before open it must not be used.
type stream struct {
	conn   net.Conn
	in     io.Reader       // with what the HTTP server had read ahead
	ctx    context.Context // of what the stream is for
	cancel context.CancelFunc
	quiet  chan struct{} // closed when the client sends no more
	once   sync.Once
	done   chan struct{} // closed by close
	wg     sync.WaitGroup
}

// newStream returns a stream for the time of ctx; it calls cancel when the client has left.
func newStream(ctx context.Context, cancel context.CancelFunc) *stream {
	return &stream{ctx: ctx, cancel: cancel, quiet: make(chan struct{}), done: make(chan struct{})}
}

// contentType is the type of a stream of a container's output.
func (c *call) contentType(tty bool) string {
	if tty || c.version < version142 {
		return types.MediaTypeRawStream
	}
	return types.MediaTypeMultiplexedStream
}

// open takes the connection over and sends the head of the answer. reads tells whether somebody reads what the client
// sends; otherwise it is thrown away.
func (st *stream) open(c *call, tty, reads bool) error {
	conn, rw, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		return fmt.Errorf("take the connection over: %w", err)
	}
	c.started = true
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered()) // it has them
	st.conn, st.in = conn, io.MultiReader(bytes.NewReader(bytes.Clone(ahead)), conn)
	head := "HTTP/1.1 200 OK\r\nContent-Type: " + types.MediaTypeRawStream + "\r\n"
	if c.r.Header.Get("Upgrade") != "" {
		head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: " + c.contentType(tty) + "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
	}
	// The server may have left a deadline of its own on the connection.
	err = errors.Join(conn.SetDeadline(time.Time{}))
	if err == nil {
		_, err = io.WriteString(st, head+"Api-Version: "+c.s.cfg.Release.Version+"\r\nDocker-Experimental: false\r\nOstype: linux\r\n\r\n")
	}
	if !reads {
		st.wg.Go(func() { _, _ = io.Copy(io.Discard, st) }) // up to the end, whatever it is
	}
	st.wg.Go(st.watch)
	return err
}

// Read implements io.Reader for what the client sends. Its end is that of the input only: the client may still read.
func (st *stream) Read(b []byte) (int, error) {
	n, err := st.in.Read(b)
	var timeout net.Error
	if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
		st.once.Do(func() { close(st.quiet) })
	}
	return n, err
}

// SetReadDeadline makes a Read that is under way end.
func (st *stream) SetReadDeadline(t time.Time) error { return st.conn.SetReadDeadline(t) }

// Write implements io.Writer. A client that takes nothing for long is gone.
func (st *stream) Write(b []byte) (int, error) {
	if err := st.conn.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return 0, err
	}
	return st.conn.Write(b)
}

// watch ends what the stream is for when the client has closed the whole connection.
func (st *stream) watch() {
	select {
	case <-st.quiet:
	case <-st.done:
		return
	}
	tick := time.NewTicker(gonePoll)
	defer tick.Stop()
	for !peerGone(st.conn) {
		select {
		case <-tick.C:
		case <-st.done:
			return
		}
	}
	st.cancel()
}

// close ends the stream after its last byte: the client sees the end first, and has a moment to close its side.
func (st *stream) close() {
	if d, ok := st.conn.(duplex); ok && d.CloseWrite() == nil && st.ctx.Err() == nil {
		_ = st.conn.SetReadDeadline(time.Now().Add(closePatience))
		_, _ = io.Copy(io.Discard, st.conn) // up to the end or the deadline
	}
	close(st.done)
	_ = st.conn.Close() // the end of it, one way or the other
	st.wg.Wait()
}

// peerGone tells whether the other side of a connection has closed it both ways. What cannot be told is no.
func peerGone(conn net.Conn) bool {
	for {
		switch v := conn.(type) {
		case *countedConn:
			conn = v.duplex
		case wholeConn:
			conn = v.Conn
		case *pipeConn:
			return v.out.readerGone()
		default:
			return socketGone(conn)
		}
	}
}

// readerGone tells whether nobody reads this direction any more.
func (h *pipeHalf) readerGone() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone
}

// outputs returns where the two outputs of a process go: one stream for a terminal, frames of one stream without.
func outputs(w io.Writer, tty bool) (stdout, stderr io.Writer) {
	if tty {
		return w, w
	}
	return stdcopy.NewStdWriter(w, stdcopy.Stdout), stdcopy.NewStdWriter(w, stdcopy.Stderr)
}

// detachable puts the keys that detach in front of what a client types on a terminal.
func detachable(st *stream, keys string, tty bool) (io.Reader, error) {
	parsed, err := engine.ParseDetachKeys(keys)
	if err != nil || !tty && keys == "" {
		return st, err
	}
	return engine.NewDetachReader(st, parsed), nil
}

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// ServeHTTP serves h on l until ctx ends (nil) or accepting fails. It owns l.
// When ctx ends, connections are cut and requests lose their context; it
// returns once no goroutine of the server is left.
func ServeHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var conns sync.WaitGroup
	srv := &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       because,
		ReadHeaderTimeout: 60 * time.Second,
		IdleTimeout:       65 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				conns.Done()
			}
		},
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = srv.Close()
	})
	err := srv.Serve(l)
	if !stop() {
		<-closed
	}
	cancel()
	_ = srv.Close() // again, for a connection that was just being accepted
	conns.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// because returns the context of a client's requests: whoever follows the client's packets follows what its requests cause.
func because(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(interface {
		Because(context.Context) context.Context
	}); ok {
		return c.Because(ctx)
	}
	return ctx
}

// listenAndServe listens on the process's Net and serves h there. The result
// is the exit status of a program that answers SIGTERM with onTerm.
func listenAndServe(ctx context.Context, p *Process, address string, h http.Handler, onTerm int) int {
	l, err := p.Net.Listen(ctx, "tcp", address)
	if err != nil {
		_, _ = fmt.Fprintf(p.stderr(), "listen on %s: %v\n", address, err)
		return 1
	}
	return serveUntil(ctx, p, l, h, onTerm)
}

// serveUntil serves h on l until ctx ends; the result is as of listenAndServe.
func serveUntil(ctx context.Context, p *Process, l net.Listener, h http.Handler, onTerm int) int {
	if err := ServeHTTP(ctx, l, h); err != nil {
		_, _ = fmt.Fprintf(p.stderr(), "serve on %s: %v\n", l.Addr(), err)
		return 1
	}
	return onTerm
}

// recorder remembers what an access log tells about a response.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// logged calls log after each response of h.
func logged(h http.Handler, log func(r *http.Request, status int, bytes int64)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		h.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.status = http.StatusOK
		}
		log(r, rec.status, rec.bytes)
	})
}

// clientHost returns the address that a request came from, without its port.
func clientHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// writePage writes a whole response with its length.
func writePage(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

package shell

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxSamples bounds what a generator of load remembers of single requests, as hey does; the rest is counted.
const maxSamples = 1_000_000

// load is what ab and hey send: one request, over and over, by several workers.
type load struct {
	sys       *System
	url       *url.URL
	request   string // as it goes over the wire
	method    string
	workers   int
	requests  int           // 0: until time is over
	duration  time.Duration // 0: until all requests are done
	timeout   time.Duration // of one request; 0: none
	rate      float64       // requests a second of each worker; 0: as many as there can be
	keepAlive bool

	addrs   []netip.Addr
	next    atomic.Int64
	mu      sync.Mutex
	samples []sample // guarded by mu
}

// sample is one request: its times, counted from its start.
type sample struct {
	connect, wrote, waited, total time.Duration // connected (0: it was before), written, first byte of the answer, all of it
	code                          int
	head, body                    int64
	server                        string
	err                           error
}

// run sends all requests; the error says that there is nobody to send them to.
func (l *load) run(ctx context.Context) (took time.Duration, err error) {
	host, port := httpPeer(l.url)
	if l.addrs, err = l.sys.lookupAll(ctx, host); err != nil {
		return 0, err
	}
	start := time.Now()
	if l.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.duration)
		defer cancel()
	}
	var wg sync.WaitGroup
	for range l.workers {
		wg.Go(func() { l.work(ctx, port) })
	}
	wg.Wait()
	return time.Since(start), nil
}

// work is one worker: requests one after the other, over one connection if it may stay.
func (l *load) work(ctx context.Context, port string) {
	w := &loadWorker{load: l, port: port}
	defer w.hangUp()
	due := time.Now()
	for ctx.Err() == nil && (l.requests == 0 || l.next.Add(1) <= int64(l.requests)) {
		if l.rate > 0 {
			if !pause(ctx, time.Until(due)) {
				return
			}
			due = due.Add(time.Duration(float64(time.Second) / l.rate))
		}
		s := w.once(ctx)
		if ctx.Err() != nil && s.err != nil {
			return // it was cut off
		}
		l.mu.Lock()
		if len(l.samples) < maxSamples {
			l.samples = append(l.samples, s)
		}
		l.mu.Unlock()
		if s.err != nil {
			w.hangUp()
			if !pause(ctx, time.Millisecond) { // who refuses does so at once, and again
				return
			}
		}
	}
}

// loadWorker is a worker with its connection.
type loadWorker struct {
	*load
	port string
	conn net.Conn // nil: there is none
	in   *bufio.Reader
}

func (w *loadWorker) hangUp() {
	if w.conn != nil {
		w.conn.Close() //nolint:errcheck // nothing waits
		w.conn = nil
	}
}

// once sends one request and reads its answer.
func (w *loadWorker) once(ctx context.Context) (s sample) {
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	start := time.Now()
	if w.conn == nil {
		conn, err := dialAny(ctx, w.sys, w.addrs, w.port, func(netip.Addr) {})
		if err != nil {
			s.err = err
			return s
		}
		w.conn, w.in = conn, bufio.NewReader(conn)
		s.connect = time.Since(start)
	}
	conn := w.conn
	end := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	s.err = w.exchange(&s, start)
	if !end() && s.err == nil { // the deadline may be set, or come any time
		w.hangUp()
	}
	if s.err != nil && ctx.Err() != nil {
		s.err = ctx.Err()
	}
	return s
}

func (w *loadWorker) exchange(s *sample, start time.Time) error {
	if _, err := io.WriteString(w.conn, w.request); err != nil {
		return err
	}
	s.wrote = time.Since(start)
	if _, err := w.in.Peek(1); err != nil {
		return err
	}
	s.waited = time.Since(start)
	head, err := readHead(w.in)
	if err != nil {
		return err
	}
	both := bufio.NewReader(io.MultiReader(strings.NewReader(head), w.in))
	r, err := http.ReadResponse(both, &http.Request{Method: w.method})
	if err != nil {
		return err
	}
	s.head, s.code, s.server = int64(len(head)), r.StatusCode, r.Header.Get("Server")
	if s.body, err = io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	s.total = time.Since(start)
	if !w.keepAlive || r.Close || both.Buffered() > 0 {
		w.hangUp()
	} else {
		w.in = both // it may have read ahead
	}
	return nil
}

// loadText is an error of a request in the words of Go's client, as hey prints it.
func (l *load) loadText(err error) string {
	method := l.method[:1] + strings.ToLower(l.method[1:])
	text := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
	case errors.Is(err, io.EOF):
		text = "EOF"
	case connectText(err) != err.Error():
		text = "dial tcp " + l.url.Host + ": connect: " + strings.ToLower(connectText(err))
	}
	return method + " \"" + l.url.String() + "\": " + text
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

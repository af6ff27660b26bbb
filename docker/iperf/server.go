package iperf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Server is a server. Only Net must be set.
type Server struct {
	Net      Net
	Address  string // empty: any
	Port     int    // 0: DefaultPort
	Once     bool   // end with the first test
	JSON     bool
	Interval time.Duration // of reports; 0: none but the last
	Out      io.Writer     // nil: discarded
	System   string

	mu   sync.Mutex
	test *serverTest // guarded by mu; nil: none runs
}

// Run serves until ctx ends, or the first test if Once; it returns the error of listening.
func (s *Server) Run(ctx context.Context) error {
	if s.Port == 0 {
		s.Port = DefaultPort
	}
	if s.Out == nil {
		s.Out = io.Discard
	}
	ctx, cancel := context.WithCancel(ctx)
	l, err := s.Net.Listen("tcp", net.JoinHostPort(s.Address, strconv.Itoa(s.Port)))
	if err != nil {
		cancel()
		return &ConnectError{"unable to start listener for connections", err}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	end := context.AfterFunc(ctx, func() { l.Close() }) //nolint:errcheck // Accept tells
	defer end()
	s.banner(1)
	done := make(chan struct{})
	tests := 1
	wg.Go(func() {
		for {
			select {
			case <-done:
				if s.Once {
					cancel()
					return
				}
				tests++
				s.banner(tests)
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		conn, err := l.Accept()
		if err != nil {
			return nil
		}
		wg.Go(func() {
			if s.serve(ctx, conn) {
				select {
				case done <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
}

func (s *Server) banner(test int) {
	if !s.JSON {
		const rule = "-----------------------------------------------------------"
		fmt.Fprintf(s.Out, "%s\nServer listening on %d (test #%d)\n%s\n", rule, s.Port, test, rule) //nolint:errcheck // nobody reads
	}
}

// serve is one connection: a stream of the test that runs, or a test. It tells whether it was a test.
func (s *Server) serve(ctx context.Context, conn net.Conn) bool {
	keep := false
	defer func() {
		if !keep {
			conn.Close() //nolint:errcheck // it is of no use any more
		}
	}()
	end := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer end()
	_ = conn.SetReadDeadline(time.Now().Add(setupTimeout))
	var cookie [cookieLen]byte
	if _, err := io.ReadFull(conn, cookie[:]); err != nil || ctx.Err() != nil {
		return false
	}
	_ = conn.SetReadDeadline(time.Time{})
	t := &serverTest{Server: s, cookie: cookie, ctl: control{conn}, joins: make(chan net.Conn), over: make(chan struct{}), ended: make(chan struct{})}
	running := s.begin(t)
	switch {
	case running == nil:
	case running.cookie == cookie:
		keep = running.join(ctx, conn)
		return false
	default:
		_ = t.ctl.put(accessDenied)
		return false
	}
	defer func() {
		s.mu.Lock()
		s.test = nil
		s.mu.Unlock()
		close(t.ended)
	}()
	t.run(ctx)
	return true
}

// begin makes t the test that runs, or returns the one that does. One whose client has its results is waited for: it
// only cleans up.
func (s *Server) begin(t *serverTest) (running *serverTest) {
	for {
		s.mu.Lock()
		if running = s.test; running == nil {
			s.test = t
		}
		s.mu.Unlock()
		if running == nil || running.cookie == t.cookie {
			return running
		}
		select {
		case <-running.over:
			<-running.ended
		default:
			return running
		}
	}
}

// serverTest is the test that a server runs.
type serverTest struct {
	*Server
	cookie [cookieLen]byte
	ctl    control
	joins  chan net.Conn
	p      params
	s      *session
	out    *reporter
	mux    *udpMux       // nil: TCP
	over   chan struct{} // closed before the client learns that it is done
	ended  chan struct{} // closed when nothing is left of the test
}

// join hands a stream to the test; false: it takes no more.
func (t *serverTest) join(ctx context.Context, conn net.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	select {
	case t.joins <- conn:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *serverTest) run(ctx context.Context) {
	t.out = &reporter{out: t.Out, interval: t.Interval, json: t.JSON}
	err := t.steps(ctx)
	if t.s != nil {
		t.s.hangUp()
	}
	if t.mux != nil {
		t.mux.close()
	}
	if t.JSON {
		t.out.finish(err)
	} else if err != nil && ctx.Err() == nil {
		fmt.Fprintf(t.Out, "iperf3: error - %v\n", err) //nolint:errcheck // nobody reads
	}
}

func (t *serverTest) steps(ctx context.Context) error {
	if err := t.ctl.put(paramExchange); err != nil {
		return err
	}
	_ = t.ctl.SetReadDeadline(time.Now().Add(setupTimeout))
	if err := t.ctl.getJSON(&t.p); err != nil {
		return fmt.Errorf("unable to receive parameters from client: %w", err)
	}
	if err := t.p.check(); err != nil {
		t.refuse()
		return err
	}
	t.out.accepted(t)
	t.s = newSession(&t.p, t.p.Reverse, t.out)
	if t.p.Time > 0 {
		t.s.quota = -1
	}
	if err := t.gather(ctx); err != nil {
		t.refuse()
		return err
	}
	_ = t.ctl.SetReadDeadline(time.Time{})
	t.out.connected(t.s)
	for _, st := range []state{testStart, testRunning} {
		if err := t.ctl.put(st); err != nil {
			return err
		}
	}
	if err := t.test(ctx); err != nil {
		return err
	}
	return t.exchange()
}

// refuse tells the client that it asks for what cannot be had (IEUNIMP of iperf_api.h).
func (t *serverTest) refuse() {
	const unimplemented = 13
	_ = t.ctl.put(serverError)
	_, _ = t.ctl.Write(binary.BigEndian.AppendUint64(nil, unimplemented<<32))
}

// gather lets the client open its streams.
func (t *serverTest) gather(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if t.p.UDP {
		pc, err := t.Net.ListenPacket("udp", net.JoinHostPort(t.Address, strconv.Itoa(t.Port)))
		if err != nil {
			return fmt.Errorf("unable to create a new stream: %w", err)
		}
		t.mux = newUDPMux(pc, t.p.Parallel)
	}
	if err := t.ctl.put(createStreams); err != nil {
		return err
	}
	for n := range t.p.Parallel {
		var conn net.Conn
		var udp <-chan *udpConn
		if t.mux != nil {
			udp = t.mux.fresh
		}
		select {
		case conn = <-t.joins:
		case c := <-udp:
			conn = c
		case <-ctx.Done():
			return errors.New("unable to accept streams: the client has not opened them")
		}
		t.s.streams = append(t.s.streams, &stream{id: streamID(n), conn: conn})
	}
	return nil
}

// test moves data until the client says that it is over.
func (t *serverTest) test(ctx context.Context) error {
	run, stop := context.WithCancel(ctx)
	defer stop()
	said := make(chan error, 1)
	go func() {
		defer stop()
		st, err := t.ctl.get()
		switch {
		case err != nil:
			err = errors.New("the client has unexpectedly closed the connection")
		case st == clientTerminate:
			err = errors.New("the client has terminated")
		case st != testEnd:
			err = fmt.Errorf("received an unknown control message (ensure other side is iperf3 and not iperf): %d", st)
		}
		said <- err
	}()
	t.s.run(run)
	if ctx.Err() != nil {
		_ = t.ctl.SetWriteDeadline(time.Now().Add(time.Second))
		_ = t.ctl.put(serverTerminate)
		_ = t.ctl.SetReadDeadline(time.Unix(1, 0))
	}
	return <-said
}

// exchange tells each other what came of it.
func (t *serverTest) exchange() error {
	_ = t.ctl.SetDeadline(time.Now().Add(setupTimeout))
	t.s.hangUp() // or a client would wait for the rest of a block
	if err := t.ctl.put(exchangeResults); err != nil {
		return err
	}
	var far results
	if err := t.ctl.getJSON(&far); err != nil {
		return fmt.Errorf("unable to receive results: %w", err)
	}
	t.out.far = &far
	if err := t.ctl.putJSON(t.s.results(t.out.took)); err != nil {
		return fmt.Errorf("unable to send results: %w", err)
	}
	close(t.over)
	if err := t.ctl.put(displayResults); err != nil {
		return err
	}
	t.out.summary(t.s)
	_ = t.ctl.SetReadDeadline(time.Now().Add(setupTimeout))
	_, _ = t.ctl.get() // iperfDone, or its end
	return nil
}

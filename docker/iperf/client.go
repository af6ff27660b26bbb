package iperf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"time"
)

// Client is one run of a client.
type Client struct {
	Net      Net
	Host     string // as it was typed
	Address  string // where to connect, without a port; empty: Host
	Port     int    // 0: DefaultPort
	UDP      bool
	Time     time.Duration // 0: 10 s, unless Bytes says how long
	Bytes    int64         // 0: as many as go in Time
	Parallel int           // 0: 1
	Reverse  bool          // the server sends
	Len      int           // of a block; 0: 128 kB, with UDP what MSS says
	Bitrate  float64       // bits a second; 0: with UDP 1 Mbit/s, else as fast as it goes; less than 0: as fast as it goes
	Omit     time.Duration // at the begin of the test
	MSS      int           // of the way there, for UDP; 0: 1448
	Interval time.Duration // of reports; 0: none but the last
	JSON     bool
	Connect  time.Duration // how long to try; 0: as long as the system does
	Rand     *rand.Rand    // nil: one of its own
	Out      io.Writer     // nil: discarded
	System   string        // what uname -a says, for JSON
}

// errBusy is what a server says that has a test.
var errBusy = errors.New("the server is busy running a test. try again later")

// Run runs the test and prints its report. The error is in iperf3's words, without its name.
func (c *Client) Run(ctx context.Context) error {
	p := c.params()
	if err := p.check(); err != nil {
		return err
	}
	out := &reporter{out: c.Out, interval: c.Interval, json: c.JSON, client: true}
	if c.Out == nil {
		out.out = io.Discard
	}
	t := &clientTest{Client: c, p: p, out: out, cookie: newCookie(c.random())}
	err := t.run(ctx)
	if c.JSON {
		out.finish(err)
	}
	return err
}

func (c *Client) random() *rand.Rand {
	if c.Rand != nil {
		return c.Rand
	}
	return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
}

// params is what the server is asked for.
func (c *Client) params() *params {
	p := &params{TCP: !c.UDP, UDP: c.UDP, Omit: c.Omit.Seconds(), Time: c.Time.Seconds(), Num: c.Bytes, Parallel: max(c.Parallel, 1),
		Reverse: c.Reverse, Len: c.Len, Bandwidth: c.Bitrate, Pacing: 1000, Version: Version}
	if p.Time == 0 && p.Num == 0 {
		p.Time = 10
	}
	if p.Num > 0 {
		p.Time = 0
	}
	switch {
	case p.Len > 0:
	case !c.UDP:
		p.Len = 128 << 10
	case c.MSS > 0:
		p.Len = c.MSS
	default:
		p.Len = 1448
	}
	if c.UDP && p.Bandwidth == 0 {
		p.Bandwidth = 1 << 20
	}
	p.Bandwidth = max(p.Bandwidth, 0)
	return p
}

// clientTest is a test of a client.
type clientTest struct {
	*Client
	p      *params
	out    *reporter
	cookie string
	ctl    control
	s      *session
}

func (t *clientTest) address() string {
	host, port := t.Address, t.Port
	if host == "" {
		host = t.Host
	}
	if port == 0 {
		port = DefaultPort
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func (t *clientTest) dial(ctx context.Context, network string) (net.Conn, error) {
	if t.Connect > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.Connect)
		defer cancel()
	}
	return t.Net.Dial(ctx, network, t.address())
}

func (t *clientTest) run(ctx context.Context) error {
	conn, err := t.dial(ctx, "tcp")
	if err != nil {
		return &ConnectError{"unable to connect to server", err}
	}
	defer conn.Close() //nolint:errcheck // the test is over
	end := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer end()
	t.ctl = control{conn}
	t.out.connecting(t)
	if _, err := io.WriteString(conn, t.cookie+"\x00"); err != nil {
		return fmt.Errorf("unable to send cookie to server: %w", err)
	}
	t.s = newSession(t.p, !t.p.Reverse, t.out)
	defer t.s.hangUp()
	for {
		st, err := t.ctl.get()
		if err != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			return errors.New("control socket has closed unexpectedly")
		}
		if done, err := t.step(ctx, st); done || err != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			return err
		}
	}
}

// errInterrupted is the end of a test by a signal.
var errInterrupted = errors.New("interrupt - the client has terminated")

// ConnectError says that a connection could not be made; the message is without its cause, which the tool words.
type ConnectError struct {
	What string
	Err  error
}

// Error implements error.
func (e *ConnectError) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// step does what the server asks for.
func (t *clientTest) step(ctx context.Context, st state) (done bool, err error) {
	switch st {
	case paramExchange:
		return false, t.ctl.putJSON(t.p)
	case createStreams:
		for n := range t.p.Parallel {
			if err := t.open(ctx, n); err != nil {
				return false, &ConnectError{"unable to connect stream", err}
			}
		}
		return false, nil
	case testStart:
		t.out.connected(t.s)
		return false, nil
	case testRunning:
		return false, t.test(ctx)
	case exchangeResults:
		return false, t.exchange()
	case displayResults:
		t.out.summary(t.s)
		return true, t.ctl.put(iperfDone)
	case accessDenied:
		return false, errBusy
	case serverTerminate:
		return false, errors.New("the server has terminated")
	case serverError:
		return false, t.serverError()
	}
	return false, fmt.Errorf("received an unknown control message (ensure other side is iperf3 and not iperf): %d", st)
}

func (t *clientTest) serverError() error {
	var b [8]byte
	if _, err := io.ReadFull(t.ctl, b[:]); err != nil {
		return errors.New("the server has terminated")
	}
	return fmt.Errorf("SERVER ERROR - error %d", int32(binary.BigEndian.Uint32(b[:])))
}

// open connects a stream.
func (t *clientTest) open(ctx context.Context, n int) error {
	network, hello := "tcp", []byte(t.cookie+"\x00")
	if t.p.UDP {
		network, hello = "udp", binary.LittleEndian.AppendUint32(nil, udpHello)
	}
	conn, err := t.dial(ctx, network)
	if err != nil {
		return err
	}
	t.s.streams = append(t.s.streams, &stream{id: streamID(n), conn: conn})
	if _, err := conn.Write(hello); err != nil || !t.p.UDP {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(setupTimeout)); err != nil {
		return err
	}
	end := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer end()
	if _, err := conn.Read(make([]byte, 16)); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("unable to read from stream socket: timed out")
		}
		return err
	}
	return conn.SetReadDeadline(time.Time{})
}

// test moves data until time or bytes are over and tells the server.
func (t *clientTest) test(ctx context.Context) error {
	run, stop := context.WithCancel(ctx)
	if t.p.Time > 0 {
		run, stop = context.WithTimeout(ctx, time.Duration((t.p.Time+t.p.Omit)*float64(time.Second)))
	}
	defer stop()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		t.watch(run, stop)
	}()
	t.s.run(run)
	stop()
	<-watched
	if ctx.Err() != nil {
		_ = t.ctl.SetWriteDeadline(time.Now().Add(time.Second))
		_ = t.ctl.put(clientTerminate)
		return errInterrupted
	}
	return t.ctl.put(testEnd)
}

// watch stops a test whose bytes are all sent, or have all come.
func (t *clientTest) watch(run context.Context, stop func()) {
	if t.p.Num == 0 {
		return
	}
	for run.Err() == nil {
		select {
		case <-t.s.spent:
			stop()
			return
		default:
		}
		if !t.s.sender && t.s.total() >= t.p.Num {
			stop()
			return
		}
		wait(run, 2*time.Millisecond)
	}
}

// total is how many bytes have passed.
func (s *session) total() (n int64) {
	for _, st := range s.streams {
		n += st.read().bytes
	}
	return n
}

func (t *clientTest) exchange() error {
	if err := t.ctl.putJSON(t.s.results(t.out.took)); err != nil {
		return fmt.Errorf("unable to send results: %w", err)
	}
	var far results
	if err := t.ctl.getJSON(&far); err != nil {
		return fmt.Errorf("unable to receive results: %w", err)
	}
	t.out.far = &far
	return nil
}

package iperf

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for.
const patience = 30 * time.Second

// loopback are the sockets of this machine, on loopback.
type loopback struct{}

func (loopback) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}
func (loopback) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}
func (loopback) ListenPacket(network, address string) (net.PacketConn, error) {
	return net.ListenPacket(network, address)
}

// freePort returns a port of loopback that nobody has, for TCP and UDP.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serve runs a server until the test ends and returns its port.
func serve(t *testing.T) (int, *fabrictest.Output) {
	t.Helper()
	out := new(fabrictest.Output)
	s := &Server{Net: loopback{}, Address: "127.0.0.1", Port: freePort(t), Interval: time.Second, Out: out}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	idle(t, out, 1)
	return s.Port, out
}

// idle waits until a server listens for its n-th test.
func idle(t *testing.T, out *fabrictest.Output, n int) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(out.String(), fmt.Sprintf("(test #%d)", n)); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the server does not listen:\n%s", out)
		}
	}
}

// report is what the tests look at of a document.
type report struct {
	End struct {
		Streams  []json.RawMessage `json:"streams"`
		Sent     figures           `json:"sum_sent"`
		Received figures           `json:"sum_received"`
		Sum      figures           `json:"sum"`
	} `json:"end"`
	Error string `json:"error"`
}

// check tells whether a report of a test tells of data that came through.
func check(t *testing.T, text []byte, streams int, udp bool) {
	t.Helper()
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Errorf("%v in %s", err, text)
	}
	switch {
	case r.Error != "":
		t.Errorf("error %q", r.Error)
	case len(r.End.Streams) != streams:
		t.Errorf("%d streams, want %d", len(r.End.Streams), streams)
	case !udp && (r.End.Received.Bytes <= 0 || r.End.Sent.Bytes < r.End.Received.Bytes):
		t.Errorf("%d bytes received, %d sent", r.End.Received.Bytes, r.End.Sent.Bytes)
	case udp && (r.End.Sum.Packets == nil || *r.End.Sum.Packets == 0 || *r.End.Sum.Lost > *r.End.Sum.Packets/2):
		t.Errorf("sum %s", text)
	}
}

var variants = []struct {
	name    string
	client  Client
	args    []string
	streams int
}{
	{"TCP", Client{}, nil, 1},
	{"TCP, reverse", Client{Reverse: true}, []string{"-R"}, 1},
	{"TCP, three streams", Client{Parallel: 3}, []string{"-P", "3"}, 3},
	{"UDP", Client{UDP: true, Bitrate: 4e6}, []string{"-u", "-b", "4M"}, 1},
	{"UDP, reverse, two streams", Client{UDP: true, Bitrate: 4e6, Reverse: true, Parallel: 2}, []string{"-u", "-b", "4M", "-R", "-P", "2"}, 2},
}

func TestClientAndServer(t *testing.T) {
	port, far := serve(t)
	for n, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			idle(t, far, n+1)
			var out bytes.Buffer
			c := v.client
			c.Net, c.Host, c.Port, c.Time, c.JSON, c.Out = loopback{}, "127.0.0.1", port, 200*time.Millisecond, true, &out
			if err := c.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, out.Bytes(), v.streams, c.UDP)
		})
	}
}

// A number of bytes is sent to the last, and both ends count the same.
func TestClientSendsBytes(t *testing.T) {
	port, far := serve(t)
	var out bytes.Buffer
	c := &Client{Net: loopback{}, Host: "127.0.0.1", Port: port, Bytes: 1 << 20, Out: &out, Interval: time.Second}
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "1.00 MBytes"); n != 3 || !strings.HasSuffix(out.String(), "receiver\n\niperf Done.\n") {
		t.Errorf("client printed\n%s", out.String())
	}
	for end := time.Now().Add(patience); !strings.Contains(far.String(), "test #2"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("server printed\n%s", far)
		}
	}
	if !strings.Contains(far.String(), "Accepted connection from 127.0.0.1, port ") || !strings.Contains(far.String(), "receiver\n") {
		t.Errorf("server printed\n%s", far)
	}
}

// The real program gets its report from this server.
func TestServerServesRealClient(t *testing.T) {
	program, err := exec.LookPath("iperf3")
	if err != nil {
		t.Skip("no iperf3 on this machine")
	}
	port, far := serve(t)
	for n, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			idle(t, far, n+1)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, program, append([]string{"-c", "127.0.0.1", "-p", strconv.Itoa(port), "-J", "-t", "1"}, v.args...)...).Output()
			if err != nil {
				t.Fatalf("%v\n%s\nserver:\n%s", err, out, far)
			}
			check(t, out, v.streams, v.client.UDP)
			if t.Failed() {
				t.Logf("the server printed\n%s", far)
			}
		})
	}
}

// And so does this client from the real server.
func TestClientAsksRealServer(t *testing.T) {
	program, err := exec.LookPath("iperf3")
	if err != nil {
		t.Skip("no iperf3 on this machine")
	}
	port := freePort(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-s", "-B", "127.0.0.1", "-p", strconv.Itoa(port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait()
	}()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			var out bytes.Buffer
			c := v.client
			c.Net, c.Host, c.Port, c.Time, c.JSON, c.Out = loopback{}, "127.0.0.1", port, time.Second, true, &out
			for {
				out.Reset()
				err := c.Run(ctx)
				if err == nil {
					break
				}
				if ctx.Err() != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond) // it does not yet listen, or is busy with the end of the test before
			}
			check(t, out.Bytes(), v.streams, c.UDP)
		})
	}
}

// Who asks while a test runs is told so, and who asks for nonsense, too.
func TestServerRefuses(t *testing.T) {
	port, far := serve(t)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	hold, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	if _, err := hold.Write(append(bytes.Repeat([]byte("a"), cookieLen-1), 0)); err != nil {
		t.Fatal(err)
	}
	if st, err := (control{hold}).get(); err != nil || st != paramExchange {
		t.Fatalf("state %d, %v", st, err)
	}
	c := &Client{Net: loopback{}, Host: "127.0.0.1", Port: port}
	if err := c.Run(t.Context()); err != errBusy {
		t.Errorf("a second client: %v, want %v", err, errBusy)
	}
	if err := (control{hold}).putJSON(&params{TCP: true, Parallel: 1 << 30, Len: 1}); err != nil {
		t.Fatal(err)
	}
	if st, err := (control{hold}).get(); err != nil || st != serverError {
		t.Errorf("state %d, %v; want %d", st, err, serverError)
	}
	for end := time.Now().Add(patience); !strings.Contains(far.String(), "1073741824 streams"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("server printed\n%s", far)
		}
	}
}

package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

func FuzzReadFrame(f *testing.F) {
	good, err := frame{kind: kindRequest, method: "raft.step", body: []byte("body")}.encode(DefaultLimit)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0, 0, 0, 2, 1, 9})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readFrame(bytes.NewReader(b), 1<<16)
		if err != nil {
			return
		}
		again, err := got.encode(1 << 16)
		if err != nil || !bytes.HasPrefix(b, again) {
			t.Errorf("%+v is built as %x, %v; want what it was read from: %x", got, again, err, b)
		}
	})
}

func TestReadFrame(t *testing.T) {
	for _, row := range []struct {
		name string
		b    []byte
		err  error
	}{
		{"nothing", nil, io.EOF},
		{"half a length", []byte{0, 0}, io.ErrUnexpectedEOF},
		{"too long", []byte{0, 0, 1, 1}, ErrTooLarge},
		{"too short", []byte{0, 0, 0, 1, 1}, errFrame},
		{"less than said", []byte{0, 0, 0, 9, 1, 0}, errFrame},
		{"a method beyond the end", []byte{0, 0, 0, 3, 1, 2, 'a'}, errFrame},
		{"no kind", []byte{0, 0, 0, 2, 0, 0}, errFrame},
	} {
		if f, err := readFrame(bytes.NewReader(row.b), 256); !errors.Is(err, row.err) {
			t.Errorf("%s: readFrame = %v, %v; want %v", row.name, f, err, row.err)
		}
	}
	f := frame{kind: kindAnswer, method: "m", body: []byte("b")}
	b, err := f.encode(256)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readFrame(bytes.NewReader(b), 256); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("readFrame = %v, %v; want %v", got, err, f)
	}
	if _, err := (frame{method: strings.Repeat("m", 256)}).encode(DefaultLimit); !errors.Is(err, ErrTooLarge) {
		t.Errorf("encode with a long method = %v", err)
	}
}

// bed is two hosts, one of which serves.
type bed struct {
	testing.TB
	authority   *ca.Authority
	server      *Server
	near, far   *netns.Namespace
	luck        *rand.Rand
	address     string
	ctx         context.Context
	wg          sync.WaitGroup
	mu          sync.Mutex
	seen        []Request // guarded by mu
	stopServing context.CancelFunc
}

func newBed(t testing.TB, more ...func(*Server)) *bed {
	t.Helper()
	b := &bed{TB: t, luck: rand.New(rand.NewPCG(1, 1)), address: "192.168.1.2:2377"}
	var stop context.CancelFunc
	b.ctx, stop = context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); b.wg.Wait() })
	var err error
	if b.authority, err = ca.New(ca.Config{Cluster: "c1"}, time.Now(), b.luck); err != nil {
		t.Fatal(err)
	}
	b.near, b.far = netns.New(netns.Config{Name: "near"}), netns.New(netns.Config{Name: "far"})
	if _, _, err := netns.NewVethPair(b.near, netns.InterfaceConfig{Name: "eth0", Addr: netip.MustParsePrefix("192.168.1.1/24")},
		b.far, netns.InterfaceConfig{Name: "eth0", Addr: netip.MustParsePrefix("192.168.1.2/24")}); err != nil {
		t.Fatal(err)
	}
	b.run(b.ctx, b.near.Run)
	b.run(b.ctx, b.far.Run)
	id := b.identity(b.authority, "m1", ca.Manager)
	b.server = &Server{Cluster: "c1", Limit: 1 << 20, TLS: func() *tls.Config { return id.ServerTLS(nil) }}
	echo := func(_ context.Context, r Request) ([]byte, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen = append(b.seen, r)
		return r.Body, nil
	}
	b.server.Handle("echo", echo)
	b.server.Handle("silent", func(_ context.Context, r Request) ([]byte, error) { return r.Body, nil })
	b.server.Handle("manage", echo, ca.Manager)
	b.server.Handle("wait", func(ctx context.Context, _ Request) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
	b.server.Handle("fail", func(context.Context, Request) ([]byte, error) { return nil, io.ErrNoProgress })
	b.server.Handle("big", func(context.Context, Request) ([]byte, error) { return make([]byte, 2<<20), nil })
	for _, f := range more {
		f(b.server)
	}
	l, err := b.far.Listen("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stopServing := context.WithCancel(b.ctx)
	b.stopServing = stopServing
	b.run(ctx, func(ctx context.Context) error { return b.server.Serve(ctx, l) })
	return b
}

func (b *bed) run(ctx context.Context, f func(context.Context) error) {
	b.wg.Go(func() {
		if err := f(ctx); err != nil && b.ctx.Err() == nil { // the namespace may end before the server hears that it is to
			b.Error(err)
		}
	})
}

func (b *bed) identity(by *ca.Authority, node string, role ca.Role) *ca.Identity {
	b.Helper()
	key, request, err := ca.NewRequest(b.luck)
	if err != nil {
		b.Fatal(err)
	}
	chain, err := by.Issue(request, node, role, time.Now(), b.luck)
	if err != nil {
		b.Fatal(err)
	}
	id, err := ca.NewIdentity(key, chain, by.Root())
	if err != nil {
		b.Fatal(err)
	}
	return id
}

func (b *bed) client(cfg *tls.Config) *Client {
	c := &Client{Dial: b.near.Dial, TLS: func() *tls.Config { return cfg }}
	b.Cleanup(c.Close)
	return c
}

func (b *bed) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(b.ctx, d)
	b.Cleanup(cancel)
	return ctx
}

func TestCall(t *testing.T) {
	b := newBed(t)
	c := b.client(b.identity(b.authority, "w1", ca.Worker).ClientTLS(nil))
	ctx := b.within(patience)
	for i := range 3 {
		text := fmt.Sprint("hello ", i)
		if got, err := c.Call(ctx, b.address, "echo", []byte(text)); err != nil || string(got) != text {
			t.Errorf("Call = %q, %v; want %q", got, err, text)
		}
	}
	if want := (ca.Subject{Node: "w1", Role: ca.Worker, Cluster: "c1"}); b.seen[0].Peer != want || b.seen[0].Stranger {
		t.Errorf("the handler sees %+v; want %v", b.seen[0], want)
	}
	if a, z := b.seen[0].Remote.String(), b.seen[2].Remote.String(); a != z {
		t.Errorf("three calls came from %s and %s: a connection is not used again", a, z)
	}
	for _, row := range []struct{ method, text string }{
		{"fail", io.ErrNoProgress.Error()},
		{"nothing", `unknown method "nothing"`},
		{"manage", "remote certificate not part of OUs: [swarm-manager]"},
		{"big", ErrTooLarge.Error()},
	} {
		_, err := c.Call(ctx, b.address, row.method, nil)
		var remote RemoteError
		if !errors.As(err, &remote) || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: Call = %v; want %s", row.method, err, row.text)
		}
	}
	if _, err := c.Call(ctx, b.address, "fail", nil); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Call = %v; it is not the error of the same text", err)
	}
	if r := b.server.Refusals(); r.Denied != 2 {
		t.Errorf("Refusals = %+v; want 2 denied", r)
	}
}

func TestStrangers(t *testing.T) {
	b := newBed(t)
	cfg, err := ca.JoinTLS(b.authority.Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := b.client(cfg), b.within(patience)
	if _, err := c.Call(ctx, b.address, "echo", nil); err != nil || !b.seen[0].Stranger {
		t.Errorf("Call without a certificate = %v", err)
	}
	if _, err := c.Call(ctx, b.address, "manage", nil); err == nil || !strings.Contains(err.Error(), "no client certificates in request") {
		t.Errorf("W16: Call of a manager's method = %v", err)
	}
	if _, err := c.Call(ctx, b.address, "echo", make([]byte, 2*strangerLimit)); err == nil {
		t.Error("a stranger's large frame was taken")
	}
	if r := b.server.Refusals(); r.Oversized != 1 || r.Denied != 1 {
		t.Errorf("Refusals = %+v; want 1 oversized, 1 denied", r)
	}
}

func TestForeignCertificate(t *testing.T) {
	b := newBed(t)
	foreign, err := ca.New(ca.Config{Cluster: "c1"}, time.Now(), b.luck)
	if err != nil {
		t.Fatal(err)
	}
	cfg := b.identity(foreign, "m1", ca.Manager).ClientTLS(nil)
	cfg.InsecureSkipVerify = true // so that it is the server who refuses
	if _, err := b.client(cfg).Call(b.within(patience), b.address, "echo", nil); err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
		t.Errorf("W16: Call with a foreign certificate = %v", err)
	}
	for limit := time.Now().Add(patience); b.server.Refusals().Handshake == 0 && time.Now().Before(limit); { // the client hears of it first
		runtime.Gosched()
	}
	if r := b.server.Refusals(); r.Handshake != 1 || len(b.seen) != 0 {
		t.Errorf("Refusals = %+v and %d calls; want 1 handshake", r, len(b.seen))
	}
}

func TestGarbage(t *testing.T) {
	b := newBed(t)
	conn, err := b.near.Dial(b.within(patience), "tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("the connection ended with %v", err)
	}
	if r := b.server.Refusals(); r.Handshake != 1 {
		t.Errorf("Refusals = %+v; want 1 handshake", r)
	}
	cfg := b.identity(b.authority, "w1", ca.Worker).ClientTLS(nil)
	raw, err := b.near.Dial(b.within(patience), "tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, cfg)
	if _, err := c.Write([]byte{0, 0, 0, 2, kindAnswer, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("an answer to nothing was answered")
	}
	if r := b.server.Refusals(); r.Malformed != 1 {
		t.Errorf("Refusals = %+v; want 1 malformed", r)
	}
}

func TestCallsEnd(t *testing.T) {
	b := newBed(t)
	c := b.client(b.identity(b.authority, "w1", ca.Worker).ClientTLS(nil))
	if _, err := c.Call(b.within(50*time.Millisecond), b.address, "wait", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call of what never answers = %v", err)
	}
	if _, err := c.Call(b.within(patience), "192.168.1.2:2378", "echo", nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("Call of nobody = %v; want one that was not sent", err)
	}
	if _, err := c.Call(b.within(patience), b.address, strings.Repeat("m", 300), nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("Call of a long method = %v", err)
	}
	done := make(chan error)
	go func() {
		_, err := c.Call(b.within(patience), b.address, "wait", nil)
		done <- err
	}()
	b.stopServing()
	if err := <-done; err == nil {
		t.Error("Call of a server that ends = nil")
	}
}

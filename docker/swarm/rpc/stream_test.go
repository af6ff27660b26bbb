package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
)

// flows adds streams to a server; ended hears of each that ends because the peer is gone.
func flows(s *Server, ended chan<- struct{}) {
	s.HandleStream("count", func(_ context.Context, r Request, send func([]byte) error) error {
		for i := range 3 {
			if err := send(fmt.Appendf(nil, "%s %d", r.Body, i)); err != nil {
				return err
			}
		}
		return nil
	})
	s.HandleStream("break", func(_ context.Context, _ Request, send func([]byte) error) error {
		return errors.Join(send([]byte("x")), io.ErrNoProgress)
	})
	s.HandleStream("wait for ever", func(ctx context.Context, _ Request, send func([]byte) error) error {
		if err := send(nil); err != nil {
			return err
		}
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	}, ca.Manager)
}

func drain(f *Flow) (all []string, err error) {
	for {
		b, err := f.Recv()
		if err != nil {
			return all, err
		}
		all = append(all, string(b))
	}
}

func TestStream(t *testing.T) {
	b := newBed(t, func(s *Server) { flows(s, nil) })
	c := b.client(b.identity(b.authority, "w1", ca.Worker).ClientTLS(nil))
	for _, row := range []struct {
		method, want string
		err          error
		text         string
	}{
		{"count", "n 0,n 1,n 2", io.EOF, ""},
		{"break", "x", io.ErrNoProgress, ""},
		{"wait for ever", "", nil, "remote certificate not part of OUs"},
		{"nothing", "", nil, "unknown method"},
	} {
		f, err := c.Stream(b.within(patience), b.address, row.method, []byte("n"))
		if err != nil {
			t.Fatal(err)
		}
		all, err := drain(f)
		f.Close()
		if got := strings.Join(all, ","); got != row.want || row.err != nil && !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: %q, %v; want %q, %v %s", row.method, got, err, row.want, row.err, row.text)
		}
	}
	if _, err := c.Call(b.within(patience), b.address, "count", nil); err == nil {
		t.Error("Call of a stream = nil")
	}
}

// A stream ends on both sides when the client closes it, when its context ends, and when the server does.
func TestStreamEnds(t *testing.T) {
	ended := make(chan struct{}, 8)
	b := newBed(t, func(s *Server) { flows(s, ended) })
	c := b.client(b.identity(b.authority, "m2", ca.Manager).ClientTLS(nil))
	for _, row := range []struct {
		name string
		end  func(*Flow, context.CancelFunc)
	}{
		{"closed", func(f *Flow, _ context.CancelFunc) { f.Close() }},
		{"the context ends", func(_ *Flow, cancel context.CancelFunc) { cancel() }},
		{"the server ends", func(*Flow, context.CancelFunc) { b.stopServing() }},
	} {
		ctx, cancel := context.WithCancel(b.within(patience))
		f, err := c.Stream(ctx, b.address, "wait for ever", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Recv(); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		row.end(f, cancel)
		if _, err := f.Recv(); err == nil || row.name != "the server ends" && !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: Recv = %v", row.name, err)
		}
		<-ended
		f.Close()
		cancel()
	}
}

func BenchmarkCall(b *testing.B) {
	s := newBed(b)
	c := s.client(s.identity(s.authority, "w1", ca.Worker).ClientTLS(nil))
	body := make([]byte, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Call(s.ctx, s.address, "silent", body); err != nil {
			b.Fatal(err)
		}
	}
}

// What a stream's message costs, of a kilobyte.
func BenchmarkStream(b *testing.B) {
	s := newBed(b, func(s *Server) {
		s.HandleStream("flood", func(_ context.Context, _ Request, send func([]byte) error) error {
			for body := make([]byte, 1000); ; {
				if err := send(body); err != nil {
					return err
				}
			}
		})
	})
	f, err := s.client(s.identity(s.authority, "w1", ca.Worker).ClientTLS(nil)).Stream(s.ctx, s.address, "flood", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.SetBytes(1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Recv(); err != nil {
			b.Fatal(err)
		}
	}
}

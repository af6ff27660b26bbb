package lab

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// script is a client that has said everything already.
type script struct {
	io.Reader
	said bytes.Buffer // by the server
}

func (s *script) Write(b []byte) (int, error) { return s.said.Write(b) }

func TestReadSOCKS(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, row := range []struct {
		name, in, said, target string
		reply                  byte // of the error
		fails                  bool
	}{
		{name: "an IPv4 address", in: "\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x02\x00\x50", said: "\x05\x00", target: "10.0.0.2:80"},
		{name: "a name", in: "\x05\x02\x02\x00\x05\x01\x00\x03\x06host-a\x1f\x40", said: "\x05\x00", target: "host-a:8000"},
		{name: "the longest name", in: "\x05\x01\x00\x05\x01\x00\x03\xff" + long + "\x00\x01", said: "\x05\x00", target: long + ":1"},
		{name: "an IPv6 address", in: "\x05\x01\x00\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + "\x01\x00\x50", said: "\x05\x00", target: "[::1]:80"},
		{name: "only with a password", in: "\x05\x01\x02", said: "\x05\xff", fails: true},
		{name: "no method", in: "\x05\x00", said: "\x05\xff", fails: true},
		{name: "bind", in: "\x05\x01\x00\x05\x02\x00\x01\x0a\x00\x00\x02\x00\x50", said: "\x05\x00", fails: true, reply: socksCommandUnsupported},
		{name: "an unknown kind of address", in: "\x05\x01\x00\x05\x01\x00\x02\x0a", said: "\x05\x00", fails: true, reply: socksAddressUnsupported},
		{name: "an empty name", in: "\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", said: "\x05\x00", fails: true, reply: socksAddressUnsupported},
		{name: "version 4", in: "\x04\x01\x00\x50\x0a\x00\x00\x02\x00", fails: true},
		{name: "cut short", in: "\x05\x01\x00\x05\x01\x00\x03\x06host", said: "\x05\x00", fails: true},
	} {
		s := &script{Reader: strings.NewReader(row.in)}
		target, err := readSOCKS(s)
		if target != row.target || s.said.String() != row.said || (err != nil) != row.fails {
			t.Errorf("%s: readSOCKS = %q, %v, said %q; want %q, said %q", row.name, target, err, s.said.String(), row.target, row.said)
		}
		var se *socksError
		if errors.As(err, &se) != (row.reply != 0) || se != nil && se.reply != row.reply {
			t.Errorf("%s: readSOCKS fails with %#v; want reply %d", row.name, err, row.reply)
		}
	}
}

func TestSOCKSReplies(t *testing.T) {
	for _, row := range []struct {
		err  error
		want byte
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, socksRefused},
		{syscall.ENETUNREACH, socksNetUnreachable},
		{syscall.EHOSTUNREACH, socksHostUnreachable},
		{&net.DNSError{Err: "no such host"}, socksHostUnreachable},
		{&socksError{reply: socksCommandUnsupported}, socksCommandUnsupported},
		{context.DeadlineExceeded, socksHostUnreachable},
		{io.ErrNoProgress, socksFailed},
	} {
		if got := socksReplyTo(row.err); got != row.want {
			t.Errorf("socksReplyTo(%v) = %d; want %d", row.err, got, row.want)
		}
	}
	got := socksReply(socksOK, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 0x1234})
	if want := "\x05\x00\x00\x01\x0a\x00\x00\x01\x12\x34"; string(got) != want {
		t.Errorf("socksReply = % x; want % x", got, want)
	}
	if got, want := string(socksReply(socksRefused, nil)), "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"; got != want {
		t.Errorf("socksReply = % x; want % x", got, want)
	}
}

func FuzzReadSOCKS(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x02\x00\x50"))
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x06host-a\x1f\x40"))
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + "\x01\x00\x50"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &script{Reader: bytes.NewReader(in)}
		target, err := readSOCKS(s)
		if said := s.said.String(); said != "" && said != "\x05\x00" && said != "\x05\xff" {
			t.Errorf("said % x", said)
		}
		if err != nil {
			return
		}
		host, port, err := net.SplitHostPort(target)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if name := target[:max(strings.LastIndexByte(target, ':'), 0)]; strings.ContainsAny(name, "[]:") && net.ParseIP(host) == nil {
			return // a name that is none; who resolves it says so
		}
		if err != nil || host == "" {
			t.Errorf("target %q: %v", target, err)
		}
	})
}

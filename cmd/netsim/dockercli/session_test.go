package dockercli

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	cliflags "github.com/docker/cli/cli/flags"
)

// A connection that comes when the call is over is closed, and holds up nobody.
func TestLateConnection(t *testing.T) {
	near, far := net.Pipe()
	s := &session{opts: cliflags.NewClientOptions(), conns: map[net.Conn]struct{}{}}
	s.opts.Hosts = []string{defaultHost}
	s.dial = func(context.Context) (net.Conn, error) {
		s.cut()
		return near, nil
	}
	if c, err := s.connect(t.Context()); c != nil || !errors.Is(err, errOver) {
		t.Errorf("connect = %v, %v; want %v", c, err, errOver)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection's other end reads %v, want %v", err, io.EOF)
	}
}

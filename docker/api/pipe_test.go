package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestPipe(t *testing.T) {
	a, b := newPipe()
	payload := bytes.Repeat([]byte("0123456789abcdef"), 3*pipeRoom/16)
	done := make(chan error, 1)
	go func() {
		if _, err := a.Write(payload); err != nil {
			done <- err
			return
		}
		done <- a.CloseWrite()
	}()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, payload) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(payload))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// a's direction has ended; b's has not.
	if _, err := b.Write([]byte("back")); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 8)
	if n, err := a.Read(buf); err != nil || string(buf[:n]) != "back" {
		t.Errorf("after a half close: %q, %v", buf[:n], err)
	}
	if err := a.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	if err := a.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() { done <- a.SetReadDeadline(time.Now().Add(time.Millisecond)) }()
	if _, err := a.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline that comes while a read waits: %v", err)
	}
	if err := errors.Join(<-done, a.Close()); err != nil {
		t.Error(err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write to a closed end: %v", err)
	}
	if n, err := b.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("read from a closed end: %d, %v", n, err)
	}
	if _, err := a.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of the closer: %v", err)
	}
}

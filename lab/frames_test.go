package lab

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
)

// bytesConn is a connection that reads from and writes to memory.
type bytesConn struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *bytesConn) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c *bytesConn) Write(b []byte) (int, error) { return c.out.Write(b) }

func FuzzFrames(f *testing.F) {
	f.Add([]byte{frameIn, 0, 0, 0, 3, 'a', 'b', 'c', frameInEnd, 0, 0, 0, 0})
	f.Add([]byte{frameRequest, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{frameOut, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		conn := &bytesConn{in: bytes.NewReader(b)}
		fr := newFrames(conn)
		read := 0
		for {
			kind, body, err := fr.read()
			if err != nil {
				break
			}
			if err := fr.write(kind, body); err != nil {
				t.Fatal(err)
			}
			read += 5 + len(body)
		}
		if !bytes.Equal(conn.out.Bytes(), b[:read]) {
			t.Errorf("read and written again: % x; want % x", conn.out.Bytes(), b[:read])
		}
	})
}

func TestInbox(t *testing.T) {
	in := newInbox()
	in.put([]byte("hello"))
	b := make([]byte, 3)
	if n, err := in.Read(b); n != 3 || err != nil || string(b) != "hel" {
		t.Errorf("Read = %d, %v, %q; want hel", n, err, b)
	}
	in.end()
	if rest, err := io.ReadAll(in); string(rest) != "lo" || err != nil {
		t.Errorf("ReadAll = %q, %v; want lo", rest, err)
	}
	full := newInbox()
	full.put(make([]byte, inboxLimit+1))
	waiting := make(chan struct{})
	go func() { full.put([]byte("more")); close(waiting) }()
	select {
	case <-waiting:
		t.Error("put into a full inbox did not wait")
	case <-time.After(10 * time.Millisecond):
	}
	full.close()
	<-waiting
	if _, err := full.Read(b); !errors.Is(err, errInboxClosed) {
		t.Errorf("Read of a closed inbox: %v", err)
	}
}

func BenchmarkMTUPort(b *testing.B) {
	link := fabric.NewLink("a", "b")
	link.SetUp(false) // what is sent is dropped at once
	p := mtuPort{link.A(), 1500}
	frame := fabric.FromBytes(make([]byte, 1000))
	batch := make([]*fabric.Frame, 1)
	b.ReportAllocs()
	for b.Loop() {
		batch[0] = frame.Clone()
		p.Send(batch)
	}
}

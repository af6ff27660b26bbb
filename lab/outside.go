package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Listening is a real socket through which programs outside of the lab reach into it.
type Listening struct {
	Kind   string `json:"kind"`   // "expose", "proxy" or "vxlan"
	Listen string `json:"listen"` // ADDRESS:PORT of this machine
	Node   string `json:"node"`   // where what comes in goes to, or enters the lab; what a cable leads to
	Port   uint16 `json:"port,omitempty"`
	Remote string `json:"remote,omitempty"` // ADDRESS:PORT of the process or kernel at the other end
	VNI    uint32 `json:"vni,omitempty"`
}

// Kinds of Listening.
const (
	KindExpose = "expose"
	KindProxy  = "proxy"
)

// String returns it in one line, as "127.0.0.1:8080 is host-a:8000".
func (l Listening) String() string {
	switch l.Kind {
	case KindVXLAN:
		return fmt.Sprintf("%s is VXLAN to %s at %s, VNI %d", l.Listen, l.Node, l.Remote, l.VNI)
	case KindProxy:
		return fmt.Sprintf("%s is a SOCKS5 and HTTP proxy into %s", l.Listen, l.Node)
	}
	return fmt.Sprintf("%s is %s:%d", l.Listen, l.Node, l.Port)
}

const (
	// maxGuests is how many connections from outside each real socket has at once; more wait in the kernel.
	maxGuests = 1024
	// dialTimeout is how long a connection into the lab may take to stand.
	dialTimeout = 30 * time.Second
	// acceptPause is how long accepting rests when the machine has no more file descriptors.
	acceptPause = 50 * time.Millisecond
)

// door is a real socket of a lab.
type door struct {
	Listening
	ln    net.Listener
	serve func(ctx context.Context, conn *net.TCPConn) // one connection, which the door closes
}

// openDoor listens. It fails with a message for whoever chose the address.
func openDoor(d Listening, at netip.AddrPort) (*door, error) {
	ln, err := net.Listen("tcp", at.String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: the port is in use on this machine; choose another, or 0 for any that is free", d.Kind, at)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s %s: this user may not listen there; choose a port from 1024 on", d.Kind, at)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s %s: this machine does not have the address", d.Kind, at)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", d.Kind, at, err)
	}
	d.Listen = ln.Addr().String()
	return &door{Listening: d, ln: ln}, nil
}

// run accepts connections until ctx ends, and returns when all of them have.
func (d *door) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = d.ln.Close() }) // Accept returns
	defer stop()
	var guests sync.WaitGroup
	defer guests.Wait()
	room := make(chan struct{}, maxGuests)
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			_ = d.ln.Close() // or it is closed already
			return nil
		}
		conn, err := d.ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close() // nobody serves it
			}
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
			<-room
			pause(ctx, acceptPause)
			continue
		case err != nil:
			return fmt.Errorf("%s %s: %w", d.Kind, d.Listen, err)
		}
		guests.Go(func() {
			defer func() { <-room }()
			d.serve(ctx, conn.(*net.TCPConn))
		})
	}
}

// openDoors opens the real sockets that are asked for, all or none.
func (l *Lab) openDoors() (err error) {
	var doors []*door
	defer func() {
		if err != nil {
			for _, d := range doors {
				_ = d.ln.Close() // the error is told
			}
		}
	}()
	for i := range l.spec.Expose {
		d, err := l.exposeDoor(&l.spec.Expose[i])
		if err != nil {
			return err
		}
		doors = append(doors, d)
	}
	for _, p := range l.cfg.Proxies {
		d, err := l.proxyDoor(p)
		if err != nil {
			return err
		}
		doors = append(doors, d)
	}
	g := l.running()
	for _, d := range doors {
		g.spawn(d.run)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doors = doors
	return nil
}

// Listening returns the real sockets through which programs outside of the lab reach into it.
func (l *Lab) Listening() []Listening {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Listening
	for _, d := range l.doors {
		all = append(all, d.Listening)
	}
	return append(all, l.underlay.listening()...)
}

// isUp waits until the lab is up; false if ctx ended before.
func (l *Lab) isUp(ctx context.Context) bool {
	select {
	case <-l.ready:
		return true
	case <-ctx.Done():
		return false
	}
}

// stream is a connection of which one direction can end before the other.
type stream interface {
	net.Conn
	CloseWrite() error
}

// splice copies both ways until both directions have ended, one of them broke, or ctx ended. It closes both.
func splice(ctx context.Context, a, b stream) {
	stop := context.AfterFunc(ctx, func() { closeBoth(a, b) })
	defer stop()
	var back sync.WaitGroup
	back.Go(func() { pour(a, b) })
	pour(b, a)
	back.Wait()
	closeBoth(a, b)
}

// pour copies one direction. Its end is told on, and a failure ends both directions.
func pour(to, from stream) {
	if _, err := io.Copy(to, from); err != nil {
		closeBoth(to, from)
		return
	}
	if to.CloseWrite() != nil {
		closeBoth(to, from)
	}
}

func closeBoth(a, b net.Conn) {
	_ = a.Close() // what failed is told to those who read and write
	_ = b.Close()
}

// reset ends a connection so that its peer sees an error and no end.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // or it just ends
	_ = conn.Close()
}

// asStream returns a connection of the lab as a stream.
func asStream(conn net.Conn, err error) (stream, error) {
	if err != nil {
		return nil, err
	}
	s, ok := conn.(stream)
	if !ok {
		return nil, errors.Join(fmt.Errorf("connection to %s has no half close", conn.RemoteAddr()), conn.Close())
	}
	return s, nil
}

package netns

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	l := newLab(t)
	host, cs := l.bridged(2)
	for _, c := range []struct {
		from *Namespace
		to   string
	}{{cs[0], "10.0.0.1"}, {cs[0], "10.0.0.3"}, {cs[0], "127.0.0.1"}, {cs[0], "127.9.9.9"}, {cs[0], "10.0.0.2"}, {host, "10.0.0.3"}} {
		if _, err := c.from.Ping(l.within(patience), addr(c.to)); err != nil {
			t.Error(err)
		}
	}
}

func TestTCP(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	l.echo(cs[1], ":80")
	for _, n := range []int{0, 1, 1460, 100_000, 3_000_000} {
		local, remote, err := l.talk(cs[0], "10.0.0.3:80", n)
		if err != nil || remote != "10.0.0.3:80" || !strings.HasPrefix(local, "10.0.0.2:") {
			t.Errorf("talk of %d bytes = %s, %s, %v", n, local, remote, err)
		}
	}
}

func TestLoopback(t *testing.T) {
	l := newLab(t)
	ns := l.add(Config{Name: "c"})
	l.echo(ns, ":80")
	l.echo(ns, "127.0.0.11:53")
	must2(ns.Interface("lo")).Taps() // it has captures like all others
	for _, c := range []struct{ to, from string }{
		{"127.0.0.1:80", "127.0.0.1:"}, {"127.0.0.7:80", "127.0.0.1:"}, {"localhost:80", "127.0.0.1:"}, {":80", "127.0.0.1:"}, {"127.0.0.11:53", "127.0.0.1:"},
	} {
		if from, _, err := l.talk(ns, c.to, 100_000); err != nil || !strings.HasPrefix(from, c.from) {
			t.Errorf("talk to %s from %s, %v; want %s", c.to, from, err, c.from)
		}
	}
	if _, _, err := l.talk(ns, "127.0.0.1:53", 1); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a socket bound to 127.0.0.11 took a connection to 127.0.0.1: %v", err)
	}
}

// The errors of Dial are Linux's (L9, L15).
func TestDialErrors(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	_, cs := l.bridged(2)
	alone := l.add(Config{Name: "alone"})
	short := func() context.Context { return l.within(50 * time.Millisecond) }
	hole := l.add(Config{Name: "hole"})
	must(hole.AddInterface(InterfaceConfig{Name: "eth0", Addr: prefix("10.7.0.2/24"), Port: &sink{}}))
	for _, c := range []struct {
		name    string
		from    *Namespace
		ctx     context.Context
		network string
		to      string
		want    error
	}{
		{"closed port", cs[0], l.within(patience), "tcp", "10.0.0.3:81", syscall.ECONNREFUSED},
		{"closed port of its own", cs[0], l.within(patience), "tcp", "127.0.0.1:81", syscall.ECONNREFUSED},
		{"nobody there", cs[0], l.within(patience), "tcp", "10.0.0.77:81", syscall.EHOSTUNREACH},
		{"no route", alone, l.within(patience), "tcp", "10.0.0.77:81", syscall.ENETUNREACH},
		{"no route, udp", alone, l.within(patience), "udp", "10.0.0.77:81", syscall.ENETUNREACH},
		{"no answer", hole, short(), "tcp", "10.7.0.9:81", context.DeadlineExceeded},
		{"unknown network", alone, l.ctx, "sctp", "10.0.0.1:1", net.UnknownNetworkError("sctp")},
		{"no port", alone, l.ctx, "tcp", "10.0.0.1", nil},
		{"bad port", alone, l.ctx, "tcp", "10.0.0.1:70000", nil},
		{"unknown name", alone, l.ctx, "tcp", "dog-db:1", nil},
		{"ipv6", alone, l.ctx, "tcp", "[::1]:1", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn, err := c.from.Dial(c.ctx, c.network, c.to)
			var op *net.OpError
			if conn != nil || !errors.As(err, &op) || op.Op != "dial" {
				t.Fatalf("Dial = %v, %v", conn, err)
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Dial: %v; want %v", err, c.want)
			}
		})
	}
}

func TestDialFrom(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	l.echo(cs[1], ":80")
	if err := must2(cs[0].Interface("eth0")).AddAddr(prefix("10.0.0.200/24")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from string
		want error
	}{
		{"10.0.0.200:0", nil}, {"10.0.0.200:5555", nil}, {"0.0.0.0:5556", nil}, {"9.9.9.9:0", syscall.EADDRNOTAVAIL},
	} {
		conn, err := cs[0].DialFrom(l.within(patience), "tcp", netip.MustParseAddrPort(c.from), "10.0.0.3:80")
		if !errors.Is(err, c.want) {
			t.Errorf("DialFrom %s: %v; want %v", c.from, err, c.want)
		}
		if conn != nil {
			if got := conn.LocalAddr().String(); !strings.HasSuffix(c.from, ":0") && !strings.HasSuffix(got, c.from[strings.Index(c.from, ":"):]) {
				t.Errorf("DialFrom %s has address %s", c.from, got)
			}
			conn.Close()
		}
	}
}

func TestListenErrors(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(1)
	ns := cs[0]
	l.echo(ns, ":80")
	l.echo(ns, "10.0.0.2:81")
	must(ns.ListenPacket("udp", ":53"))
	must(ns.ListenTunnel(4789))
	for _, c := range []struct {
		network, address string
		want             error
	}{
		{"tcp", ":80", syscall.EADDRINUSE},
		{"tcp", "10.0.0.2:80", syscall.EADDRINUSE},
		{"tcp", "10.0.0.2:81", syscall.EADDRINUSE},
		{"tcp", "127.0.0.1:81", nil},
		{"tcp", ":0", nil},
		{"tcp", "localhost:9000", nil},
		{"tcp", "10.9.9.9:80", syscall.EADDRNOTAVAIL},
		{"udp", ":53", syscall.EADDRINUSE},
		{"udp", "10.0.0.2:53", syscall.EADDRINUSE},
		{"udp", ":4789", syscall.EADDRINUSE},
		{"udp", "127.0.0.11:0", nil},
	} {
		var err error
		if c.network == "tcp" {
			_, err = ns.Listen(c.network, c.address)
		} else {
			_, err = ns.ListenPacket(c.network, c.address)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("listen on %s %s: %v; want %v", c.network, c.address, err, c.want)
		}
	}
	for _, port := range []uint16{53, 4789, 0} {
		if _, err := ns.ListenTunnel(port); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("ListenTunnel(%d): %v; want %v", port, err, syscall.EADDRINUSE)
		}
	}
	if _, err := ns.DialFrom(l.ctx, "udp", netip.MustParseAddrPort("0.0.0.0:4789"), "10.0.0.1:1"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("DialFrom a tunnel's port: %v", err)
	}
}

// A port is free again once what had it is closed.
func TestListenAgain(t *testing.T) {
	l := newLab(t)
	ns := l.add(Config{})
	for range 3 {
		ln := l.echo(ns, "127.0.0.1:80")
		if _, _, err := l.talk(ns, "127.0.0.1:80", 10); err != nil {
			t.Fatal(err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		tun := must(ns.ListenTunnel(4789))
		if err := tun.Close(); err != nil {
			t.Fatal(err)
		}
		u := must(ns.ListenPacket("udp", ":4789"))
		u.Close()
	}
}

func TestAcceptAfterClose(t *testing.T) {
	l := newLab(t)
	ns := l.add(Config{})
	ln := must(ns.Listen("tcp", ":80"))
	got := make(chan error)
	go func() { _, err := ln.Accept(); got <- err }()
	time.Sleep(5 * time.Millisecond)
	ln.Close()
	for _, err := range []error{<-got, second(ln.Accept()), ln.Close()} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v; want %v", err, net.ErrClosed)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// pipe returns the two ends of a TCP connection between two containers.
func (l *lab) pipe() (client, server net.Conn) {
	l.Helper()
	_, cs := l.bridged(2)
	ln := must(cs[1].Listen("tcp", ":80"))
	client, err := cs[0].Dial(l.within(patience), "tcp", "10.0.0.3:80")
	if err != nil {
		l.Fatal(err)
	}
	return client, must(ln.Accept())
}

func TestConnDeadlines(t *testing.T) {
	l := newLab(t)
	c, _ := l.pipe()
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	var ne net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("Read after the deadline: %v", err)
	}
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	for err = nil; err == nil; { // nobody reads
		_, err = c.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write after the deadline: %v", err)
	}
	u, err := c.(*conn).ns.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	u.SetDeadline(time.Now().Add(-time.Second))
	if _, _, err := u.ReadFrom(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ReadFrom after the deadline: %v", err)
	}
}

func TestConnHalfClose(t *testing.T) {
	l := newLab(t)
	c, s := l.pipe()
	c.Write([]byte("question"))
	c.(interface{ CloseWrite() error }).CloseWrite()
	if b, err := io.ReadAll(s); string(b) != "question" || err != nil {
		t.Errorf("ReadAll = %q, %v", b, err)
	}
	s.Write([]byte("answer"))
	s.Close()
	if b, err := io.ReadAll(c); string(b) != "answer" || err != nil {
		t.Errorf("ReadAll = %q, %v", b, err)
	}
	if err := c.(interface{ CloseRead() error }).CloseRead(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		t.Log(err)
	}
}

func TestConnClose(t *testing.T) {
	l := newLab(t)
	c, s := l.pipe()
	got := make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); got <- err }()
	time.Sleep(5 * time.Millisecond)
	c.Close()
	for _, err := range []error{<-got, second(c.Read(make([]byte, 1))), second(c.Write([]byte{1})), c.Close()} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v; want %v", err, net.ErrClosed)
		}
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read at the other end = %d, %v; want EOF", n, err)
	}
}

// A connection with data that nobody read is reset when it is closed, and its peer knows.
func TestConnReset(t *testing.T) {
	l := newLab(t)
	c, s := l.pipe()
	c.Write([]byte("unread"))
	l.eventually("data at the server", func() bool { return hasRecvQ(s.(*conn).ns) })
	s.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read: %v; want %v", err, syscall.ECONNRESET)
	}
	if _, err := c.Write([]byte{1}); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Write: %v", err)
	}
}

func hasRecvQ(ns *Namespace) bool {
	for _, s := range ns.Sockets() {
		if s.RecvQ > 0 && s.State == "ESTABLISHED" {
			return true
		}
	}
	return false
}

func TestUDP(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	s := must(cs[1].ListenPacket("udp", ":53"))
	c, err := cs[0].Dial(l.ctx, "udp", "10.0.0.3:53")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 70000)
	for _, n := range []int{0, 1, 300, 1472, 1473, 9000, 65507} { // the larger ones in fragments
		if _, err := c.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		s.SetDeadline(time.Now().Add(patience))
		got, from, err := s.ReadFrom(b)
		if got != n || err != nil || from.String() != c.LocalAddr().String() {
			t.Fatalf("ReadFrom = %d, %v, %v; want %d", got, from, err, n)
		}
		if _, err := s.WriteTo(b[:n], from); err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		if got, err := c.Read(b); got != n || err != nil {
			t.Fatalf("Read = %d, %v; want %d", got, err, n)
		}
	}
	if _, err := c.Write(make([]byte, 65508)); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("Write of 65508 bytes: %v", err)
	}
}

func TestUDPErrors(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	c, _ := cs[0].Dial(l.ctx, "udp", "10.0.0.3:9")
	c.Write([]byte("anybody?"))
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) { // L15
		t.Errorf("Read from a closed port: %v", err)
	}
	alone := l.add(Config{Name: "alone"})
	s := must(alone.ListenPacket("udp", ":0"))
	for _, x := range []struct {
		to   net.Addr
		want error
	}{
		{&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, syscall.ENETUNREACH},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, syscall.EINVAL},
		{&net.UDPAddr{IP: net.IPv6loopback, Port: 1}, syscall.EINVAL},
		{(*net.UDPAddr)(nil), syscall.EINVAL},
	} {
		if _, err := s.WriteTo([]byte("x"), x.to); !errors.Is(err, x.want) {
			t.Errorf("WriteTo %v: %v; want %v", x.to, err, x.want)
		}
	}
	got := make(chan error)
	go func() { _, _, err := s.ReadFrom(make([]byte, 1)); got <- err }()
	time.Sleep(5 * time.Millisecond)
	s.Close()
	if err := <-got; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom after Close: %v", err)
	}
}

func TestUDPBroadcast(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(3)
	a, b := must(cs[1].ListenPacket("udp", ":67")), must(cs[2].ListenPacket("udp", ":67"))
	s := must(cs[0].ListenPacket("udp", "10.0.0.2:68"))
	for _, to := range []string{"10.0.0.255", "255.255.255.255"} {
		if _, err := s.WriteTo([]byte("discover"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr(to), 67))); err != nil {
			t.Fatal(to, err)
		}
		for _, c := range []net.PacketConn{a, b} {
			c.SetDeadline(time.Now().Add(patience))
			if n, from, err := c.ReadFrom(make([]byte, 100)); n != 8 || err != nil || from.String() != "10.0.0.2:68" {
				t.Errorf("broadcast to %s: ReadFrom = %d, %v, %v", to, n, from, err)
			}
		}
	}
}

func TestSockets(t *testing.T) {
	l := newLab(t)
	c, s := l.pipe()
	client, server := c.(*conn).ns, s.(*conn).ns
	must(server.ListenPacket("udp", "10.0.0.3:53"))
	must(server.ListenTunnel(4789))
	at := netip.MustParseAddrPort(c.LocalAddr().String())
	none, port := netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort
	equal := func(what string, got, want []Socket) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %v; want %v", what, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s %d: %v; want %v", what, i, got[i], want[i])
			}
		}
	}
	equal("client", client.Sockets(), []Socket{{Proto: "tcp", Local: at, Remote: port("10.0.0.3:80"), State: "ESTABLISHED"}})
	equal("server", server.Sockets(), []Socket{
		{Proto: "tcp", Local: port("0.0.0.0:80"), Remote: none, State: "LISTEN"},
		{Proto: "tcp", Local: port("10.0.0.3:80"), Remote: at, State: "ESTABLISHED"},
		{Proto: "udp", Local: port("0.0.0.0:4789"), Remote: none},
		{Proto: "udp", Local: port("10.0.0.3:53"), Remote: none},
	})
	c.Close()
	l.eventually("CLOSE_WAIT", func() bool { return server.Sockets()[1].State == "CLOSE_WAIT" })
	l.eventually("FIN_WAIT2", func() bool { s := client.Sockets(); return len(s) == 1 && s[0].State == "FIN_WAIT2" })
}

// A connection that was reset still knows whose it was.
func TestRemoteAddrAfterReset(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	ln, err := cs[1].Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cs[0].Dial(l.within(patience), "tcp", "10.0.0.3:80")
	if err != nil {
		t.Fatal(err)
	}
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	want := in.RemoteAddr().String()
	if _, err := in.Write([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	out.Close() // with a byte that it has not read
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("Read = %v; want a reset", err)
	}
	if got := in.RemoteAddr(); got == nil || got.String() != want {
		t.Errorf("RemoteAddr = %v; want %s", got, want)
	}
}

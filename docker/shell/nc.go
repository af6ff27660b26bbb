package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// netcat is one run of nc.
type netcat struct {
	*Call
	verbose bool
	scan    bool // -z
	udp     bool
	timeout time.Duration // -w; 0: none
	source  netip.AddrPort
}

// runNc is nc: a client, with -z a scan of ports, with -l a server for one connection.
func runNc(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "z v l u n k N q: w: p: s: 4 t")
	if err != nil {
		return c.badOption(err)
	}
	n := &netcat{Call: c, verbose: opts.has("v"), scan: opts.has("z"), udp: opts.has("u")}
	for _, o := range opts {
		switch o.name {
		case "w":
			n.timeout, err = seconds(o.value)
		case "s":
			var a netip.Addr
			a, err = netip.ParseAddr(o.value)
			n.source = netip.AddrPortFrom(a, n.source.Port())
		case "p":
			var port int
			port, err = number(o.value, 1, 65535)
			n.source = netip.AddrPortFrom(n.source.Addr(), uint16(port))
		}
		if err != nil {
			return c.Errorf("%v", err)
		}
	}
	if opts.has("l") {
		return n.listen(ctx, rest)
	}
	if len(rest) != 2 {
		if len(rest) == 1 && !c.busybox() {
			return c.Errorf("missing port number")
		}
		return c.usage(1)
	}
	addr, err := c.Sys.lookup(ctx, rest[0])
	if err != nil {
		if c.busybox() {
			return c.Errorf("bad address '%s'", rest[0])
		}
		return c.Errorf("getaddrinfo: Name or service not known")
	}
	ports, err := portRange(rest[1])
	if err != nil {
		return c.Errorf("%v", err)
	}
	code := 1
	for p := ports[0]; p <= ports[1] && ctx.Err() == nil; p++ {
		if n.connect(ctx, rest[0], addr, p) == 0 {
			code = 0
		}
	}
	return code
}

// portRange reads 80 or 20-25.
func portRange(text string) (r [2]int, err error) {
	a, b, both := strings.Cut(text, "-")
	if !both {
		b = a
	}
	for i, t := range []string{a, b} {
		if r[i], err = strconv.Atoi(t); err != nil || r[i] < 1 || r[i] > 65535 {
			return r, fmt.Errorf("port number invalid: %s", text)
		}
	}
	return r, nil
}

// services are the names of well-known ports.
var services = map[int]string{22: "ssh", 53: "domain", 80: "http", 443: "https", 6379: "redis", 8080: "http-alt"}

func (n *netcat) proto() string {
	if n.udp {
		return "udp"
	}
	return "tcp"
}

func (n *netcat) connect(ctx context.Context, name string, addr netip.Addr, port int) int {
	dial, cancel := ctx, context.CancelFunc(func() {})
	if n.timeout > 0 {
		dial, cancel = context.WithTimeout(ctx, n.timeout)
	}
	conn, err := n.Sys.NS.DialFrom(dial, n.proto(), n.source, netip.AddrPortFrom(addr, uint16(port)).String())
	late := dial.Err() != nil
	cancel()
	if err != nil {
		text := connectText(err)
		if late {
			text = "Operation timed out"
		}
		if (n.verbose || !n.scan) && ctx.Err() == nil {
			if n.busybox() {
				return n.Errorf("can't connect to remote host (%s): %s", addr, text)
			}
			n.say("nc: connect to %s port %d (%s) failed: %s", name, port, n.proto(), text)
		}
		return 1
	}
	defer conn.Close() //nolint:errcheck // the conversation is over
	if n.udp && n.scan && !n.probe(ctx, conn) {
		return 1
	}
	if n.verbose {
		service := services[port]
		if service == "" {
			service = "*"
		}
		n.say("Connection to %s %d port [%s/%s] succeeded!", name, port, n.proto(), service)
	}
	if n.scan {
		return 0
	}
	return n.talk(ctx, conn)
}

// probe sends to a UDP port and tells whether nobody refused.
func (n *netcat) probe(ctx context.Context, conn net.Conn) bool {
	end := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	defer end()
	for range 2 {
		if _, err := conn.Write([]byte("X")); err != nil {
			return false
		}
		if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return false
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !timeout(err) {
			return false
		}
	}
	return true
}

func timeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// talk copies the input to the connection and what comes to the output, until the other side ends, or -w passes in silence.
func (n *netcat) talk(ctx context.Context, conn net.Conn) int {
	end := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	defer end()
	reading, hush := context.WithCancel(ctx)
	defer hush()
	in, stop := readerFor(reading, n.In)
	defer stop()
	var sending sync.WaitGroup
	if _, none := in.(emptyReader); !none {
		sending.Go(func() {
			_, _ = io.Copy(conn, in)
			if w, ok := conn.(interface{ CloseWrite() error }); ok && reading.Err() == nil {
				_ = w.CloseWrite()
			}
		})
	} else if n.timeout == 0 && n.udp {
		return 0
	}
	code := n.receive(ctx, conn)
	hush()
	_ = conn.SetDeadline(past)
	sending.Wait()
	return code
}

func (n *netcat) receive(ctx context.Context, conn net.Conn) int {
	b := make([]byte, 64<<10)
	for {
		if n.timeout > 0 && ctx.Err() == nil {
			_ = conn.SetReadDeadline(time.Now().Add(n.timeout))
		}
		k, err := conn.Read(b)
		if k > 0 {
			if _, werr := n.Out.Write(b[:k]); werr != nil {
				return 1
			}
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return statusInterrupted
		case errors.Is(err, io.EOF), timeout(err):
			return 0
		default:
			return n.Errorf("read: %s", connectText(err))
		}
	}
}

// listen is nc -l [ADDR] PORT, or -p PORT.
func (n *netcat) listen(ctx context.Context, rest []string) int {
	host, port := "", n.source.Port()
	if len(rest) > 0 {
		p, err := number(rest[len(rest)-1], 1, 65535)
		if err != nil {
			return n.Errorf("port number invalid: %s", rest[len(rest)-1])
		}
		port = uint16(p)
	}
	if len(rest) > 1 {
		host = rest[0]
	}
	at := net.JoinHostPort(host, portText(port))
	if n.udp {
		return n.listenUDP(ctx, at)
	}
	l, err := n.Sys.NS.Listen("tcp", at)
	if err != nil {
		return n.Errorf("%s", connectText(err))
	}
	end := context.AfterFunc(ctx, func() { l.Close() }) //nolint:errcheck // Accept tells
	if n.verbose {
		n.say("Listening on [0.0.0.0] (family 0, port %d)", port)
	}
	conn, err := l.Accept()
	end()
	l.Close() //nolint:errcheck // one connection is all that is wanted
	if err != nil {
		return statusInterrupted
	}
	defer conn.Close() //nolint:errcheck // the conversation is over
	if from := addrPort(conn.RemoteAddr()); n.verbose {
		n.say("Connection from [%s] port %d [tcp/*] accepted (family 2, sport %d)", from.Addr(), port, from.Port())
	}
	return n.talk(ctx, conn)
}

// listenUDP prints datagrams.
func (n *netcat) listenUDP(ctx context.Context, at string) int {
	pc, err := n.Sys.NS.ListenPacket("udp", at)
	if err != nil {
		return n.Errorf("%s", connectText(err))
	}
	defer pc.Close() //nolint:errcheck // nothing waits
	end := context.AfterFunc(ctx, func() { _ = pc.SetDeadline(past) })
	defer end()
	b := make([]byte, 64<<10)
	for {
		if n.timeout > 0 && ctx.Err() == nil {
			_ = pc.SetReadDeadline(time.Now().Add(n.timeout))
		}
		k, _, err := pc.ReadFrom(b)
		if err != nil {
			if ctx.Err() == nil && timeout(err) {
				return 0
			}
			return statusInterrupted
		}
		if _, err := n.Out.Write(b[:k]); err != nil {
			return 1
		}
	}
}

// runTelnet is telnet HOST PORT.
func runTelnet(ctx context.Context, c *Call) int {
	if len(c.Args) < 2 || len(c.Args) > 3 {
		if c.busybox() {
			return c.usage(1)
		}
		return c.say1("Usage: telnet HOST [PORT]", 1)
	}
	port := "23"
	if len(c.Args) > 2 {
		port = c.Args[2]
	}
	addr, err := c.Sys.lookup(ctx, c.Args[1])
	if err != nil {
		return c.Errorf("could not resolve %s/%s: Name or service not known", c.Args[1], port)
	}
	if _, err := number(port, 1, 65535); err != nil {
		return c.Errorf("%v", err)
	}
	c.Printf("Trying %s...\n", addr)
	conn, err := c.Sys.NS.Dial(ctx, "tcp", net.JoinHostPort(addr.String(), port))
	if err != nil {
		return c.Errorf("Unable to connect to remote host: %s", connectText(err))
	}
	defer conn.Close() //nolint:errcheck // the conversation is over
	c.Printf("Connected to %s.\nEscape character is '^]'.\n", c.Args[1])
	code := (&netcat{Call: c}).talk(ctx, conn)
	c.say("Connection closed by foreign host.")
	return code
}

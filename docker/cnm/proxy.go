package cnm

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

	"golang.org/x/sync/errgroup"
)

const (
	proxyIdle  = 90 * time.Second // how long a UDP client may be silent, as docker-proxy's
	proxyBuf   = 64 << 10
	maxClients = 4096 // of one UDP port
)

// proxy is a docker-proxy: it listens on a port of the host and forwards what comes to a container. What netfilter
// translates never gets here; what does comes from the host itself over 127.0.0.1, or from a container (B9, B10).
type proxy struct {
	c      *Controller
	listen netip.AddrPort
	target netip.AddrPort
	ln     net.Listener
	pc     net.PacketConn
	task   *task
}

// newProxy listens, and starts to forward.
func (c *Controller) newProxy(proto string, listen, target netip.AddrPort) (*proxy, error) {
	p := &proxy{c: c, listen: listen, target: target}
	var err error
	run := p.forwardStreams
	if proto == "tcp" {
		p.ln, err = c.cfg.Host.Listen("tcp", listen.String())
	} else {
		p.pc, err = c.cfg.Host.ListenPacket("udp", listen.String())
		run = p.forwardPackets
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, c.errPortInUse(proto, listen, target)
	}
	if err != nil {
		return nil, fail(ErrSystem, "Error starting userland proxy: %v", err)
	}
	if c.cfg.NoUserlandProxy {
		run = p.hold
	}
	p.task = c.start("docker-proxy of "+listen.String(), run)
	return p, nil
}

// errPortInUse says that somebody else listens on a port (B29).
func (c *Controller) errPortInUse(proto string, listen, target netip.AddrPort) error {
	return &portInUse{port: listen.Port(), text: c.say(fmt.Sprintf("Error starting userland proxy: listen %s %s: bind: address already in use", proto, listen),
		fmt.Sprintf("failed to bind host port for %s:%s/%s: address already in use", listen, target, proto))}
}

// portInUse is an EADDRINUSE with Docker's text.
type portInUse struct {
	port uint16
	text string
}

// Error implements error.
func (e *portInUse) Error() string { return e.text }

// Unwrap makes errors.Is find the errno.
func (e *portInUse) Unwrap() error { return syscall.EADDRINUSE }

func (p *proxy) close() { p.task.stop() }

// hold keeps the port from others until ctx ends, and answers nobody: netfilter translates all that comes for it.
func (p *proxy) hold(ctx context.Context) error {
	<-ctx.Done()
	if p.ln != nil {
		return p.ln.Close()
	}
	return p.pc.Close()
}

// forwardStreams forwards TCP connections until ctx ends.
func (p *proxy) forwardStreams(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	defer closing(ctx, p.ln)()
	g.Go(func() error {
		for {
			client, err := p.ln.Accept()
			if err != nil {
				return endOf(ctx, p.c.cfg.Host.Done(), err)
			}
			g.Go(func() error { p.forwardStream(ctx, client); return nil })
		}
	})
	return g.Wait()
}

// closing closes a socket when ctx ends. wait returns once it is closed: Accept fails before the port is free.
func closing(ctx context.Context, socket io.Closer) (wait func()) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = socket.Close() // its end is all there is to know
	})
	return func() {
		if stop() {
			_ = socket.Close()
			return
		}
		<-closed
	}
}

// endOf is nil for an error that comes of the end of ctx or of the namespace.
func endOf(ctx context.Context, ended <-chan struct{}, err error) error {
	select {
	case <-ctx.Done():
		return nil
	case <-ended:
		return nil
	default:
		return err
	}
}

// forwardStream carries one connection, both ways, until both sides are done.
func (p *proxy) forwardStream(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := p.c.cfg.Host.Dial(because(ctx, client), "tcp", p.target.String())
	if err != nil {
		return // the client sees the end of its connection, as with docker-proxy
	}
	defer func() { _ = server.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
	defer stop()
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		wg.Go(func() {
			_, _ = io.Copy(way[1], way[0]) // its end is all there is to know
			if h, ok := way[1].(interface{ CloseWrite() error }); ok {
				_ = h.CloseWrite()
			}
		})
	}
	wg.Wait()
}

// because returns the context of what is done for a client: whoever follows the client's packets follows the proxy's.
func because(ctx context.Context, client net.Conn) context.Context {
	if c, ok := client.(interface {
		Because(context.Context) context.Context
	}); ok {
		return c.Because(ctx)
	}
	return ctx
}

// forwardPackets forwards UDP packets until ctx ends: each client has a socket of its own towards the container.
func (p *proxy) forwardPackets(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	defer closing(ctx, p.pc)()
	clients := &udpClients{m: make(map[string]net.Conn)}
	g.Go(func() error {
		buf := make([]byte, proxyBuf)
		for {
			n, from, err := p.pc.ReadFrom(buf)
			if err != nil {
				return endOf(ctx, p.c.cfg.Host.Done(), err)
			}
			if server := p.serverFor(ctx, g, clients, from); server != nil {
				_, _ = server.Write(buf[:n]) // a packet that is lost is lost
			}
		}
	})
	return g.Wait()
}

// udpClients are the sockets of a UDP proxy by client.
type udpClients struct {
	mu sync.Mutex
	m  map[string]net.Conn // guarded by mu
}

func (u *udpClients) drop(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.m, key)
}

// serverFor returns the socket of a client; nil if it can have none.
func (p *proxy) serverFor(ctx context.Context, g *errgroup.Group, clients *udpClients, from net.Addr) net.Conn {
	key, why := from.String(), ctx
	if pc, ok := p.pc.(interface {
		BecauseOf(context.Context, net.Addr) context.Context
	}); ok {
		why = pc.BecauseOf(ctx, from)
	}
	clients.mu.Lock()
	server, full := clients.m[key], len(clients.m) >= maxClients
	clients.mu.Unlock()
	if server != nil || full {
		if f, ok := server.(interface{ Follow(context.Context) }); ok {
			f.Follow(why)
		}
		return server
	}
	server, err := p.c.cfg.Host.Dial(why, "udp", p.target.String())
	if err != nil {
		return nil
	}
	clients.mu.Lock()
	clients.m[key] = server
	clients.mu.Unlock()
	g.Go(func() error {
		defer func() { clients.drop(key); _ = server.Close() }()
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		p.answer(server, from)
		return nil
	})
	return server
}

// answer carries a container's packets back to a client until there have been none for a while.
func (p *proxy) answer(server net.Conn, to net.Addr) {
	buf := make([]byte, proxyBuf)
	for {
		if server.SetReadDeadline(time.Now().Add(proxyIdle)) != nil {
			return
		}
		n, err := server.Read(buf)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue // nobody listens there at the moment
		}
		if err != nil {
			return
		}
		if _, err := p.pc.WriteTo(buf[:n], to); err != nil {
			return
		}
	}
}

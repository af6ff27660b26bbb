package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/lab/topology"
)

// handshakeTimeout is how long a client of a proxy has to say what it wants.
const handshakeTimeout = 10 * time.Second

// ProxyConfig asks for a SOCKS5 and HTTP proxy on a real socket, through which browsers and other programs act as if they
// ran in a node of the lab: names are resolved there, and connections come from there.
type ProxyConfig struct {
	Listen netip.AddrPort // of this machine; port 0: any that is free
	Node   string         // as Lookup takes it; "": the first host without an engine, or else the first host
}

// proxy is a running proxy.
type proxy struct {
	lab  *Lab
	node string
}

// proxyDoor opens the real socket of a proxy.
func (l *Lab) proxyDoor(cfg ProxyConfig) (*door, error) {
	p := &proxy{lab: l, node: cfg.Node}
	if p.node == "" {
		if p.node = proxyNode(l.spec); p.node == "" {
			return nil, fmt.Errorf("proxy %s: the lab has no host to enter it at", cfg.Listen)
		}
	}
	d, err := openDoor(Listening{Kind: KindProxy, Node: p.node}, cfg.Listen)
	if err != nil {
		return nil, err
	}
	d.serve = p.serve
	return d, nil
}

// proxyNode returns the host that a proxy enters at unless told.
func proxyNode(spec *topology.Spec) string {
	first := ""
	for _, h := range spec.Fabric.Hosts {
		switch {
		case h.Remote.IsValid():
		case h.Engine == "":
			return h.Name
		case first == "":
			first = h.Name
		}
	}
	return first
}

// checkProxies looks for the nodes of the proxies in a lab that has all of its nodes.
func (l *Lab) checkProxies() error {
	for _, p := range l.cfg.Proxies {
		if p.Node == "" {
			continue
		}
		if _, err := l.Lookup(p.Node); err != nil {
			return fmt.Errorf("proxy %s: %w", p.Listen, err)
		}
	}
	return nil
}

// dial connects from the node.
func (p *proxy) dial(ctx context.Context, _, address string) (net.Conn, error) {
	node, err := p.lab.Lookup(p.node)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return node.Dial(ctx, "tcp", address)
}

// serve serves one connection, whose first byte tells which protocol it speaks.
func (p *proxy) serve(ctx context.Context, conn *net.TCPConn) {
	if !p.lab.isUp(ctx) {
		reset(conn)
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(handshakeTimeout))
	leave := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer leave()
	c := &peeked{TCPConn: conn, r: bufio.NewReader(conn)}
	defer c.Close() //nolint:errcheck // all was said
	first, err := c.r.Peek(1)
	switch {
	case err != nil:
	case first[0] == socksVersion:
		p.serveSOCKS(ctx, c)
	default:
		p.serveHTTP(ctx, c)
	}
}

// serveSOCKS connects a SOCKS client.
func (p *proxy) serveSOCKS(ctx context.Context, c *peeked) {
	target, err := readSOCKS(c)
	var refused *socksError
	if err != nil && !errors.As(err, &refused) {
		return
	}
	var into stream
	if err == nil {
		into, err = asStream(p.dial(ctx, "tcp", target))
	}
	if err != nil {
		_, _ = c.Write(socksReply(socksReplyTo(err), nil)) // or it has left
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	if _, err := c.Write(socksReply(socksOK, into.LocalAddr())); err != nil {
		_ = into.Close()
		return
	}
	splice(ctx, c, into)
}

// serveHTTP serves the requests of an HTTP client, and returns when all that they began has ended.
func (p *proxy) serveHTTP(ctx context.Context, c *peeked) {
	transport := &http.Transport{DialContext: p.dial, DisableCompression: true}
	defer transport.CloseIdleConnections()
	forward := &httputil.ReverseProxy{
		Rewrite:       func(*httputil.ProxyRequest) {}, // the request names its target itself
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, fmt.Sprintf("netsim: %s from %s: %v", r.URL, p.node, err), http.StatusBadGateway)
		},
		ErrorLog: discardLog,
	}
	var tunnels sync.WaitGroup
	defer tunnels.Wait()
	one := newOneConn(c)
	srv := &http.Server{
		ReadHeaderTimeout: handshakeTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          discardLog,
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				_ = one.Close() // it never fails
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodConnect:
				tunnels.Add(1)
				defer tunnels.Done()
				p.tunnel(ctx, w, r)
			case r.URL.Scheme == "http" && r.URL.Host != "":
				forward.ServeHTTP(w, r)
			default:
				http.Error(w, fmt.Sprintf("This is netsim's proxy into lab %s, at %s. Set it as the HTTP or SOCKS5 proxy of your browser, or use curl -x.",
					p.lab.Name(), p.node), http.StatusBadRequest)
			}
		}),
	}
	_ = srv.Serve(one) // ends with the connection
}

// tunnel connects a client that asked for it with CONNECT.
func (p *proxy) tunnel(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	into, err := asStream(p.dial(ctx, "tcp", r.Host))
	if err != nil {
		http.Error(w, fmt.Sprintf("netsim: %s from %s: %v", r.Host, p.node, err), http.StatusBadGateway)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = into.Close()
		return
	}
	below := conn.(*peeked) // what the server was given
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c := &peeked{TCPConn: below.TCPConn, r: bufio.NewReader(io.MultiReader(bytes.NewReader(ahead), below.r))}
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		closeBoth(c, into)
		return
	}
	_ = c.SetDeadline(time.Time{})
	splice(ctx, c, into)
}

// peeked is a connection of which something was read ahead.
type peeked struct {
	*net.TCPConn
	r *bufio.Reader
}

// Read implements net.Conn.
func (c *peeked) Read(b []byte) (int, error) { return c.r.Read(b) }

// WriteTo hides that of the connection, which knows nothing of what was read ahead.
func (c *peeked) WriteTo(w io.Writer) (int64, error) { return c.r.WriteTo(w) }

package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// How long, and how many, connections wait for the next call.
const (
	defaultIdleConn = 5 * time.Second
	idlePerAddr     = 4
)

// ErrNotSent says that a call did not get as far as the other side: it may be repeated.
var ErrNotSent = errors.New("not sent")

// RemoteError is what the other side answered instead of a result. errors.Is holds for an error of the same text.
type RemoteError string

// Error implements error.
func (e RemoteError) Error() string { return string(e) }

// Is tells whether an error reads the same: what a sentinel turns into on the wire.
func (e RemoteError) Is(target error) bool { return target.Error() == string(e) }

// Client calls servers, and keeps a few connections for the next call. It is safe to call at once.
type Client struct {
	Dial  func(ctx context.Context, network, address string) (net.Conn, error) // must be set
	TLS   func() *tls.Config                                                   // must be set; asked for each connection
	Limit int                                                                  // bytes of a frame; zero: DefaultLimit
	Idle  time.Duration                                                        // for which a connection is kept for the next call; zero: 5 s

	mu   sync.Mutex
	idle map[string][]*conn // guarded by mu
	shut bool               // guarded by mu
}

type conn struct {
	raw  net.Conn
	tls  *tls.Conn
	used time.Time
}

// Call asks the server at address, and returns its answer. It blocks until that is there or ctx ends. An error of the
// server is a RemoteError; one that wraps ErrNotSent means that the server has not seen the request.
func (c *Client) Call(ctx context.Context, address, method string, body []byte) ([]byte, error) {
	request, err := frame{kind: kindRequest, method: method, body: body}.encode(c.limit())
	if err != nil {
		return nil, fmt.Errorf("call %w: %w", ErrNotSent, err)
	}
	k, err := c.take(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("call %s at %s: %w: %w", method, address, ErrNotSent, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = k.raw.SetDeadline(time.Unix(1, 0)) }) // a closed connection has none to set
	answer, err := k.exchange(request, c.limit())
	if !stop() || err != nil {
		_ = k.raw.Close() // whoever waits on it has been told
	} else {
		c.put(address, k)
	}
	if err != nil {
		return nil, fmt.Errorf("call %s at %s: %w", method, address, errors.Join(err, ctx.Err()))
	}
	if answer.kind == kindFailure {
		return nil, RemoteError(answer.body)
	}
	return answer.body, nil
}

func (k *conn) exchange(request []byte, limit int) (frame, error) {
	if _, err := k.tls.Write(request); err != nil {
		return frame{}, err
	}
	answer, err := readFrame(k.tls, limit)
	if err == nil && answer.kind != kindAnswer && answer.kind != kindFailure {
		err = errFrame
	}
	return answer, err
}

func (c *Client) limit() int {
	if c.Limit == 0 {
		return DefaultLimit
	}
	return c.Limit
}

// take returns a connection that waits, or a new one.
func (c *Client) take(ctx context.Context, address string) (*conn, error) {
	if k := c.waiting(address); k != nil {
		return k, nil
	}
	return c.dial(ctx, address)
}

// dial opens a connection.
func (c *Client) dial(ctx context.Context, address string) (*conn, error) {
	raw, err := c.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	k := &conn{raw: raw, tls: tls.Client(raw, c.TLS())}
	if err := k.tls.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error says more
		return nil, err
	}
	return k, nil
}

func (c *Client) waiting(address string) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for list := c.idle[address]; len(list) > 0; list = c.idle[address] {
		k := list[len(list)-1]
		c.idle[address] = list[:len(list)-1]
		if time.Since(k.used) < c.keep() {
			return k
		}
		_ = k.raw.Close() // nobody uses it
	}
	delete(c.idle, address)
	return nil
}

// keep is for how long a connection waits.
func (c *Client) keep() time.Duration {
	if c.Idle == 0 {
		return defaultIdleConn
	}
	return c.Idle
}

func (c *Client) put(address string, k *conn) {
	k.used = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut || len(c.idle[address]) >= idlePerAddr {
		_ = k.raw.Close() // nobody uses it
		return
	}
	if c.idle == nil {
		c.idle = make(map[string][]*conn)
	}
	c.idle[address] = append(c.idle[address], k)
}

// Forget closes the connections to a server that wait: it has ended, or the certificate changed. Empty: to all.
func (c *Client) Forget(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, list := range c.idle {
		if address != "" && a != address {
			continue
		}
		for _, k := range list {
			_ = k.raw.Close() // nobody uses it
		}
		delete(c.idle, a)
	}
}

// Close closes all connections that wait. Calls under way end on their own, and keep none.
func (c *Client) Close() {
	c.mu.Lock()
	c.shut = true
	c.mu.Unlock()
	c.Forget("")
}

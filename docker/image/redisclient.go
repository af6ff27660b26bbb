package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"
)

// RedisClient is one connection to a Redis server. It is for one goroutine at
// a time, and takes over conn.
type RedisClient struct {
	conn net.Conn
	r    *respReader
}

// NewRedisClient returns a client that talks over conn.
func NewRedisClient(conn net.Conn) *RedisClient {
	return &RedisClient{conn: conn, r: newRESPReader(conn)}
}

// Close closes the connection.
func (c *RedisClient) Close() error { return c.conn.Close() }

// Do sends one command and reads its reply. An error reply of the server is a
// Reply, not an error; after an error the connection is of no more use.
func (c *RedisClient) Do(ctx context.Context, args ...string) (Reply, error) {
	if len(args) == 0 {
		return Reply{}, errors.New("redis: no command given")
	}
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	if f, ok := c.conn.(interface{ Follow(context.Context) }); ok {
		f.Follow(ctx) // the connection may be older than what it is used for
	}
	stop := interruptible(ctx, c.conn)
	reply, err := c.exchange(args)
	if !stop() || err != nil {
		return Reply{}, fmt.Errorf("redis %s: %w", args[0], errors.Join(ctx.Err(), err))
	}
	return reply, nil
}

func (c *RedisClient) exchange(args []string) (Reply, error) {
	if _, err := c.conn.Write(AppendCommand(nil, args...)); err != nil {
		return Reply{}, err
	}
	c.r.bytes, c.r.elements = 0, 0
	return c.r.reply(0)
}

// Receive reads what the server sends without being asked: messages of a
// subscription or the lines of MONITOR.
func (c *RedisClient) Receive(ctx context.Context) (Reply, error) {
	stop := interruptible(ctx, c.conn)
	c.r.bytes, c.r.elements = 0, 0
	reply, err := c.r.reply(0)
	if !stop() || err != nil {
		return Reply{}, fmt.Errorf("redis: %w", errors.Join(ctx.Err(), err))
	}
	return reply, nil
}

// interruptible makes the end of ctx end what conn is doing. The returned
// function undoes that; it returns false if ctx has ended before.
func interruptible(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// RedisCommand sends one command over conn and reads its reply, as
// RedisClient.Do does. Replies that the server sends unasked may get lost; a
// subscriber uses a RedisClient.
func RedisCommand(ctx context.Context, conn net.Conn, args ...string) (Reply, error) {
	return NewRedisClient(conn).Do(ctx, args...)
}

// RedisAddress returns host:port of a server given as host or host:port; the
// port is 6379 if there is none (A5).
func RedisAddress(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	host := strings.Trim(server, "[]")
	if _, err := netip.ParseAddr(host); err != nil && strings.Contains(host, ":") {
		return server // let the dial report it
	}
	return net.JoinHostPort(host, redisPort)
}

const (
	redisPort    = "6379"
	redisTimeout = 5 * time.Second // for one attempt: dial and command each
)

// redisPool is a long-lived client that follows its server: it resolves and
// dials again when the connection is gone. It is safe for several goroutines.
type redisPool struct {
	net     Net
	address string
	timeout time.Duration // zero: redisTimeout

	mu     sync.Mutex
	client *RedisClient // nil: none yet, or lost
}

// do runs one command. Like redis-py, it tries once more on a new connection
// if the old one turns out to be broken, but not after a timeout, when the
// command may well have been executed.
func (r *redisPool) do(ctx context.Context, args ...string) (Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reused := r.client != nil
	reply, err := r.attempt(ctx, args)
	if err != nil && reused && isBroken(err) && ctx.Err() == nil {
		reply, err = r.attempt(ctx, args)
	}
	if err == nil {
		err = reply.Err()
	}
	return reply, err
}

func (r *redisPool) attempt(ctx context.Context, args []string) (Reply, error) {
	timeout := r.timeout
	if timeout == 0 {
		timeout = redisTimeout
	}
	if r.client == nil {
		dialCtx, cancel := context.WithTimeout(ctx, timeout)
		conn, err := r.net.Dial(dialCtx, "tcp", r.address)
		cancel()
		if err != nil {
			return Reply{}, fmt.Errorf("connect to redis at %s: %w", r.address, err)
		}
		r.client = NewRedisClient(conn)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	reply, err := r.client.Do(ctx, args...)
	if err != nil {
		_ = r.client.Close()
		r.client = nil
	}
	return reply, err
}

// isBroken tells a lost connection from a slow or confused server.
func isBroken(err error) bool {
	var perr protocolError
	var nerr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &perr):
		return false
	case errors.As(err, &nerr) && nerr.Timeout():
		return errors.Is(err, syscall.ETIMEDOUT) // the stack gave up on the peer
	}
	return true
}

func (r *redisPool) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		_ = r.client.Close()
		r.client = nil
	}
}

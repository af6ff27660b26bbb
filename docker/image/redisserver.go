package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// errRedisCrashed says that the command interpreter failed on a command, and
// with it the whole server: its data may be half changed.
var errRedisCrashed = errors.New("redis crashed")

// redisd is one Redis server: miniredis' data and commands, connections of a
// Net, and the commands around them that clients and people expect.
type redisd struct {
	mini    *miniredis.Miniredis
	srv     *server.Server    // set by serve
	conf    map[string]string // guarded by mu
	started time.Time
	runID   string
	port    string
	quit    context.CancelCauseFunc // ends serve

	mu     sync.Mutex // no call leaves redisd while it is held
	lastID int
	conns  map[net.Conn]struct{}
	peers  map[*server.Peer]*redisPeer
}

// redisPeer is what the hook remembers of one client.
type redisPeer struct {
	id       int
	inMulti  bool
	dispatch bool // the command goes on to miniredis
}

func newRedis(conf map[string]string, p *Process) *redisd {
	s := &redisd{
		mini:    miniredis.NewMiniRedis(),
		conf:    conf,
		started: time.Now(),
		runID:   hashHex("redis " + p.Hostname)[:40],
		port:    conf["port"],
		conns:   map[net.Conn]struct{}{},
		peers:   map[*server.Peer]*redisPeer{},
	}
	s.mini.Seed(p.random().IntN(1 << 30))
	s.mini.ClockTTL(true)
	return s
}

// serve accepts clients until ctx ends or SHUTDOWN comes (nil), or something
// breaks. It owns l, and returns after every client is gone.
func (s *redisd) serve(ctx context.Context, l net.Listener) error {
	// Dial starts miniredis without a socket of its own; the connection is not needed.
	first, err := s.mini.Dial()
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("start redis: %w", err)
	}
	_ = first.Close()
	ctx, s.quit = context.WithCancelCause(ctx)
	defer s.quit(nil)
	s.srv = s.mini.Server()
	s.srv.SetPreHook(s.hook)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	err = s.accept(l)
	ended := ctx.Err() != nil
	_ = l.Close()
	s.closeConns()
	if cause := context.Cause(ctx); errors.Is(cause, errRedisCrashed) {
		return cause // its lock may be held for ever: do not wait for it
	}
	s.mini.Close()
	if ended {
		return nil
	}
	return err
}

func (s *redisd) accept(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		if s.srv.ClientsLen() >= s.maxClients() {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _ = conn.Write([]byte("-ERR max number of clients reached\r\n"))
			_ = conn.Close()
			continue
		}
		g := &trackedConn{guardedConn: guard(conn), server: s}
		s.mu.Lock()
		s.conns[g] = struct{}{}
		s.mu.Unlock()
		s.srv.ServeConn(g)
	}
}

func (s *redisd) maxClients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, err := strconv.Atoi(s.conf["maxclients"]); err == nil && n > 0 {
		return n
	}
	return 10000
}

// trackedConn is a connection that its server forgets when it is closed.
type trackedConn struct {
	*guardedConn
	server *redisd
}

// Close implements net.Conn.
func (t *trackedConn) Close() error {
	t.server.mu.Lock()
	delete(t.server.conns, t)
	t.server.mu.Unlock()
	return t.guardedConn.Close()
}

// closeConns cuts every client off. It comes before miniredis' own Close,
// which waits for a lock that a client who does not read can hold.
func (s *redisd) closeConns() {
	s.mu.Lock()
	conns := make([]net.Conn, 0, len(s.conns))
	for conn := range s.conns {
		conns = append(conns, conn)
	}
	s.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// peer returns what is known of a client; its first command makes it known.
func (s *redisd) peer(c *server.Peer) *redisPeer {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.peers[c]
	if !ok {
		s.lastID++
		p = &redisPeer{id: s.lastID}
		s.peers[c] = p
		c.OnDisconnect(func() { s.forget(c) })
	}
	return p
}

func (s *redisd) forget(c *server.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, c)
}

// hook sees every command first. It answers those that are ours, refuses what
// would harm the lab, and sends the rest back through the dispatcher, which
// then finds the dispatch flag set, under a recover.
func (s *redisd) hook(c *server.Peer, cmd string, args ...string) (done bool) {
	p := s.peer(c)
	if p.dispatch {
		return false
	}
	if s.refuse(c, cmd, args) {
		return true
	}
	own, ok := redisCommands[cmd]
	if ok && own.takes(args) && !(own.queues && p.inMulti) {
		if p.inMulti {
			c.WriteError("ERR " + cmd + " is not allowed in transactions here")
			return true
		}
		own.run(s, c, args)
		return true
	}
	s.dispatch(c, p, cmd, args)
	return true
}

func (s *redisd) dispatch(c *server.Peer, p *redisPeer, cmd string, args []string) {
	p.dispatch = true
	defer func() {
		p.dispatch = false
		if r := recover(); r != nil {
			s.quit(fmt.Errorf("%w: %s with %d arguments: %v", errRedisCrashed, cmd, len(args), r))
			c.Close()
		}
	}()
	s.srv.Dispatch(c, append([]string{cmd}, args...))
	switch cmd {
	case "MULTI":
		p.inMulti = len(args) == 0
	case "EXEC", "DISCARD":
		p.inMulti = false
	}
}

// maxCount bounds what a command may ask to be allocated or returned by a
// number alone.
const maxCount = maxBulk

const redisDatabases = 16

// redisCounts says which argument of a command is such a number.
var redisCounts = map[string]int{
	"SETRANGE": 1, "SRANDMEMBER": 1, "HRANDFIELD": 1, "ZRANDMEMBER": 1, "SPOP": 1,
}

// refuse answers commands that could stall or exhaust the process that all the
// lab's containers share.
func (s *redisd) refuse(c *server.Peer, cmd string, args []string) bool {
	switch cmd {
	case "EVAL", "EVALSHA", "SCRIPT":
		c.WriteError("ERR scripting is disabled in this server")
		return true
	case "SELECT":
		if len(args) == 1 && outOfRange(args[0], redisDatabases-1) {
			c.WriteError("ERR DB index is out of range")
			return true
		}
	case "SETBIT":
		if len(args) > 1 && outOfRange(args[1], 8*maxCount) {
			c.WriteError("ERR bit offset is not an integer or out of range")
			return true
		}
	case "LPOS":
		for i, arg := range args {
			if i > 1 && strings.EqualFold(args[i-1], "COUNT") && outOfRange(arg, maxCount) {
				c.WriteError("ERR value is out of range")
				return true
			}
		}
	}
	if i, ok := redisCounts[cmd]; ok && len(args) > i && outOfRange(args[i], maxCount) {
		c.WriteError("ERR value is out of range")
		return true
	}
	return false
}

// outOfRange reports whether s is a number beyond limit in either direction;
// what is no number is for the command itself to refuse.
func outOfRange(s string, limit int64) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return true
	}
	return err == nil && (n > limit || n < -limit)
}

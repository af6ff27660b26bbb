package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const redisVersion = "3.2.5"

// redisImage is the key-value store of the pets (A9).
func redisImage() *Image {
	programs := map[string]Program{"redis-server": redisServer}
	programs["docker-entrypoint.sh"] = func(ctx context.Context, p *Process) int {
		return redisEntrypoint(ctx, programs, p)
	}
	return &Image{
		Name: "redis", Size: 182_862_080, Created: built(2016, 11, 8),
		Entrypoint:   []string{"docker-entrypoint.sh"},
		Cmd:          []string{"redis-server"},
		Env:          []string{defaultPath, "REDIS_VERSION=" + redisVersion},
		ExposedPorts: []string{"6379/tcp"},
		Programs:     programs,
		Tools:        ToolsFull, // a Debian of that time has the common tools
	}
}

// redisEntrypoint is the image's start script: it runs its arguments, with
// redis-server in front of bare options.
func redisEntrypoint(ctx context.Context, programs map[string]Program, p *Process) int {
	inner := *p
	inner.Args = p.operands()
	if len(inner.Args) == 0 {
		return 0
	}
	if strings.HasPrefix(inner.Args[0], "-") {
		inner.Args = append([]string{"redis-server"}, inner.Args...)
	}
	return runProgram(ctx, programs, &inner)
}

// redisServer is redis-server: RESP2 and RESP3 on port 6379.
func redisServer(ctx context.Context, p *Process) int {
	log := redisLog{logWriter{w: p.stdout()}}
	conf, err := parseRedisArgs(p.operands())
	if err != nil {
		_, _ = fmt.Fprintf(p.stderr(), "\n*** FATAL CONFIG FILE ERROR ***\n%v\n", err)
		return 1
	}
	address := net.JoinHostPort("", conf["port"])
	l, err := p.Net.Listen(ctx, "tcp", address)
	if err != nil {
		log.print('#', "Creating Server TCP listening socket *:%s: %v", conf["port"], err)
		return 1
	}
	log.print('#', "Server started, Redis version %s", redisVersion)
	log.print('*', "The server is now ready to accept connections on port %s", conf["port"])
	s := newRedis(conf, p)
	err = s.serve(ctx, l)
	switch {
	case errors.Is(err, errRedisCrashed):
		log.print('#', "=== REDIS BUG REPORT === %v", err)
		return 139
	case err != nil:
		log.print('#', "Accepting client connection: %v", err)
		return 1
	case ctx.Err() != nil:
		log.printf("1:signal-handler (%d) Received SIGTERM scheduling shutdown...\n", time.Now().Unix())
	}
	log.print('#', "User requested shutdown...")
	log.print('#', "Redis is now ready to exit, bye bye...")
	return 0
}

// redisLog writes lines as Redis does: 1:M 23 Nov 09:54:45.123 * text.
type redisLog struct{ logWriter }

func (l *redisLog) print(level byte, format string, args ...any) {
	now := time.Now().UTC().Format("02 Jan 15:04:05.000")
	l.printf("1:M %s %c %s\n", now, level, fmt.Sprintf(format, args...))
}

// redisDefaults are the directives that a command line may set and CONFIG GET
// shows. Only port has an effect: nothing is kept on a disk here.
var redisDefaults = map[string]string{
	"appendonly":     "no",
	"bind":           "",
	"daemonize":      "no",
	"databases":      "16",
	"dir":            "/data",
	"loglevel":       "notice",
	"maxclients":     "10000",
	"maxmemory":      "0",
	"port":           redisPort,
	"protected-mode": "no",
	"save":           "3600 1 300 100 60 10000",
	"tcp-backlog":    "511",
	"tcp-keepalive":  "300",
	"timeout":        "0",
}

// parseRedisArgs reads --directive value ... on top of the defaults.
func parseRedisArgs(args []string) (map[string]string, error) {
	conf := maps.Clone(redisDefaults)
	for len(args) > 0 {
		name, ok := strings.CutPrefix(args[0], "--")
		_, known := conf[name]
		n := 1
		for n < len(args) && !strings.HasPrefix(args[n], "--") {
			n++
		}
		if !ok || !known || n == 1 {
			return nil, fmt.Errorf(">>> %q\nBad directive or wrong number of arguments; known directives: %s",
				strings.Join(args[:n], " "), strings.Join(slices.Sorted(maps.Keys(redisDefaults)), ", "))
		}
		conf[name] = strings.Join(args[1:n], " ")
		args = args[n:]
	}
	if _, err := strconv.ParseUint(conf["port"], 10, 16); err != nil {
		return nil, fmt.Errorf(">>> \"port %s\"\nInvalid port", conf["port"])
	}
	return conf, nil
}

// guardedConn stands between a client and the command interpreter: it reads
// requests within bounds, answers malformed ones with the error Redis gives,
// and hands on only well-formed arrays of bulk strings.
type guardedConn struct {
	net.Conn
	r       *respReader
	pending []byte // the rest of a request that is being handed on
}

// redisWriteTimeout bounds how long a client that does not read its replies
// can hold up others, who may wait for the same message.
const redisWriteTimeout = 5 * time.Second

func guard(conn net.Conn) *guardedConn {
	return &guardedConn{Conn: conn, r: newRESPReader(conn)}
}

// Read implements net.Conn.
func (g *guardedConn) Read(b []byte) (int, error) {
	if len(g.pending) == 0 {
		args, err := g.r.command()
		var perr protocolError
		if errors.As(err, &perr) {
			_, _ = io.WriteString(g, "-ERR "+perr.Error()+"\r\n")
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		g.pending = AppendCommand(nil, args...)
	}
	n := copy(b, g.pending)
	g.pending = g.pending[n:]
	return n, nil
}

// Write implements net.Conn. After a write that took too long the connection
// is closed.
func (g *guardedConn) Write(b []byte) (int, error) {
	_ = g.SetWriteDeadline(time.Now().Add(redisWriteTimeout))
	n, err := g.Conn.Write(b)
	var nerr net.Error
	if errors.As(err, &nerr) && nerr.Timeout() {
		_ = g.Close()
	}
	return n, err
}

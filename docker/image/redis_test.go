package image

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// redisSession opens a connection to a Redis of its own.
func redisSession(t testing.TB) (l *lab, do func(args ...string) Reply) {
	t.Helper()
	l = newLab(t)
	l.run("db", "redis")
	conn, err := net.Dial("tcp", l.address("db:6379"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := NewRedisClient(conn)
	return l, func(args ...string) Reply {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		reply, err := client.Do(ctx, args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return reply
	}
}

// redisScript is one client's conversation; the values are what redis-cli
// prints.
var redisScript = []struct{ command, want string }{
	{"PING", "PONG\n"},
	{"ECHO hello", "\"hello\"\n"},
	{"SET k v", "OK\n"},
	{"GET k", "\"v\"\n"},
	{"GET absent", "(nil)\n"},
	{"SET k w NX", "(nil)\n"},
	{"SET k w EX 100", "OK\n"},
	{"TTL k", "(integer) 100\n"},
	{"TTL absent", "(integer) -2\n"},
	{"TTL", "(error) ERR wrong number of arguments for 'ttl' command\n"},
	{"INCR n", "(integer) 1\n"},
	{"TTL n", "(integer) -1\n"},
	{"INCRBY n 41", "(integer) 42\n"},
	{"DECR n", "(integer) 41\n"},
	{"INCR k", "(error) ERR value is not an integer or out of range\n"},
	{"RPUSH l a b c", "(integer) 3\n"},
	{"LPUSH l z", "(integer) 4\n"},
	{"LLEN l", "(integer) 4\n"},
	{"LRANGE l 0 -1", "1) \"z\"\n2) \"a\"\n3) \"b\"\n4) \"c\"\n"},
	{"LRANGE absent 0 -1", "(empty array)\n"},
	{"GET l", "(error) WRONGTYPE Operation against a key holding the wrong kind of value\n"},
	{"TYPE l", "list\n"},
	{"HSET h f 1 g 2", "(integer) 2\n"},
	{"HGET h f", "\"1\"\n"},
	{"SADD s x", "(integer) 1\n"},
	{"SMEMBERS s", "1) \"x\"\n"},
	{"EXISTS k n absent", "(integer) 2\n"},
	{"KEYS *", "1) \"h\"\n2) \"k\"\n3) \"l\"\n4) \"n\"\n5) \"s\"\n"},
	{"DBSIZE", "(integer) 5\n"},
	{"CONFIG GET maxc*", "1) \"maxclients\"\n2) \"10000\"\n"},
	{"CONFIG SET loglevel debug", "OK\n"},
	{"CONFIG GET loglevel", "1) \"loglevel\"\n2) \"debug\"\n"},
	{"CONFIG", "(error) ERR CONFIG subcommand must be one of GET pattern, SET name value, RESETSTAT\n"},
	{"CLIENT SETINFO lib-name x", "OK\n"},
	{"COMMAND DOCS", "(empty array)\n"},
	{"SELECT 1", "OK\n"},
	{"SELECT 16", "(error) ERR DB index is out of range\n"},
	{"GET k", "(nil)\n"},
	{"SELECT 0", "OK\n"},
	{"EVAL x 0", "(error) ERR scripting is disabled in this server\n"},
	{"SETRANGE k 99999999999 x", "(error) ERR value is out of range\n"},
	{"SRANDMEMBER s -99999999999999999999", "(error) ERR value is out of range\n"},
	{"SETBIT k 99999999999 1", "(error) ERR bit offset is not an integer or out of range\n"},
	{"LPOS l a COUNT 9223372036854775807", "(error) ERR value is out of range\n"},
	{"DEL k n", "(integer) 2\n"},
	{"FLUSHALL", "OK\n"},
	{"DBSIZE", "(integer) 0\n"},
}

func TestA9RedisCommands(t *testing.T) {
	_, do := redisSession(t)
	for _, row := range redisScript {
		if got := FormatReply(do(strings.Fields(row.command)...)); got != row.want {
			t.Errorf("%s = %q; want %q", row.command, got, row.want)
		}
	}
}

func TestRedisTransaction(t *testing.T) {
	_, do := redisSession(t)
	for _, row := range []struct{ command, want string }{
		{"MULTI", "OK\n"},
		{"INCR n", "QUEUED\n"},
		{"TTL n", "QUEUED\n"},
		{"INFO", "(error) ERR INFO is not allowed in transactions here\n"},
		{"EXEC", "1) (integer) 1\n2) (integer) -1\n"},
	} {
		if got := FormatReply(do(strings.Fields(row.command)...)); got != row.want {
			t.Errorf("%s = %q; want %q", row.command, got, row.want)
		}
	}
}

func TestRedisHelloAndInfo(t *testing.T) {
	l, do := redisSession(t)
	hello := do("HELLO", "3")
	wantContains(t, "HELLO 3", FormatReply(hello), `1# "server" => "redis"`, `3# "proto" => (integer) 3`)
	if got := do("HSET", "h", "f", "v"); got.Int != 1 {
		t.Errorf("HSET = %+v", got)
	}
	if got := FormatReply(do("HGETALL", "h")); got != "1# \"f\" => \"v\"\n" {
		t.Errorf("HGETALL in RESP3 = %q; want a map", got)
	}
	info := do("INFO").Str
	wantContains(t, "INFO", info, "# Server\r\nredis_version:"+redisVersion, "# Keyspace\r\ndb0:keys=1")
	if got := do("INFO", "replication").Str; got != "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n" {
		t.Errorf("INFO replication = %q", got)
	}
	wantContains(t, "CLIENT LIST", do("CLIENT", "LIST").Str, "laddr="+l.address("db:6379"))
}

func TestRedisProtocolErrors(t *testing.T) {
	l := newLab(t)
	l.run("db", "redis")
	for _, row := range []struct{ name, in, want string }{
		{"inline command", "ping\r\nQUIT\r\n", "+PONG\r\n+OK\r\n"},
		{"inline with quotes", "SET a \"b c\\n\"\nSTRLEN a\nQUIT\n", "+OK\r\n:4\r\n+OK\r\n"},
		{"empty requests", "\r\n*0\r\n*-1\r\nQUIT\r\n", "+OK\r\n"},
		{"huge bulk", "*1\r\n$9223372036854775807\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"negative bulk", "*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"huge array", "*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"no bulk", "*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"},
		{"unbalanced quotes", "GET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		{"long line", strings.Repeat("x", maxLine+8192), "-ERR Protocol error: too big inline request\r\n"},
		{"HTTP", "GET / HTTP/1.1\r\nQUIT\r\n", "-ERR wrong number of arguments for 'get' command\r\n+OK\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", l.address("db:6379"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			go func() { _, _ = conn.Write([]byte(row.in)) }()
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			var got []byte
			buf := make([]byte, 512)
			for {
				n, err := conn.Read(buf)
				got = append(got, buf[:n]...)
				if err != nil {
					break
				}
			}
			if string(got) != row.want {
				t.Errorf("answer = %q; want %q", got, row.want)
			}
		})
	}
}

func TestRedisEnds(t *testing.T) {
	t.Run("SIGTERM", func(t *testing.T) {
		l := newLab(t)
		c := l.run("db", "redis")
		conn, err := net.Dial("tcp", l.address("db:6379"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write(AppendCommand(nil, "BLPOP", "nothing", "0")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if exit := c.stop(); exit != 0 {
			t.Errorf("exit = %d; want 0", exit)
		}
		if took := time.Since(start); took > 30*time.Second { // a moment, but for a machine that is busy
			t.Errorf("it took %v", took)
		}
		wantContains(t, "log", c.stdout.String(), "ready to accept connections on port 6379",
			"Received SIGTERM scheduling shutdown", "bye bye")
	})
	t.Run("SHUTDOWN", func(t *testing.T) {
		l := newLab(t)
		c := l.run("db", "redis")
		conn, err := net.Dial("tcp", l.address("db:6379"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write(AppendCommand(nil, "SHUTDOWN")); err != nil {
			t.Fatal(err)
		}
		if exit := c.wait(); exit != 0 || strings.Contains(c.stdout.String(), "SIGTERM") {
			t.Errorf("exit = %d, log %q; want 0 and no SIGTERM", exit, c.stdout.String())
		}
	})
}

func TestRedisArguments(t *testing.T) {
	for _, row := range []struct {
		argv   []string
		exit   int
		output string
	}{
		{[]string{"docker-entrypoint.sh"}, 0, ""},
		{[]string{"docker-entrypoint.sh", "redis-benchmark"}, 127, "executable file not found"},
		{[]string{"docker-entrypoint.sh", "--requirepass", "x"}, 1, "Bad directive"},
		{[]string{"redis-server", "--port", "x"}, 1, "Invalid port"},
		{[]string{"redis-server", "/etc/redis.conf"}, 1, "Bad directive"},
	} {
		t.Run(strings.Join(row.argv, " "), func(t *testing.T) {
			im, err := Lookup("redis")
			if err != nil {
				t.Fatal(err)
			}
			c := newLab(t).start("db", im.Run, row.argv)
			if exit := c.wait(); exit != row.exit {
				t.Errorf("exit = %d; want %d", exit, row.exit)
			}
			wantContains(t, "stderr", c.stderr.String(), row.output)
		})
	}
}

func TestRedisRefusesTooManyClients(t *testing.T) {
	l, do := redisSession(t)
	if got := do("CONFIG", "SET", "maxclients", "1"); got.Str != "OK" {
		t.Fatalf("CONFIG SET = %+v", got)
	}
	if got := l.redisDo("db:6379", "PING"); got.Str != "ERR max number of clients reached" {
		t.Errorf("the second client = %+v; want it refused", got)
	}
}

func TestRedisPublish(t *testing.T) {
	l := newLab(t)
	l.run("db", "redis")
	conn, err := net.Dial("tcp", l.address("db:6379"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := NewRedisClient(conn)
	if _, err := client.Do(t.Context(), "SUBSCRIBE", "news"); err != nil {
		t.Fatal(err)
	}
	if got := l.redisDo("db:6379", "PUBLISH", "news", "hello"); got.Int != 1 {
		t.Fatalf("PUBLISH = %+v; want 1", got)
	}
	got, err := client.Receive(t.Context())
	if err != nil || FormatReply(got) != "1) \"message\"\n2) \"news\"\n3) \"hello\"\n" {
		t.Errorf("Receive = %q, %v; want the message", FormatReply(got), err)
	}
}

// The real client prints what FormatReply and FormatRaw print.
func TestRedisCLIAgrees(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("no redis-cli on this machine")
	}
	l := newLab(t)
	l.run("theirs", "redis")
	l.run("ours", "redis")
	hostName, port, err := net.SplitHostPort(l.address("theirs:6379"))
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []bool{false, true} {
		for _, args := range redisCLICommands() {
			flag, format := "--no-raw", FormatReply
			if raw {
				flag, format = "--raw", FormatRaw
			}
			out, err := exec.CommandContext(t.Context(), cli, append([]string{"-h", hostName, "-p", port, flag}, args...)...).Output()
			if err != nil && len(out) == 0 {
				t.Fatalf("redis-cli %v: %v", args, err)
			}
			if got := format(l.redisDo("ours:6379", args...)); got != string(out) {
				t.Errorf("%s %q = %q; redis-cli prints %q", flag, args, got, out)
			}
		}
	}
}

func redisCLICommands() [][]string {
	long := []string{"RPUSH", "long"}
	for i := range 12 {
		long = append(long, fmt.Sprint("e", i))
	}
	return [][]string{
		{"FLUSHALL"}, {"PING"}, {"GET", "x"}, {"SET", "x", "a\"b\\c\n\r\t\a\b\x7f\xffé"}, {"GET", "x"},
		{"INCR", "n"}, {"INCR", "x"}, {"NONSENSE", "y"}, long, {"LRANGE", "long", "0", "-1"},
		{"LRANGE", "none", "0", "-1"}, {"GEOADD", "g", "13.361389", "38.115556", "Palermo"},
		{"GEOPOS", "g", "Palermo", "nowhere"}, {"XADD", "st", "1-1", "f", "v"}, {"XRANGE", "st", "-", "+"},
		{"HSET", "h", "f", "v"}, {"HGETALL", "h"}, {"SADD", "s", "m"}, {"SMEMBERS", "s"}, {"HELLO", "3"},
	}
}

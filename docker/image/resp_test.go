package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/alicebob/miniredis/v2/server"
)

func TestReadReply(t *testing.T) {
	for _, row := range []struct {
		name, in string
		want     Reply
	}{
		{"status", "+OK\r\n", Reply{Kind: ReplyStatus, Str: "OK"}},
		{"error", "-ERR x\r\n", Reply{Kind: ReplyError, Str: "ERR x"}},
		{"integer", ":-7\r\n", Reply{Kind: ReplyInteger, Int: -7}},
		{"bulk", "$4\r\na\r\nb\r\n", Reply{Kind: ReplyBulk, Str: "a\r\nb"}},
		{"null bulk", "$-1\r\n", Reply{Kind: ReplyNil}},
		{"null array", "*-1\r\n", Reply{Kind: ReplyNil}},
		{"null", "_\r\n", Reply{Kind: ReplyNil}},
		{"true", "#t\r\n", Reply{Kind: ReplyBool, Int: 1}},
		{"double", ",1.5\r\n", Reply{Kind: ReplyDouble, Str: "1.5"}},
		{"verbatim", "=6\r\ntxt:ab\r\n", Reply{Kind: ReplyVerbatim, Str: "ab"}},
		{"map", "%1\r\n+k\r\n:1\r\n", Reply{Kind: ReplyMap, Elems: []Reply{{Kind: ReplyStatus, Str: "k"}, {Kind: ReplyInteger, Int: 1}}}},
		{"nested", "*1\r\n~1\r\n#f\r\n", Reply{Kind: ReplyArray, Elems: []Reply{{Kind: ReplySet, Elems: []Reply{{Kind: ReplyBool}}}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ReadReply(bufio.NewReader(iotest.OneByteReader(strings.NewReader(row.in))))
			if err != nil || !reflect.DeepEqual(got, row.want) {
				t.Errorf("ReadReply = %+v, %v; want %+v", got, err, row.want)
			}
		})
	}
}

func TestReadReplyRefuses(t *testing.T) {
	for _, row := range []struct{ name, in string }{
		{"nothing", ""},
		{"no type", "\r\n"},
		{"unknown type", "x\r\n"},
		{"half a bulk", "$5\r\nab"},
		{"bulk without its end", "$1\r\nabc"},
		{"announced too big", "$16777217\r\n"},
		{"too many elements", "*1048577\r\n"},
		{"too many elements together", "*2\r\n%524288\r\n"},
		{"too deep", strings.Repeat("*1\r\n", 20) + ":1\r\n"},
		{"half an array", "*2\r\n:1\r\n"},
		{"bad integer", ":1x\r\n"},
		{"bad boolean", "#x\r\n"},
		{"bad verbatim", "=3\r\nabc\r\n"},
		{"endless line", strings.Repeat("+", maxLine+8192)},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got, err := ReadReply(bufio.NewReader(strings.NewReader(row.in))); err == nil {
				t.Errorf("ReadReply = %+v; want an error", got)
			}
		})
	}
}

func TestFormatReply(t *testing.T) {
	bulk := func(s string) Reply { return Reply{Kind: ReplyBulk, Str: s} }
	for _, row := range []struct {
		name     string
		reply    Reply
		tty, raw string
	}{
		{"bool", Reply{Kind: ReplyBool, Int: 1}, "(true)\n", "(true)\n"},
		{"double", Reply{Kind: ReplyDouble, Str: "1.5"}, "(double) 1.5\n", "1.5\n"},
		{"empty map", Reply{Kind: ReplyMap}, "(empty hash)\n", "\n"},
		{"empty set", Reply{Kind: ReplySet}, "(empty set)\n", "\n"},
		{"set", Reply{Kind: ReplySet, Elems: []Reply{bulk("a")}}, "1~ \"a\"\n", "a\n"},
		{"verbatim", Reply{Kind: ReplyVerbatim, Str: "a\"b"}, "a\"b\n", "a\"b\n"},
		{"nested", Reply{Kind: ReplyArray, Elems: []Reply{{Kind: ReplyArray, Elems: []Reply{bulk("a"), bulk("b")}}, {Kind: ReplyNil}}},
			"1) 1) \"a\"\n   2) \"b\"\n2) (nil)\n", "a\nb\n\n"},
		{"odd map", Reply{Kind: ReplyMap, Elems: []Reply{bulk("a")}}, "1# \"a\"\n", "\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := FormatReply(row.reply); got != row.tty {
				t.Errorf("FormatReply = %q; want %q", got, row.tty)
			}
			if got := FormatRaw(row.reply); got != row.raw {
				t.Errorf("FormatRaw = %q; want %q", got, row.raw)
			}
		})
	}
}

func TestRedisAddress(t *testing.T) {
	for in, want := range map[string]string{
		"cat-db":      "cat-db:6379",
		"host-B:8001": "host-B:8001",
		"10.0.0.2":    "10.0.0.2:6379",
		"fd00::2":     "[fd00::2]:6379",
		"[fd00::2]":   "[fd00::2]:6379",
		"[fd00::2]:1": "[fd00::2]:1",
		"a:b:c":       "a:b:c",
	} {
		if got := RedisAddress(in); got != want {
			t.Errorf("RedisAddress(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestRedisClientStopsWithItsContext(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	defer func() { _ = theirs.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := RedisCommand(ctx, ours, "PING"); !errors.Is(err, context.Canceled) {
		t.Errorf("RedisCommand = %v; want %v", err, context.Canceled)
	}
	if _, err := RedisCommand(t.Context(), ours); err == nil {
		t.Error("a command without a name was sent")
	}
}

func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n+a\r\n_\r\n", "=5\r\ntxt:a\r\n", "#t\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reply, err := ReadReply(bufio.NewReader(bytes.NewReader(data)))
		if err == nil {
			FormatReply(reply)
			FormatRaw(reply)
		}
	})
}

func FuzzReadCommand(f *testing.F) {
	for _, seed := range []string{"PING\r\n", "*1\r\n$4\r\nPING\r\n", "SET a \"b \\\"\"\n", "SET a 'b'\n", "*0\r\n\r\nx y\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := newRESPReader(bytes.NewReader(data)).command()
		if err != nil {
			return
		}
		again, err := newRESPReader(bytes.NewReader(AppendCommand(nil, first...))).command()
		if err != nil || !reflect.DeepEqual(again, first) {
			t.Errorf("command = %q, %v; want %q", again, err, first)
		}
	})
}

// redisWords are what FuzzRedisServer builds its commands from: the names of
// commands that count or compute, and arguments that are hard on them.
var redisWords = strings.Fields(`SET GET INCRBY INCRBYFLOAT HINCRBYFLOAT SETRANGE GETRANGE SETBIT BITPOS BITCOUNT BITOP
	LPUSH RPUSH LPOP LPOS LRANGE LTRIM LINSERT LREM LINDEX LSET LMOVE SADD SPOP SRANDMEMBER SSCAN SINTERCARD ZADD ZRANGE
	ZRANDMEMBER ZPOPMIN ZINCRBY ZRANGEBYSCORE ZUNIONSTORE ZINTER ZRANGEBYLEX HSET HRANDFIELD HSCAN HEXPIRE HSETEX HGETDEL
	XADD XRANGE XREAD XGROUP XREADGROUP XPENDING XCLAIM XAUTOCLAIM XTRIM XINFO XDEL PFADD PFCOUNT PFMERGE GEOADD GEORADIUS
	GEOSEARCH GEODIST GEOPOS EXPIRE EXPIREAT PEXPIRE TTL PTTL SCAN KEYS SORT COPY RENAME MOVE RESTORE DUMP OBJECT MEMORY
	MULTI EXEC DISCARD WATCH SELECT SWAPDB CONFIG CLIENT COMMAND INFO HELLO SUBSCRIBE PSUBSCRIBE UNSUBSCRIBE PUBLISH
	PUBSUB AUTH CLUSTER LMPOP ZMPOP BZMPOP EVAL SCRIPT RANDOMKEY GETEX GETDEL DELEX MSETNX APPEND
	a b c k 0 1 -1 2 3 9223372036854775807 -9223372036854775808 99999999999999999999 1e5 inf -inf nan (1 [a + - * $ ~ =
	COUNT WITHSCORES WITHVALUES LIMIT MAXLEN MINID STREAMS GROUP CREATE MKSTREAM BLOCK EX PX NX XX GT LT CH INCR BY BYLEX
	BYSCORE REV MATCH TYPE FROMLONLAT BYRADIUS BYBOX m km ASC RANK AND NOT LEFT RIGHT WEIGHTS AGGREGATE SUM FIELDS GET SETNAME
	FULL STREAM GROUPS CONSUMERS ENCODING NUMSUB CHANNELS SLOTS 1-1 0-0 > ( [ ? a*[`)

func FuzzRedisServer(f *testing.F) {
	f.Add([]byte{0, 120, 121, 255, 1, 120})
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		s := newRedis(redisDefaults, &Process{})
		s.quit = cancel
		first, err := s.mini.Dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = first.Close()
		defer s.mini.Close()
		s.srv = s.mini.Server()
		c := &redisPeerConn{s: s}
		c.run(data)
		if err := context.Cause(ctx); err != nil && errors.Is(err, errRedisCrashed) {
			t.Fatalf("%v\n%s", err, strings.Join(c.said, "\n"))
		}
	})
}

// redisPeerConn feeds commands to a server without a connection.
type redisPeerConn struct {
	s    *redisd
	said []string
}

func (c *redisPeerConn) run(data []byte) {
	peer := server.NewPeer(bufio.NewWriter(io.Discard))
	c.s.srv.SetPreHook(c.s.hook)
	var args []string
	for _, b := range append(data[:min(len(data), 400):min(len(data), 400)], 255) {
		if b != 255 {
			args = append(args, redisWords[int(b)%len(redisWords)])
			continue
		}
		if len(args) > 0 && !blocks(args) {
			c.said = append(c.said, strings.Join(args, " "))
			c.s.srv.Dispatch(peer, args)
		}
		args = nil
	}
}

// blocks reports whether a command may wait for another client.
func blocks(args []string) bool {
	return args[0] == "BZMPOP" || strings.Contains(strings.Join(args, " "), "BLOCK")
}

func BenchmarkReadCommand(b *testing.B) {
	command := AppendCommand(nil, "LPUSH", "10.0.0.3:5000", "tabby")
	src := bytes.NewReader(command)
	r := newRESPReader(src)
	b.ReportAllocs()
	b.SetBytes(int64(len(command)))
	for b.Loop() {
		src.Reset(command)
		if _, err := r.command(); err != nil {
			b.Fatal(err)
		}
	}
}

package image

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// redisCommand is a command that redisd answers itself.
type redisCommand struct {
	takes func(args []string) bool // whether these arguments are ours
	run   func(s *redisd, c *server.Peer, args []string)

	queues bool // in a transaction, miniredis' own version does instead
}

func anyArgs([]string) bool { return true }

func arity(n int) func([]string) bool {
	return func(args []string) bool { return len(args) == n }
}

// subcommands returns a test for the first argument.
func subcommands(names ...string) func([]string) bool {
	return func(args []string) bool {
		return len(args) > 0 && slices.Contains(names, strings.ToUpper(args[0]))
	}
}

// redisCommands are by name; what they do not take goes on to miniredis.
var redisCommands = map[string]redisCommand{
	"CLIENT":       {takes: subcommands("SETINFO", "ID", "INFO", "LIST"), run: (*redisd).cmdClient},
	"COMMAND":      {takes: subcommands("DOCS", "COUNT"), run: (*redisd).cmdCommand},
	"CONFIG":       {takes: anyArgs, run: (*redisd).cmdConfig},
	"HELLO":        {takes: helloWithoutAuth, run: (*redisd).cmdHello},
	"INFO":         {takes: anyArgs, run: (*redisd).cmdInfo},
	"SHUTDOWN":     {takes: anyArgs, run: (*redisd).cmdShutdown},
	"TTL":          {takes: arity(1), run: (*redisd).cmdTTL, queues: true},
	"INCRBYFLOAT":  {takes: arity(2), run: (*redisd).cmdIncrByFloat},
	"HINCRBYFLOAT": {takes: arity(3), run: (*redisd).cmdHIncrByFloat},
}

func (s *redisd) cmdClient(c *server.Peer, args []string) {
	sub := strings.ToUpper(args[0])
	id := s.peer(c).id
	switch {
	case sub == "SETINFO" && len(args) == 3:
		c.WriteOK()
	case sub == "ID" && len(args) == 1:
		c.WriteInt(id)
	case sub == "INFO" && len(args) == 1:
		c.WriteBulk(fmt.Sprintf("id=%d name=%s\n", id, c.ClientName))
	case sub == "LIST" && len(args) == 1:
		c.WriteBulk(s.clientList())
	default:
		c.WriteError(fmt.Sprintf("ERR wrong number of arguments for 'client|%s' command", strings.ToLower(sub)))
	}
}

func (s *redisd) clientList() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for conn := range s.conns {
		lines = append(lines, "addr="+conn.RemoteAddr().String()+" laddr="+conn.LocalAddr().String()+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// cmdCommand answers what redis-cli asks on a terminal: there is no
// documentation to complete and hint from.
func (s *redisd) cmdCommand(c *server.Peer, args []string) {
	if strings.EqualFold(args[0], "COUNT") {
		c.WriteInt(200) // as many as COMMAND lists
		return
	}
	c.WriteMapLen(0)
}

func (s *redisd) cmdConfig(c *server.Peer, args []string) {
	sub := ""
	if len(args) > 0 {
		sub = strings.ToUpper(args[0])
	}
	switch {
	case sub == "GET" && len(args) > 1:
		found := s.configMatch(args[1:])
		c.WriteMapLen(len(found))
		for _, name := range slices.Sorted(maps.Keys(found)) {
			c.WriteBulk(name)
			c.WriteBulk(found[name])
		}
	case sub == "SET" && len(args) == 3:
		if !s.configSet(strings.ToLower(args[1]), args[2]) {
			c.WriteError(fmt.Sprintf("ERR Unknown option or number of arguments for CONFIG SET - %.64q", args[1]))
			return
		}
		c.WriteOK()
	case sub == "RESETSTAT" && len(args) == 1:
		c.WriteOK()
	default:
		c.WriteError("ERR CONFIG subcommand must be one of GET pattern, SET name value, RESETSTAT")
	}
}

// configMatch returns the directives that match one of the patterns.
func (s *redisd) configMatch(patterns []string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := maps.Clone(s.conf)
	maps.DeleteFunc(found, func(name, _ string) bool {
		return !slices.ContainsFunc(patterns, func(pattern string) bool {
			ok, err := path.Match(strings.ToLower(pattern), name)
			return err == nil && ok
		})
	})
	return found
}

func (s *redisd) configSet(name, value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conf[name]; !ok || name == "port" || len(value) > 1024 {
		return false
	}
	s.conf[name] = value
	return true
}

func helloWithoutAuth(args []string) bool {
	return len(args) == 0 || (len(args) == 1 && (args[0] == "2" || args[0] == "3"))
}

func (s *redisd) cmdHello(c *server.Peer, args []string) {
	if len(args) == 1 {
		c.Resp3 = args[0] == "3"
	}
	proto := 2
	if c.Resp3 {
		proto = 3
	}
	c.WriteMapLen(7)
	for _, field := range [][2]string{{"server", "redis"}, {"version", redisVersion}} {
		c.WriteBulk(field[0])
		c.WriteBulk(field[1])
	}
	c.WriteBulk("proto")
	c.WriteInt(proto)
	c.WriteBulk("id")
	c.WriteInt(s.peer(c).id)
	for _, field := range [][2]string{{"mode", "standalone"}, {"role", "master"}} {
		c.WriteBulk(field[0])
		c.WriteBulk(field[1])
	}
	c.WriteBulk("modules")
	c.WriteLen(0)
}

// ask runs a command on behalf of c, in its database, and returns the reply
// instead of sending it.
func (s *redisd) ask(c *server.Peer, cmd string, args ...string) Reply {
	var answer bytes.Buffer
	shadow := server.NewPeer(bufio.NewWriter(&answer))
	shadow.Ctx = c.Ctx
	s.dispatch(shadow, s.peer(shadow), cmd, args)
	shadow.Flush()
	s.forget(shadow)
	reply, err := ReadReply(bufio.NewReader(&answer))
	if err != nil {
		return Reply{Kind: ReplyError, Str: "ERR no answer to " + cmd + ": " + err.Error()}
	}
	return reply
}

// cmdTTL rounds to the nearest second, as Redis does; miniredis cuts.
func (s *redisd) cmdTTL(c *server.Peer, args []string) {
	left := s.ask(c, "PTTL", args...)
	switch {
	case left.Kind == ReplyError:
		c.WriteError(left.Str)
	case left.Int < 0:
		c.WriteInt(int(left.Int))
	default:
		c.WriteInt(int((left.Int + 500) / 1000))
	}
}

// cmdIncrByFloat lets only numbers of an ordinary size through: miniredis
// counts in arbitrary precision, and 1e10000000 would keep it busy for ever.
func (s *redisd) cmdIncrByFloat(c *server.Peer, args []string) {
	s.incrByFloat(c, "INCRBYFLOAT", s.ask(c, "GET", args[0]), args)
}

func (s *redisd) cmdHIncrByFloat(c *server.Peer, args []string) {
	s.incrByFloat(c, "HINCRBYFLOAT", s.ask(c, "HGET", args[0], args[1]), args)
}

func (s *redisd) incrByFloat(c *server.Peer, cmd string, stored Reply, args []string) {
	if !ordinary(args[len(args)-1]) || (stored.Kind == ReplyBulk && !ordinary(stored.Str)) {
		c.WriteError("ERR value is not a valid float")
		return
	}
	s.dispatch(c, s.peer(c), cmd, args)
}

// ordinary reports whether s is no number with a huge exponent or mantissa.
func ordinary(s string) bool {
	if len(s) > 512 {
		return false
	}
	i := strings.IndexAny(s, "eEpP")
	if i < 0 {
		return true
	}
	exponent, err := strconv.Atoi(s[i+1:])
	return err == nil && -400 < exponent && exponent < 400
}

func (s *redisd) cmdShutdown(c *server.Peer, _ []string) {
	c.Close()
	s.quit(nil)
}

func (s *redisd) cmdInfo(c *server.Peer, args []string) {
	var b strings.Builder
	for _, section := range s.infoSections() {
		name, _, _ := strings.Cut(section, "\r\n")
		if !wantsSection(args, strings.TrimPrefix(name, "# ")) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(section)
	}
	c.WriteBulk(b.String())
}

func wantsSection(args []string, name string) bool {
	if len(args) == 0 {
		return true
	}
	return slices.ContainsFunc(args, func(arg string) bool {
		return strings.EqualFold(arg, name) || slices.Contains([]string{"all", "default", "everything"}, strings.ToLower(arg))
	})
}

func (s *redisd) infoSections() []string {
	up := time.Since(s.started)
	return []string{
		infoSection("Server", "redis_version:"+redisVersion, "redis_mode:standalone", "process_id:1",
			"run_id:"+s.runID, "tcp_port:"+s.port,
			"uptime_in_seconds:"+strconv.Itoa(int(up.Seconds())), "uptime_in_days:"+strconv.Itoa(int(up.Hours()/24))),
		infoSection("Clients", "connected_clients:"+strconv.Itoa(s.srv.ClientsLen())),
		infoSection("Stats", "total_connections_received:"+strconv.Itoa(s.srv.TotalConnections()),
			"total_commands_processed:"+strconv.Itoa(s.srv.TotalCommands())),
		infoSection("Replication", "role:master", "connected_slaves:0"),
		infoSection("Keyspace", s.keyspace()...),
	}
}

func infoSection(name string, lines ...string) string {
	return "# " + name + "\r\n" + strings.Join(append(lines, ""), "\r\n")
}

func (s *redisd) keyspace() []string {
	var lines []string
	for i := range redisDatabases {
		if n := len(s.mini.DB(i).Keys()); n > 0 {
			lines = append(lines, fmt.Sprintf("db%d:keys=%d", i, n))
		}
	}
	return lines
}

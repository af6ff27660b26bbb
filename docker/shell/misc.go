package shell

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

func runTrue(context.Context, *Call) int { return 0 }

func runFalse(context.Context, *Call) int { return 1 }

// runHostname is hostname: the name, or with -i the first address.
func runHostname(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "i I s f d")
	if err != nil {
		return c.badOption(err)
	}
	switch {
	case len(rest) > 0:
		return c.Errorf("you must be root to change the host name")
	case opts.has("I"):
		for _, i := range c.Sys.NS.Interfaces() {
			for _, p := range i.Addrs() {
				if !p.Addr().IsLoopback() {
					c.Printf("%s ", p.Addr())
				}
			}
		}
		c.Printf("\n")
	case opts.has("i"):
		a, err := c.Sys.lookup(ctx, c.Sys.hostname())
		if err != nil {
			return c.Errorf("Name or service not known")
		}
		c.Printf("%s\n", a)
	default:
		c.Printf("%s\n", c.Sys.hostname())
	}
	return 0
}

// pause waits; false: ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func runSleep(ctx context.Context, c *Call) int {
	if len(c.Args) < 2 {
		return c.badUsage("missing operand")
	}
	var total time.Duration
	for _, a := range c.Args[1:] {
		if a == "infinity" || a == "inf" {
			a = strconv.Itoa(maxSeconds)
		}
		d, err := seconds(a)
		if err != nil {
			return c.Errorf("%v", err)
		}
		total = min(total+d, maxSeconds*time.Second)
	}
	if !pause(ctx, total) {
		return statusInterrupted
	}
	return 0
}

// runDate is date: now, in a format of strftime.
func runDate(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "u R")
	if err != nil {
		return c.badOption(err)
	}
	now := time.Now()
	if opts.has("u") {
		now = now.UTC()
	}
	format := "%a %b %e %H:%M:%S %Z %Y"
	if len(rest) > 0 {
		f, ok := strings.CutPrefix(rest[0], "+")
		if !ok {
			return c.Errorf("invalid date '%s'", rest[0])
		}
		format = f
	}
	c.Printf("%s\n", strftime(now, format))
	return 0
}

func strftime(t time.Time, format string) string {
	layouts := map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'M': "04", 'S': "05", 'Z': "MST", 'z': "-0700",
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'y': "06", 'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04", 'p': "PM"}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch f := format[i]; {
		case layouts[f] != "":
			b.WriteString(t.Format(layouts[f]))
		case f == 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case f == 'N':
			fmt.Fprintf(&b, "%09d", t.Nanosecond())
		case f == 'n':
			b.WriteByte('\n')
		case f == '%':
			b.WriteByte('%')
		default:
			b.WriteString(format[i-1 : i+1])
		}
	}
	return b.String()
}

// runEnv is env and printenv.
func runEnv(ctx context.Context, c *Call) int {
	env, args := c.Env, c.Args[1:]
	if c.name() == "printenv" && len(args) > 0 {
		if v := c.Getenv(args[0]); v != "" {
			c.Printf("%s\n", v)
			return 0
		}
		return 1
	}
	for len(args) > 0 {
		switch {
		case args[0] == "-i" || args[0] == "-":
			env = nil
		case strings.Contains(args[0], "="):
			env = append(env[:len(env):len(env)], args[0])
		default:
			sub := *c
			sub.Env = env
			return sub.Exec(ctx, args)
		}
		args = args[1:]
	}
	for i, kv := range env {
		k, _, _ := strings.Cut(kv, "=")
		if !assignedLater(env[i+1:], k) {
			c.Printf("%s\n", kv)
		}
	}
	return 0
}

func assignedLater(env []string, key string) bool {
	for _, kv := range env {
		if strings.HasPrefix(kv, key+"=") {
			return true
		}
	}
	return false
}

func runID(_ context.Context, c *Call) int {
	if len(c.Args) > 1 && strings.HasPrefix(c.Args[1], "-") {
		if strings.Contains(c.Args[1], "n") {
			c.Printf("root\n")
		} else {
			c.Printf("0\n")
		}
		return 0
	}
	c.Printf("uid=0(root) gid=0(root) groups=0(root)\n")
	return 0
}

func runWhoami(_ context.Context, c *Call) int {
	if len(c.Args) > 1 {
		return c.badUsage("extra operand '%s'", c.Args[1])
	}
	c.Printf("root\n")
	return 0
}

func runUname(_ context.Context, c *Call) int {
	opts, _, err := getopt(c.Args[1:], "a s n r v m o p i")
	if err != nil {
		return c.badOption(err)
	}
	var words []string
	for _, part := range []option{{"s", "Linux"}, {"n", c.Sys.hostname()}, {"r", kernel}, {"v", "#66-Ubuntu SMP Wed Oct 19 14:12:37 UTC 2016"},
		{"m", "x86_64"}, {"o", "GNU/Linux"}} {
		if opts.has("a", part.name) || len(opts) == 0 && part.name == "s" {
			words = append(words, part.value)
		}
	}
	c.Printf("%s\n", strings.Join(words, " "))
	return 0
}

// runPs is ps: what the system says that runs, and the commands of this session.
func runPs(_ context.Context, c *Call) int {
	for _, a := range c.Args[1:] {
		for _, letter := range strings.TrimPrefix(a, "-") {
			switch {
			case a[0] != '-' || letter == '-' || unicode.IsLetter(letter):
			case c.busybox():
				return c.badOption(&optionError{name: string(letter)})
			default:
				return c.say1("error: garbage option\n"+strings.TrimSuffix(c.usageOf("ps"), "\n"), 1)
			}
		}
	}
	all := c.everyProcess()
	if c.busybox() {
		c.Printf("PID   USER     TIME   COMMAND\n")
	} else {
		c.Printf("  PID TTY          TIME CMD\n")
	}
	for _, p := range all {
		if p.User == "" {
			p.User = "root"
		}
		if c.busybox() {
			c.Printf("%5d %-8s %6s %s\n", p.PID, p.User, "0:00", p.Command)
		} else {
			c.Printf("%5d ?        00:00:00 %s\n", p.PID, p.Command)
		}
	}
	return 0
}

// runTimeout is timeout: it ends a command after a time, with status 124.
func runTimeout(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "+s: signal: k: kill-after: t: preserve-status foreground")
	if err != nil {
		return c.badOption(err)
	}
	if t, ok := opts.last("t"); ok { // busybox before 1.30
		rest = append([]string{t}, rest...)
	}
	if len(rest) < 2 {
		return c.badUsage("missing operand")
	}
	d, err := seconds(rest[0])
	if err != nil {
		return c.fail(125, "%v", err)
	}
	if d == 0 {
		return c.Exec(ctx, rest[1:])
	}
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	code := c.Exec(limited, rest[1:])
	if limited.Err() != nil && ctx.Err() == nil {
		return 124
	}
	return code
}

func runWhich(_ context.Context, c *Call) int {
	code := 0
	for _, name := range c.Args[1:] {
		if _, at, ok := c.Sys.tool(name); ok {
			c.Printf("%s\n", at)
		} else {
			code = 1
		}
	}
	return code
}

func runYes(ctx context.Context, c *Call) int {
	text := "y"
	if len(c.Args) > 1 {
		text = strings.Join(c.Args[1:], " ")
	}
	block := strings.Repeat(text+"\n", max(1, 8192/(len(text)+1)))
	for ctx.Err() == nil {
		if _, err := io.WriteString(c.Out, block); err != nil {
			return 1
		}
	}
	return statusInterrupted
}

// runXargs is xargs: it appends the words of its input to a command.
func runXargs(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "+n: I: r t")
	if err != nil {
		return c.badOption(err)
	}
	var text strings.Builder
	if err := copyText(&text, c.In, maxScript); err != nil {
		return c.Errorf("%v", err)
	}
	if len(rest) == 0 {
		rest = []string{"echo"}
	}
	words := strings.Fields(text.String())
	sub := *c
	sub.In = emptyReader{}
	size := max(len(words), 1)
	if n, ok := opts.last("n"); ok {
		if size, err = number(n, 1, 1<<16); err != nil {
			return c.Errorf("%v", err)
		}
	}
	mark, replace := opts.last("I")
	if replace {
		size = 1
	}
	code := 0
	for len(words) > 0 || !opts.has("r") && !replace {
		n := min(size, len(words))
		argv := append(rest[:len(rest):len(rest)], words[:n]...)
		if replace {
			argv = nil
			for _, w := range rest {
				argv = append(argv, strings.ReplaceAll(w, mark, words[0]))
			}
		}
		if sub.Exec(ctx, argv) != 0 {
			code = 123
		}
		if words = words[n:]; len(words) == 0 || ctx.Err() != nil {
			break
		}
	}
	return code
}

// runSysctl is sysctl: it reads and sets what is below /proc/sys.
func runSysctl(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "w n a q e")
	if err != nil {
		return c.badOption(err)
	}
	if opts.has("a") {
		for p := range generated {
			if key, ok := strings.CutPrefix(p, "/proc/sys/"); ok {
				rest = append(rest, strings.ReplaceAll(key, "/", "."))
			}
		}
		slices.Sort(rest)
	}
	code := 0
	for _, a := range rest {
		key, value, set := strings.Cut(a, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		p := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		text, ok := c.Sys.made(p)
		switch {
		case !ok:
			code = c.fail(255, "cannot stat %s: No such file or directory", p)
			continue
		case set && settings[p] == nil:
			code = c.fail(255, "permission denied on key '%s'", key)
			continue
		case set:
			if err := settings[p](c.Sys, value); err != nil {
				code = c.fail(255, "setting key \"%s\": %s", key, errnoText(err))
				continue
			}
		default:
			value = strings.TrimSpace(string(text))
		}
		if opts.has("n") {
			c.Printf("%s\n", value)
		} else if !opts.has("q") {
			c.Printf("%s = %s\n", key, value)
		}
	}
	return code
}

package shell

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// sedAddress selects lines: by number, the last one, or an expression.
type sedAddress struct {
	line int
	last bool
	re   *regexp.Regexp
}

// sedCommand is one command of a script: s, p, d or q.
type sedCommand struct {
	from, to *sedAddress // nil: none
	not      bool
	verb     byte
	re       *regexp.Regexp
	with     string
	global   bool
	nth      int
	print    bool
	inside   bool // of its range
}

// sedParser reads a script.
type sedParser struct {
	text     string
	extended bool
}

var errSed = errors.New("unknown command or unterminated expression")

func parseSed(text string, extended bool) ([]*sedCommand, error) {
	p := &sedParser{text: text, extended: extended}
	var all []*sedCommand
	for {
		p.text = strings.TrimLeft(p.text, " \t\n;")
		if p.text == "" {
			return all, nil
		}
		cmd, err := p.command()
		if err != nil {
			return nil, fmt.Errorf("-e expression #1, char %d: %w", len(text)-len(p.text)+1, err)
		}
		all = append(all, cmd)
	}
}

func (p *sedParser) command() (*sedCommand, error) {
	cmd := &sedCommand{nth: 1}
	var err error
	if cmd.from, err = p.address(); err != nil {
		return nil, err
	}
	if cmd.from != nil && strings.HasPrefix(p.text, ",") {
		p.text = p.text[1:]
		if cmd.to, err = p.address(); err != nil || cmd.to == nil {
			return nil, errSed
		}
	}
	p.text = strings.TrimLeft(p.text, " ")
	if strings.HasPrefix(p.text, "!") {
		cmd.not, p.text = true, p.text[1:]
	}
	if p.text == "" {
		return nil, errSed
	}
	cmd.verb, p.text = p.text[0], p.text[1:]
	switch cmd.verb {
	case 'p', 'd', 'q':
		return cmd, nil
	case 's':
		return cmd, p.substitute(cmd)
	}
	return nil, errSed
}

func (p *sedParser) address() (*sedAddress, error) {
	n := 0
	for n < len(p.text) && p.text[n] >= '0' && p.text[n] <= '9' {
		n++
	}
	switch {
	case n > 0:
		line, err := strconv.Atoi(p.text[:n])
		p.text = p.text[n:]
		return &sedAddress{line: line}, err
	case strings.HasPrefix(p.text, "$"):
		p.text = p.text[1:]
		return &sedAddress{last: true}, nil
	case strings.HasPrefix(p.text, "/"):
		expr, ok := p.delimited('/')
		if !ok {
			return nil, errSed
		}
		re, err := p.compile(expr, "")
		return &sedAddress{re: re}, err
	}
	return nil, nil
}

// delimited reads a delimiter and what is up to the next, which is left in place.
func (p *sedParser) delimited(d byte) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(p.text); i++ {
		switch x := p.text[i]; {
		case x == '\\' && i+1 < len(p.text):
			i++
			if p.text[i] != d {
				b.WriteByte('\\')
			}
			b.WriteByte(p.text[i])
		case x == d:
			p.text = p.text[i+1:]
			return b.String(), true
		default:
			b.WriteByte(x)
		}
	}
	return "", false
}

func (p *sedParser) compile(expr, flags string) (*regexp.Regexp, error) {
	if !p.extended {
		expr = basicRegexp(expr)
	}
	return regexp.Compile(flags + wordEdges(expr))
}

func (p *sedParser) substitute(cmd *sedCommand) error {
	if p.text == "" || p.text[0] == '\n' || p.text[0] == '\\' {
		return errSed
	}
	d := p.text[0]
	expr, ok := p.delimited(d)
	if !ok {
		return errSed
	}
	p.text = string(d) + p.text
	if cmd.with, ok = p.delimited(d); !ok {
		return errSed
	}
	flags := ""
	for p.text != "" && strings.IndexByte("gpiI0123456789", p.text[0]) >= 0 {
		switch x := p.text[0]; x {
		case 'g':
			cmd.global = true
		case 'p':
			cmd.print = true
		case 'i', 'I':
			flags = "(?i)"
		default:
			cmd.nth = max(int(x-'0'), 1)
		}
		p.text = p.text[1:]
	}
	re, err := p.compile(expr, flags)
	cmd.re = re
	return err
}

// sedExpand fills a replacement with the groups of a match.
func sedExpand(with, line string, m []int) string {
	group := func(n int) string {
		if 2*n+1 < len(m) && m[2*n] >= 0 {
			return line[m[2*n]:m[2*n+1]]
		}
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(with); i++ {
		switch x := with[i]; {
		case x == '&':
			b.WriteString(group(0))
		case x == '\\' && i+1 < len(with):
			i++
			switch y := with[i]; {
			case y >= '0' && y <= '9':
				b.WriteString(group(int(y - '0')))
			case y == 'n':
				b.WriteByte('\n')
			case y == 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(y)
			}
		default:
			b.WriteByte(x)
		}
	}
	return b.String()
}

// apply replaces in a line; false: nothing matched.
func (cmd *sedCommand) apply(line string) (string, bool) {
	var b strings.Builder
	at, changed := 0, false
	for i, m := range cmd.re.FindAllStringSubmatchIndex(line, -1) {
		if i+1 < cmd.nth || i+1 > cmd.nth && !cmd.global {
			continue
		}
		b.WriteString(line[at:m[0]] + sedExpand(cmd.with, line, m))
		at, changed = m[1], true
	}
	return b.String() + line[at:], changed
}

func (a *sedAddress) matches(line string, n int, last bool) bool {
	return a.line == n && n > 0 || a.last && last || a.re != nil && a.re.MatchString(line)
}

// applies tells whether the command is for a line.
func (cmd *sedCommand) applies(line string, n int, last bool) bool {
	in := true
	switch {
	case cmd.to != nil && cmd.inside:
		cmd.inside = !cmd.to.matches(line, n, last) && (cmd.to.line == 0 || n < cmd.to.line)
	case cmd.from != nil:
		in = cmd.from.matches(line, n, last)
		cmd.inside = in && cmd.to != nil && (cmd.to.line == 0 || cmd.to.line > n)
	}
	return in != cmd.not
}

// runSed is sed with the commands s, p, d and q, line addresses, and -n -e -E -r.
func runSed(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "n e: E r s quiet regexp-extended")
	if err != nil {
		return c.badOption(err)
	}
	var script []string
	for _, o := range opts {
		if o.name == "e" {
			script = append(script, o.value)
		}
	}
	if script == nil {
		if len(rest) == 0 {
			return c.Errorf("no script specified")
		}
		script, rest = rest[:1], rest[1:]
	}
	cmds, err := parseSed(strings.Join(script, "\n"), opts.has("E", "r", "regexp-extended"))
	if err != nil {
		return c.Errorf("%v", err)
	}
	s := &sedRun{c: c, cmds: cmds, quiet: opts.has("n", "quiet")}
	in := &inputs{c: c, names: rest}
	in.eachLine(func(line string) error { // one line behind, to know the last
		defer func() { s.held, s.some = line, true }()
		if s.some {
			return s.line(s.held, false)
		}
		return nil
	})
	if s.some && !s.quit {
		if err := s.line(s.held, true); err != nil && !errors.Is(err, errStop) {
			return 1
		}
	}
	return in.code
}

type sedRun struct {
	c     *Call
	cmds  []*sedCommand
	quiet bool
	n     int
	held  string
	some  bool
	quit  bool
}

func (s *sedRun) line(line string, last bool) error {
	s.n++
	for _, cmd := range s.cmds {
		if !cmd.applies(line, s.n, last) {
			continue
		}
		show := cmd.verb == 'p'
		switch cmd.verb {
		case 'd':
			return nil
		case 'q':
			s.quit = true
		case 's':
			var changed bool
			line, changed = cmd.apply(line)
			show = changed && cmd.print
		}
		if show {
			if err := s.c.puts(line); err != nil {
				return err
			}
		}
		if s.quit {
			break
		}
	}
	if !s.quiet {
		if err := s.c.puts(line); err != nil {
			return err
		}
	}
	if s.quit {
		return errStop
	}
	return nil
}

package shell

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// grepper is one run of grep.
type grepper struct {
	c       *Call
	re      *regexp.Regexp
	opts    options
	prefix  bool // names before lines
	found   bool
	maximum int // -m

	before, after int // -B and -A: lines shown around one that matches
}

// runGrep is grep with -c -v -i -E -F -G -o -q -n -l -w -x -m N -h -H -e PATTERN -s -A N -B N -C N.
func runGrep(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "c v i E F G P o q n l w x m: h H e: s color: quiet count invert-match ignore-case A: B: C:")
	if err != nil {
		return c.badOption(err)
	}
	var patterns []string
	for _, o := range opts {
		if o.name == "e" {
			patterns = append(patterns, o.value)
		}
	}
	if patterns == nil {
		if len(rest) == 0 {
			if c.busybox() {
				return c.usage(2)
			}
			return c.explainUsage()
		}
		patterns, rest = strings.Split(rest[0], "\n"), rest[1:]
	}
	g := &grepper{c: c, opts: opts, prefix: (len(rest) > 1 || opts.has("H")) && !opts.has("h")}
	if g.re, err = grepPattern(c.name(), patterns, opts); err != nil {
		return c.fail(2, "%v", err)
	}
	for _, o := range []struct {
		name string
		to   []*int
	}{{"m", []*int{&g.maximum}}, {"C", []*int{&g.before, &g.after}}, {"B", []*int{&g.before}}, {"A", []*int{&g.after}}} {
		value, ok := opts.last(o.name)
		if !ok {
			continue
		}
		n, err := number(value, 0, 1<<30)
		if err != nil {
			return c.fail(2, "%v", err)
		}
		for _, to := range o.to {
			*to = n
		}
	}
	in := &inputs{c: c, names: rest}
	in.each(g.file)
	switch {
	case g.found && (in.code == 0 || opts.has("q")):
		return 0
	case in.code != 0:
		return 2
	}
	return 1
}

// grepPattern makes one expression of the patterns that grep was given.
func grepPattern(name string, patterns []string, opts options) (*regexp.Regexp, error) {
	var all []string
	for _, p := range patterns {
		switch {
		case opts.has("F") || name == "fgrep":
			p = regexp.QuoteMeta(p)
		case !opts.has("E", "P") && name != "egrep":
			p = basicRegexp(p)
		default:
			p = wordEdges(p)
		}
		if opts.has("w") {
			p = `\b(?:` + p + `)\b`
		}
		if opts.has("x") {
			p = `^(?:` + p + `)$`
		}
		all = append(all, "(?:"+p+")")
	}
	expr := strings.Join(all, "|")
	if opts.has("i", "ignore-case") {
		expr = "(?i)" + expr
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression: %w", err)
	}
	return re, nil
}

var edges = strings.NewReplacer(`\\`, `\\`, `\<`, `\b`, `\>`, `\b`)

func wordEdges(p string) string { return edges.Replace(p) }

// basicRegexp turns a POSIX basic regular expression, with GNU's \+ \? and \|, into an extended one.
func basicRegexp(p string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(p); i++ {
		x := p[i]
		switch {
		case class:
			if x == ']' && i > 0 && p[i-1] != '[' && (p[i-1] != '^' || i < 2 || p[i-2] != '[') {
				class = false
			}
			if x == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(x)
		case x == '\\' && i+1 < len(p):
			i++
			switch p[i] {
			case '(', ')', '{', '}', '|', '+', '?':
				b.WriteByte(p[i])
			case '<', '>':
				b.WriteString(`\b`)
			default:
				b.WriteString(p[i-1 : i+1])
			}
		case strings.IndexByte("(){}|+?", x) >= 0:
			b.WriteString(`\` + string(x))
		case x == '*' && (i == 0 || p[i-1] == '^'):
			b.WriteString(`\*`)
		default:
			class = x == '['
			b.WriteByte(x)
		}
	}
	return b.String()
}

// file looks through one file.
func (g *grepper) file(name string, r io.Reader) error {
	if name == "-" {
		name = "(standard input)"
	}
	lead := ""
	if g.prefix {
		lead = name + ":"
	}
	count, number := 0, 0
	around := new(surroundings)
	err := lines(r, func(line string) error {
		number++
		if g.re.MatchString(line) == g.opts.has("v", "invert-match") || g.maximum > 0 && count == g.maximum {
			return g.beside(around, lead, number, line, g.maximum > 0 && count == g.maximum)
		}
		g.found = true
		count++
		if g.opts.has("q", "quiet", "l") {
			return errStop
		}
		if !g.opts.has("c", "count") {
			if err := g.match(around, lead, number, line); err != nil {
				return err
			}
		}
		if count == g.maximum && around.pending == 0 {
			return errStop
		}
		return nil
	})
	switch {
	case g.opts.has("q", "quiet"):
	case g.opts.has("l"):
		if count > 0 {
			g.c.Printf("%s\n", name)
		}
	case g.opts.has("c", "count"):
		g.c.Printf("%s%d\n", lead, count)
	}
	return err
}

// surroundings is where a search is among the lines that are shown for the sake of their neighbours.
type surroundings struct {
	kept    []string // the last lines that were not shown, at most -B
	pending int      // how many of -A are still to be shown
	shown   int      // number of the last line that was
}

// beside takes note of a line that is none of those looked for. last: no more are looked for.
func (g *grepper) beside(s *surroundings, lead string, number int, line string, last bool) error {
	switch {
	case s.pending > 0:
		s.pending--
		s.shown = number
		if err := g.neighbour(lead, number, line); err != nil || !last || s.pending > 0 {
			return err
		}
		return errStop
	case g.before > 0:
		if s.kept = append(s.kept, line); len(s.kept) > g.before {
			s.kept = s.kept[1:]
		}
	}
	return nil
}

// match shows a line that is looked for, with those before it.
func (g *grepper) match(s *surroundings, lead string, number int, line string) error {
	first := number - len(s.kept)
	if g.before+g.after > 0 && s.shown > 0 && first > s.shown+1 {
		if err := g.c.puts("--"); err != nil {
			return err
		}
	}
	for i, l := range s.kept {
		if err := g.neighbour(lead, first+i, l); err != nil {
			return err
		}
	}
	s.kept, s.pending, s.shown = nil, g.after, number
	return g.show(lead, number, line)
}

// neighbour shows a line for the sake of the one beside it, with - where that has a colon.
func (g *grepper) neighbour(lead string, number int, line string) error {
	if g.opts.has("o", "c", "count") {
		return nil
	}
	if lead != "" {
		lead = strings.TrimSuffix(lead, ":") + "-"
	}
	if g.opts.has("n") {
		lead = fmt.Sprintf("%s%d-", lead, number)
	}
	return g.c.puts(lead + line)
}

func (g *grepper) show(lead string, number int, line string) error {
	if g.opts.has("n") {
		lead = fmt.Sprintf("%s%d:", lead, number)
	}
	if !g.opts.has("o") {
		return g.c.puts(lead + line)
	}
	for _, m := range g.re.FindAllString(line, -1) {
		if m != "" {
			if err := g.c.puts(lead + m); err != nil {
				return err
			}
		}
	}
	return nil
}

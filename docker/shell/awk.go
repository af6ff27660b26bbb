package shell

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// awkRule is a pattern and what to print where it matches. It is the awk that pulls columns out of listings: patterns
// /RE/, NR==N, $N=="text", $N~/RE/, END, and { print ITEM, ITEM ... } with fields, NF, NR, NF arithmetic left out, and strings.
type awkRule struct {
	end   bool
	match func(r *awkRecord) bool // nil: every record
	print []awkItem               // nil: the record
}

// awkRecord is a line with its fields.
type awkRecord struct {
	line   string
	fields []string
	number int
}

// awkItem is a part of what is printed; items without a comma between are joined.
type awkItem struct {
	value func(r *awkRecord) string
	comma bool // one stands before it
}

func (r *awkRecord) field(n int) string {
	switch {
	case n == 0:
		return r.line
	case n > 0 && n <= len(r.fields):
		return r.fields[n-1]
	}
	return ""
}

// awkParser reads a program.
type awkParser struct{ text string }

var errAwk = errors.New("syntax error: only patterns and { print ... } are known here")

func parseAwk(text string) ([]*awkRule, error) {
	p := &awkParser{text}
	var rules []*awkRule
	for p.skip(); p.text != ""; p.skip() {
		r, err := p.rule()
		if err != nil {
			return nil, fmt.Errorf("%w, at %q", err, p.text)
		}
		rules = append(rules, r)
	}
	if rules == nil {
		return nil, errAwk
	}
	return rules, nil
}

func (p *awkParser) skip() { p.text = strings.TrimLeft(p.text, " \t\n;") }

// take removes a prefix if it is there.
func (p *awkParser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.text, s)
	if ok {
		p.text = strings.TrimLeft(rest, " \t")
	}
	return ok
}

func (p *awkParser) rule() (*awkRule, error) {
	r := &awkRule{}
	var err error
	switch {
	case p.take("END"):
		r.end = true
	case !strings.HasPrefix(p.text, "{"):
		if r.match, err = p.pattern(); err != nil {
			return nil, err
		}
	}
	if !p.take("{") {
		return r, nil
	}
	if !p.take("print") {
		return nil, errAwk
	}
	for first, comma := true, false; ; first = false {
		p.skip()
		switch {
		case p.take("}"):
			return r, nil
		case p.take(","):
			comma = true
			continue
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		r.print = append(r.print, awkItem{v, comma && !first})
		comma = false
	}
}

// value reads $N, $NF, NF, NR, a string or a number.
func (p *awkParser) value() (func(r *awkRecord) string, error) {
	switch {
	case p.take("$NF"):
		return func(r *awkRecord) string { return r.field(len(r.fields)) }, nil
	case p.take("$"):
		n, err := strconv.Atoi(p.digits())
		return func(r *awkRecord) string { return r.field(n) }, err
	case p.take("NF"):
		return func(r *awkRecord) string { return strconv.Itoa(len(r.fields)) }, nil
	case p.take("NR"):
		return func(r *awkRecord) string { return strconv.Itoa(r.number) }, nil
	case strings.HasPrefix(p.text, `"`):
		for i := 1; i < len(p.text); i++ {
			if p.text[i] == '\\' {
				i++
			} else if p.text[i] == '"' {
				s, err := strconv.Unquote(p.text[:i+1])
				p.text = strings.TrimLeft(p.text[i+1:], " \t")
				return func(*awkRecord) string { return s }, err
			}
		}
	}
	if d := p.digits(); d != "" {
		return func(*awkRecord) string { return d }, nil
	}
	return nil, errAwk
}

func (p *awkParser) digits() string {
	n := 0
	for n < len(p.text) && p.text[n] >= '0' && p.text[n] <= '9' {
		n++
	}
	d := p.text[:n]
	p.text = strings.TrimLeft(p.text[n:], " \t")
	return d
}

// regexp reads /RE/.
func (p *awkParser) regexp() (*regexp.Regexp, error) {
	s := &sedParser{text: p.text}
	expr, ok := s.delimited('/')
	if !ok || !strings.HasPrefix(p.text, "/") {
		return nil, errAwk
	}
	p.text = strings.TrimLeft(s.text, " \t")
	return regexp.Compile(wordEdges(expr))
}

// pattern reads what stands before the braces.
func (p *awkParser) pattern() (func(r *awkRecord) bool, error) {
	if not := p.take("!"); not || strings.HasPrefix(p.text, "/") {
		re, err := p.regexp()
		return func(r *awkRecord) bool { return re.MatchString(r.line) != not }, err
	}
	left, err := p.value()
	if err != nil {
		return nil, err
	}
	for _, op := range []string{"!~", "~"} {
		if p.take(op) {
			re, err := p.regexp()
			return func(r *awkRecord) bool { return re.MatchString(left(r)) == (op == "~") }, err
		}
	}
	for _, op := range []string{"==", "!=", ">=", "<=", ">", "<"} {
		if p.take(op) {
			right, err := p.value()
			return func(r *awkRecord) bool { return awkCompare(left(r), right(r), op) }, err
		}
	}
	return func(r *awkRecord) bool { return left(r) != "" && left(r) != "0" }, nil
}

// awkCompare compares two numbers as such, and else as text.
func awkCompare(a, b, op string) bool {
	d := strings.Compare(a, b)
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX == nil && errY == nil {
		d = 0
		if x < y {
			d = -1
		} else if x > y {
			d = 1
		}
	}
	switch op {
	case "==":
		return d == 0
	case "!=":
		return d != 0
	case ">=":
		return d >= 0
	case "<=":
		return d <= 0
	case ">":
		return d > 0
	}
	return d < 0
}

// runAwk is awk for columns: -F SEP and rules as awkRule has them.
func runAwk(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "+F: v:")
	if err != nil {
		return c.badOption(err)
	}
	if len(rest) == 0 {
		return c.badUsage("no program was given")
	}
	rules, err := parseAwk(rest[0])
	if err != nil {
		return c.fail(2, "%v", err)
	}
	sep, _ := opts.last("F")
	split := func(line string) []string { return fields(line, sep) }
	if len(sep) > 1 {
		re, err := regexp.Compile(sep)
		if err != nil {
			return c.fail(2, "%v", err)
		}
		split = func(line string) []string { return re.Split(line, -1) }
	}
	rec := &awkRecord{}
	in := &inputs{c: c, names: rest[1:]}
	in.eachLine(func(line string) error {
		rec.line, rec.fields, rec.number = line, split(line), rec.number+1
		return c.awk(rules, rec, false)
	})
	if err := c.awk(rules, rec, true); err != nil {
		return 2
	}
	return in.code
}

func (c *Call) awk(rules []*awkRule, rec *awkRecord, end bool) error {
	for _, r := range rules {
		if r.end != end || r.match != nil && !r.match(rec) {
			continue
		}
		var b strings.Builder
		for _, item := range r.print {
			if item.comma {
				b.WriteByte(' ')
			}
			b.WriteString(item.value(rec))
		}
		if r.print == nil {
			b.WriteString(rec.line)
		}
		if err := c.puts(b.String()); err != nil {
			return err
		}
	}
	return nil
}

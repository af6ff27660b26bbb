package shell

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// runSort is sort with -r -n -u -k N -t C -V.
func runSort(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "r n u k: t: V f b")
	if err != nil {
		return c.badOption(err)
	}
	key := 0
	if k, ok := opts.last("k"); ok {
		k, _, _ = strings.Cut(k, ",")
		if key, err = number(strings.TrimRight(k, "nr"), 1, 1<<20); err != nil {
			return c.fail(2, "%v", err)
		}
	}
	sep, _ := opts.last("t")
	var all []string
	size := 0
	in := &inputs{c: c, names: rest}
	in.eachLine(func(line string) error {
		if size += len(line); size > maxStored {
			return fmt.Errorf("input is too long")
		}
		all = append(all, line)
		return nil
	})
	pick := func(s string) string {
		if key == 0 {
			return s
		}
		f := fields(s, sep)
		return strings.Join(f[min(key-1, len(f)):], " ")
	}
	slices.SortStableFunc(all, func(a, b string) int {
		x, y := pick(a), pick(b)
		d := strings.Compare(x, y)
		if opts.has("n", "V") {
			d = cmp.Or(cmp.Compare(leading(x), leading(y)), d)
		}
		if opts.has("r") {
			d = -d
		}
		return d
	})
	if opts.has("u") {
		all = slices.Compact(all)
	}
	for _, line := range all {
		if c.puts(line) != nil {
			break
		}
	}
	return in.code
}

// fields splits a line at a separator, at blanks if there is none.
func fields(line, sep string) []string {
	if sep == "" {
		return strings.Fields(line)
	}
	return strings.Split(line, sep)
}

// leading returns the number that a string begins with, 0 if it begins with none.
func leading(s string) float64 {
	s = strings.TrimLeft(s, " \t")
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '.' || n == 0 && s[n] == '-') {
		n++
	}
	f, _ := strconv.ParseFloat(s[:n], 64)
	return f
}

// runUniq is uniq with -c -d -u.
func runUniq(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "c d u i")
	if err != nil {
		return c.badOption(err)
	}
	last, count := "", 0
	flush := func() error {
		if count == 0 || opts.has("d") && count < 2 || opts.has("u") && count > 1 {
			return nil
		}
		if opts.has("c") {
			return c.puts(fmt.Sprintf("%7d %s", count, last))
		}
		return c.puts(last)
	}
	in := &inputs{c: c, names: rest}
	in.eachLine(func(line string) error {
		if count > 0 && line == last {
			count++
			return nil
		}
		err := flush()
		last, count = line, 1
		return err
	})
	if err := flush(); err != nil {
		return 1
	}
	return in.code
}

// span is a range of columns from 1; last 0 means to the end.
type span struct{ first, last int }

// parseSpans reads a list as cut takes it: 1,3-5,7-
func parseSpans(text string) ([]span, error) {
	var all []span
	for _, part := range strings.Split(text, ",") {
		a, b, isRange := strings.Cut(part, "-")
		s := span{1, 0}
		var err error
		if a != "" {
			s.first, err = strconv.Atoi(a)
		}
		if err == nil && b != "" {
			s.last, err = strconv.Atoi(b)
		}
		if !isRange {
			s.last = s.first
		}
		if err != nil || s.first < 1 || s.last < 0 || part == "" || part == "-" {
			return nil, fmt.Errorf("invalid field range '%s'", part)
		}
		all = append(all, s)
	}
	return all, nil
}

func selected(spans []span, n int) bool {
	for _, s := range spans {
		if n >= s.first && (s.last == 0 || n <= s.last) {
			return true
		}
	}
	return false
}

// runCut is cut with -d C -f LIST, -c LIST and -s.
func runCut(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "d: f: c: b: s")
	if err != nil {
		return c.badOption(err)
	}
	delim := "\t"
	if d, ok := opts.last("d"); ok && d != "" {
		delim = d
	}
	list, byField := opts.last("f")
	if !byField {
		if list, _ = opts.last("c", "b"); list == "" {
			return c.Errorf("you must specify a list of bytes, characters, or fields")
		}
		delim = ""
	}
	spans, err := parseSpans(list)
	if err != nil {
		return c.Errorf("%v", err)
	}
	in := &inputs{c: c, names: rest}
	in.eachLine(func(line string) error {
		if byField && !strings.Contains(line, delim) {
			if opts.has("s") {
				return nil
			}
			return c.puts(line)
		}
		var kept []string
		for i, f := range strings.Split(line, delim) {
			if selected(spans, i+1) {
				kept = append(kept, f)
			}
		}
		return c.puts(strings.Join(kept, delim))
	})
	return in.code
}

// trSet expands a set of tr: ranges, escapes and classes.
func trSet(text string) []rune {
	for name, chars := range map[string]string{"[:upper:]": "A-Z", "[:lower:]": "a-z", "[:digit:]": "0-9", "[:alpha:]": "A-Za-z",
		"[:alnum:]": "0-9A-Za-z", "[:space:]": " \t\n\r\v\f", "[:blank:]": " \t", "[:punct:]": "!-/:-@[-`{-~"} {
		text = strings.ReplaceAll(text, name, chars)
	}
	text = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\\`, `\`).Replace(text)
	var set []rune
	r := []rune(text)
	for i := 0; i < len(r); i++ {
		if i+2 < len(r) && r[i+1] == '-' && r[i+2] >= r[i] && r[i+2]-r[i] < 1<<16 {
			for x := r[i]; x <= r[i+2]; x++ {
				set = append(set, x)
			}
			i += 2
			continue
		}
		set = append(set, r[i])
	}
	return set
}

// runTr is tr: it maps, deletes (-d) or squeezes (-s) characters; -c takes all others.
func runTr(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "+d s c C")
	if err != nil {
		return c.badOption(err)
	}
	if len(rest) == 0 || len(rest) == 1 && !opts.has("d", "s") {
		return c.badUsage("missing operand")
	}
	from := trSet(rest[0])
	var to []rune
	if len(rest) > 1 {
		to = trSet(rest[1])
	}
	var text strings.Builder
	if err := copyText(&text, c.In, maxStored); err != nil {
		return c.Errorf("%v", err)
	}
	var b strings.Builder
	squeeze, last := from, rune(-1)
	if len(to) > 0 {
		squeeze = to
	}
	for _, x := range text.String() {
		at := slices.Index(from, x)
		if opts.has("c", "C") {
			if at >= 0 {
				at = -1
			} else {
				at = len(to)
			}
		}
		switch {
		case at < 0:
		case opts.has("d"):
			continue
		case len(to) > 0:
			x = to[min(at, len(to)-1)]
		}
		if opts.has("s") && x == last && (slices.Contains(squeeze, x) || opts.has("c", "C")) {
			continue
		}
		last = x
		b.WriteRune(x)
	}
	if _, err := io.WriteString(c.Out, b.String()); err != nil {
		return 1
	}
	return 0
}

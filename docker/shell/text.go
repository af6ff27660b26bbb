package shell

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// maxLine bounds a line that a tool reads.
const maxLine = 1 << 20

// inputs are the files that a tool was given by name: - and no name at all are the standard input.
type inputs struct {
	c     *Call
	names []string
	code  int // 1: one could not be read
}

// each calls do for every file that can be read.
func (in *inputs) each(do func(name string, r io.Reader) error) {
	names := in.names
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, n := range names {
		var r io.Reader = in.c.In
		if n != "-" {
			text, err := in.c.Sys.read(absolute(in.c.Dir, n))
			if err != nil {
				in.code = in.c.Errorf("%s: %s", n, errnoText(err))
				continue
			}
			r = bytes.NewReader(text)
		}
		if err := do(n, r); err != nil {
			in.fail(n, err)
			return
		}
	}
}

// fail reports an error, unless it is how a killed tool's input ends, or its output when nobody reads it.
func (in *inputs) fail(name string, err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
	case errors.Is(err, syscall.EPIPE):
		in.code = 128 + int(syscall.SIGPIPE)
	default:
		in.code = in.c.Errorf("%s: %s", name, errnoText(err))
	}
}

// errStop ends a walk over lines early.
var errStop = errors.New("enough")

// lines calls do for each line, without its newline, until it returns an error.
func lines(r io.Reader, do func(line string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		if err := do(s.Text()); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	return s.Err()
}

// eachLine calls do for each line of all files.
func (in *inputs) eachLine(do func(line string) error) {
	in.each(func(_ string, r io.Reader) error { return lines(r, do) })
}

// puts writes a line, and ends the walk if nobody reads it.
func (c *Call) puts(line string) error {
	_, err := io.WriteString(c.Out, line+"\n")
	return err
}

func runCat(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "n u e v A")
	if err != nil {
		return c.badOption(err)
	}
	in := &inputs{c: c, names: rest}
	count := 0
	in.each(func(_ string, r io.Reader) error {
		if !opts.has("n") {
			_, err := io.Copy(c.Out, r)
			return err
		}
		return lines(r, func(line string) error {
			count++
			return c.puts(fmt.Sprintf("%6d\t%s", count, line))
		})
	})
	if ctx.Err() != nil {
		return statusInterrupted
	}
	return in.code
}

// countOption reads -n N of head and tail, which may be written -N.
func countOption(c *Call) (n string, rest []string, bytewise bool, err error) {
	args := c.Args[1:]
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0][1] >= '0' && args[0][1] <= '9' {
		args = append([]string{"-n", args[0][1:]}, args[1:]...)
	}
	opts, rest, err := getopt(args, "n: lines: c: bytes: q v f")
	if err != nil {
		return "", nil, false, err
	}
	n = "10"
	if v, ok := opts.last("n", "lines"); ok {
		n = v
	}
	if v, ok := opts.last("c", "bytes"); ok {
		return v, rest, true, nil
	}
	return n, rest, false, nil
}

// badCount says what is wrong with the command line of head or tail.
func (c *Call) badCount(err error) int {
	var option *optionError
	if errors.As(err, &option) {
		return c.badOption(err)
	}
	return c.Errorf("%v", err)
}

func runHead(_ context.Context, c *Call) int {
	count, rest, bytewise, err := countOption(c)
	n, nerr := strconv.Atoi(count)
	if err == nil && (nerr != nil || n < 0) {
		err = fmt.Errorf("invalid number of lines: '%s'", count)
	}
	if err != nil {
		return c.badCount(err)
	}
	in := &inputs{c: c, names: rest}
	in.each(func(name string, r io.Reader) error {
		if len(rest) > 1 {
			c.Printf("==> %s <==\n", name)
		}
		if bytewise {
			_, err := io.Copy(c.Out, io.LimitReader(r, int64(n)))
			return err
		}
		left := n
		if left == 0 {
			return nil
		}
		return lines(r, func(line string) error {
			if err := c.puts(line); err != nil {
				return err
			}
			if left--; left == 0 {
				return errStop
			}
			return nil
		})
	})
	return in.code
}

func runTail(_ context.Context, c *Call) int {
	count, rest, bytewise, err := countOption(c)
	from, fromStart := strings.CutPrefix(count, "+")
	n, nerr := strconv.Atoi(strings.TrimPrefix(from, "-"))
	if err == nil && nerr != nil {
		err = fmt.Errorf("invalid number of lines: '%s'", count)
	}
	if err != nil {
		return c.badCount(err)
	}
	in := &inputs{c: c, names: rest}
	in.each(func(name string, r io.Reader) error {
		if len(rest) > 1 {
			c.Printf("==> %s <==\n", name)
		}
		var text strings.Builder
		if err := copyText(&text, r, maxStored); err != nil {
			return err
		}
		parts := strings.SplitAfter(text.String(), "\n")
		if bytewise {
			parts = strings.Split(text.String(), "")
		} else if parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1]
		}
		first := max(0, len(parts)-n)
		if fromStart {
			first = min(max(0, n-1), len(parts))
		}
		_, err := io.WriteString(c.Out, strings.Join(parts[first:], ""))
		return err
	})
	return in.code
}

func runWc(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "l w c m")
	if err != nil {
		return c.badOption(err)
	}
	show := func(n [3]int, name string) {
		var cols []string
		for i, o := range []string{"l", "w", "c"} {
			if len(opts) == 0 || opts.has(o) || o == "c" && opts.has("m") {
				cols = append(cols, strconv.Itoa(n[i]))
			}
		}
		if len(cols) > 1 {
			for i := range cols {
				cols[i] = fmt.Sprintf("%7s", cols[i])
			}
		}
		if name != "-" {
			cols = append(cols, name)
		}
		c.Printf("%s\n", strings.Join(cols, " "))
	}
	var total [3]int
	in := &inputs{c: c, names: rest}
	in.each(func(name string, r io.Reader) error {
		var text strings.Builder
		if err := copyText(&text, r, maxStored); err != nil {
			return err
		}
		t := text.String()
		n := [3]int{strings.Count(t, "\n"), len(strings.Fields(t)), len(t)}
		for i := range n {
			total[i] += n[i]
		}
		show(n, name)
		return nil
	})
	if len(rest) > 1 {
		show(total, "total")
	}
	return in.code
}

func runTee(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "a i")
	if err != nil {
		return c.badOption(err)
	}
	out, code := []io.Writer{c.Out}, 0
	for _, name := range rest {
		flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
		if opts.has("a") {
			flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
		}
		f, err := c.Sys.open(absolute(c.Dir, name), flag)
		if err != nil {
			code = c.Errorf("%s: %s", name, errnoText(err))
			continue
		}
		defer f.Close() //nolint:errcheck // what was written is stored
		out = append(out, f)
	}
	if _, err := io.Copy(io.MultiWriter(out...), c.In); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return c.Errorf("%s", errnoText(err))
	}
	return code
}

func runSeq(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(seqNegative(c.Args[1:]), "s: w")
	if err != nil || len(rest) == 0 || len(rest) > 3 {
		if err != nil {
			return c.badOption(err)
		}
		return c.badUsage("missing operand")
	}
	v := []int{1, 1, 1} // first, step, last
	for i, a := range rest {
		n, err := strconv.Atoi(a)
		if err != nil || n > 1<<30 || n < -1<<30 {
			return c.Errorf("invalid number: '%s'", a)
		}
		v[[][]int{{2}, {0, 2}, {0, 1, 2}}[len(rest)-1][i]] = n
	}
	if v[1] == 0 {
		return c.Errorf("invalid Zero increment value: '0'")
	}
	sep := "\n"
	if s, ok := opts.last("s"); ok {
		sep = s
	}
	for n, first := v[0], true; ctx.Err() == nil && (v[1] > 0 && n <= v[2] || v[1] < 0 && n >= v[2]); n += v[1] {
		if !first {
			if _, err := io.WriteString(c.Out, sep); err != nil {
				return 1
			}
		}
		if _, err := io.WriteString(c.Out, strconv.Itoa(n)); err != nil {
			return 1
		}
		first = false
	}
	c.Printf("\n")
	return 0
}

// seqNegative keeps negative numbers from being taken for options.
func seqNegative(args []string) []string {
	for i, a := range args {
		if len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' {
			return append(append(args[:i:i], "--"), args[i:]...)
		}
	}
	return args
}

package shell

import (
	"context"
	"os"
	"path"
	"strings"
)

// runLs is ls: names in a column, with -l more.
func runLs(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "l a A 1 d h t r F")
	if err != nil {
		return c.badOption(err)
	}
	if len(rest) == 0 {
		rest = []string{"."}
	}
	code := 0
	for _, name := range rest {
		p := absolute(c.Dir, name)
		one, err := c.Sys.stat(p)
		if err != nil {
			code = c.fail(2, "cannot access '%s': %s", name, errnoText(err))
			continue
		}
		if !one.IsDir() || opts.has("d") {
			c.lsLine(name, one, opts.has("l"))
			continue
		}
		if len(rest) > 1 {
			c.Printf("%s:\n", name)
		}
		list, err := c.Sys.list(p)
		if err != nil {
			code = c.fail(2, "cannot open directory '%s': %s", name, errnoText(err))
			continue
		}
		for _, i := range list {
			if !strings.HasPrefix(i.Name(), ".") || opts.has("a", "A") {
				c.lsLine(i.Name(), i, opts.has("l"))
			}
		}
	}
	return code
}

func (c *Call) lsLine(name string, i os.FileInfo, long bool) {
	if !long {
		c.Printf("%s\n", name)
		return
	}
	mode := strings.Replace(i.Mode().String(), "Dc", "c", 1)
	c.Printf("%-10s 1 root root %7d %s %s\n", mode, i.Size(), i.ModTime().Format("Jan _2 15:04"), name)
}

func runRm(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "r R f i")
	switch {
	case err != nil:
		return c.badOption(err)
	case len(rest) == 0 && !opts.has("f"):
		return c.badUsage("missing operand")
	}
	code := 0
	for _, name := range rest {
		err := c.Sys.remove(absolute(c.Dir, name), opts.has("r", "R"))
		if err != nil && !(opts.has("f") && os.IsNotExist(err)) {
			code = c.Errorf("cannot remove '%s': %s", name, errnoText(err))
		}
	}
	return code
}

func runMkdir(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "p m:")
	switch {
	case err != nil:
		return c.badOption(err)
	case len(rest) == 0:
		return c.badUsage("missing operand")
	}
	code := 0
	for _, name := range rest {
		p := absolute(c.Dir, name)
		if opts.has("p") {
			for i := 1; i < len(p); i++ {
				if p[i] == '/' {
					_ = c.Sys.mkdir(p[:i]) // if it cannot be made, the last step tells
				}
			}
		}
		if err := c.Sys.mkdir(p); err != nil && !(opts.has("p") && os.IsExist(err)) {
			code = c.Errorf("cannot create directory '%s': %s", name, errnoText(err))
		}
	}
	return code
}

func runTouch(_ context.Context, c *Call) int {
	_, rest, err := getopt(c.Args[1:], "a c m")
	switch {
	case err != nil:
		return c.badOption(err)
	case len(rest) == 0:
		return c.badUsage("missing file operand")
	}
	code := 0
	for _, name := range rest {
		f, err := c.Sys.open(path.Clean(absolute(c.Dir, name)), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			code = c.Errorf("cannot touch '%s': %s", name, errnoText(err))
		}
	}
	return code
}

package shell

import "context"

// runTTY is tty: the name of the terminal that the standard input is, or that it is none.
func runTTY(_ context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "s silent quiet")
	switch {
	case err != nil:
		return c.badOption(err)
	case len(rest) > 0:
		return c.badUsage("extra operand '%s'", rest[0])
	}
	name, status := "/dev/pts/0", 0
	if !c.TTY {
		name, status = "not a tty", 1
	}
	if !opts.has("s", "silent", "quiet") {
		c.Printf("%s\n", name)
	}
	return status
}

// runStty is stty: size prints the rows and columns of the terminal.
func runStty(_ context.Context, c *Call) int {
	if !c.TTY || c.size == nil {
		return c.Errorf("standard input: Inappropriate ioctl for device")
	}
	rows, cols := c.size()
	if len(c.Args) > 1 && c.Args[1] == "size" {
		c.Printf("%d %d\n", rows, cols)
		return 0
	}
	c.Printf("speed 38400 baud; rows %d; columns %d; line = 0;\n", rows, cols)
	return 0
}

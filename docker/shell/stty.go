package shell

import "context"

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

package shell

import (
	"cmp"
	"context"
	"strconv"
	"strings"
)

// nsenter is what one nsenter was told.
type nsenter struct {
	net    bool   // to enter a network namespace
	file   string // that is behind a file
	target string // or that of a process
	argv   []string
}

// runNsenter is nsenter --net=/var/run/docker/netns/NAME COMMAND, and nsenter -t PID -n COMMAND. Of a process's namespaces
// only that of the network is another one.
func runNsenter(ctx context.Context, c *Call) int {
	n, err := parseNsenter(c.Args[1:])
	if err != nil {
		return c.badOption(err)
	}
	if len(n.argv) == 0 {
		n.argv = []string{"sh"}
	}
	if _, _, ok := c.Sys.tool(n.argv[0]); !ok && !programs[n.argv[0]] {
		return c.fail(statusNotFound, "failed to execute %s: No such file or directory", n.argv[0])
	}
	ns := c.Sys.NS
	switch pid, err := strconv.Atoi(cmp.Or(n.target, "0")); {
	case err != nil || pid < 0:
		return c.Errorf("failed to parse pid: '%s'", n.target)
	case n.file != "":
		var ok bool
		if ns, ok = c.Sys.netns(n.file); !ok {
			return c.Errorf("cannot open %s: No such file or directory", n.file)
		}
	case n.net && n.target == "":
		return c.Errorf("neither filename nor target pid supplied for ns/net")
	case n.net:
		var ok bool
		if ns, ok = c.Sys.processNS(pid); !ok {
			return c.Errorf("cannot open /proc/%s/ns/net: No such file or directory", n.target)
		}
	}
	return c.enterNS(ctx, ns, "", n.argv)
}

// parseNsenter reads the options up to the command. Those that name namespaces take a value only if it is joined to them.
func parseNsenter(args []string) (n nsenter, err error) {
	for len(args) > 0 {
		a := args[0]
		switch {
		case a == "--":
			n.argv = args[1:]
			return n, nil
		case len(a) < 2 || a[0] != '-':
			n.argv = args
			return n, nil
		}
		args = args[1:]
		if strings.HasPrefix(a, "--") {
			args, err = n.long(a[2:], args)
		} else {
			args, err = n.short(a[1:], args)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (n *nsenter) long(a string, rest []string) ([]string, error) {
	name, value, given := strings.Cut(a, "=")
	switch name {
	case "net", "all":
		n.net, n.file = true, cmp.Or(value, n.file)
	case "target":
		if !given {
			if len(rest) == 0 {
				return nil, &optionError{name: name, long: true, wrong: optionNeedsValue}
			}
			value, rest = rest[0], rest[1:]
		}
		n.target = value
	case "mount", "uts", "ipc", "pid", "user", "cgroup", "root", "wd", "preserve-credentials", "no-fork":
	default:
		return nil, &optionError{name: name, long: true}
	}
	return rest, nil
}

func (n *nsenter) short(a string, rest []string) ([]string, error) {
	for i, letter := range a {
		switch letter {
		case 'a':
			n.net = true
		case 'F':
		case 'n':
			n.net, n.file = true, cmp.Or(strings.TrimPrefix(a[i+1:], "="), n.file)
			return rest, nil
		case 't':
			if n.target = a[i+1:]; n.target != "" {
				return rest, nil
			}
			if len(rest) == 0 {
				return nil, &optionError{name: "t", wrong: optionNeedsValue}
			}
			n.target = rest[0]
			return rest[1:], nil
		case 'm', 'u', 'i', 'p', 'U', 'C', 'r', 'w':
			return rest, nil
		default:
			return nil, &optionError{name: string(letter)}
		}
	}
	return rest, nil
}

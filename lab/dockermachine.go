package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/netsim-lab/netsim/docker/shell"
)

// dockerMachine stands for docker-machine, which made the hosts of the guide's tutorial: the machines are those hosts of
// the topology that have an engine. They are there already, so create makes none, and they run as long as the lab. As
// with the real one, ssh needs no network of the lab's to get to a machine.
func (l *Lab) dockerMachine(ctx context.Context, c *shell.Call) int {
	args := c.Args[1:]
	if len(args) == 0 {
		args = []string{"help"}
	}
	switch verb, rest := args[0], args[1:]; verb {
	case "ls":
		return l.machineList(c, rest)
	case "ssh":
		return l.machineSSH(ctx, c, rest)
	case "create":
		return l.machineCreate(c, rest)
	case "ip", "url", "status", "start":
		return l.machineEach(c, verb, rest)
	case "env":
		return l.machineEnv(c, rest)
	case "version":
		c.Printf("docker-machine version 0.16.2, the part that netsim has\n")
		return 0
	case "help", "-h", "--help":
		c.Printf("%s", machineHelp)
		return 0
	case "stop", "rm", "kill", "restart":
		return c.Errorf("%s: the machines are hosts of the lab and end with it", verb)
	default:
		return c.Errorf("'%s' is not a docker-machine command that netsim has. See 'docker-machine help'.", verb)
	}
}

const machineHelp = `Usage: docker-machine COMMAND [arg...]

The machines are the hosts of the lab that have an engine.

Commands:
  create  [-d DRIVER] NAME     Say that a machine is there
  env     NAME                 Variables for the docker command
  ip      NAME...              The IP address of machines
  ls      [-q]                 List machines
  ssh     NAME [COMMAND...]    Run a shell, or a command, on a machine
  status  NAME...              The state of machines
  url     NAME...              The address of machines' engines
`

// dockerMachines are the hosts with an engine, in the order of the topology.
func (l *Lab) dockerMachines() (all []*machine) {
	for _, m := range l.phys.order {
		if m.host != nil && m.host.Engine != "" && m.kernel == nil {
			all = append(all, m)
		}
	}
	return all
}

// dockerHost returns a host with an engine; nil, with a word to the user, if there is none of that name.
func (l *Lab) dockerHost(c *shell.Call, name string) *machine {
	all := l.dockerMachines()
	if i := slices.IndexFunc(all, func(m *machine) bool { return m.name == name }); i >= 0 {
		return all[i]
	}
	c.Errorf("Docker machine %q does not exist. Use \"docker-machine ls\" to list machines; the topology names them.", name)
	return nil
}

func (l *Lab) machineList(c *shell.Call, args []string) int {
	if slices.Contains(args, "-q") || slices.Contains(args, "--quiet") {
		for _, m := range l.dockerMachines() {
			c.Printf("%s\n", m.name)
		}
		return 0
	}
	w := tabwriter.NewWriter(c.Out, 5, 1, 3, ' ', 0)
	fmt.Fprint(w, "NAME\tACTIVE\tDRIVER\tSTATE\tURL\tSWARM\tDOCKER\tERRORS\n") //nolint:errcheck // Flush tells
	for _, m := range l.dockerMachines() {
		fmt.Fprintf(w, "%s\t-\tnetsim\tRunning\t%s\t\tv%s\t\n", m.name, machineURL(m), l.release().Engine) //nolint:errcheck // Flush tells
	}
	if w.Flush() != nil {
		return 1
	}
	return 0
}

func machineURL(m *machine) string { return "tcp://" + m.addr.Addr().String() + ":2376" }

// machineEach answers what is asked of one machine or several.
func (l *Lab) machineEach(c *shell.Call, verb string, names []string) int {
	if len(names) == 0 {
		return c.Errorf("Error: No machine name(s) specified and no \"default\" machine exists")
	}
	for _, name := range names {
		m := l.dockerHost(c, name)
		switch {
		case m == nil:
			return 1
		case verb == "ip":
			c.Printf("%s\n", m.addr.Addr())
		case verb == "url":
			c.Printf("%s\n", machineURL(m))
		case verb == "status":
			c.Printf("Running\n")
		default:
			c.Printf("Machine %q is already running.\n", name)
		}
	}
	return 0
}

// machineCreate says of a host of the topology that it is there. Flags of drivers mean nothing.
func (l *Lab) machineCreate(c *shell.Call, args []string) int {
	if len(args) == 0 || strings.HasPrefix(args[len(args)-1], "-") {
		return c.Errorf("Error: No machine name specified")
	}
	m := l.dockerHost(c, args[len(args)-1])
	if m == nil {
		return 1
	}
	c.Printf("Running pre-create checks...\nCreating machine...\n(%s) It is a host of the lab.\nDocker is up and running!\n", m.name)
	c.Printf("To see how to connect your Docker Client to the Docker Engine running on this virtual machine, run: docker-machine env %s\n", m.name)
	return 0
}

func (l *Lab) machineEnv(c *shell.Call, args []string) int {
	if len(args) != 1 {
		return c.Errorf("Error: Expected one machine name as an argument")
	}
	m := l.dockerHost(c, args[0])
	if m == nil {
		return 1
	}
	if path := l.dockerPath(m.name); path != "" {
		c.Printf("export DOCKER_HOST=\"unix://%s\"\n", path)
	}
	c.Printf("export DOCKER_MACHINE_NAME=%q\n# docker commands of the lab's hosts talk to their own engine: use docker-machine ssh %s\n", m.name, m.name)
	return 0
}

// machineSSH runs a line of shell on a machine, or a shell.
func (l *Lab) machineSSH(ctx context.Context, c *shell.Call, args []string) int {
	if len(args) == 0 {
		return c.Errorf("Error: No machine name(s) specified and no \"default\" machine exists")
	}
	m := l.dockerHost(c, args[0])
	if m == nil {
		return 1
	}
	std := shell.Stdio{In: c.In, Out: c.Out, Err: c.Err}
	run := func() (int, error) { return shell.Run(ctx, m.system(l), strings.Join(args[1:], " "), std) }
	if len(args) == 1 {
		std.TTY, std.Terminal = c.TTY, c.Terminal
		run = func() (int, error) { return shell.Interact(ctx, m.system(l), std) }
	}
	exit, err := run()
	if err != nil {
		return c.Errorf("ssh %s: %v", m.name, err)
	}
	return exit
}

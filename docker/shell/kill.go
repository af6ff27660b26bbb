package shell

import (
	"context"
	"errors"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// ErrNoProcess is that of a signal to a number that no process has.
var ErrNoProcess = errors.New("no such process")

// Signals by their numbers.
const (
	sigInt   = 2
	sigTerm  = 15
	sigChld  = 17
	sigCont  = 18
	sigUrg   = 23
	sigWinch = 28
)

// signals are the signals' names, in the order of their numbers from 1.
var signals = strings.Fields("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU " +
	"URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS")

// signalNumber reads a signal's name or number.
func signalNumber(text string) (int, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, n >= 0 && n < 65
	}
	for i, name := range signals {
		if name == strings.TrimPrefix(strings.ToUpper(text), "SIG") {
			return i + 1, true
		}
	}
	return 0, false
}

// takeSignal takes -s SIGNAL and -SIGNAL off the arguments of kill and its kin.
func takeSignal(args []string) (sig int, rest []string, err error) {
	if len(args) > 1 && args[0] == "-s" {
		args = append([]string{"-" + args[1]}, args[2:]...)
	}
	if len(args) == 0 || len(args[0]) < 2 || args[0][0] != '-' || args[0] == "--" {
		return sigTerm, args, nil
	}
	sig, ok := signalNumber(args[0][1:])
	if !ok {
		return 0, args, errors.New("bad signal name '" + args[0][1:] + "'")
	}
	return sig, args[1:], nil
}

// signal sends a process a signal, be it a command of the session or one of the system's.
func (c *Call) signal(pid, sig int) error {
	if c.jobs.killPID(pid, sig) {
		return nil
	}
	if c.Sys.Signal == nil {
		return ErrNoProcess
	}
	return c.Sys.Signal(pid, sig)
}

// runKill is kill: it takes process ids, %N and $! of this shell.
func runKill(_ context.Context, c *Call) int {
	if len(c.Args) > 1 && c.Args[1] == "-l" {
		c.Printf("%s\n", strings.Join(signals, " "))
		return 0
	}
	sig, args, err := takeSignal(c.Args[1:])
	if err != nil {
		return c.Errorf("%v", err)
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return c.fail(2, "you need to specify whom to kill")
	}
	code := 0
	for _, a := range args {
		job, isJob := strings.CutPrefix(a, "g")
		if !isJob {
			job, isJob = strings.CutPrefix(a, "%")
		}
		pid, err := strconv.Atoi(job)
		switch {
		case err != nil:
			code = c.Errorf("illegal pid: %s", a)
			continue
		case !isJob:
			err = c.signal(pid, sig)
		case !c.jobs.killJob(c.job+"/"+job, sig) && sig == 0:
			err = ErrNoProcess
		}
		if err != nil {
			code = c.Errorf("can't kill pid %s: %s", a, strings.Replace(err.Error(), "no such", "No such", 1))
		}
	}
	return code
}

// everyProcess lists what runs, the system's processes and then the session's commands.
func (c *Call) everyProcess() []Process {
	all := []Process{{PID: 1, Command: "sh"}}
	if c.Sys.Processes != nil {
		all = c.Sys.Processes()
	}
	for _, p := range c.jobs.list() {
		all = append(all, Process{PID: p.pid, Command: strings.Join(p.args, " ")})
	}
	return all
}

// program returns the name of what a process runs.
func (p Process) program() string {
	name, _, _ := strings.Cut(p.Command, " ")
	return path.Base(name)
}

// runPgrep is pgrep and pkill, by a pattern of the name or with -f of the command line, and pidof and killall, by the name.
// None counts itself.
func runPgrep(_ context.Context, c *Call) int {
	tool, sig, args := c.name(), sigTerm, c.Args[1:]
	kills := tool == "pkill" || tool == "killall"
	if kills && len(args) > 1 && (args[0] == "-s" || len(args[0]) > 1 && args[0][0] == '-' && !strings.Contains("-f -x -fx -xf -q -v", args[0])) {
		var err error
		if sig, args, err = takeSignal(args); err != nil {
			return c.fail(2, "%v", err)
		}
	}
	opts, names, err := getopt(args, "f x l a o n s q")
	if err != nil {
		return c.badOption(err)
	}
	if len(names) == 0 {
		return c.noNames(tool)
	}
	all, found, err := c.named(names, opts.has("f"), opts.has("x") || tool == "pidof" || tool == "killall")
	if err != nil {
		return c.fail(2, "%v", err)
	}
	if kills {
		return c.killAll(tool, sig, all, names, found)
	}
	return c.printPIDs(tool, opts, all)
}

// named returns the processes of these names, or patterns of them, or of their command lines, and which of the names any has.
func (c *Call) named(names []string, lines, exact bool) (all []Process, found []bool, err error) {
	found = make([]bool, len(names))
	for _, p := range c.everyProcess() {
		text := p.program()
		if text == c.name() {
			continue
		}
		if lines {
			text = p.Command
		}
		for i, name := range names {
			ok, err := nameMatches(name, text, exact)
			if err != nil {
				return nil, nil, err
			}
			if ok {
				found[i] = true
				all = append(all, p)
				break
			}
		}
	}
	return all, found, nil
}

// noNames is what the tools do without a name: pidof only fails.
func (c *Call) noNames(tool string) int {
	switch tool {
	case "pidof":
		return 1
	case "killall":
		return c.say1("Usage: killall [OPTION]... [--] NAME...", 1)
	}
	c.fail(2, "no matching criteria specified") //nolint:errcheck // the status is the same
	return c.say1("Try `"+tool+" --help' for more information.", 2)
}

// nameMatches tells whether text is what name says: the same, or else of that pattern.
func nameMatches(name, text string, exact bool) (bool, error) {
	if exact {
		return text == name, nil
	}
	re, err := regexp.Compile(name)
	if err != nil {
		return false, err
	}
	return re.MatchString(text), nil
}

// killAll signals processes; killall names the names that none has.
func (c *Call) killAll(tool string, sig int, all []Process, names []string, found []bool) int {
	code := 0
	for _, p := range all {
		if err := c.signal(p.PID, sig); err != nil && !errors.Is(err, ErrNoProcess) {
			code = c.Errorf("killing pid %d failed: %v", p.PID, err)
		}
	}
	if tool == "pkill" && len(all) == 0 {
		return 1
	}
	for i, name := range names {
		switch {
		case found[i] || tool == "pkill":
		case c.busybox():
			code = c.Errorf("%s: no process killed", name)
		default:
			code = c.say1(name+": no process found", 1)
		}
	}
	return code
}

// printPIDs is the output of pgrep, one a line, and of pidof, the youngest first.
func (c *Call) printPIDs(tool string, opts options, all []Process) int {
	if len(all) == 0 {
		return 1
	}
	if tool == "pidof" {
		var ids []string
		for i := len(all) - 1; i >= 0; i-- {
			ids = append(ids, strconv.Itoa(all[i].PID))
		}
		if opts.has("s") {
			ids = ids[:1]
		}
		c.Printf("%s\n", strings.Join(ids, " "))
		return 0
	}
	for _, p := range all {
		switch {
		case opts.has("a"):
			c.Printf("%d %s\n", p.PID, p.Command)
		case opts.has("l"):
			c.Printf("%d %s\n", p.PID, p.program())
		default:
			c.Printf("%d\n", p.PID)
		}
	}
	return 0
}

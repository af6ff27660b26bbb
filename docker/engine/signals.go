package engine

import (
	"path"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/docker/shell"
)

// Signals by their numbers on Linux.
const (
	sigHup  = 1
	sigInt  = 2
	sigQuit = 3
	sigKill = 9
	sigTerm = 15
	sigCont = 18
	sigStop = 19
	maxSig  = 64
)

var signalNumbers = map[string]int{
	"HUP": sigHup, "INT": sigInt, "QUIT": sigQuit, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": sigKill,
	"USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": sigTerm, "STKFLT": 16, "CHLD": 17, "CONT": sigCont,
	"STOP": sigStop, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27,
	"WINCH": 28, "IO": 29, "PWR": 30, "SYS": 31,
}

// parseSignal reads a signal's name, with or without SIG, or its number.
func parseSignal(text string) (int, error) {
	if n, err := strconv.Atoi(text); err == nil {
		if n <= 0 || n > maxSig {
			return 0, fail(ErrInvalid, "invalid signal: %s", text)
		}
		return n, nil
	}
	if n, ok := signalNumbers[strings.TrimPrefix(strings.ToUpper(text), "SIG")]; ok {
		return n, nil
	}
	return 0, fail(ErrInvalid, "invalid signal: %s", text)
}

// reaction is what a program does about a signal.
type reaction uint8

const (
	byDefault reaction = iota // it has no handler: the kernel acts, and does nothing where the program is process 1
	handled                   // it goes on
	ends                      // it ends, with a status of its own
)

// reactions are those of programs with handlers. Other programs have none.
var reactions = map[string]map[int]reaction{
	"nginx":        {sigTerm: ends, sigInt: ends, sigQuit: ends, sigHup: handled, 10: handled, 12: handled, 28: handled},
	"redis-server": {sigTerm: ends, sigInt: ends, sigHup: handled},
	"docker-demo":  {sigTerm: ends, sigInt: ends, sigHup: ends, sigQuit: ends}, // Go's runtime has a handler for all
	"python":       {sigInt: ends},
	"ping":         {sigInt: ends, sigQuit: handled},
	"tcpdump":      {sigInt: ends, sigTerm: ends, sigHup: ends},
	"redis-cli":    {sigInt: ends},
}

// shells are the programs that read commands.
var shells = map[string]bool{"sh": true, "bash": true, "ash": true}

// program returns the name of the program that a command line is: start scripts put others in their own place.
func program(argv []string) string {
	name := path.Base(argv[0])
	if name == "docker-entrypoint.sh" && len(argv) > 1 {
		if strings.HasPrefix(argv[1], "-") {
			return "redis-server"
		}
		return path.Base(argv[1])
	}
	return name
}

// react returns what a process does about a signal. A shell that prompts survives all but SIGHUP.
func (p *process) react(sig int) reaction {
	name := program(p.argv)
	if shells[name] && p.prompts() {
		switch {
		case sig == sigHup && name == "bash":
			return ends
		case sig == sigInt, sig == sigTerm, sig == sigQuit:
			return handled
		}
		return byDefault
	}
	return reactions[name][sig]
}

// prompts tells whether the process, a shell, is an interactive one.
func (p *process) prompts() bool {
	for _, arg := range p.argv[1:] {
		if !strings.HasPrefix(arg, "-") || strings.Contains(arg, "c") && !strings.HasPrefix(arg, "--") {
			return false
		}
	}
	return p.term != nil
}

// harmless are the signals whose default is to do nothing, or to stop and go on, which leaves no trace here.
var harmless = map[int]bool{17: true, sigCont: true, sigStop: true, 20: true, 21: true, 22: true, 23: true, 28: true}

// signal sends the process a signal; SIGKILL is not for it.
func (p *process) signal(sig int) {
	switch p.react(sig) {
	case handled:
		if sig == sigInt {
			p.interrupts.fire()
		}
	case ends:
		if sig == sigHup && p.prompts() {
			p.die(sig)
			return
		}
		if !p.interrupts.fire() {
			p.cancel()
		}
	case byDefault:
		if !p.first && !harmless[sig] {
			p.die(sig)
		}
	}
}

// key is what the terminal of the process does about a key that signals: it is for what runs in the foreground.
func (p *process) key(key byte) {
	if key == keyInterrupt && shells[program(p.argv)] {
		p.interrupts.fire()
		return
	}
	p.signal(map[byte]int{keyInterrupt: sigInt, keyQuit: sigQuit}[key])
}

// signal sends a process a signal from within the container, where the kernel spares process 1 even SIGKILL; 0 only asks.
// An init hands what it gets to the program.
func (r *run) signal(pid, sig int) error {
	for i, p := range r.all() {
		first := pid == 1 && i == 0
		switch {
		case !first && p.inside(i) != pid:
			continue
		case sig == 0 || first && sig == sigKill:
		case sig == sigKill:
			p.die(sig)
		default:
			p.signal(sig)
		}
		return nil
	}
	return shell.ErrNoProcess
}

// Signal sends the program a signal by its number as kill on the host does: Docker does not know of it, so that a restart
// policy starts the container again if it ends. The error wraps ErrNotRunning if it does not run.
func (c *Container) Signal(sig int) error {
	switch r := c.current(); {
	case r == nil:
		return fail(ErrNotRunning, "container %s is not running", c.id)
	case sig == sigKill:
		r.kill()
	case sig != 0:
		r.main.signal(sig)
	}
	return nil
}

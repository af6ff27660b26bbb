package lab

import (
	"errors"
	"strings"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

// dockerdPID is the number of a host's dockerd.
const dockerdPID = 1290

// processes lists what runs on a host.
func (l *Lab) processes(host string) []shell.Process {
	all := []shell.Process{{PID: 1, Command: "/sbin/init"}}
	eng := l.engine(host)
	if eng == nil {
		return all
	}
	all = append(all, shell.Process{PID: dockerdPID, Command: "dockerd"})
	for _, c := range eng.Containers() {
		if pid := c.PID(); pid != 0 {
			all = append(all, shell.Process{PID: pid, Command: strings.Join(c.Args(), " ")})
		}
	}
	return all
}

// processNS returns the namespace that a process of a machine runs in: that of its container, or the machine's own.
func (l *Lab) processNS(m *machine, pid int) (*netns.Namespace, bool) {
	if eng := l.engine(m.name); eng != nil {
		for _, c := range eng.Containers() {
			if ns := c.NS(); ns != nil && c.PID() == pid {
				return ns, true
			}
		}
	}
	for _, p := range l.processes(m.name) {
		if p.PID == pid {
			return m.ns, true
		}
	}
	return nil, false
}

// signal sends a process of a host a signal: to a container's program, and to init, which ignores it.
func (l *Lab) signal(host string, pid, sig int) error {
	if pid == 1 {
		return nil
	}
	eng := l.engine(host)
	if eng == nil {
		return shell.ErrNoProcess
	}
	if pid == dockerdPID {
		if sig == 0 {
			return nil
		}
		return errors.New("dockerd of a lab runs as long as its host")
	}
	for _, c := range eng.Containers() {
		if c.PID() == pid {
			if err := c.Signal(sig); err != nil {
				return shell.ErrNoProcess
			}
			return nil
		}
	}
	return shell.ErrNoProcess
}

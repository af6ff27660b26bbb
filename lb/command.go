package lb

import (
	"errors"
	"fmt"
)

// commandError is what the command prints when it fails: ipvsadm's words, and the cause for errors.Is.
type commandError struct {
	text  string
	cause error
}

// Error returns the text.
func (e *commandError) Error() string { return e.text }

// Unwrap returns the cause.
func (e *commandError) Unwrap() error { return e.cause }

// usage returns an error about the command line.
func usage(format string, args ...any) error {
	return &commandError{fmt.Sprintf(format, args...), ErrInvalid}
}

const help = `Usage:
  ipvsadm -A|E virtual-service [-s scheduler]
  ipvsadm -D virtual-service
  ipvsadm -C
  ipvsadm -S [-n]
  ipvsadm -a|e virtual-service -r server-address -m [-w weight]
  ipvsadm -d virtual-service -r server-address
  ipvsadm -L|l [virtual-service] [-n] [-c|--stats|--timeout] [--exact]
  ipvsadm -Z [virtual-service]
  ipvsadm --set tcp tcpfin udp

virtual-service: -t host:port, -u host:port or -f fwmark; scheduler: one of rr, wrr, lc, wlc, sh (default wlc)
`

// Command runs ipvsadm with these arguments, the program's name not among them, and returns what it prints. An error's
// text is what the program would write to its standard error, where it exits with a status other than 0. Addresses
// are always printed as numbers, with -n or without.
func (b *Balancer) Command(args []string) (string, error) {
	o, err := parse(args)
	if err != nil {
		return "", err
	}
	var out string
	b.do(func(t *Table) { out, err = o.run(t, b.clock()) })
	return out, speak(o.command, err)
}

func (o *options) run(t *Table, at int64) (string, error) {
	switch o.command {
	case 0, 'L', 'l':
		return o.list(t, at)
	case 'h':
		return help, nil
	case 'S':
		return listRules(t.Services(at)), nil
	case 'A':
		return "", t.AddService(o.service, o.scheduler)
	case 'E':
		return "", t.EditService(o.service, o.scheduler)
	case 'D':
		return "", t.DelService(o.service)
	case 'C':
		t.Clear()
	case 'Z':
		return "", o.zero(t)
	case 'a':
		return "", t.AddDestination(o.service, o.server, o.weight)
	case 'e':
		return "", t.EditDestination(o.service, o.server, o.weight)
	case 'd':
		return "", t.DelDestination(o.service, o.server)
	case optSet:
		t.SetTimeouts(o.timeouts)
	}
	return "", nil
}

func (o *options) list(t *Table, at int64) (string, error) {
	conns, timeout, stats := o.given['c'], o.given[optTimeout], o.given[optStats]
	if (conns || timeout) && stats {
		return "", usage("options conflicts in the list command")
	}
	if conns {
		return listConnections(t.Connections(at)), nil
	}
	services, head := t.Services(at), banner
	switch {
	case o.service != (Key{}):
		s := t.service(o.service)
		if s == nil {
			return "", ErrNoService
		}
		services, head = []Service{s.read()}, ""
	case timeout:
		return listTimeouts(t.Timeouts()), nil
	}
	if stats {
		return head + listStats(services, o.given['X']), nil
	}
	return head + listServices(services), nil
}

func (o *options) zero(t *Table) error {
	if o.service == (Key{}) {
		t.ZeroStats()
		return nil
	}
	s := t.service(o.service)
	if s == nil {
		return ErrNoService
	}
	s.zero()
	return nil
}

// speak gives an error of the table the words that ipvsadm has for it.
func speak(command byte, err error) error {
	var text string
	var already *commandError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return err
	case errors.Is(err, ErrNoService) && (command == 'a' || command == 'e' || command == 'd'):
		text = "Service not defined"
	case errors.Is(err, ErrNoService):
		text = "No such service"
	case errors.Is(err, ErrServiceExists):
		text = "Service already exists"
	case errors.Is(err, ErrNoDestination):
		text = "No such destination"
	case errors.Is(err, ErrDestinationExists):
		text = "Destination already exists"
	case errors.Is(err, ErrNoScheduler):
		text = "Scheduler or persistence engine not found"
	default:
		text = err.Error()
	}
	return &commandError{text, err}
}

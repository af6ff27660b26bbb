// Package kernel is the little that a lab needs of the real kernel beside its TAP devices: network namespaces, the addresses
// and routes of devices in them, and commands that run there. It works on Linux only; elsewhere everything is an error.
package kernel

import (
	"errors"
	"io"
	"net/netip"
)

// ErrUnable is what errors wrap that this user or machine is the reason of: rights that are missing, a kernel without TAP
// devices, another system. The message tells what would help.
var ErrUnable = errors.New("not possible here")

// Settings are what Configure changes of a device; what is zero stays.
type Settings struct {
	Up      bool         // take it up
	Addr    netip.Prefix // an IPv4 address to add; that the device has it is no error
	MTU     int
	TxQueue int // frames that wait to be sent
}

// Route is an IPv4 route by gateways that are on link.
type Route struct {
	To     netip.Prefix
	Via    []netip.Addr // at least one; the flows are shared among several
	Metric int
}

// Command is a program to run in a namespace, as exec.Cmd has it.
type Command struct {
	Args           []string // the program, found in PATH, and its arguments
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

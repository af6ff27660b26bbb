package lab

import (
	"errors"
	"os"

	"github.com/netsim-lab/netsim/lab/topology"
)

// Machine returns what in a topology belongs to the machine that runs it, with its place: devices and namespaces of the kernel,
// real sockets, other processes, commands. A lab that has nothing of it is all in memory: it runs in virtual time, and beside others.
func Machine(spec *topology.Spec) topology.Errors {
	c := new(checker)
	f := &spec.Fabric
	for i := range f.Switches {
		s := &f.Switches[i]
		c.devices(s.TAPs, s.Name)
		c.away(s.Pos, s.Name, s.Remote.IsValid())
	}
	for i := range f.Routers {
		c.away(f.Routers[i].Pos, f.Routers[i].Name, f.Routers[i].Remote.IsValid())
	}
	for i := range f.Hosts {
		h := &f.Hosts[i]
		c.devices(h.TAPs, h.Name)
		c.away(h.Pos, h.Name, h.Remote.IsValid())
		if h.Kernel {
			c.fail(h.Pos, "%s is a namespace of the kernel", h.Name)
		}
	}
	for _, p := range spec.Plugins {
		if _, err := os.Stat(p.Socket); p.Socket != "" && err == nil { // where nobody is, nobody is waited for
			c.fail(p.Pos, "the plug-in %s is another process", p.Name)
		}
	}
	for i := range spec.Expose {
		c.fail(spec.Expose[i].Pos, "%s is a port of the machine", spec.Expose[i].Listen)
	}
	if len(c.errs) == 0 {
		for _, n := range spec.Needs {
			c.fail(n.Pos, "the lab needs %s of the machine", n.What)
		}
	}
	return c.errs
}

func (c *checker) devices(all []topology.TAP, node string) {
	for _, t := range all {
		c.fail(t.Pos, "the tap of %s is a device of the kernel", node)
	}
}

func (c *checker) away(at topology.Pos, node string, remote bool) {
	if remote {
		c.fail(at, "%s is run by another process", node)
	}
}

// CheckVirtual returns what in a topology cannot be in virtual time, as topology.Errors and ErrUnable at once; nil: nothing.
func CheckVirtual(spec *topology.Spec) error {
	errs := Machine(spec)
	if len(errs) == 0 {
		return nil
	}
	for i := range errs {
		errs[i].Msg += ", which virtual time cannot wait for: run the lab without --virtual"
	}
	return unable{errs}
}

// unable are mistakes in a topology that another way to run it does not see.
type unable struct{ topology.Errors }

// Unwrap returns what it is for errors.As and errors.Is.
func (u unable) Unwrap() []error { return []error{u.Errors, ErrUnable} }

// checkClock refuses what does not go with the clock of this program.
func checkClock(spec *topology.Spec, cfg *Config) error {
	if !Virtual {
		return nil
	}
	if cfg.Control || len(cfg.Proxies) > 0 {
		return errors.New("a lab in virtual time has no control socket and no proxies: nobody outside can be waited for")
	}
	return CheckVirtual(spec)
}

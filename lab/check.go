package lab

import (
	"fmt"
	"slices"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/topology"
)

// checker collects what a topology asks for and a lab cannot do.
type checker struct{ errs topology.Errors }

func (c *checker) fail(at topology.Pos, format string, args ...any) {
	c.errs = append(c.errs, topology.Error{Pos: at, Msg: fmt.Sprintf(format, args...)})
}

// Check returns topology.Errors with everything in a topology that a lab cannot do, and nil if New will take it.
func Check(spec *topology.Spec) error {
	c := new(checker)
	for i := range spec.Fabric.Links {
		c.link(&spec.Fabric.Links[i])
	}
	for i := range spec.Steps {
		for _, l := range spec.Steps[i].Change.Links {
			c.impairments(l.Pos, l.Forward.Impairment, l.Reverse.Impairment)
		}
		c.expect(&spec.Steps[i])
	}
	if len(c.errs) == 0 {
		return nil
	}
	return c.errs
}

// link refuses what is out of the range of cables.
func (c *checker) link(l *topology.Link) { c.impairments(l.Pos, l.Forward, l.Reverse) }

// impairments refuses what is out of range in either direction, once.
func (c *checker) impairments(at topology.Pos, forward, reverse topology.Impairment) {
	there, back := impairment(forward).Check(), impairment(reverse).Check()
	if there != nil {
		c.fail(at, "%v", there)
	}
	if back != nil && (there == nil || there.Error() != back.Error()) {
		c.fail(at, "%v", back)
	}
}

// expect refuses what cannot be judged.
func (c *checker) expect(s *topology.Step) {
	e := &s.Expect
	for _, d := range e.DroppedBecause {
		if reasons := fabric.DropReasons(); !slices.Contains(reasons, d.Reason) {
			c.fail(d.Pos, "dropped_because: no drop has the reason %q%s", d.Reason, near(d.Reason, reasons))
		}
	}
	for _, src := range e.SourceSeen {
		if src.At == nil {
			c.fail(src.Pos, "source_seen: name the node that looks: {addr: %s, at: NODE}", src.Addr)
		}
	}
	for _, sp := range e.LBSpread {
		if sp.To.Proto != "tcp" {
			c.fail(sp.Pos, "lb_spread counts TCP connections; write to: %s:PORT", sp.To.Host)
		}
	}
}

package main

import (
	"context"
	"errors"
	"testing"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/topologies"
)

// failures is an observer that reports the steps which did not hold.
type failures struct{ *testing.T }

func (f failures) StepStarted(int, *topology.Step)     {}
func (f failures) Output(int, int, lab.Stream, []byte) {}
func (f failures) StepDone(r lab.StepResult) {
	if !r.Passed {
		f.Errorf("%s: %s: %s", r.Step.Pos, r.Step.Name, r.Reason)
	}
}

// Every lab that comes with netsim holds what its steps expect, with the commands that hosts have here.
func TestEmbeddedLabs(t *testing.T) {
	if testing.Short() {
		t.Skip("some of their steps watch the wire for a second")
	}
	for _, name := range topologies.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, err := topologies.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := topology.Parse(name+".yaml", src)
			if err != nil {
				t.Fatal(err)
			}
			l, err := lab.Start(context.Background(), spec, lab.Config{HostTools: hostTools})
			switch {
			case errors.Is(err, lab.ErrUnable):
				t.Skip(err)
			case err != nil:
				t.Fatal(err)
			}
			if _, err := l.Play(context.Background(), failures{t}); err != nil {
				t.Error(err)
			}
			if err := l.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

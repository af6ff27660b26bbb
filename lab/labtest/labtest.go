// Package labtest runs labs in Go tests: nothing but the test's own process, no privileges, no ports of the machine.
//
//	func TestReachability(t *testing.T) {
//		b := lab.NewBuilder()
//		sw := b.Switch("s1")
//		b.Link(b.Host("a", "10.0.0.1/24"), sw)
//		b.Link(b.Host("b", "10.0.0.2/24"), sw)
//		l := labtest.Build(t, b)
//		if _, err := l.Node("a").Ping(t.Context(), "b"); err != nil {
//			t.Error(err)
//		}
//	}
package labtest

import (
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

// Lab is a running lab of a test.
type Lab struct {
	*lab.Lab
	t testing.TB
}

// Run runs a topology until the test ends. A lab that does not come up fails the test at once; one that fails later, or
// leaves something behind, fails it in the end.
func Run(t testing.TB, spec *topology.Spec) *Lab {
	t.Helper()
	return RunConfig(t, spec, lab.Config{})
}

// RunConfig is Run with a configuration.
func RunConfig(t testing.TB, spec *topology.Spec, cfg lab.Config) *Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), spec, cfg)
	if err != nil {
		t.Fatalf("start lab: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Errorf("lab: %v", err)
		}
	})
	return &Lab{Lab: l, t: t}
}

// Build runs what a builder describes; see Run.
func Build(t testing.TB, b *lab.Builder) *Lab {
	t.Helper()
	spec, err := b.Spec()
	if err != nil {
		t.Fatalf("topology: %v", err)
	}
	return Run(t, spec)
}

// YAML runs the text of a topology file; see Run.
func YAML(t testing.TB, text string) *Lab {
	t.Helper()
	spec, err := topology.Parse(t.Name()+".yaml", []byte(text))
	if err != nil {
		t.Fatalf("topology: %v", err)
	}
	return Run(t, spec)
}

// Node returns the node of that name; see lab.Lab.Lookup. If there is none the test fails at once.
func (l *Lab) Node(name string) *lab.Node {
	l.t.Helper()
	n, err := l.Lookup(name)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// Sh runs a line of POSIX shell in a node and returns what it prints, and its exit status. If it cannot be run the test
// fails at once.
func (l *Lab) Sh(node, line string) (out string, exit int) {
	l.t.Helper()
	var b strings.Builder
	exit, err := l.Node(node).Run(l.t.Context(), line, shell.Stdio{Out: &b, Err: &b})
	if err != nil {
		l.t.Fatalf("%s: %s: %v", node, line, err)
	}
	return b.String(), exit
}

// Play plays the steps of the lab's topology; each that fails, fails the test.
func (l *Lab) Play() {
	l.t.Helper()
	if _, err := l.Lab.Play(l.t.Context(), observer{l.t}); err != nil {
		l.t.Error(err)
	}
}

type observer struct{ t testing.TB }

// StepStarted implements lab.Observer.
func (observer) StepStarted(int, *topology.Step) {}

// Output implements lab.Observer.
func (observer) Output(int, int, lab.Stream, []byte) {}

// StepDone implements lab.Observer.
func (o observer) StepDone(r lab.StepResult) {
	o.t.Helper()
	if !r.Passed {
		o.t.Errorf("%s: step %q on %s: %s", r.Step.Pos, r.Step.Name, r.Step.On.Text, r.Reason)
	}
}

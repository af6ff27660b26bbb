package labtest_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/labtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBuild(t *testing.T) {
	b := lab.NewBuilder()
	sw := b.Switch("s1")
	b.Link(b.Host("a", "10.0.0.1/24"), sw)
	b.Link(b.Host("b", "10.0.0.2/24"), sw)
	l := labtest.Build(t, b)
	if _, err := l.Node("a").Ping(t.Context(), "b"); err != nil {
		t.Error(err)
	}
}

func TestYAML(t *testing.T) {
	l := labtest.YAML(t, `
netsim: 1
fabric:
  switches: {s1: {}}
  hosts: {a: {links: {s1: 10.0.0.1/24}}}
steps:
  - {on: a, run: hostname, expect: {stdout: a}}
`)
	if out, exit := l.Sh("a", "hostname"); strings.TrimSpace(out) != "a" || exit != 0 {
		t.Errorf("hostname = %q, %d; want a, 0", out, exit)
	}
	l.Play()
}

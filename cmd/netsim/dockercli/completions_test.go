package dockercli

import (
	"testing"

	"github.com/netsim-lab/netsim/docker/shell"
)

// A call leaves nothing behind in the variables of the process.
func TestCompletionsAreDropped(t *testing.T) {
	before := len(flagCompletions)
	s := newSession(t.Context(), &shell.Call{Args: []string{"docker"}, Sys: &shell.System{}}, nil)
	root := s.command()
	if len(flagCompletions) == before {
		t.Error("a tree of commands has no completions: this test shows nothing")
	}
	dropCompletions(root)
	if n := len(flagCompletions); n != before {
		t.Errorf("%d completions are left, want %d", n, before)
	}
	s.end()
}

func BenchmarkCommand(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s := newSession(b.Context(), &shell.Call{Args: []string{"docker"}, Sys: &shell.System{}}, nil)
		dropCompletions(s.command())
		s.end()
	}
}

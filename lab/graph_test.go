package lab

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/topologies"
)

func TestGraph(t *testing.T) {
	spec := parse(t, bridgeLab)
	for format, want := range map[string][]string{
		GraphMermaid: {"flowchart TB", `[["tor"]]`, `"host-a<br/>engine: docker"`, `---|"192.168.1.2/24"|`, "8000 -&gt; 5000/tcp"},
		GraphDOT:     {`graph "bridge-lab" {`, `[shape=box3d, label="tor"]`, `[label="192.168.1.2/24"]`, `label="catnet\nbridge 172.19.0.0/16"`, "}\n"},
	} {
		got, err := Graph(spec, format)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in\n%s", format, w, got)
			}
		}
	}
	away, err := Graph(parse(t, strings.Replace(bridgeLab, "client: {", "client: {remote: 127.0.0.1:4790, ", 1)), GraphMermaid)
	if err != nil || !strings.Contains(away, `"client<br/>remote: 127.0.0.1:4790"`) {
		t.Errorf("Graph = %v; nothing says where the remote host is in\n%s", err, away)
	}
	if _, err := Graph(spec, "svg"); err == nil {
		t.Error("Graph in svg: no error")
	}
}

// typesDocker tells whether a lab's steps type docker commands: those are a tool of the command netsim, whose scripts play
// such labs.
func typesDocker(spec *topology.Spec) bool {
	return slices.ContainsFunc(spec.Steps, func(s topology.Step) bool { return strings.Contains(s.Run, "docker ") })
}

// TestEmbeddedLabs plays every embedded lab that needs no tool of the floor above.
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
			if typesDocker(spec) {
				t.Skip("its steps type docker commands")
			}
			l, err := Start(context.Background(), spec, Config{})
			if err != nil {
				t.Fatal(err)
			}
			rec := &recorder{}
			if _, err := l.Play(context.Background(), rec); err != nil {
				t.Error(err)
			}
			for _, r := range rec.results {
				if !r.Passed {
					t.Errorf("%s: %s: %s", r.Step.Pos, r.Step.Name, r.Reason)
				}
			}
			if err := l.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

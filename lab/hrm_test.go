package lab

import (
	"bytes"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/topologies"
)

// G6, W31: tasks that die take no requests with them but those that they were answering.
func TestTheRoutingMeshOutlivesTasks(t *testing.T) {
	src, err := topologies.Open("http-routing-mesh")
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, string(src), Config{})
	get := func(path string) string {
		var out bytes.Buffer
		if _, err := l.MustNode("laptop").Run(soon(t), "curl -s -w '%{http_code}' http://red.example.com"+path, shell.Stdio{Out: &out}); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out.String())
	}
	eventually(t, "RED answers", func() bool { return strings.HasSuffix(get("/ping"), "200") })
	for _, task := range []string{"RED.3", "RED.7"} {
		if err := l.MustNode(task).Container().Kill(soon(t), ""); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for range 30 {
		got := get("/ping")
		if !strings.HasSuffix(got, "200") {
			t.Errorf("after two tasks died a request is answered by %q; want 200", got)
		}
		seen[got] = true
	}
	if len(seen) < 8 { // or more, if their successors are there
		t.Errorf("%d containers answer; want the 8 that are left", len(seen))
	}
}

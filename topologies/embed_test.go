package topologies_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/topologies"
)

func TestEveryLabIsValidAndNamedAsItsFile(t *testing.T) {
	for _, name := range topologies.Names() {
		src, err := topologies.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := topology.Parse(name+".yaml", src)
		if err != nil {
			t.Errorf("Parse(%s):\n%v", name, err)
			continue
		}
		if spec.Name != name {
			t.Errorf("%s.yaml has the name %q", name, spec.Name)
		}
		if spec.Description == "" || spec.Guide == "" || len(spec.Steps) == 0 {
			t.Errorf("%s.yaml lacks a description, a chapter or steps", name)
		}
	}
}

func TestOpenOfAnUnknownLabListsTheLabs(t *testing.T) {
	_, err := topologies.Open("../go.mod")
	if err == nil || !strings.Contains(err.Error(), "pets-overlay") {
		t.Errorf("Open = %v; want an error that names pets-overlay", err)
	}
}

func ExampleOpen() {
	src, err := topologies.Open("pets-overlay")
	fmt.Println(err, strings.HasPrefix(string(src), "#"), slices.Contains(topologies.Names(), "pets-overlay"))
	// Output: <nil> true true
}

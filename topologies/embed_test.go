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

// The fabrics carry the app of pets-overlay as it is: the same networks and services, and first all of its steps but those that
// make them again by docker commands.
func TestFabricsCarryThePetsUnchanged(t *testing.T) {
	app := func(name string) (text string, steps []string) {
		src, err := topologies.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := topology.Parse(name+".yaml", src)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range spec.Steps {
			steps = append(steps, s.Name)
		}
		_, rest, _ := strings.Cut(string(src), "\nswarm:")
		text, _, _ = strings.Cut(rest, "\nsteps:")
		return text, steps
	}
	want, wantSteps := app("pets-overlay")
	wantSteps = wantSteps[slices.Index(wantSteps, "All five run")+1:]
	for _, name := range []string{"spine-leaf", "three-tier"} {
		got, steps := app(name)
		if got != want {
			t.Errorf("the swarm, networks and services of %s are\n%s\nwant those of pets-overlay\n%s", name, got, want)
		}
		if len(steps) <= len(wantSteps) || !slices.Equal(steps[:len(wantSteps)], wantSteps) {
			t.Errorf("the steps of %s are %q; want them to begin with %q", name, steps, wantSteps)
		}
	}
}

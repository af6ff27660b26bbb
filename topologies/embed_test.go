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

// The fabrics carry the app of pets-overlay: the services that its first steps make with docker commands, from the file, and the
// steps after them.
func TestFabricsCarryThePets(t *testing.T) {
	app := func(name string) (text string, spec *topology.Spec, steps []string) {
		src, err := topologies.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if spec, err = topology.Parse(name+".yaml", src); err != nil {
			t.Fatal(err)
		}
		for _, s := range spec.Steps {
			steps = append(steps, s.Name)
		}
		_, rest, _ := strings.Cut(string(src), "\nswarm:")
		text, _, _ = strings.Cut(rest, "\nsteps:")
		return text, spec, steps
	}
	_, pets, wantSteps := app("pets-overlay")
	made := ""
	for len(wantSteps) > 0 && strings.HasPrefix(pets.Steps[0].Run, "docker ") {
		made += pets.Steps[0].Run + "\n"
		pets.Steps, wantSteps = pets.Steps[1:], wantSteps[1:]
	}
	want, spec, _ := app("spine-leaf")
	for _, x := range spec.Services {
		if !strings.Contains(made, "--name "+x.Name+" ") {
			t.Errorf("no command of pets-overlay makes the service %s of spine-leaf", x.Name)
		}
	}
	if n := strings.Count(made, "docker service create "); n != len(spec.Services) {
		t.Errorf("pets-overlay makes %d services; spine-leaf has %d", n, len(spec.Services))
	}
	for _, name := range []string{"spine-leaf", "three-tier"} {
		got, _, steps := app(name)
		if got != want {
			t.Errorf("the swarm, networks and services of %s are\n%s\nwant those of spine-leaf\n%s", name, got, want)
		}
		if len(steps) <= len(wantSteps) || !slices.Equal(steps[:len(wantSteps)], wantSteps) {
			t.Errorf("the steps of %s are %q; want them to begin with %q", name, steps, wantSteps)
		}
	}
}

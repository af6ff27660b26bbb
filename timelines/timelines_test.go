// Package timelines_test plays topologies in virtual time: those of this directory, which take minutes and hours and whose clocks
// matter (what ages, what times out, what fails and is seen to), and those that come with netsim.
package timelines_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/lab/labtest"
	"github.com/netsim-lab/netsim/lab/virtual"
)

func TestVirtual(t *testing.T) {
	if testing.Short() {
		t.Skip("building netsim for virtual time takes a while, and what it plays is the same as without -short")
	}
	v := labtest.BuildVirtual(t)
	t.Run("timelines", func(t *testing.T) { v.PlayDir(t, ".") })
	t.Run("topologies", func(t *testing.T) { v.PlayDir(t, "../topologies") })
	t.Run("up at once", func(t *testing.T) { atOnce(t, v, "../topologies/pets-overlay.yaml") })
	t.Run("twice the same", func(t *testing.T) { twice(t, v, "../topologies/impairments.yaml") })
}

// atOnce brings a lab up and holds how long that took in its own time, which is what it waited for: elections, joins, programs.
func atOnce(t *testing.T, v *labtest.Virtual, file string) {
	var out bytes.Buffer
	c := virtual.Command{Program: v.Program(), Args: []string{"run", "--json", "--no-steps", file}, Stdout: &out}
	if status, err := c.Run(t.Context()); status != 0 || err != nil {
		t.Fatalf("run %s = %d, %v\n%s", file, status, err, out.Bytes())
	}
	var up struct {
		Event   string
		Seconds float64
	}
	if err := json.NewDecoder(&out).Decode(&up); err != nil || up.Event != "up" || up.Seconds > 1 {
		t.Errorf("%s: %s after %v s, %v; want up within a second", file, up.Event, up.Seconds, err)
	}
}

// twice runs a lab two times with one seed, which must print the same: one without a swarm, whose control plane speaks when
// its luck would have it.
func twice(t *testing.T, v *labtest.Virtual, file string) {
	var outs [2]bytes.Buffer
	for i := range outs {
		began := time.Now()
		c := virtual.Command{Program: v.Program(), Args: []string{"run", "-v", "--seed=7", file}, Stdout: &outs[i]}
		if status, err := c.Run(t.Context()); status != 0 || err != nil {
			t.Fatalf("run %s = %d, %v\n%s", file, status, err, outs[i].Bytes())
		}
		t.Logf("%s took %v", file, time.Since(began).Round(time.Millisecond))
	}
	first, second := strings.Split(outs[0].String(), "\n"), strings.Split(outs[1].String(), "\n")
	for i := range min(len(first), len(second)) {
		if first[i] != second[i] {
			t.Fatalf("line %d differs:\n%s\n%s", i+1, first[i], second[i])
		}
	}
	if len(first) != len(second) {
		t.Errorf("%d lines, and then %d", len(first), len(second))
	}
}

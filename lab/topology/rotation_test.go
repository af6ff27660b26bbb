package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/lab/topology"
)

// C12: keys of encrypted overlays rotate every 12 hours unless the swarm says otherwise.
func TestKeyRotation(t *testing.T) {
	for value, want := range map[string]string{
		"10s": "10s", "12h": "12h0m0s", "100ms": "100ms",
		"1ms": "key_rotation must be 100ms or more, not 1ms", "often": "key_rotation cannot be", "0s": "must be 100ms or more",
	} {
		spec, err := topology.Parse("lab.yaml", []byte(fabric+"swarm: {managers: [host-a], key_rotation: "+value+"}\n"))
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %q", value, err, want)
			}
			continue
		}
		if got := spec.Swarm.KeyRotation; got.String() != want {
			t.Errorf("%s = %v; want %s", value, got, want)
		}
	}
	spec, err := topology.Parse("lab.yaml", []byte(fabric+"swarm: {managers: [host-a]}\n"))
	if err != nil || spec.Swarm.KeyRotation != time.Duration(0) {
		t.Errorf("without key_rotation: %v, %v", spec, err)
	}
}

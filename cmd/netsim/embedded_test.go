package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/netsim-lab/netsim/topologies"
)

// quickLabs are those that are played in short rounds, too.
var quickLabs = []string{"bridge-networking", "docker-networking-basics", "pets-bridge", "pets-macvlan", "pets-multihost-bridge", "plug-in-driver"}

// patientLabs take long, since Docker's control plane does. Package timelines plays them in virtual time, with all others.
var patientLabs = []string{
	"control-plane-gossip", "join-refused", "load-balancing", "network-security", "overlay-architecture", "overlay-networking", "pets-overlay",
	"quorum-loss", "routing-mesh", "service-discovery", "swarm-mode-tutorial", "network-scope",
}

// The labs that come with netsim hold what their steps expect, as one plays them: netsim run NAME says so, nothing else on
// stderr, and leaves nothing behind.
func TestEmbeddedLabs(t *testing.T) {
	for _, name := range topologies.Names() {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !slices.Contains(quickLabs, name) {
				t.Skip("some of its steps watch the wire for a second")
			}
			if slices.Contains(patientLabs, name) {
				t.Skip("it takes long; it is played in virtual time elsewhere")
			}
			t.Parallel()
			home, err := os.MkdirTemp("", "lab") // t.TempDir may be too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(home) })
			cmd := exec.Command("netsim", "run", "--skip-unable", name)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+home, "GORACE=atexit_sleep_ms=0") // see TestScripts
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			err = cmd.Run()
			held := regexp.MustCompile(`(?m)^✓ ` + regexp.QuoteMeta(name) + `: [0-9]+ steps, all held`)
			switch {
			case err == nil && bytes.Contains(out.Bytes(), []byte("- "+name+" was skipped: ")):
				t.Skip(out.String())
			case err != nil || errs.Len() > 0 || !held.Match(out.Bytes()):
				t.Errorf("netsim run %s: %v\n%s\nand on stderr %q", name, err, out.String(), errs.String())
			}
			if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

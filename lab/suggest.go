package lab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/lab/topology"
)

// near ends a message about an unknown name with the known name that is most like it, if any is.
func near(name string, known []string) string {
	best := topology.Nearest(name, known)
	if best == "" && len(name) >= 2 {
		if i := slices.IndexFunc(known, func(k string) bool { return strings.Contains(k, "/"+name) }); i >= 0 {
			best = known[i]
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

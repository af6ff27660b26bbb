package shell

import (
	"strings"
	"testing"
)

// An unknown option gets the tool's own usage and status.
func TestUnknownOptions(t *testing.T) {
	b := newBench(t)
	for _, row := range []struct {
		script, second string
		status         int
	}{
		{"nc -Z", "usage: nc [-46CDdFhklNnrStUuvZz]", 1},
		{"ss -Z", "Usage: ss [ OPTIONS ]", 255},
		{"tcpdump -Z", "tcpdump version 4.9.3", 1},
		{"wget -Z", "Usage: wget [OPTION]... [URL]...", 2},
		{"ping -Z c2", "", 2},
		{"traceroute -Z c2", "", 2},
	} {
		_, errOut, code := b.run(b.host, row.script)
		tool, _, _ := strings.Cut(row.script, " ")
		first, rest, _ := strings.Cut(errOut, "\n")
		if first != tool+": invalid option -- 'Z'" || !strings.HasPrefix(rest, row.second) || code != row.status {
			t.Errorf("%s: status %d, %q", row.script, code, errOut)
		}
	}
	b.expect(&System{NS: b.c1.NS, Flavour: Busybox}, "wget -Z", "wget: invalid option -- 'Z'", 1)
}

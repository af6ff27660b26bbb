package shell

import "testing"

// apk brings an alpine the tools that it lacks, once it has an index, and takes them away.
func TestApk(t *testing.T) {
	b := newBench(t)
	s := &System{NS: b.c1.NS, Flavour: Alpine, Files: files("c1", "172.17.0.2")}
	const noIndex = "WARNING: Ignoring APKINDEX.tar.gz: No such file or directory\n"
	b.each(s, []says{
		{"dig", "sh: dig: not found", 127},
		{"apk add bind-tools", noIndex + "ERROR: unsatisfiable constraints:\n  bind-tools (missing):\n    required by: world[bind-tools]", 1},
		{"apk add --no-cache bind-tools", "(1/1) Installing bind-tools (built in)\nOK: 1 packages", 0},
		{"which dig", "/usr/bin/dig", 0},
		{"apk update", "OK: # distinct packages available", 0},
		{"apk add bind-tools curl tcpdump", "(1/2) Installing curl (built in)\n(2/2) Installing tcpdump (built in)\nOK: 3 packages", 0},
		{"curl -%", "curl: option -%: is unknown\ncurl: try 'curl --help' or 'curl --manual' for more information", 2}, // no applet of busybox's
		{"apk add nope curl", "ERROR: unsatisfiable constraints:\n  nope (missing):\n    required by: world[nope]", 1},
		{"apk del bind-tools", "Purging bind-tools (built in)\nOK: 2 packages", 0},
		{"dig", "sh: dig: not found", 127},
		{"apk frob", "ERROR: 'frob' is not an apk command. See 'apk --help'.", 1},
		{"apk", "apk: usage: apk update | add [--no-cache] PACKAGE... | del PACKAGE...", 1},
	})
	for _, other := range []*System{b.host, {NS: b.c1.NS, Flavour: Busybox}} {
		b.expect(other, "apk update", "sh: apk: not found", 127)
	}
}

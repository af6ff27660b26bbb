package main

import (
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdBuildVirtual builds netsim for virtual time and sets a variable to its path.
func cmdBuildVirtual(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: buildvirtual VARIABLE")
	}
	program := ts.MkAbs("netsim-virtual")
	build := exec.Command("go", "build", "-trimpath", "-tags", "faketime", "-ldflags", "-checklinkname=0", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		ts.Fatalf("build: %v\n%s", err, out)
	}
	ts.Setenv(args[0], program)
}

package virtual

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// ProgramEnv is the variable that names the program for virtual time, where it is not beside netsim.
const ProgramEnv = "NETSIM_VIRTUAL"

const programName = "netsim-virtual"

// ErrMissing is what the error of Find wraps if there is no program for virtual time.
var ErrMissing = errors.New("there is no " + programName)

// Find returns the path of the program for virtual time: what NETSIM_VIRTUAL names, or netsim-virtual in the directory of the
// program that runs. The error says how to get it.
func Find() (string, error) {
	if runtime.GOOS == "windows" {
		return "", errors.New("virtual time is not to be had on Windows: Go's runtime has no clock for it there")
	}
	if named := os.Getenv(ProgramEnv); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("%w: %s says %s: %w", ErrMissing, ProgramEnv, named, err)
		}
		return path, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("look for %s beside this program: %w", programName, err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	path := filepath.Join(filepath.Dir(self), programName)
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf(`%w beside %s
"make build" makes both; with go run, and elsewhere:
  CGO_ENABLED=0 go build -tags faketime -ldflags=-checklinkname=0 -o %s ./cmd/netsim
  export %s=$PWD/%s`, ErrMissing, self, programName, ProgramEnv, programName)
	}
	return path, nil
}

package node

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// swarmkit's supervisor leaves a restart that waits for its delay to itself when a leader ends; it is over when that is.
	delayed := goleak.IgnoreTopFunction("github.com/moby/swarmkit/v2/manager/orchestrator/restart.(*Supervisor).DelayStart.func2")
	goleak.VerifyTestMain(m, delayed, goleak.Cleanup(func(status int) {
		if dir := virtualDir; dir != "" {
			_ = os.RemoveAll(dir) // it is a temporary one
		}
		os.Exit(status)
	}))
}

// virtualDir is where the program for virtual time is; "": it was not built.
var virtualDir string

// virtualProgram builds these very tests for virtual time, once.
var virtualProgram = sync.OnceValues(func() (path string, err error) {
	if virtualDir, err = os.MkdirTemp("", "node-virtual"); err != nil {
		return "", err
	}
	path = filepath.Join(virtualDir, "virtual.test")
	build := exec.Command("go", "test", "-c", "-trimpath", "-tags", "faketime", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", &buildError{err, out}
	}
	return path, nil
})

type buildError struct {
	err error
	out []byte
}

// Error implements error.
func (e *buildError) Error() string {
	return "build for virtual time: " + e.err.Error() + "\n" + string(e.out)
}

// virtually plays a test in virtual time: this very test in a program of its own, which is built for that. What it measures does
// not depend on how busy the machine is.
func virtually(t *testing.T, args ...string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no virtual time")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("the program for virtual time cannot be built: %v", err)
	}
	if testing.Short() {
		t.Skip("a program is built for virtual time")
	}
	t.Parallel()
	program, err := virtualProgram()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-test.run", "^" + t.Name() + "$", "-test.v", "-test.timeout", "0"}, args...)
	play := exec.CommandContext(t.Context(), program, args...)
	play.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := play.CombinedOutput()
	t.Logf("%s", unframed(out))
	if err != nil {
		t.Error(err)
	}
}

// swiftly plays a test that mostly waits in virtual time, and tells whether it did. Where that cannot be had the test is played as it is,
// and with -short, too, which is how races are looked for.
func swiftly(t *testing.T, args ...string) bool {
	t.Helper()
	if virtual {
		return false
	}
	if _, err := exec.LookPath("go"); err != nil || testing.Short() || runtime.GOOS == "windows" {
		t.Parallel()
		return false
	}
	virtually(t, args...)
	return true
}

// unframed takes the headers off what a program in virtual time writes: 0, 0, P, B, eight bytes of time, four of length.
func unframed(b []byte) (out []byte) {
	const size = 16
	for len(b) >= size && bytes.HasPrefix(b, []byte("\x00\x00PB")) {
		n := min(uint64(binary.BigEndian.Uint32(b[12:])), uint64(len(b)-size))
		out, b = append(out, b[size:size+n]...), b[size+n:]
	}
	return append(out, b...)
}

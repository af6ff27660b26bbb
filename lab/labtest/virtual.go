package labtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/netsim-lab/netsim/lab/virtual"
)

// command is what BuildVirtual builds.
const command = "github.com/netsim-lab/netsim/cmd/netsim"

// Virtual plays topology files in virtual time, in processes of their own: minutes and hours of sleeps and timeouts pass in
// moments. Its methods may be called at once from several tests.
type Virtual struct{ program string }

// BuildVirtual builds netsim for virtual time into a directory of the test, which takes seconds the first time and less
// afterwards; where NETSIM_VIRTUAL names the program, it takes that. The test is skipped where there is no virtual time or no Go.
func BuildVirtual(t testing.TB) *Virtual {
	t.Helper()
	if named := os.Getenv(virtual.ProgramEnv); named != "" {
		program, err := virtual.Find()
		if err != nil {
			t.Fatal(err)
		}
		return &Virtual{program}
	}
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no virtual time")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("netsim for virtual time cannot be built: %v", err)
	}
	program := filepath.Join(t.TempDir(), "netsim-virtual")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "faketime", "-ldflags", "-checklinkname=0", "-o", program, command) // as make build does, whose work is kept
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build netsim for virtual time: %v\n%s", err, out)
	}
	return &Virtual{program}
}

// Program returns the path of the program.
func (v *Virtual) Program() string { return v.program }

// event is what netsim run --json says; see its help.
type event struct {
	Event, Name, At, On, Run, Reason, Stdout, Stderr string
	Passed                                           any // of a step whether it did, of the end how many
}

// Play plays a topology file; each step that fails, fails the test, and a lab that cannot be in virtual time skips it. Flags are
// further ones of netsim run, as --seed=7.
func (v *Virtual) Play(t testing.TB, file string, flags ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	args := append(append([]string{"run", "--json", "--skip-unable"}, flags...), "--", file)
	c := virtual.Command{Program: v.program, Args: args, Stdout: &out, Stderr: &errs}
	status, err := c.Run(t.Context())
	failed := false
	for dec := json.NewDecoder(&out); ; {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Errorf("%s: what netsim run says cannot be read: %v", file, err)
			break
		}
		switch {
		case e.Event == "skip":
			t.Skip(e.Reason)
		case e.Event == "step" && e.Passed != true:
			failed = true
			t.Errorf("%s: step %q\n%s$ %s\n%s%s! %s", e.At, e.Name, e.On, e.Run, e.Stdout, e.Stderr, e.Reason)
		}
	}
	if err != nil || status != 0 && !failed {
		t.Errorf("%s: exit status %d, %v\n%s", file, status, err, errs.Bytes())
	}
}

// PlayDir plays each *.yaml of a directory as a test of its own, some at once; see Play. A directory without any fails.
func (v *Virtual) PlayDir(t *testing.T, dir string, flags ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("topologies of %s: %v, %v", dir, files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			v.Play(t, file, flags...)
		})
	}
}

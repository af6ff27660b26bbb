package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"netsim": main})
}

// TestScripts plays the scripts of testdata/script. They know these commands besides testscript's own:
//
//	status N COMMAND...      runs a command that must exit with N
//	golden DIR               validates every DIR/*.yaml and compares with DIR/*.golden
//	terminate                sends SIGTERM to every running lab
//	clock                    starts a clock
//	under DURATION           fails if the clock shows more
//	retry COMMAND...         runs a command until it succeeds, for at most 20 s
//	nonempty FILE            waits until a file has something in it, for at most 20 s
//	fetch SOCKET             gets the page of a real socket of the lab that runs, counted from 0 as netsim ps --json does
//	fetch URL SCHEME SOCKET  gets a page by a real socket that is a proxy
//	udpport VARIABLE         sets a variable to a UDP port of 127.0.0.1 that is free
//	buildvirtual VARIABLE    builds netsim for virtual time and sets a variable to its path
//	inuse SOCKET FILE        runs a lab that wants the port of a socket, which must fail
func TestScripts(t *testing.T) {
	module, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir)
			env.Setenv("MODULE", module)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector waits a second at each exit unless told not to
			env.Values[clockKey{}] = new(time.Time)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": cmdStatus, "golden": cmdGolden, "clock": cmdClock, "terminate": cmdTerminate, "under": cmdUnder, "retry": cmdRetry,
			"fetch": cmdFetch, "inuse": cmdInUse, "nonempty": cmdNonEmpty,
			"udpport": cmdUDPPort, "buildvirtual": cmdBuildVirtual,
		},
	})
}

func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d; want %s", got, args[0])
	}
}

func cmdGolden(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: golden DIR")
	}
	files, err := filepath.Glob(ts.MkAbs(filepath.Join(args[0], "*.yaml")))
	ts.Check(err)
	if len(files) < 20 {
		ts.Fatalf("found %d broken topologies; want at least 20", len(files))
	}
	for _, f := range files {
		name := args[0] + "/" + filepath.Base(f)
		cmdStatus(ts, false, []string{"2", "netsim", "validate", name})
		want := ts.ReadFile(strings.TrimSuffix(name, ".yaml") + ".golden")
		if got := ts.ReadFile("stderr"); got != want {
			ts.Fatalf("validate %s says\n%s\nwant\n%s", name, got, want)
		}
	}
}

func cmdTerminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: terminate")
	}
	ts.Check(ts.Exec("netsim", "ps", "--json"))
	var all []lab.Info
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &all))
	for _, info := range all {
		p, err := os.FindProcess(info.PID)
		ts.Check(err)
		ts.Check(p.Signal(syscall.SIGTERM))
	}
}

type clockKey struct{}

func cmdClock(ts *testscript.TestScript, _ bool, _ []string) {
	*ts.Value(clockKey{}).(*time.Time) = time.Now()
}

func cmdUnder(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: under DURATION")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	if took := time.Since(*ts.Value(clockKey{}).(*time.Time)); took > limit {
		ts.Fatalf("took %v; want at most %v", took, limit)
	}
}

func cmdRetry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: retry COMMAND...")
	}
	end := time.Now().Add(20 * time.Second)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v: %v", args, err)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at another process
	}
}

// Every command explains itself: a line, a text and an example.
func TestHelpIsComplete(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		t.Run(c.CommandPath(), func(t *testing.T) {
			if c.Short == "" || c.Long == "" || c.Example == "" {
				t.Errorf("Short %q, Long %q, Example %q; want all three", c.Short, c.Long, c.Example)
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

// The labs that come with netsim are listed with what they show.
func TestEmbeddedLabsSayWhatTheyShow(t *testing.T) {
	all, err := embedded()
	if err != nil || len(all) == 0 {
		t.Fatalf("embedded = %v, %v; want labs", all, err)
	}
	for _, l := range all {
		if l.Description == "" || l.Guide == "" || l.Steps == 0 {
			t.Errorf("lab %q: description %q, guide %q, %d steps; want all", l.Name, l.Description, l.Guide, l.Steps)
		}
	}
}

func TestPainter(t *testing.T) {
	for _, c := range []struct {
		on   painter
		text string
		want string
	}{
		{false, "x", "x"},
		{true, "x", "\x1b[31mx\x1b[0m"},
		{true, "", ""},
	} {
		if got := c.on.paint(red, c.text); got != c.want {
			t.Errorf("painter(%v).paint(%q) = %q; want %q", c.on, c.text, got, c.want)
		}
	}
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	if newPainter(f) || newPainter(t) {
		t.Error("newPainter = true for what is no terminal")
	}
}

// Unknown names are answered with those that are like them.
func TestDidYouMean(t *testing.T) {
	for _, c := range []struct {
		name, want string
	}{
		{"pets-overly", `; did you mean "pets-overlay"?`},
		{"pets", `; did you mean "pets-bridge" or "pets-overlay"?`},
		{"zoo", ""},
	} {
		if got := didYouMean(c.name, []string{"pets-bridge", "pets-overlay"}, ""); got != c.want {
			t.Errorf("didYouMean(%q) = %q; want %q", c.name, got, c.want)
		}
	}
	if got, want := didYouMean("jsno", []string{"json"}, "--"), fmt.Sprintf("; did you mean %q?", "--json"); got != want {
		t.Errorf("didYouMean = %q; want %q", got, want)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/suite"
	"github.com/netsim-lab/netsim/lab/topology"
)

// testOptions say how labs are tested.
type testOptions struct {
	jobs    int
	junit   string
	json    bool
	virtual bool
	verbose bool
	skip    bool
	seed    *uint64
}

const testHelp = `Play many labs, some at once, with a line for each. Of a directory all *.yaml are taken. A step that failed is told with its
command, the end of its output, what was expected, and what happened to its packets, as netsim explain tells it.

Labs that want something of the machine, as a port or a TAP device, are played one after the other, beside those that do not. No
other command reaches the labs meanwhile. All files are checked before anything runs.

The exit status is 0 if everything held, 1 if a step did not or a lab failed, 2 for a bad topology, which is told with all others.

` + virtualHelp + `

With --junit FILE a report for Jenkins, GitLab and the like is written: a testsuite for each lab, a testcase for each step.

With --json standard output has one JSON object per line, told apart by "event":
  {"event": "lab", "lab", "file", "status": "passed"|"failed"|"skipped"|"error", "reason", "passed", "failed", "seconds",
   "steps": [{"step", "name", "at", "on", "run", "passed", "tries", "seconds", "exit", "stdout", "stderr", "reason", "explain"}]}
  {"event": "end", "ok", "passed", "failed", "skipped", "errors", "seconds"}      how many labs`

func testCommand() *cobra.Command {
	var (
		o    testOptions
		seed uint64
	)
	cmd := &cobra.Command{
		Use:   "test FILE|DIR|NAME...",
		Short: "Play many labs, some at once, and tell which steps failed",
		Long:  testHelp,
		Example: `  netsim test topologies/
  netsim test --virtual --seed 7 topologies/ timelines/
  netsim test pets-bridge pets-overlay my.yaml --jobs 4
  netsim test labs/ --skip-unable --junit report.xml`,
		Args:              atLeast(1, "FILE|DIR|NAME"),
		ValidArgsFunction: completeTopologies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("seed") {
				o.seed = &seed
			}
			if !cmd.Flags().Changed("jobs") {
				o.jobs = runtime.NumCPU()
				if !o.virtual {
					o.jobs *= 2
				}
			}
			return testTopologies(cmd, args, o)
		},
	}
	f := cmd.Flags()
	f.IntVarP(&o.jobs, "jobs", "j", 0, "how many labs are played at once (default: processors with --virtual, else twice as many, as labs mostly wait)")
	f.StringVar(&o.junit, "junit", "", "write a JUnit report to this file")
	f.BoolVar(&o.json, "json", false, "print one JSON object per line")
	f.BoolVar(&o.virtual, "virtual", false, "run the labs in virtual time, with the program netsim-virtual")
	f.BoolVar(&o.skip, "skip-unable", false, "succeed, and say why, where this user or machine cannot run a lab: it needs root, say")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show all output of a step that failed")
	f.Uint64Var(&seed, "seed", 0, "start of every pseudo-random choice, instead of the topologies'")
	return cmd
}

// testTopologies plays labs and tells how they went.
func testTopologies(cmd *cobra.Command, args []string, o testOptions) error {
	if o.jobs < 1 {
		return usagef("--jobs %d: at least one lab is played at once", o.jobs)
	}
	labs, err := loadAll(cmd, args, o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	cfg := suite.Config{Jobs: o.jobs}
	if o.virtual && !lab.Virtual {
		p, err := newVirtualPlayer(cmd, o)
		if err != nil {
			return err
		}
		defer p.stop()
		cfg.Play = p.play
	} else {
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		cfg.Play = suite.Player{Config: lab.Config{Seed: o.seed, Log: log, HostTools: hostTools}, SkipUnable: o.skip}.Play
	}
	report := newSuiteReport(&output{w: cmd.OutOrStdout(), failed: cancel}, cmd.OutOrStdout(), labs, o)
	cfg.Done = report.lab
	start := time.Now()
	results, err := suite.Run(ctx, labs, cfg)
	err = whyEnded(ctx, err)
	report.end(results, time.Since(start), err == nil)
	if o.junit != "" {
		err = errors.Join(err, writeJUnit(o.junit, results))
	}
	if err == nil && slices.ContainsFunc(results, func(r *suite.Result) bool { return !r.OK() }) {
		return statusError(statusFailed)
	}
	return err
}

// loadAll reads and checks all labs that arguments name; the error has all mistakes.
func loadAll(cmd *cobra.Command, args []string, o testOptions) ([]suite.Lab, error) {
	var (
		labs     []suite.Lab
		mistakes topology.Errors
	)
	for _, arg := range args {
		files, err := filesOf(arg)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			spec, err := load(cmd, file)
			if err == nil {
				spec, err = checked(spec, o)
			}
			var errs topology.Errors
			switch {
			case errors.As(err, &errs):
				mistakes = append(mistakes, errs...)
			case err != nil:
				return nil, err
			default:
				labs = append(labs, suite.Lab{File: file, Spec: spec})
			}
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return labs, nil
}

// checked returns the part of a topology that is played here, if it can be.
func checked(spec *topology.Spec, o testOptions) (*topology.Spec, error) {
	spec = spec.Local()
	if err := lab.Check(spec); err != nil {
		return nil, err
	}
	if (o.virtual || lab.Virtual) && !o.skip {
		if err := lab.CheckVirtual(spec); err != nil {
			return nil, err
		}
	}
	return spec, nil
}

// filesOf returns the topologies of a directory, or what else an argument is.
func filesOf(arg string) ([]string, error) {
	if arg == stdinArg {
		return nil, usagef("a lab from standard input is played by netsim run -")
	}
	if fi, err := os.Stat(arg); err != nil || !fi.IsDir() {
		return []string{arg}, nil // load tells what is wrong with it
	}
	entries, err := os.ReadDir(arg)
	if err != nil {
		return nil, unreadable(err)
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			files = append(files, filepath.Join(arg, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, usagef("there is no *.yaml in %s", arg)
	}
	return files, nil
}

// writeJUnit writes the report.
func writeJUnit(file string, results []*suite.Result) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return errors.Join(suite.WriteJUnit(f, results), f.Close())
}

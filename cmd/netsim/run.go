package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

// runOptions say how a lab is run.
type runOptions struct {
	keep    bool
	noSteps bool
	json    bool
	verbose bool
	seed    *uint64 // nil: the topology's
	expose  []string
	proxies []string
	at      string
	skip    bool   // what cannot be run here is no failure
	virtual bool   // in virtual time
	failed  string // directory for the packets of failed steps; empty: they are not saved
}

const runHelp = `Bring a lab up, play its steps as a transcript with a tick or a cross for each, and take it down. While it runs, other
netsim commands reach it. Ctrl-C takes it down at once. FILE may be - for standard input.

The exit status is 0 if every step held, 1 if one did not or the lab failed, 2 for a bad topology.

` + outsideHelp + `

` + partHelp + `

` + virtualHelp + `

With --json standard output has one JSON object per line, told apart by "event":
  {"event": "up", "lab", "pid", "dir", "seconds", "nodes": [NAME...],
   "listening": [{"kind": "expose"|"proxy"|"vxlan", "listen": "ADDRESS:PORT", "node", "port", "remote", "vni"}]}
  {"event": "step", "step", "of", "name", "at": "FILE:LINE:COL", "on", "run", "passed", "tries", "seconds", "exit",
   "stdout", "stderr", "reason"}
  {"event": "skip", "lab", "reason"}                      with --skip-unable, instead of all others
  {"event": "drop", "place", "reason", "frames"}          with -v, at the end
  {"event": "end", "lab", "ok", "passed", "failed", "seconds"}`

func runCommand() *cobra.Command {
	var (
		o    runOptions
		seed uint64
	)
	cmd := &cobra.Command{
		Use:   "run FILE|NAME",
		Short: "Bring a lab up, play its steps, take it down",
		Long:  runHelp,
		Example: `  netsim run pets-overlay
  netsim run my.yaml --keep
  netsim run my.yaml --json | jq 'select(.event == "step" and (.passed | not))'
  netsim run my.yaml -v --seed 7
  netsim run my.yaml --virtual              # its sleeps and timeouts pass in no time
  netsim run my.yaml --save-failed packets   # and then: wireshark packets/my-step-3.pcapng
  netsim up split.yaml & netsim run split.yaml --at 127.0.0.1:4790   # one lab, two processes`,
		Args:              exactly(1, "FILE|NAME"),
		ValidArgsFunction: completeTopology,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("seed") {
				o.seed = &seed
			}
			if o.virtual || lab.Virtual {
				if err := checkVirtual(cmd); err != nil {
					return err
				}
			}
			if o.virtual && !lab.Virtual {
				return runVirtual(cmd, args)
			}
			return runTopology(cmd, args[0], o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.virtual, "virtual", false, "run the lab in virtual time, with the program netsim-virtual")
	f.BoolVar(&o.keep, "keep", false, "leave the lab running after its steps, until Ctrl-C or netsim down")
	f.BoolVar(&o.noSteps, "no-steps", false, "play no steps")
	f.StringVar(&o.failed, "save-failed", "", "save the packets of each step that fails into this directory, as LAB-step-N.pcapng")
	addRunFlags(cmd, &o, &seed)
	return cmd
}

func upCommand() *cobra.Command {
	o := runOptions{keep: true, noSteps: true}
	var seed uint64
	cmd := &cobra.Command{
		Use:   "up FILE|NAME",
		Short: "Bring a lab up and leave it running",
		Long: `Bring a lab up and leave it running until Ctrl-C or "netsim down". It is netsim run --no-steps --keep; put it into the
background, or use another terminal, to look around in the lab with exec and shell.

` + outsideHelp + `

` + partHelp + `

With --json standard output has the objects of netsim run.`,
		Example: `  netsim up pets-overlay &
  netsim exec client -- curl -s http://192.168.1.3:8000/
  netsim shell host-a
  netsim down pets-overlay

  netsim up pets-overlay --expose 8080=host-a:8000 &           # and then http://127.0.0.1:8080/ in a browser
  netsim up pets-overlay --proxy 127.0.0.1:1080=client &       # and then
  curl -x socks5h://127.0.0.1:1080 http://host-b:8000/`,
		Args:              exactly(1, "FILE|NAME"),
		ValidArgsFunction: completeTopology,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("seed") {
				o.seed = &seed
			}
			return runTopology(cmd, args[0], o)
		},
	}
	addRunFlags(cmd, &o, &seed)
	return cmd
}

// addRunFlags adds the flags that run and up have in common.
func addRunFlags(cmd *cobra.Command, o *runOptions, seed *uint64) {
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "print one JSON object per line")
	f.Uint64Var(seed, "seed", 0, "start of every pseudo-random choice, instead of the topology's")
	addOutsideFlags(cmd, o)
	f.StringVar(&o.at, "at", "", "run the part of the lab whose nodes have that remote address: ADDRESS:PORT")
	f.BoolVar(&o.skip, "skip-unable", false, "succeed, and say why, where this user or machine cannot run the lab: it needs root, say")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log what happens, show all output, and at the end the packets dropped")
}

const partHelp = `A lab may be split over several processes, on one machine or more: each is given the same file, in which some nodes have
"remote: ADDRESS:PORT". Without --at it runs the nodes that have none, with --at those of that address, and the steps that
are on them. Cables between the parts are VXLAN over real UDP, on loopback unless the file has other addresses.`

// part returns the part of a lab that this process is to run; at is the flag.
func part(spec *topology.Spec, at string) (*topology.Spec, error) {
	if at == "" {
		return spec.Local(), nil
	}
	here, err := topology.ParseEndpoint(at)
	if err != nil {
		return nil, usagef("--at %w", err)
	}
	if spec, err = spec.At(here); err != nil {
		return nil, usagef("--at %s: %w", at, err)
	}
	return spec.Local(), nil
}

// reporter tells how a lab goes.
type reporter interface {
	lab.Observer
	up(l *lab.Lab, took time.Duration)
	kept(l *lab.Lab)
	skipped(why error)
	dropped(all []lab.DropCount)
	end(sum lab.Summary, played bool, took time.Duration)
}

// runTopology runs a lab from its beginning to its end.
func runTopology(cmd *cobra.Command, arg string, o runOptions) error {
	spec, err := load(cmd, arg)
	if err != nil {
		return err
	}
	if spec, err = part(spec, o.at); err != nil {
		return err
	}
	proxies, err := outside(spec, o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	out := &output{w: cmd.OutOrStdout(), failed: cancel}
	var rep reporter = newTranscript(out, cmd.OutOrStdout(), spec, o.verbose)
	if o.json {
		rep = &eventLog{out: out, spec: spec}
	}
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	return play(ctx, spec, lab.Config{Seed: o.seed, Control: !lab.Virtual, Log: log, Proxies: proxies, HostTools: hostTools}, rep, o)
}

// play brings a lab up, plays its steps and takes it down.
func play(ctx context.Context, spec *topology.Spec, cfg lab.Config, rep reporter, o runOptions) error {
	start := time.Now()
	l, err := lab.Start(ctx, spec, cfg)
	if o.skip && errors.Is(err, lab.ErrUnable) {
		rep.skipped(err)
		return nil
	}
	if err != nil {
		return whyEnded(ctx, err)
	}
	rep.up(l, time.Since(start))
	settleMemory()
	var sum lab.Summary
	if !o.noSteps {
		sum, err = l.Play(ctx, saver{reporter: rep, lab: l, dir: o.failed, log: cfg.Log})
		err = whyEnded(ctx, err)
	}
	if err == nil && o.keep {
		rep.kept(l)
		<-l.Done()
	}
	var drops []lab.DropCount
	if o.verbose {
		drops = l.Drops()
	}
	if stopped := l.Stop(); err == nil {
		err = stopped
	}
	if o.verbose {
		rep.dropped(drops)
	}
	rep.end(sum, !o.noSteps && err == nil, time.Since(start))
	if err == nil && !sum.OK() {
		return statusError(statusFailed)
	}
	return err
}

// errInterrupted is said when somebody ended the run before its end.
var errInterrupted = errors.New("interrupted before the last step")

// whyEnded puts the reason why ctx ended, if it did, in place of an error that came of it.
func whyEnded(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case err == nil || cause == nil:
		return err
	case errors.Is(cause, context.Canceled):
		return errInterrupted
	default:
		return fmt.Errorf("the run was ended: %w", cause)
	}
}

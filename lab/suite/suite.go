// Package suite plays many labs, some at once, and tells how they went.
package suite

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/explain"
	"github.com/netsim-lab/netsim/lab/topology"
)

// Lab is one to play.
type Lab struct {
	File string // what the user called it: a file, or the name of one that comes with netsim
	Spec *topology.Spec
}

// Status is how a lab went.
type Status string

// The statuses.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"  // a step did not hold
	Skipped Status = "skipped" // this user or machine cannot run it
	Broken  Status = "error"   // it did not come up, or broke down
)

// Step is how a step went. What it printed and its story are there only if it failed.
type Step struct {
	Step    int     `json:"step"` // counted from 1
	Name    string  `json:"name"`
	At      string  `json:"at"` // FILE:LINE:COL
	On      string  `json:"on,omitempty"`
	Run     string  `json:"run,omitempty"`
	Passed  bool    `json:"passed"`
	Tries   int     `json:"tries"`
	Seconds float64 `json:"seconds"`
	Exit    int     `json:"exit"`
	Stdout  string  `json:"stdout,omitempty"`
	Stderr  string  `json:"stderr,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Explain string  `json:"explain,omitempty"` // what happened to its packets, as text
}

// Result is how a lab went.
type Result struct {
	Lab     string  `json:"lab"`
	File    string  `json:"file"`
	Status  Status  `json:"status"`
	Reason  string  `json:"reason,omitempty"` // of one that was skipped or broke
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"` // of the lab's time
	Steps   []Step  `json:"steps"`
}

// OK tells whether nothing failed.
func (r *Result) OK() bool { return r.Status == Passed || r.Status == Skipped }

// Config says how labs are played. Its zero value works.
type Config struct {
	Jobs int                                         // how many at once; less than 2: one after the other
	Play func(context.Context, Lab) (*Result, error) // plays one; nil: Player{}.Play
	Done func(index int, r *Result)                  // is told of each lab when it is over, one at a time; nil: nobody
}

// Run plays labs and returns how each went, in their order. Labs that have something of the machine, as a port or a device,
// which two may want at once, are played one after the other, beside those that have not. The error is not nil if ctx ended
// before all had been played; the results of those that were not are nil then.
func Run(ctx context.Context, labs []Lab, cfg Config) ([]*Result, error) {
	play := cfg.Play
	if play == nil {
		play = Player{}.Play
	}
	results := make([]*Result, len(labs))
	var telling, machine sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(cfg.Jobs, 1))
	for i, l := range labs {
		g.Go(func() error {
			if len(lab.Machine(l.Spec)) > 0 {
				machine.Lock()
				defer machine.Unlock()
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r, err := play(ctx, l)
			if err != nil {
				return err
			}
			results[i] = r
			telling.Lock()
			defer telling.Unlock()
			if cfg.Done != nil {
				cfg.Done(i, r)
			}
			return nil
		})
	}
	return results, g.Wait()
}

// Player plays labs in this process. Its zero value works.
type Player struct {
	Config     lab.Config // Control and Stories are its own
	SkipUnable bool       // what this user or machine cannot run is skipped
}

// Play plays a lab from its beginning to its end. The error is not nil if ctx ended first.
func (p Player) Play(ctx context.Context, l Lab) (*Result, error) {
	cfg := p.Config
	cfg.Control, cfg.Stories = false, true
	if cfg.Log != nil {
		cfg.Log = cfg.Log.With("lab", l.Spec.Name)
	}
	r := &Result{Lab: l.Spec.Name, File: l.File, Steps: []Step{}}
	start := time.Now()
	err := r.play(ctx, l, cfg)
	r.Seconds = time.Since(start).Seconds()
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, context.Cause(ctx)
	case p.SkipUnable && errors.Is(err, lab.ErrUnable):
		r.Status, r.Reason = Skipped, err.Error()
	case err != nil:
		r.Status, r.Reason = Broken, err.Error()
	case r.Failed > 0:
		r.Status = Failed
	default:
		r.Status = Passed
	}
	return r, nil
}

// play plays a lab and notes its steps.
func (r *Result) play(ctx context.Context, l Lab, cfg lab.Config) error {
	running, err := lab.Start(ctx, l.Spec, cfg)
	if err != nil {
		return err
	}
	sum, err := running.Play(ctx, recorder{r})
	r.Passed, r.Failed = sum.Passed, sum.Failed
	if stopped := running.Stop(); err == nil {
		err = stopped
	}
	return err
}

// recorder notes steps.
type recorder struct{ r *Result }

// StepStarted implements lab.Observer.
func (recorder) StepStarted(int, *topology.Step) {}

// Output implements lab.Observer.
func (recorder) Output(int, int, lab.Stream, []byte) {}

// StepDone implements lab.Observer.
func (o recorder) StepDone(r lab.StepResult) {
	s := Step{
		Step: r.Index + 1, Name: r.Step.Name, At: r.Step.Pos.String(), On: r.Step.On.Text, Run: r.Step.Run, Passed: r.Passed, Tries: r.Tries,
		Seconds: r.Elapsed.Seconds(), Exit: r.Exit,
	}
	if !r.Passed {
		s.Stdout, s.Stderr, s.Reason = string(r.Stdout), string(r.Stderr), r.Reason
		s.Explain = storyText(r.Story)
	}
	o.r.Steps = append(o.r.Steps, s)
}

// storyText is a story as people read it; empty if there were no packets.
func storyText(s *explain.Story) string {
	if s == nil || len(s.Flows) == 0 {
		return ""
	}
	var b strings.Builder
	_ = s.Text(&b, explain.TextOptions{}) // a Builder takes everything
	return b.String()
}

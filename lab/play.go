package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/explain"
	"github.com/netsim-lab/netsim/lab/topology"
)

// Stream is one of a command's outputs.
type Stream string

// The streams.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Observer hears how the steps of a lab go. Calls come one at a time.
type Observer interface {
	// StepStarted is called before the first try of a step; index counts from 0.
	StepStarted(index int, step *topology.Step)
	// Output is what the step's command prints as it prints it; try counts from 1. The data must not be kept.
	Output(index, try int, stream Stream, data []byte)
	// StepDone is called when it is clear whether the step passed.
	StepDone(result StepResult)
}

// StepResult is how a step went.
type StepResult struct {
	Index   int
	Step    *topology.Step
	Passed  bool
	Reason  string // what was expected and what came, a line for each expectation that does not hold; empty if passed
	Tries   int
	Elapsed time.Duration
	// Stdout, Stderr and Exit are those of the last try. Output beyond 1 MiB is cut off.
	Stdout, Stderr []byte
	Exit           int
	// Story is what happened to the packets of the last try, if the step expects something of their way, or failed and
	// Config.Stories is set; else nil.
	Story *explain.Story
}

// Summary counts the steps of a lab.
type Summary struct{ Passed, Failed int }

// OK tells whether all steps passed.
func (s Summary) OK() bool { return s.Failed == 0 }

// outputLimit is how many bytes of each output of a command are kept.
const outputLimit = 1 << 20

// holdTries is how many tries in a row must succeed for a step to have converged.
const holdTries = 3

// settleRetry is the pause between the tries of a step that must converge and says no other.
const settleRetry = 250 * time.Millisecond

// Play plays the steps of a lab that is up, each to its end and whatever became of the one before. obs may be nil. The
// error is not nil if ctx or the lab ended before the last step.
func (l *Lab) Play(ctx context.Context, obs Observer) (Summary, error) {
	var sum Summary
	if obs == nil {
		obs = nobody{}
	}
	select {
	case <-l.ready:
	default:
		return sum, fmt.Errorf("play the steps of lab %s: it is not up", l.spec.Name)
	}
	ctx, cancel := l.within(ctx)
	defer cancel()
	for i := range l.spec.Steps {
		if ctx.Err() != nil {
			return sum, fmt.Errorf("play step %d of lab %s: %w", i+1, l.spec.Name, ctx.Err())
		}
		if i > 0 {
			l.settle(ctx)
		}
		p := &stepPlayer{lab: l, obs: obs, index: i, step: &l.spec.Steps[i]}
		r := p.play(ctx)
		if ctx.Err() != nil && !r.Passed {
			return sum, fmt.Errorf("play step %d of lab %s: %w", i+1, l.spec.Name, ctx.Err())
		}
		if obs.StepDone(r); r.Passed {
			sum.Passed++
		} else {
			sum.Failed++
		}
	}
	return sum, nil
}

const (
	quiet     = 5 * time.Millisecond
	quietMost = 100 * time.Millisecond
)

// settle waits until no frame has passed a cable for a moment, so that the last packets of one step do not turn up in the
// next; not for long, for a lab may never be quiet.
func (l *Lab) settle(ctx context.Context) {
	before := l.passed()
	for end := time.Now().Add(quietMost); time.Now().Before(end); {
		if !pause(ctx, quiet) {
			return
		}
		now := l.passed()
		if now == before {
			return
		}
		before = now
	}
}

// passed returns how many frames have come out of cables.
func (l *Lab) passed() uint64 {
	var n uint64
	for _, c := range l.phys.cables {
		n += c.link.A().Read().RxFrames + c.link.B().Read().RxFrames
	}
	return n
}

// nobody is the Observer that looks at nothing.
type nobody struct{}

func (nobody) StepStarted(int, *topology.Step) {}
func (nobody) Output(int, int, Stream, []byte) {}
func (nobody) StepDone(StepResult)             {}

// stepPlayer plays one step.
type stepPlayer struct {
	lab   *Lab
	obs   Observer
	index int
	step  *topology.Step

	tries    int
	baseline drops
	sources  []*sourceWatch
}

// attempt is one try of a step.
type attempt struct {
	reasons        []string
	stdout, stderr output
	exit           int
	story          *explain.Story
	followed       *fabric.Recorder // what story is told of if it is asked for; nil: nothing
}

func (a *attempt) fail(format string, args ...any) {
	a.reasons = append(a.reasons, fmt.Sprintf(format, args...))
}

// play tries the step until it holds or its time is up.
func (p *stepPlayer) play(ctx context.Context) StepResult {
	p.obs.StepStarted(p.index, p.step)
	start := time.Now()
	p.watch()
	defer p.unwatch()
	var last *attempt
	switch last = p.change(); {
	case last != nil:
	case p.step.Expect.ConvergesWithin > 0:
		last = p.converge(ctx)
	default:
		last = p.repeat(ctx)
	}
	p.explain(last)
	r := StepResult{
		Index: p.index, Step: p.step, Passed: len(last.reasons) == 0, Reason: strings.Join(last.reasons, "\n"),
		Tries: p.tries, Elapsed: time.Since(start), Stdout: last.stdout.bytes(), Stderr: last.stderr.bytes(), Exit: last.exit,
		Story: last.story,
	}
	return r
}

// change does what the step changes of the fabric. It returns how the step went if that is all of it.
func (p *stepPlayer) change() *attempt {
	if !p.step.Change.Any() {
		return nil
	}
	a := &attempt{}
	if err := p.lab.change(&p.step.Change); err != nil {
		a.fail("%v", err)
		return a
	}
	if p.step.On.Text == "" {
		return a
	}
	return nil
}

// repeat tries until the step holds, at most as long as Within says.
func (p *stepPlayer) repeat(ctx context.Context) *attempt {
	limit := p.step.Within
	if limit == 0 {
		limit = p.lab.cfg.StepLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last *attempt
	for {
		a := p.try(ctx)
		if len(a.reasons) == 0 || p.step.Within == 0 {
			return a
		}
		if last == nil || ctx.Err() == nil {
			last = a // one that was cut off by the end of the time tells less than the one before
		}
		if !pause(ctx, p.step.Retry) {
			last.reasons = append(last.reasons, fmt.Sprintf("(%s, tried %s)", limit, times(p.tries)))
			return last
		}
	}
}

// converge tries until the step holds in several tries in a row, the first of them in time.
func (p *stepPlayer) converge(ctx context.Context) *attempt {
	limit, retry := p.step.Expect.ConvergesWithin, p.step.Retry
	if retry == 0 {
		retry = settleRetry
	}
	deadline := time.Now().Add(limit)
	held := 0
	for {
		began := time.Now()
		try, cancel := context.WithTimeout(ctx, max(limit, p.lab.cfg.StepLimit))
		a := p.try(try)
		cancel()
		switch {
		case len(a.reasons) > 0 && !began.Before(deadline) || ctx.Err() != nil:
			a.reasons = append(a.reasons, fmt.Sprintf("(did not converge within %s, tried %s)", limit, times(p.tries)))
			return a
		case len(a.reasons) > 0:
			held = 0
		default:
			if held++; held == holdTries {
				return a
			}
		}
		if !pause(ctx, retry) {
			a.fail("ended before it was known to hold")
			return a
		}
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// pause waits, and is false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// try plays the step once.
func (p *stepPlayer) try(ctx context.Context) *attempt {
	p.tries++
	a := &attempt{}
	node, err := p.lab.node(p.step.On)
	if err != nil {
		a.fail("%v", err)
		return a
	}
	p.watchSources()
	ctx, stop := p.follow(ctx, a, node)
	defer stop()
	switch {
	case len(p.step.Expect.PathIncludes) > 0:
		p.followed(ctx, a, node)
	case p.step.Run != "":
		p.command(ctx, a, node)
	}
	p.probes(ctx, a, node)
	p.judgeDrops(a)
	p.judgeSources(a)
	return a
}

// command runs the step's command and judges its status and output.
func (p *stepPlayer) command(ctx context.Context, a *attempt, node *Node) {
	try := p.tries
	a.stdout.show = func(b []byte) { p.obs.Output(p.index, try, Stdout, b) }
	a.stderr.show = func(b []byte) { p.obs.Output(p.index, try, Stderr, b) }
	var err error
	a.exit, err = node.Run(ctx, p.step.Run, shell.Stdio{Out: &a.stdout, Err: &a.stderr})
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		a.fail("the command did not end in time; it was stopped")
		return
	case err != nil:
		a.fail("the command could not run: %v", err)
		return
	}
	e := &p.step.Expect
	if !e.Status.Accepts(a.exit) {
		a.fail("expected exit status %s, got %d%s", e.Status, a.exit, quoteOutput(" with stderr", a.stderr.bytes()))
	}
	judgeText(a, "stdout", a.stdout.bytes(), e.Stdout)
	judgeText(a, "stderr", a.stderr.bytes(), e.Stderr)
}

func judgeText(a *attempt, name string, text []byte, all []topology.Match) {
	for _, m := range all {
		if m.Matches(string(text)) {
			continue
		}
		want := fmt.Sprintf("%q", m.Text)
		if m.Regexp != nil {
			want = "/" + m.Text + "/"
		}
		if m.Not {
			a.fail("expected %s without %s, got %s", name, want, clipText(text))
		} else {
			a.fail("expected %s with %s, got %s", name, want, clipText(text))
		}
	}
}

// quoteOutput is a part of a message that shows output; empty if there is none.
func quoteOutput(name string, text []byte) string {
	if len(text) == 0 {
		return ""
	}
	return name + " " + clipText(text)
}

// clipText shows the end of a text, where commands say what went wrong.
func clipText(text []byte) string {
	const most = 400
	s := strings.TrimRight(string(text), "\n")
	switch {
	case s == "":
		return "nothing"
	case len(s) > most:
		return fmt.Sprintf("...%q", s[len(s)-most:])
	}
	return fmt.Sprintf("%q", s)
}

// output keeps what a command prints, and shows it.
type output struct {
	mu   sync.Mutex
	b    []byte // guarded by mu
	show func([]byte)
}

// Write implements io.Writer. It never fails.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := outputLimit - len(o.b); room > 0 {
		o.b = append(o.b, b[:min(room, len(b))]...)
	}
	if o.show != nil {
		o.show(b)
	}
	return len(b), nil
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b
}

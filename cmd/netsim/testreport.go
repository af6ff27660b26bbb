package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/suite"
)

// suiteReport tells how many labs go.
type suiteReport struct {
	out   *output
	paint painter
	labs  []suite.Lab
	o     testOptions
	width int // of the longest name
}

func newSuiteReport(out *output, stream any, labs []suite.Lab, o testOptions) *suiteReport {
	s := &suiteReport{out: out, paint: newPainter(stream), labs: labs, o: o}
	for _, l := range labs {
		s.width = max(s.width, utf8.RuneCountInString(l.Spec.Name))
	}
	return s
}

type (
	labEvent struct {
		Event string `json:"event"`
		suite.Result
	}
	suiteEndEvent struct {
		Event   string  `json:"event"`
		OK      bool    `json:"ok"`
		Passed  int     `json:"passed"`
		Failed  int     `json:"failed"`
		Skipped int     `json:"skipped"`
		Errors  int     `json:"errors"`
		Seconds float64 `json:"seconds"`
	}
)

// lab tells of a lab that is over.
func (s *suiteReport) lab(index int, r *suite.Result) {
	if s.o.json {
		(&eventLog{out: s.out}).write(labEvent{"lab", *r})
		return
	}
	mark, verdict := s.paint.paint(green, tick), fmt.Sprintf("%9s  %s", plural(r.Passed, "step"), seconds(duration(r.Seconds)))
	switch r.Status {
	case suite.Skipped:
		mark, verdict = "-", "skipped: "+r.Reason
	case suite.Broken:
		mark, verdict = s.paint.paint(red, cross), s.paint.paint(red, r.Reason)
	case suite.Failed:
		mark = s.paint.paint(red, cross)
		verdict = fmt.Sprintf("%9s  %s, %d failed", plural(r.Passed+r.Failed, "step"), seconds(duration(r.Seconds)), r.Failed)
	}
	pad := strings.Repeat(" ", s.width-utf8.RuneCountInString(r.Lab))
	s.out.printf("%s %s%s  %s\n", mark, r.Lab, pad, strings.ReplaceAll(verdict, "\n", "; "))
	for i := range r.Steps {
		if !r.Steps[i].Passed {
			s.step(s.labs[index], &r.Steps[i])
		}
	}
}

// step tells of a step that failed: as netsim run does, and what happened to its packets.
func (s *suiteReport) step(l suite.Lab, step *suite.Step) {
	t := &transcript{out: s.out, paint: s.paint, spec: l.Spec, all: s.o.verbose, shown: []byte(step.Stdout + step.Stderr)}
	s.out.write("\n")
	t.StepDone(lab.StepResult{
		Index: step.Step - 1, Step: &l.Spec.Steps[step.Step-1], Tries: step.Tries, Elapsed: duration(step.Seconds), Reason: step.Reason,
	})
	if step.Explain != "" {
		s.out.printf("\n%s%s\n", indent, s.paint.paint(faint, "what happened to its packets:"))
		for line := range strings.Lines(step.Explain) {
			s.out.printf("%s%s\n", indent, strings.TrimRight(line, "\n"))
		}
	}
	s.out.write("\n")
}

// end tells how all went; whole tells that all were played.
func (s *suiteReport) end(results []*suite.Result, took time.Duration, whole bool) {
	n := map[suite.Status]int{}
	for _, r := range results {
		if r != nil {
			n[r.Status]++
		}
	}
	bad := n[suite.Failed] + n[suite.Broken]
	if s.o.json {
		(&eventLog{out: s.out}).write(suiteEndEvent{
			Event: "end", OK: whole && bad == 0, Passed: n[suite.Passed], Failed: n[suite.Failed], Skipped: n[suite.Skipped], Errors: n[suite.Broken],
			Seconds: took.Seconds(),
		})
		return
	}
	mark, verdict := s.paint.paint(green, tick), fmt.Sprintf("%d held", n[suite.Passed])
	if bad > 0 || !whole {
		mark = s.paint.paint(red, cross)
	}
	if bad > 0 {
		verdict += fmt.Sprintf(", %d failed", bad)
	}
	if n[suite.Skipped] > 0 {
		verdict += fmt.Sprintf(", %d skipped", n[suite.Skipped])
	}
	s.out.printf("\n%s %s: %s, in %s\n", mark, plural(len(s.labs), "lab"), verdict, seconds(took))
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

// eventLog tells other programs how a lab goes: one JSON object per line.
type eventLog struct {
	out  *output
	spec *topology.Spec
}

// The events; see the help of run.
type (
	upEvent struct {
		Event     string          `json:"event"`
		Lab       string          `json:"lab"`
		PID       int             `json:"pid"`
		Dir       string          `json:"dir"`
		Seconds   float64         `json:"seconds"`
		Nodes     []string        `json:"nodes"`
		Listening []lab.Listening `json:"listening,omitempty"`
	}
	stepEvent struct {
		Event   string   `json:"event"`
		Step    int      `json:"step"`
		Of      int      `json:"of"`
		Name    string   `json:"name"`
		At      string   `json:"at"`
		On      string   `json:"on"`
		Change  []string `json:"change,omitempty"`
		Run     string   `json:"run,omitempty"`
		Passed  bool     `json:"passed"`
		Tries   int      `json:"tries"`
		Seconds float64  `json:"seconds"`
		Exit    int      `json:"exit"`
		Stdout  string   `json:"stdout"`
		Stderr  string   `json:"stderr"`
		Reason  string   `json:"reason,omitempty"`
	}
	skipEvent struct {
		Event  string `json:"event"`
		Lab    string `json:"lab"`
		Reason string `json:"reason"`
	}
	dropEvent struct {
		Event  string `json:"event"`
		Place  string `json:"place"`
		Reason string `json:"reason"`
		Frames uint64 `json:"frames"`
	}
	endEvent struct {
		Event   string  `json:"event"`
		Lab     string  `json:"lab"`
		OK      bool    `json:"ok"`
		Passed  int     `json:"passed"`
		Failed  int     `json:"failed"`
		Seconds float64 `json:"seconds"`
	}
)

func (e *eventLog) write(event any) {
	enc := json.NewEncoder(e.out.w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(event); err != nil {
		e.out.failed(err)
	}
}

func (e *eventLog) up(l *lab.Lab, took time.Duration) {
	event := upEvent{Event: "up", Lab: l.Name(), PID: os.Getpid(), Dir: lab.Dir(l.Name()), Seconds: took.Seconds(), Nodes: []string{},
		Listening: l.Listening()}
	for _, n := range l.Nodes() {
		event.Nodes = append(event.Nodes, n.Name())
	}
	e.write(event)
}

func (e *eventLog) skipped(why error) {
	e.write(skipEvent{Event: "skip", Lab: e.spec.Name, Reason: why.Error()})
}

// StepStarted says nothing; the step's event comes when it is done.
func (e *eventLog) StepStarted(int, *topology.Step) {}

// Output says nothing; the step's event has it all.
func (e *eventLog) Output(int, int, lab.Stream, []byte) {}

// StepDone writes the step's event.
func (e *eventLog) StepDone(r lab.StepResult) {
	e.write(stepEvent{
		Event: "step", Step: r.Index + 1, Of: len(e.spec.Steps), Name: r.Step.Name, At: r.Step.Pos.String(),
		On: r.Step.On.Text, Change: r.Step.Change.Lines(), Run: r.Step.Run, Passed: r.Passed, Tries: r.Tries, Seconds: r.Elapsed.Seconds(), Exit: r.Exit,
		Stdout: string(r.Stdout), Stderr: string(r.Stderr), Reason: r.Reason,
	})
}

func (e *eventLog) kept(*lab.Lab) {}

func (e *eventLog) dropped(all []lab.DropCount) {
	for _, d := range all {
		e.write(dropEvent{Event: "drop", Place: d.Place, Reason: d.Reason, Frames: d.Frames})
	}
}

func (e *eventLog) end(sum lab.Summary, played bool, took time.Duration) {
	e.write(endEvent{
		Event: "end", Lab: e.spec.Name, OK: played && sum.OK(), Passed: sum.Passed, Failed: sum.Failed, Seconds: took.Seconds(),
	})
}

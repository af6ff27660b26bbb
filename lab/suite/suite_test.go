package suite_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/suite"
	"github.com/netsim-lab/netsim/lab/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const fabric = `
fabric:
  switches: {tor: {}}
  hosts:
    a: {links: {tor: 10.0.0.1/24}}
    b: {links: {tor: 10.0.0.2/24}}
`

const held = "netsim: 1\nname: held" + fabric + `
steps:
  - {name: Reaches, on: a, run: ping -c 1 10.0.0.2}
`

const failed = "netsim: 1\nname: failed" + fabric + `
steps:
  - {name: Reaches, on: a, run: ping -c 1 10.0.0.2}
  - {name: Is refused, on: a, run: "printf 'bell \\a and <tag>\\n'; curl -s http://10.0.0.2/"}
  - {name: Expects more, on: a, expect: {reachable: "10.0.0.2:81"}}
`

const unable = "netsim: 1\nname: unable\nneeds: no-machine-has-this-command" + fabric + `
steps:
  - {name: Reaches, on: a, run: ping -c 1 10.0.0.2}
`

func parse(t *testing.T, texts ...string) []suite.Lab {
	t.Helper()
	var labs []suite.Lab
	for _, text := range texts {
		spec, err := topology.Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		labs = append(labs, suite.Lab{File: "x.yaml", Spec: spec})
	}
	return labs
}

func play(t *testing.T, cfg suite.Config, p suite.Player) []*suite.Result {
	t.Helper()
	cfg.Play = p.Play
	results, err := suite.Run(t.Context(), parse(t, held, failed, unable), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestRun(t *testing.T) {
	told := 0
	results := play(t, suite.Config{Jobs: 3, Done: func(int, *suite.Result) { told++ }}, suite.Player{SkipUnable: true})
	for i, want := range []suite.Result{
		{Lab: "held", File: "x.yaml", Status: suite.Passed, Passed: 1},
		{Lab: "failed", File: "x.yaml", Status: suite.Failed, Passed: 1, Failed: 2},
		{Lab: "unable", File: "x.yaml", Status: suite.Skipped},
	} {
		r := *results[i]
		if r.Lab != want.Lab || r.File != want.File || r.Status != want.Status || r.Passed != want.Passed || r.Failed != want.Failed {
			t.Errorf("lab %d = %+v; want %+v", i, r, want)
		}
	}
	if told != 3 {
		t.Errorf("told of %d labs; want 3", told)
	}
	steps := results[1].Steps
	if s := steps[0]; !s.Passed || s.Stdout != "" || s.Explain != "" {
		t.Errorf("a step that held = %+v; want neither output nor story", s)
	}
	if s := steps[1]; s.Passed || s.Exit != 7 || s.At != "x.yaml:11:5" || !strings.HasPrefix(s.Stdout, "bell") ||
		!strings.Contains(s.Reason, "expected exit status 0, got 7") || !strings.Contains(s.Explain, "b sends RST ACK") {
		t.Errorf("a step that failed = %+v; want its output, reason and story", s)
	}
	if s := steps[2]; s.Passed || !strings.Contains(s.Explain, "b sends RST ACK") {
		t.Errorf("a step that looked = %+v; want its story", s)
	}
}

// Without SkipUnable what cannot be run is an error, and one that ends all of it is returned.
func TestRunFails(t *testing.T) {
	if r := play(t, suite.Config{}, suite.Player{})[2]; r.Status != suite.Broken || !strings.Contains(r.Reason, "no-machine-has-this-command") {
		t.Errorf("unable = %+v; want an error", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	results, err := suite.Run(ctx, parse(t, held, failed, held), suite.Config{Done: func(int, *suite.Result) { cancel() }})
	if !errors.Is(err, context.Canceled) || results[0] == nil || results[2] != nil {
		t.Errorf("Run = %v, %v; want the first lab, and canceled", results, err)
	}
}

// Two labs that want something of the machine are never played at once.
func TestMachineIsForOne(t *testing.T) {
	exposed := strings.Replace(held, "name: held", "name: held\nexpose: {8080: \"a:80\"}", 1)
	var now, most atomic.Int32
	cfg := suite.Config{Jobs: 4, Play: func(_ context.Context, l suite.Lab) (*suite.Result, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		return suite.Player{Config: lab.Config{}}.Play(t.Context(), suite.Lab{File: l.File, Spec: parse(t, held)[0].Spec})
	}}
	if _, err := suite.Run(t.Context(), parse(t, exposed, exposed, exposed, exposed), cfg); err != nil || most.Load() != 1 {
		t.Errorf("%d labs were played at once, %v; want 1", most.Load(), err)
	}
}

// The report is what readers of JUnit know: https://github.com/testmoapp/junitxml.
func TestWriteJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := suite.WriteJUnit(&b, append(play(t, suite.Config{}, suite.Player{SkipUnable: true}), nil)); err != nil {
		t.Fatal(err)
	}
	type problem struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type counts struct {
		Tests    int     `xml:"tests,attr"`
		Failures int     `xml:"failures,attr"`
		Errors   int     `xml:"errors,attr"`
		Skipped  int     `xml:"skipped,attr"`
		Time     float64 `xml:"time,attr"`
	}
	var doc struct {
		XMLName xml.Name `xml:"testsuites"`
		counts
		Suites []struct {
			Name string `xml:"name,attr"`
			counts
			Cases []struct {
				Name      string   `xml:"name,attr"`
				Class     string   `xml:"classname,attr"`
				Time      float64  `xml:"time,attr"`
				Failure   *problem `xml:"failure"`
				Skipped   *problem `xml:"skipped"`
				SystemOut string   `xml:"system-out"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatalf("%v\n%s", err, b.Bytes())
	}
	if doc.Tests != 5 || doc.Failures != 2 || doc.Errors != 0 || doc.Skipped != 1 || len(doc.Suites) != 3 || doc.Time <= 0 {
		t.Fatalf("%s\nwant 5 tests in 3 suites, 2 failures, 1 skipped", b.Bytes())
	}
	s := doc.Suites[1]
	if s.Name != "failed" || s.Tests != 3 || s.Failures != 2 || len(s.Cases) != 3 {
		t.Fatalf("suite = %+v; want failed with 3 tests, 2 failures", s)
	}
	c := s.Cases[1]
	if c.Name != "2: Is refused" || c.Class != "failed" || c.Failure == nil || c.Failure.Message != "expected exit status 0, got 7" ||
		!strings.Contains(c.Failure.Text, "b sends RST ACK") || !strings.Contains(c.SystemOut, "and <tag>") {
		t.Errorf("case = %+v, %+v; want its failure with the story, and its output", c, c.Failure)
	}
	if s.Cases[0].Failure != nil || doc.Suites[2].Cases[0].Skipped == nil {
		t.Errorf("%s\nwant no failure of a step that held, and why the last lab was skipped", b.Bytes())
	}
}
